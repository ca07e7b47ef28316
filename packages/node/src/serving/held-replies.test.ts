import { afterEach, describe, expect, it } from 'vitest';
import { LogState } from '../redo-log/log-board.ts';
import { type TestClient, TestCluster } from './cluster.fixture.ts';
import {
  LOG_PARTED_TEXT,
  NOREPLICAS_TEXT,
  NOT_IN_SYNC_TEXT,
  NOT_READABLE_TEXT,
  READ_LOG_PARTED_TEXT,
} from './held-replies.ts';

const UNKNOWN = `-${NOT_IN_SYNC_TEXT}`;
const NOT_READABLE = `-${NOT_READABLE_TEXT}`;

let cluster: TestCluster;
afterEach(() => cluster.stop());

/** The row of a partition, as a primary's replication worker writes it: one follower in sync. */
function board(partition: number, node = partition % cluster.nodes.length) {
  const { board: rows, partitions } = cluster.nodes[node];
  const lead = (members: number, epoch = 1): void => {
    rows.lead(partition, epoch, members, members - 1);
    rows.notify(true);
  };
  return {
    lead,
    /** The follower has this, or all that is committed. */
    ack: (seq = partitions[partition].committedSeq()): void => {
      rows.reached(partition, seq);
      rows.acked(partition, [seq]);
      rows.notify(true);
    },
    end: (): void => {
      rows.end(partition);
      rows.notify(true);
    },
  };
}

/** Of another connection of the same worker: whatever came before has been executed. */
async function barrier(node = 0): Promise<void> {
  await (await cluster.client(node)).call('PING');
}

async function inSyncClient(node = 0): Promise<TestClient> {
  const client = await cluster.client(node);
  expect(await client.call('CLIENT', 'ACKS', 'isr')).toBe('OK');
  return client;
}

/** Starts a pipeline, waits until it has been executed, and expects that not all is answered. */
async function held(
  client: TestClient,
  commands: readonly (readonly string[])[],
): Promise<Promise<unknown[]>[]> {
  const replies = client.pipeline(commands);
  await stillHeld(replies, commands.at(-1)?.[0]);
  return [replies];
}

async function stillHeld(reply: Promise<unknown>, what?: string): Promise<void> {
  let isAnswered = false;
  void reply.then(() => {
    isAnswered = true;
  });
  for (const node of cluster.nodes.keys()) await barrier(node);
  await barrier();
  expect([what, isAnswered]).toEqual([what, false]);
}

