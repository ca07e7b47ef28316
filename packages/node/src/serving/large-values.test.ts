import { setTimeout as sleep } from 'node:timers/promises';
import { hashKey } from '@ingot/store';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { TURN_BYTES_MAX } from './batch.ts';
import { TestCluster } from './cluster.fixture.ts';
import { SEALED_PIN_MS_MAX } from './kept-pins.ts';
import { expectWhole, large } from './large-values.fixture.ts';

const MAX = 2 ** 20;
const SMALL = 'x'.repeat(200);

let cluster: TestCluster;
afterEach(() => cluster.stop());

const tooLarge = (bytes: number): string =>
  `-ERR value of ${bytes} bytes exceeds the maximum of ${MAX} ` +
  '(raise --capacity or --value-max, or lower --partitions)';

/** Until a reply that is pinned there gets no further, because its client does not read. */
async function stalled(node: number): Promise<void> {
  const { values } = cluster.partition(node, 0);
  for (let sent = -1; ; await sleep(50)) {
    const now = cluster.counter(node, 'sentBytes');
    if (now === sent && values.pinStats(Date.now()).pins > 0) return;
    sent = now;
  }
}

describe('large values: through the owner and through another node', () => {
  it('each command that sets a value takes one of the largest size', async () => {
    cluster = await TestCluster.start(2, 2);
    for (const node of [0, 1]) {
      const client = await cluster.client(node);
      const key = cluster.keyIn(0, `${node}`);
      const [a, b] = [large(MAX, 'a'), large(MAX - 1, 'b')];
      expect(await client.call('SET', key, a)).toBe('OK');
      expect(await client.call('GET', key)).toBe(a);
      expect(await client.call('STRLEN', key)).toBe(MAX);
      expect(await client.call('SET', key, b, 'NX')).toBe(null);
      expect(await client.call('SETNX', key, b)).toBe(0);
      expect(await client.call('SET', key, b, 'XX', 'GET', 'EX', '100')).toBe(a);
      expect(await client.call('SET', key, a, 'KEEPTTL')).toBe('OK');
      expect(await client.call('TTL', key)).toBe(100);
      expect(await client.call('GETSET', key, b)).toBe(a);
      expect(await client.call('SETEX', key, '50', a)).toBe('OK');
      expect(await client.call('PSETEX', key, '70000', b)).toBe('OK');
      expect(await client.call('GETEX', key, 'PERSIST')).toBe(b);
      expect(await client.call('TTL', key)).toBe(-1);
      expect(await client.call('GETRANGE', key, '65530', '65545')).toBe(b.slice(65_530, 65_546));
      expect(await client.call('SUBSTR', key, '-5', '-1')).toBe(b.slice(-5));
      expect(await client.call('GETDEL', key)).toBe(b);
      expect(await client.call('GET', key)).toBe(null);
    }
    expectWhole(cluster);
  });

  it('APPEND and SETRANGE change a part, and make a value where there is none', async () => {
    cluster = await TestCluster.start(2, 2);
    for (const node of [0, 1]) {
      const client = await cluster.client(node);
      const key = cluster.keyIn(0, `${node}`);
      const part = large(500_000, 'p');
      expect(await client.call('APPEND', key, part)).toBe(500_000);
      expect(await client.call('APPEND', key, 'end')).toBe(500_003);
      expect(await client.call('SETRANGE', key, '70000', 'mid')).toBe(500_003);
      const now = `${part.slice(0, 70_000)}mid${part.slice(70_003)}end`;
      expect(await client.call('GET', key)).toBe(now);
      expect(await client.call('SETRANGE', key, `${MAX - 3}`, 'end')).toBe(MAX);
      expect(await client.call('GET', key)).toBe(`${now}${'\0'.repeat(MAX - 500_006)}end`);
      expect(await client.call('APPEND', key, 'x')).toBe(tooLarge(MAX + 1));
      expect(await client.call('SETRANGE', key, `${MAX}`, 'x')).toBe(tooLarge(MAX + 1));
      expect(await client.call('DEL', key)).toBe(1);
      expect(await client.call('SETRANGE', key, '900000', 'x')).toBe(900_001);
      await client.call('DEL', key);
    }
    expectWhole(cluster);
  });

  it('MSET, over several partitions too, and a transaction', async () => {
    cluster = await TestCluster.start(2, 4);
    const client = await cluster.client(0);
    const keys = [0, 1, 2, 3].map((id) => cluster.keyIn(id));
    const values = keys.map((_, i) => large(200_000, `v${i}-`));
    const words = keys.flatMap((key, i) => [key, values[i]]);
    expect(await client.call('MSET', ...words)).toBe('OK');
    expect(await client.call('MGET', ...keys)).toEqual(values);
    expect(
      await client.pipeline([
        ['MULTI'],
        ['SET', keys[0], values[1]],
        ['SET', keys[1], values[0]],
        ['STRLEN', keys[0]],
        ['EXEC'],
      ]),
    ).toEqual(['OK', 'QUEUED', 'QUEUED', 'QUEUED', ['OK', 'OK', 200_000]]);
    expect(await client.call('MGET', keys[0], keys[1])).toEqual([values[1], values[0]]);
    expectWhole(cluster);
  });
});

