/** Commands that work on all of a long value give way to others. */
import { hashKey, type LargeWrite, type ValueEdit } from '@ingot/store';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { TestCluster, type TestClient } from './cluster.fixture.ts';
import type { Connection, LargeWork } from './connection.ts';
import { encode } from './peer-link.ts';
import { expectWhole, large } from './large-values.fixture.ts';
import { SLICE_BYTES } from '../commands/value-pieces.ts';
import type { Scanning } from './value-scan.ts';

const MIB = 2 ** 20;

let cluster: TestCluster;
afterEach(() => cluster.stop());

const TURNS_MAX = 100_000;

/** Turns of the event loop for which this holds. */
async function turnsWhile(holds: () => boolean): Promise<number> {
  let turns = 0;
  for (; holds(); turns++) {
    expect(turns).toBeLessThan(TURNS_MAX);
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
  return turns;
}

function somebodyWaits(): boolean {
  return [...cluster.nodes[0].worker.sessions.values()].some(({ hold }) => hold !== 0);
}

/** Turns in which others could be served, while this was under way. */
async function turnsUntil(reply: Promise<unknown>): Promise<number> {
  let there = false;
  void reply.then(() => (there = true));
  await turnsWhile(() => !there && !somebodyWaits());
  return await turnsWhile(() => !there && somebodyWaits());
}

const SLICES = MIB / SLICE_BYTES;

describe('commands on long values: others are served meanwhile', () => {
  async function start(): Promise<TestClient> {
    cluster = await TestCluster.start(1, 1);
    const client = await cluster.client();
    await client.call('SET', '{k}a', large(MIB - 100));
    await client.call('SET', '{k}b', large(MIB - 100, 'b'));
    return client;
  }

  it.each([
    [['BITCOUNT', '{k}a'], SLICES],
    [['BITPOS', '{k}a', '1', '-3'], 0],
    [['DIGEST', '{k}a'], SLICES],
    [['COPY', '{k}a', '{k}c'], 2 * SLICES],
    [['RENAME', '{k}a', '{k}c'], 2 * SLICES],
    [['BITOP', 'XOR', '{k}c', '{k}a', '{k}b'], 4 * SLICES],
  ] as const)('%j takes a turn for each slice', async (command, slices) => {
    const client = await start();
    const turns = await turnsUntil(client.call(...command));
    expect(turns).toBeGreaterThanOrEqual(slices === 0 ? 0 : slices - 2);
    expectWhole(cluster);
  });

  it('another client is answered in the middle of it', async () => {
    const client = await start();
    const other = await cluster.client();
    await client.call('SET', '{k}a', large(MIB - 100));
    const order: string[] = [];
    const many = Array.from({ length: 8 }, () => ['DIGEST', '{k}a']);
    const digests = client.pipeline(many).then(() => order.push('digests'));
    await other.call('PING').then(() => order.push('ping'));
    await digests;
    expect(order).toEqual(['ping', 'digests']);
  });

  it('tells what the value was, though it changes meanwhile, and in the order of the commands', async () => {
    const client = await start();
    const other = await cluster.client();
    const digest = await client.call('DIGEST', '{k}a');
    const ones = await client.call('BITCOUNT', '{k}a');
    const replies = client.pipeline([
      ['DIGEST', '{k}a'],
      ['BITCOUNT', '{k}a'],
      ['SET', '{k}a', 'x'],
      ['BITCOUNT', '{k}a'],
    ]);
    expect(await replies).toEqual([digest, ones, 'OK', 4]);
    await client.call('SET', '{k}a', large(MIB - 100));
    const counting = client.call('BITCOUNT', '{k}a');
    await turnsWhile(() => !somebodyWaits());
    await other.call('SET', '{k}a', 'x');
    expect([ones, 4]).toContain(await counting);
    expectWhole(cluster);
  });

  it('copies what is there when it is published, whatever changes meanwhile', async () => {
    const client = await start();
    const other = await cluster.client();
    const copying = client.call('COPY', '{k}a', '{k}c');
    for (let i = 0; i < 3; i++) await other.call('SETRANGE', '{k}a', String(i), 'z');
    expect(await copying).toBe(1);
    const [source, target] = [await other.call('GET', '{k}a'), await other.call('GET', '{k}c')];
    expect((target as string).slice(3)).toBe((source as string).slice(3));
    expect('zzz'.startsWith(/^z*/.exec(target as string)?.[0] as string)).toBe(true);
    expectWhole(cluster);
  });

  it('leaves nothing behind where its client goes', async () => {
    const client = await start();
    client.write('*2\r\n$6\r\nDIGEST\r\n$4\r\n{k}a\r\n');
    await turnsWhile(() => !somebodyWaits());
    client.close();
    const { sessions } = cluster.nodes[0].worker;
    await turnsWhile(() => sessions.size > 0);
    await turnsWhile(() => cluster.partition(0, 0).values.pinStats(Date.now()).pins > 0);
    expectWhole(cluster);
  });
});

describe('work on a long value', () => {
  /** `met` is called instead of the first work of this client. */
  async function atWork(
    client: TestClient,
    met: (work: LargeWork, start: () => void, connection: Connection) => void,
  ): Promise<void> {
    const id = Number(await client.call('CLIENT', 'ID'));
    const connection = cluster.nodes[0].worker.sessions.get(id) as Connection;
    const start = connection.startLarge.bind(connection);
    vi.spyOn(connection, 'startLarge').mockImplementationOnce((work) => {
      met(work, () => start(work), connection);
    });
  }

  async function nextTurn(): Promise<void> {
    await new Promise<void>((resolve) => setImmediate(resolve));
  }

  it.each(['demoted', 'sealed'])('lets go of it at once where its copy is %s', async (change) => {
    cluster = await TestCluster.start(1, 1);
    const client = await cluster.client();
    await client.call('SET', 'k', large(MIB - 100));
    const ones = await client.call('BITCOUNT', 'k');
    const partition = cluster.partition(0, 0);
    const { promise: begun, resolve } = Promise.withResolvers<LargeWork>();
    await atWork(client, (work, start) => {
      start();
      if (change === 'sealed') partition.seal(true);
      else cluster.demote(0, 0);
      resolve(work);
    });
    const counting = client.call('BITCOUNT', 'k');
    const work = (await begun) as Scanning;
    expect(partition.values.pinStats(Date.now()).pins).toBe(1);
    await nextTurn();
    expect([work.slices, partition.values.pinStats(Date.now()).pins]).toEqual([-1, 0]);
    partition.seal(false);
    cluster.promote(0, 0);
    expect(await counting).toBe(ones);
  });

  it('is about the value that the command met, or it begins again', async () => {
    cluster = await TestCluster.start(1, 1);
    const client = await cluster.client();
    await client.call('SET', 'k', 'x'.repeat(300_000));
    const { values } = cluster.partition(0, 0);
    await atWork(client, (_, start) => {
      const partition = cluster.partition(0, 0);
      const key = Buffer.from('k');
      const longer = Buffer.alloc(600_000, 'y');
      const write = values.beginLarge(hashKey(key, 0, 1), key, 0, 1, longer.length) as LargeWrite;
      while (write.written < longer.length) {
        write.write(longer, write.written, longer.length - write.written, Date.now());
      }
      partition.enter();
      write.publishInside(0, Date.now());
      partition.leave();
      start();
    });
    expect(await client.call('BITCOUNT', 'k')).toBe(600_000 * 5);
    expectWhole(cluster);
  });

  const long = 'x'.repeat(900_000);
  it.each([
    ['COPY', [['COPY', '{k}a', '{k}b', 'REPLACE']]],
    ['RENAME', [['RENAME', '{k}a', '{k}b']]],
    ['BITOP', [['BITOP', 'NOT', '{k}b', '{k}a']]],
    ['SET', [['SET', '{k}b', long]]],
    ['SETRANGE', [['SETRANGE', '{k}b', '900000', 'x']]],
    ['EXEC', [['MULTI'], ['SETRANGE', '{k}a', '1', long], ['EXEC']]],
  ] as const)('%s leaves nothing begun where its client has gone', async (_, commands) => {
    cluster = await TestCluster.start(1, 1);
    const other = await cluster.client();
    await other.call('SET', '{k}a', long);
    const { values } = cluster.partition(0, 0);
    const begun: (LargeWrite | ValueEdit | number)[] = [];
    const [beginLarge, beginEdit] = [values.beginLarge.bind(values), values.beginEdit.bind(values)];
    vi.spyOn(values, 'beginLarge').mockImplementation((...args) => {
      const write = beginLarge(...args);
      begun.push(write);
      return write;
    });
    vi.spyOn(values, 'beginEdit').mockImplementation((...args) => {
      const edit = beginEdit(...args);
      begun.push(edit);
      return edit;
    });
    for (let turns = 0; turns < 8; turns++) {
      await other.call('DEL', '{k}b');
      const client = await cluster.client();
      const { promise: over, resolve } = Promise.withResolvers<void>();
      await atWork(client, (work, start, connection) => {
        vi.spyOn(work, 'run').mockImplementationOnce(async () => {
          const run = Object.getPrototypeOf(work).run.call(work) as Promise<void>;
          for (let i = 0; i < turns; i++) await nextTurn();
          work.drop();
          connection.endAtOnce();
          await run;
          resolve();
        });
        start();
      });
      client.write(Buffer.concat(commands.map((words) => encode(words))));
      await over;
      for (const each of begun) expect(hasEnded(each)).toBe(true);
    }
    expect(begun.length).toBeGreaterThan(0);
    expectWhole(cluster);
  });

  function hasEnded(begun: LargeWrite | ValueEdit | number): boolean {
    if (typeof begun === 'number') return true;
    if ('isOpen' in begun) return !begun.isOpen;
    expect(() => begun.step(Date.now())).toThrow('an edit that has ended');
    return true;
  }
});