describe('held replies: acks=isr', () => {
  it('CLIENT ACKS tells and sets; --acks says what new connections have', async () => {
    cluster = await TestCluster.start(1, 1);
    const client = await cluster.client();
    expect(await client.call('CLIENT', 'ACKS')).toBe('local');
    expect(await client.call('CLIENT', 'ACKS', 'ISR')).toBe('OK');
    expect(await client.call('CLIENT', 'ACKS')).toBe('isr');
    expect(await client.call('CLIENT', 'ACKS', 'maybe')).toBe('-ERR syntax error');
    cluster.stop();
    cluster = await TestCluster.start(1, 1, {}, { acks: 'isr' });
    expect(await (await cluster.client()).call('CLIENT', 'ACKS')).toBe('isr');
  });

  it('a write is answered once every copy in sync has it; others are not delayed', async () => {
    cluster = await TestCluster.start(1, 2);
    board(0).lead(2);
    board(1).lead(1);
    const client = await inSyncClient();
    const [replies] = await held(client, [['SET', cluster.keyIn(0), 'v']]);
    expect(cluster.counter(0, 'acksHeld')).toBe(1);
    expect(await (await cluster.client()).call('GET', cluster.keyIn(0))).toBe('v');
    expect(await (await inSyncClient()).call('SET', cluster.keyIn(1), 'alone')).toBe('OK');
    board(0).ack();
    expect(await replies).toEqual(['OK']);
    expect(cluster.counter(0, 'acksHeld')).toBe(0);
  });

  it('a read waits for what its partition had committed', async () => {
    cluster = await TestCluster.start(1, 1);
    board(0).lead(2);
    const key = cluster.keyIn(0);
    const writer = await cluster.client();
    await writer.call('SET', key, 'old');
    board(0).ack();
    const reader = await inSyncClient();
    expect(await reader.call('GET', key)).toBe('old');
    await writer.call('SET', key, 'new');
    for (const command of [
      ['GET', key],
      ['STRLEN', key],
      ['MGET', key, key],
    ]) {
      const [reply] = await held(reader, [command]);
      board(0).ack();
      expect(await reply).toHaveLength(1);
      await writer.call('SET', key, 'new');
    }
  });

  it('replies stay in order, those that wait for nothing too', async () => {
    cluster = await TestCluster.start(1, 2);
    board(0).lead(2);
    board(1).lead(2);
    const client = await inSyncClient();
    const [first] = await held(client, [
      ['SET', cluster.keyIn(0), 'a'],
      ['PING'],
      ['SET', cluster.keyIn(1), 'b'],
    ]);
    const [second] = await held(client, [
      ['ECHO', 'later'],
      ['GET', cluster.keyIn(1)],
    ]);
    board(1).ack();
    await stillHeld(first);
    board(0).ack();
    expect(await first).toEqual(['OK', 'PONG', 'OK']);
    expect(await second).toEqual(['later', 'b']);
  });

  it('an epoch that ends first: the outcome is unknown, of the replies of that partition alone', async () => {
    cluster = await TestCluster.start(1, 2);
    board(0).lead(2);
    board(1).lead(2);
    const client = await inSyncClient();
    const [replies] = await held(client, [
      ['SET', cluster.keyIn(0), 'a'],
      ['PING'],
      ['INCR', cluster.keyIn(1)],
      ['GET', cluster.keyIn(0)],
    ]);
    board(0).end();
    board(1).ack();
    expect(await replies).toEqual([UNKNOWN, 'PONG', 1, NOT_READABLE]);
    expect(cluster.counter(0, 'acksUnknown')).toBe(1);
  });

  it('a transaction over several partitions of which one is over: unknown, if any part of it wrote', async () => {
    cluster = await TestCluster.start(1, 2);
    const [a, b] = [cluster.keyIn(0), cluster.keyIn(1)];
    const client = await inSyncClient();
    await (await cluster.client()).call('MSET', a, '1', b, '1');
    for (const [command, expected] of [
      [['SET', b, '2'], UNKNOWN],
      [['GET', b], NOT_READABLE],
    ] as const) {
      board(0).lead(2);
      board(1).lead(2);
      const [replies] = await held(client, [['MULTI'], ['GET', a], [...command], ['EXEC']]);
      board(0).end();
      board(1).ack();
      expect((await replies).at(-1)).toBe(expected);
    }
  });

  it('another epoch of the same node is no answer for the one before', async () => {
    cluster = await TestCluster.start(1, 1);
    board(0).lead(2);
    const client = await inSyncClient();
    const [replies] = await held(client, [['SET', cluster.keyIn(0), 'a']]);
    cluster.promote(0, 0);
    board(0).lead(1, 2);
    expect(await replies).toEqual([UNKNOWN]);
    expect(await client.call('SET', cluster.keyIn(0), 'b')).toBe('OK');
  });

  it('a partition that moved before replication heard of its epoch: unknown', async () => {
    cluster = await TestCluster.start(1, 1);
    const client = await inSyncClient();
    const [replies] = await held(client, [['SET', cluster.keyIn(0), 'a']]);
    cluster.demote(0, 0);
    cluster.partition(0, 0).setRole(2, 3);
    cluster.nodes[0].worker.held.look();
    expect(await replies).toEqual([UNKNOWN]);
  });

  it('acks=log and a partition that moved: what is said is about the log, not about copies', async () => {
    cluster = await TestCluster.start(1, 1);
    const { log, held: replies } = cluster.nodes[0].worker;
    log.state = LogState.writes;
    const client = await cluster.client();
    const key = cluster.keyIn(0);
    expect(await client.call('CLIENT', 'ACKS', 'log')).toBe('OK');
    const [logged] = await held(client, [
      ['SET', key, 'a'],
      ['GET', key],
    ]);
    const both = await cluster.client();
    expect(await both.call('CLIENT', 'ACKS', 'isr+log')).toBe('OK');
    const [inSync] = await held(both, [['SET', key, 'b']]);
    cluster.demote(0, 0);
    cluster.partition(0, 0).setRole(2, 3);
    replies.look();
    expect(await logged).toEqual([`-${LOG_PARTED_TEXT}`, `-${READ_LOG_PARTED_TEXT}`]);
    expect(await inSync).toEqual([UNKNOWN]);
  });

  it('MULTI, MSET and FLUSHALL wait like anything else', async () => {
    cluster = await TestCluster.start(1, 2);
    board(0).lead(2);
    board(1).lead(2);
    const client = await inSyncClient();
    const [a, b] = [cluster.keyIn(0), cluster.keyIn(1)];
    const multi = [['MULTI'], ['SET', a, '1'], ['SET', b, '2'], ['EXEC']];
    for (const commands of [multi, [['MSET', a, '1', b, '2']], [['DEL', a, b]], [['FLUSHALL']]]) {
      const [replies] = await held(client, commands);
      board(0).ack();
      await stillHeld(replies, commands.at(-1)?.[0]);
      board(1).ack();
      expect(await replies).toHaveLength(commands.length);
    }
  });
});