describe('large values: order, limits, bounds', () => {
  it('replies of a pipeline stay in order, and what follows sees the value', async () => {
    cluster = await TestCluster.start(2, 2);
    const client = await cluster.client(0);
    const [here, there] = [cluster.keyIn(0), cluster.keyIn(1)];
    const [a, b] = [large(300_000, 'a'), large(300_000, 'b')];
    const commands = [
      ['SET', here, a],
      ['GET', here],
      ['SET', there, b],
      ['GET', there],
      ['PING'],
      ['GET', here],
      ['SET', here, SMALL],
      ['GET', here],
    ];
    expect(await client.pipeline(commands)).toEqual(['OK', a, 'OK', b, 'PONG', a, 'OK', SMALL]);
  });

  it('a value that is too large is not kept, and the connection goes on', async () => {
    cluster = await TestCluster.start(1, 1, { maxQueryBufferBytes: 3 * MAX });
    const client = await cluster.client();
    const key = cluster.keyIn(0);
    await client.call('SET', key, 'old');
    const huge = 'h'.repeat(20 * MAX);
    const replies = await client.pipeline([
      ['SET', key, huge],
      ['GET', key],
      ['SET', key, large(MAX + 1), 'GET'],
      ['MSET', 'a', huge, 'b', 'c'],
      ['GET', key],
    ]);
    const refused = tooLarge(20 * MAX);
    expect(replies).toEqual([refused, 'old', tooLarge(MAX + 1), refused, 'old']);
    expect(cluster.partition(0, 0).stats().evictions).toBe(0);
    expectWhole(cluster);
  });

  it('others are served while a value is written', async () => {
    cluster = await TestCluster.start(1, 1);
    const [writer, other] = [await cluster.client(), await cluster.client()];
    const key = cluster.keyIn(0);
    await writer.call('SET', key, 'old');
    const { board } = cluster.nodes[0];
    // A follower that stands still makes the write wait after half a ring.
    board.lead(0, 1, 1, 0);
    board.acked(0, [1]);
    let written = false;
    const partition = cluster.partition(0, 0);
    const from = partition.ringHead();
    const value = large(MAX);
    // However busy the machine is: its patience with the follower does not end.
    const { worker } = cluster.nodes[0];
    const clock = vi.spyOn(worker, 'monotonicMs').mockReturnValue(worker.monotonicMs());
    const done = writer.call('SET', key, value).then((reply) => {
      written = true;
      return reply;
    });
    while (partition.ringHead() - from < partition.geometry.ringBytes / 2 - 65_536) {
      expect(await other.call('GET', key)).toBe('old');
      await sleep(1);
    }
    expect(written).toBe(false);
    clock.mockRestore();
    board.acked(0, [partition.committedSeq()]);
    worker.roleChanged();
    expect(await done).toBe('OK');
    expect(await other.call('GET', key)).toBe(value);
  });

  it('a client that leaves while its value is written leaves nothing behind', async () => {
    cluster = await TestCluster.start(1, 1);
    const client = await cluster.client();
    const partition = cluster.partition(0, 0);
    const used = partition.stats().usedBytes;
    for (const bytes of [100_000, 500_000, MAX]) {
      const quitter = await cluster.client();
      quitter.write(`*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$${MAX}\r\n${large(bytes)}`);
      await sleep(5);
      quitter.close();
    }
    const key = cluster.keyIn(0);
    expect(await client.call('SET', key, large(MAX))).toBe('OK');
    expect(await client.call('DEL', key)).toBe(1);
    for (let i = 0; i < 40; i++) await client.call('SET', key, SMALL);
    expect(partition.stats().usedBytes - used).toBeLessThanOrEqual(20 * 65_536);
    expectWhole(cluster);
  });

  it('a partition that moves in the middle takes the value with it', async () => {
    cluster = await TestCluster.start(2, 1);
    const client = await cluster.client(0);
    const key = cluster.keyIn(0);
    const { board } = cluster.nodes[0];
    board.lead(0, 1, 1, 0);
    board.acked(0, [1]);
    const partition = cluster.partition(0, 0);
    const from = partition.ringHead();
    const value = large(MAX);
    const reply = client.call('SET', key, value);
    while (partition.ringHead() === from) await sleep(1);
    cluster.demote(0, 0);
    cluster.promote(1, 0);
    cluster.tell(cluster.moved(0, 1), 0, 1);
    expect(await reply).toBe('OK');
    expect(await client.call('GET', key)).toBe(value);
    expect(cluster.counter(0, 'forwarded')).toBeGreaterThan(0);
  });
});