describe('held replies: --min-isr', () => {
  const start = async (): Promise<void> => {
    cluster = await TestCluster.start(2, 4, {}, { minIsr: 2 });
  };
  const setMembers = (of: Readonly<Record<number, string[]>>, ...others: string[]): void => {
    const placement = cluster.map.placement.map((entry, id) => ({
      ...entry,
      inSync: (of[id] ?? others).map((node) => ({ node, incarnation: 1 })),
    }));
    cluster.map = { ...cluster.map, version: cluster.map.version + 1, placement };
  };
  const members = (of: Readonly<Record<number, string[]>>, ...others: string[]): void => {
    setMembers(of, ...others);
    cluster.tell(cluster.map, 0, 1);
  };

  it('a write is refused while too few copies are in sync, and nothing of it is done', async () => {
    await start();
    board(0).lead(1);
    members({ 2: ['n0', 'n1'] }, 'n0');
    board(2).lead(1);
    const key = cluster.keyIn(0);
    const client = await inSyncClient();
    const none = `-${NOREPLICAS_TEXT}`;
    expect(await client.call('SET', key, 'v')).toBe(none);
    expect(await client.call('APPEND', key, 'v')).toBe(none);
    expect(await client.call('MSET', key, 'v', cluster.keyIn(1), 'v')).toBe(none);
    expect(await client.call('GET', key)).toBeNull();
    expect(await client.pipeline([['MULTI'], ['SET', key, 'v'], ['EXEC']])).toContain(none);
    const split = await client.pipeline([
      ['MULTI'],
      ['SET', cluster.keyIn(2), 'v'],
      ['SET', key, 'v'],
      ['EXEC'],
    ]);
    expect(split.at(-1)).toBe(none);
    for (const each of [key, cluster.keyIn(2)]) {
      expect(await (await cluster.client()).call('GET', each)).toBeNull();
    }
    expect(cluster.counter(0, 'noReplicas')).toBe(5);
    expect(await (await cluster.client()).call('SET', key, 'local')).toBe('OK');
  });

  it('a call of several parts is refused before any of them runs, wherever they are led', async () => {
    await start();
    board(0).lead(2);
    members({ 1: ['n1'] }, 'n0', 'n1');
    const [here, there] = [cluster.keyIn(0), cluster.keyIn(1)];
    const local = await cluster.client();
    await local.call('SET', here, 'old');
    const client = await inSyncClient();
    const none = `-${NOREPLICAS_TEXT}`;
    expect(await client.call('MSET', here, 'v', there, 'v')).toBe(none);
    expect(await client.call('DEL', here, there)).toBe(none);
    expect(await client.call('FLUSHALL')).toBe(none);
    const exec = [['MULTI'], ['SET', here, 'v'], ['SET', there, 'v'], ['EXEC']];
    expect((await client.pipeline(exec)).at(-1)).toBe(none);
    expect(await local.call('MGET', here, there)).toEqual(['old', null]);
    expect(cluster.counter(0, 'noReplicas')).toBe(4);
    expect(cluster.counter(1, 'noReplicas')).toBe(0);
  });

  it('what its owner refuses after other parts ran is told as what it is', async () => {
    await start();
    members({}, 'n0', 'n1');
    board(0).lead(2);
    board(2).lead(2);
    // Node 1 knows more than node 0.
    setMembers({ 1: ['n1'] }, 'n0', 'n1');
    cluster.tell(cluster.map, 1);
    const [here, there, also] = [cluster.keyIn(0), cluster.keyIn(1), cluster.keyIn(2)];
    const client = await inSyncClient();
    const answered = async (...commands: string[][]): Promise<unknown> => {
      const [replies] = await held(client, commands);
      board(0).ack();
      board(2).ack();
      return (await replies).at(-1);
    };
    const partly = '-ERR partly executed: done for';
    expect(await answered(['MSET', here, '1', there, '2', also, '3'])).toBe(
      `${partly} keys 1, 3; not done for key 2 (${NOREPLICAS_TEXT})`,
    );
    expect(await answered(['MULTI'], ['PING'], ['SET', there, '4'], ['INCR', here], ['EXEC'])).toBe(
      `${partly} commands 3, 1; not done for command 2 (${NOREPLICAS_TEXT})`,
    );
    expect(await answered(['FLUSHALL'])).toBe(
      `${partly} node n0; not done for node n1 (${NOREPLICAS_TEXT})`,
    );
    expect(await client.pipeline([['MULTI'], ['PING'], ['SET', there, '5'], ['EXEC']])).toContain(
      `-${NOREPLICAS_TEXT}`,
    );
  });

  it('a set that becomes too small after the write: unknown', async () => {
    await start();
    members({}, 'n0', 'n1');
    board(0).lead(2);
    const client = await inSyncClient();
    const [replies] = await held(client, [['SET', cluster.keyIn(0), 'v']]);
    board(0).lead(1);
    expect(await replies).toEqual([UNKNOWN]);
  });
});

describe('held replies: through other nodes', () => {
  it('the owner answers first, in each mode', async () => {
    cluster = await TestCluster.start(2, 2);
    board(1).lead(2);
    board(0).lead(2);
    const client = await inSyncClient();
    const [a, b] = [cluster.keyIn(0), cluster.keyIn(1)];
    const plain = await cluster.client();
    expect(await plain.call('SET', b, 'local')).toBe('OK');
    const calls = [['SET', b, 'v'], ['GET', b], ['MSET', a, '1', b, '2'], ['DBSIZE'], ['FLUSHALL']];
    for (const call of calls) {
      await plain.pipeline([
        ['SET', a, 'x'],
        ['SET', b, 'x'],
      ]);
      const reply = client.call(...call);
      await stillHeld(reply, call[0]);
      board(0).ack();
      await stillHeld(reply, call[0]);
      const acks = setInterval(() => {
        board(0).ack();
        board(1).ack();
      }, 2);
      expect(String(await reply)).not.toMatch(/^-/);
      clearInterval(acks);
    }
    board(0).ack();
    board(1).ack();
  });

  it('a change of mode does not overtake what is on its way', async () => {
    cluster = await TestCluster.start(2, 2);
    board(1).lead(1);
    const client = await cluster.client();
    const key = cluster.keyIn(1);
    const replies = await client.pipeline([
      ['SET', key, '1'],
      ['CLIENT', 'ACKS', 'isr'],
      ['APPEND', key, '2'],
      ['CLIENT', 'ACKS', 'local'],
      ['GET', key],
    ]);
    expect(replies).toEqual(['OK', 'OK', 2, 'OK', '12']);
  });
});