describe('large values: changed in part by a transaction', () => {
  const part = large(500_000, 'p');
  const more = large(1_000_000, 'm');

  for (const node of [0, 1]) {
    it(`APPEND and SETRANGE of many extents, ${node === 0 ? 'here' : 'elsewhere'}`, async () => {
      cluster = await TestCluster.start(2, 2);
      const client = await cluster.client(node);
      const [a, b] = [`{${cluster.keyIn(0)}}a`, `{${cluster.keyIn(0)}}b`];
      await client.call('SET', a, 'begin');
      expect(
        await client.pipeline([
          ['MULTI'],
          ['APPEND', a, part],
          ['SETRANGE', b, '700000', 'end'],
          ['STRLEN', a],
          ['GETRANGE', a, '0', '9'],
          ['EXEC'],
        ]),
      ).toEqual([
        'OK',
        ...Array.from({ length: 4 }, () => 'QUEUED'),
        [500_005, 700_003, 500_005, `begin${part.slice(0, 5)}`],
      ]);
      expect(await client.call('GET', a)).toBe(`begin${part}`);
      expect(await client.call('GET', b)).toBe(`${'\0'.repeat(700_000)}end`);
      expectWhole(cluster);
    });
  }

  it('is prepared again where the value has changed since', async () => {
    cluster = await TestCluster.start(1, 1);
    const client = await cluster.client();
    const key = cluster.keyIn(0);
    await client.call('SET', key, 'old');
    const partition = cluster.partition(0, 0);
    const from = partition.ringHead();
    const replies = client.pipeline([['MULTI'], ['APPEND', key, more], ['EXEC']]);
    while (partition.ringHead() === from) await new Promise((resolve) => setImmediate(resolve));
    const [name, value] = [Buffer.from(key), Buffer.from('new')];
    partition.enter();
    const hash = hashKey(name, 0, name.length);
    partition.set(hash, name, 0, name.length, value, 0, 3, 0, Date.now());
    partition.leave();
    expect((await replies)[2]).toEqual([1_000_003]);
    expect((await client.call('GET', key)) === `new${more}`).toBe(true);
    expectWhole(cluster);
  });

  it('says so where the transaction itself has changed the value before', async () => {
    cluster = await TestCluster.start(1, 1);
    const client = await cluster.client();
    const [, , , , replies] = await client.pipeline([
      ['MULTI'],
      ['APPEND', 'k', part],
      ['APPEND', 'k', part],
      ['STRLEN', 'k'],
      ['EXEC'],
    ]);
    expect(replies).toEqual([
      500_000,
      '-ERR a large value that this transaction has changed before cannot change by so much again; ' +
        'send one of the commands by itself',
      500_000,
    ]);
    expectWhole(cluster);
  });
});