describe('WAIT', () => {
  it('counts the followers that have what this connection wrote', async () => {
    cluster = await TestCluster.start(1, 2);
    board(0).lead(1);
    board(1).lead(1);
    const client = await cluster.client();
    expect(await client.call('WAIT', '0', '0')).toBe(0);
    await client.call('SET', cluster.keyIn(0), 'v');
    expect(await client.call('WAIT', '1', '10')).toBe(0);
    const [reply] = await held(client, [['WAIT', '1', '0'], ['PING']]);
    board(0).ack();
    expect(await reply).toEqual([1, 'PONG']);
    expect(await client.call('WAIT', '-1', '-1')).toMatch(/^-ERR timeout/);
    expect(await client.call('WAIT', 'x', '1')).toMatch(/^-ERR value/);
  });

  it('counts where the key lives, for writes that were forwarded', async () => {
    cluster = await TestCluster.start(2, 2);
    board(0).lead(1);
    board(1).lead(1);
    const client = await cluster.client(0);
    await client.call('SET', cluster.keyIn(1), 'v');
    board(0).ack();
    expect(await client.call('WAIT', '1', '30')).toBe(0);
    board(1).ack();
    expect(await client.call('WAIT', '1', '0')).toBe(1);
    await client.call('MSET', cluster.keyIn(0), 'v', cluster.keyIn(1), 'v');
    board(1).ack();
    expect(await client.call('WAIT', '1', '30')).toBe(0);
    board(0).ack();
    expect(await client.call('WAIT', '1', '0')).toBe(1);
  });

  it('asks again where nobody answers, until somebody leads what was written', async () => {
    cluster = await TestCluster.start(2, 2);
    board(1).lead(1);
    const client = await cluster.client(0);
    await client.call('SET', cluster.keyIn(1), 'v');
    cluster.nodes[1].worker.stop();
    const reply = client.pipeline([['WAIT', '1', '0']]);
    await barrier(0);
    cluster.promote(0, 1);
    cluster.tell(cluster.moved(1, 0), 0);
    board(1, 0).lead(1, 2);
    cluster.nodes[0].board.acked(1, [1_000]);
    cluster.nodes[0].board.notify(true);
    expect(await reply).toEqual([1]);
  });

  it('asks again where what was written here is led elsewhere by now', async () => {
    cluster = await TestCluster.start(2, 2);
    board(0).lead(1);
    const client = await cluster.client(0);
    await client.call('SET', cluster.keyIn(0), 'v');
    const [reply] = await held(client, [['WAIT', '1', '0']]);
    cluster.demote(0, 0);
    cluster.promote(1, 0);
    cluster.tell(cluster.moved(0, 1), 0, 1);
    board(0, 1).lead(1, 2);
    cluster.nodes[1].board.acked(0, [1_000]);
    cluster.nodes[1].board.notify(true);
    expect(await reply).toEqual([1]);
  });

  it('in a transaction counts at once what came before it', async () => {
    cluster = await TestCluster.start(2, 2);
    board(0).lead(1);
    board(1).lead(1);
    const client = await cluster.client(0);
    const [a, b] = [cluster.keyIn(0), cluster.keyIn(1)];
    const exec = async (...queued: string[][]): Promise<unknown> =>
      (await client.pipeline([['MULTI'], ...queued, ['EXEC']])).at(-1);
    await client.call('SET', a, '1');
    expect(await exec(['WAIT', '1', '0'], ['INCR', a])).toEqual([0, 2]);
    board(0).ack();
    expect(await exec(['INCR', a], ['WAIT', '1', '0'], ['PING'])).toEqual([3, 1, 'PONG']);
    // Of what another node leads, too.
    await client.call('SET', b, '1');
    board(0).ack();
    expect(await exec(['INCR', b], ['WAIT', '1', '0'])).toEqual([2, 0]);
    board(1).ack();
    expect(await exec(['WAIT', '1', '0'], ['INCR', a], ['WAIT', '1', '-1'])).toEqual([
      1,
      4,
      '-ERR timeout is negative',
    ]);
  });
});