describe('large values: sent from where they lie', () => {
  it('a slow reader sees the bytes of the moment of its GET, whatever becomes of the key', async () => {
    cluster = await TestCluster.start(1, 1);
    const [slow, other] = [await cluster.client(), await cluster.client()];
    const key = cluster.keyIn(0);
    const partition = cluster.partition(0, 0);
    const value = large(MAX);
    await other.call('SET', key, value);
    slow.socket.pause();
    const replies = slow.pipeline(Array.from({ length: 40 }, () => ['GET', key]));
    await stalled(0);
    for (let i = 0; i < 3; i++) await other.call('SET', key, large(MAX, `${i}`));
    await other.call('SETRANGE', key, '10', 'other');
    await other.call('DEL', key);
    for (let i = 0; i < 100; i++) await other.call('SET', `${key}${i}`, large(60_000, `${i}`));
    const { pins } = partition.values.pinStats(Date.now());
    expect(pins).toBeGreaterThan(0);
    slow.socket.resume();
    const got = await replies;
    // What was pinned when the key changed is the old value; the others came after the deletion.
    for (const [i, reply] of got.entries())
      expect(reply === value || (i >= pins && reply === null)).toBe(true);
    expectWhole(cluster);
  });

  it('holds nothing once the connection is gone, and is ended where the partition is led no longer', async () => {
    cluster = await TestCluster.start(2, 1);
    const key = cluster.keyIn(0);
    const partition = cluster.partition(0, 0);
    const other = await cluster.client();
    await other.call('SET', key, large(MAX));
    for (const end of ['client', 'demotion']) {
      const slow = await cluster.client();
      slow.socket.pause();
      slow.write(Buffer.concat(Array.from({ length: 40 }, () => Buffer.from(`GET ${key}\r\n`))));
      await stalled(0);
      if (end === 'client') slow.close();
      else {
        cluster.demote(0, 0);
        cluster.promote(1, 0);
        cluster.tell(cluster.moved(0, 1), 0, 1);
        expect(cluster.counter(0, 'pinsEnded')).toBe(1);
      }
      while (partition.values.pinStats(Date.now()).pins > 0) await sleep(1);
    }
  });

  it('a client that does not read for --pin-max is disconnected, and no other', async () => {
    cluster = await TestCluster.start(1, 1, {}, { pinMaxMs: 200 });
    const [slow, other] = [await cluster.client(), await cluster.client()];
    const key = cluster.keyIn(0);
    const { values } = cluster.partition(0, 0);
    const value = large(MAX);
    await other.call('SET', key, value);
    slow.socket.pause();
    slow.write(`GET ${key}\r\n`.repeat(40));
    await stalled(0);
    while (values.pinStats(Date.now()).pins > 0) expect(await other.call('GET', key)).toBe(value);
    expect(cluster.counter(0, 'pinsEnded')).toBe(1);
    // Other lines may say that turns were given up.
    const lines = cluster.nodes[0].logged.filter(([event]) => event === 'pins.ended');
    expect(lines.length).toBe(1);
    const [, { count, client, seconds }] = lines[0];
    expect(count).toBe(1);
    expect(client).toBe(`127.0.0.1:${slow.socket.localPort}`);
    expect(seconds).toBeGreaterThanOrEqual(0.2);
  });

  it('a client that reads fast has its turn like any other, and one that does not holds few values', async () => {
    cluster = await TestCluster.start(1, 1);
    const client = await cluster.client();
    const key = cluster.keyIn(0);
    const bytes = 100_000;
    const value = large(bytes);
    await client.call('SET', key, value);
    const { worker } = cluster.nodes[0];
    const execute = worker.execute.bind(worker);
    let inOneTurn = 0;
    worker.execute = (...batch) => {
      const before = cluster.counter(0, 'sentBytes');
      const at = execute(...batch);
      inOneTurn = Math.max(inOneTurn, cluster.counter(0, 'sentBytes') - before);
      return at;
    };
    // The kernel takes more and more at once from who writes to a client that reads.
    for (let i = 0; i < 5; i++) {
      const replies = await client.pipeline(Array.from({ length: 200 }, () => ['GET', key]));
      expect(replies.every((reply) => reply === value)).toBe(true);
    }
    expect(inOneTurn).toBeLessThan(TURN_BYTES_MAX + 500_000);
    client.socket.pause();
    client.write(`GET ${key}\r\n`.repeat(10_000));
    await stalled(0);
    const { pins } = cluster.partition(0, 0).values.pinStats(Date.now());
    expect(pins).toBeLessThanOrEqual(Math.ceil((256 * 1024) / bytes));
  });

  it('a seal ends who holds bytes of the partition without reading on', async () => {
    cluster = await TestCluster.start(1, 2);
    const other = await cluster.client();
    const clients = await Promise.all([0, 1].map(() => cluster.client()));
    for (const [id, client] of clients.entries()) {
      await other.call('SET', cluster.keyIn(id), large(MAX));
      client.socket.pause();
      client.write(`GET ${cluster.keyIn(id)}\r\n`.repeat(40));
    }
    const pinned = [0, 1].map((id) => cluster.partition(0, id));
    const ages = (): number[] =>
      pinned.map(({ values }) => values.pinStats(Date.now()).oldestPinMs);
    while (ages().some((ms) => ms < 2 * SEALED_PIN_MS_MAX)) await sleep(10);
    pinned[0].seal(true);
    cluster.nodes[0].worker.roleChanged();
    while (pinned[0].values.pinStats(Date.now()).pins > 0) await sleep(1);
    expect(cluster.counter(0, 'pinsEnded')).toBe(1);
    expect(pinned[1].values.pinStats(Date.now()).pins).toBeGreaterThan(0);
  });

  it('short values, misses and pipelines around it keep their order', async () => {
    cluster = await TestCluster.start(1, 1);
    const client = await cluster.client();
    const [a, b] = [large(16 * 1024, 'a'), large(200_000, 'b')];
    await client.pipeline([
      ['SET', 'a', a],
      ['SET', 'b', b],
      ['SET', 's', SMALL],
    ]);
    const round = [
      ['GET', 's'],
      ['GET', 'a'],
      ['GET', 'none'],
      ['GET', 'b'],
      ['PING'],
      ['GET', 'a'],
    ];
    const expected = [SMALL, a, null, b, 'PONG', a];
    const rounds = Array.from({ length: 50 }, () => round).flat();
    expect(await client.pipeline(rounds)).toEqual(
      Array.from({ length: 50 }, () => expected).flat(),
    );
  });

  it('acks=isr holds it back until what it tells is in sync', async () => {
    cluster = await TestCluster.start(1, 1, {}, { acks: 'isr' });
    const { board } = cluster.nodes[0];
    const partition = cluster.partition(0, 0);
    board.lead(0, 1, 2, 1);
    const client = await cluster.client();
    const [a, b] = [large(100_000, 'a'), large(100_000, 'b')];
    const replies = client.pipeline([['SET', 'k', a], ['GET', 'k'], ['PING'], ['SET', 'k', b]]);
    while (partition.values.pinStats(Date.now()).pins === 0) await sleep(1);
    await sleep(20);
    expect(client.unread).toBe(0);
    const inSync = setInterval(() => {
      board.reached(0, partition.committedSeq());
      board.notify(true);
    }, 1);
    expect(await replies).toEqual(['OK', a, 'PONG', 'OK']);
    clearInterval(inSync);
    expectWhole(cluster);
  });
});
