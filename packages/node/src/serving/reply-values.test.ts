import { setTimeout as sleep } from 'node:timers/promises';
import { hashKey, type LargeWrite } from '@ingot/store';
import { afterEach, describe, expect, it } from 'vitest';
import type { RespLimits } from '../shared/settings.ts';
import { type TestClient, TestCluster } from './cluster.fixture.ts';
import { expectWhole, large } from './large-values.fixture.ts';

const MAX = 2 ** 20;
/** Around where values are pinned, become extents, and are largest. */
const SIZES = [0, 1_024, 16_383, 16_384, 65_535, 65_536, 65_537, 200_000, MAX];

let cluster: TestCluster;
afterEach(() => cluster.stop());

/** Nor does anything count as arriving. */
function allVerify(): void {
  expectWhole(cluster);
  for (const node of cluster.nodes) expect(node.worker.allowance.bytes).toBe(0);
}

/** Fills the client's socket, so that what it asks for next stays with the node. */
async function stall(client: TestClient, key: string): Promise<void> {
  client.socket.pause();
  client.write(Array.from({ length: 40 }, () => `GET ${key}\r\n`).join(''));
  for (let sent = -1; ; await sleep(30)) {
    const now = cluster.counter(0, 'sentBytes');
    if (now === sent) return;
    sent = now;
  }
}

describe('long values in replies: each command that tells a value, at every size', () => {
  for (const [name, nodes, acks] of [
    ['here', 1, 'local'],
    ['through another node', 2, 'local'],
    ['with acks=isr', 1, 'isr'],
  ] as const) {
    it(name, async () => {
      cluster = await TestCluster.start(nodes, nodes, {}, { acks });
      if (acks === 'isr') cluster.nodes[0].board.lead(0, 1, 1, 0);
      const client = await cluster.client(nodes - 1);
      const key = cluster.keyIn(0);
      for (const bytes of SIZES) {
        const [a, b] = [large(bytes, 'a'), large(bytes, 'b')];
        await client.call('SET', key, a);
        expect(await client.call('GETEX', key, 'EX', '100')).toBe(a);
        expect(await client.call('SET', key, b, 'GET', 'KEEPTTL')).toBe(a);
        expect(await client.call('GETSET', key, a)).toBe(b);
        expect(await client.call('SET', key, b, 'NX', 'GET')).toBe(a);
        expect(await client.call('GETRANGE', key, '0', '-1')).toBe(a);
        expect(await client.call('GETRANGE', key, '100', '70000')).toBe(a.slice(100, 70_001));
        expect(await client.call('GETRANGE', key, '-40000', '-2')).toBe(
          a.slice(-40_000).slice(0, -1),
        );
        expect(await client.call('MGET', key, 'none{x}', key)).toEqual([a, null, a]);
        expect(
          await client.pipeline([
            ['MULTI'],
            ['GET', key],
            ['SET', key, b],
            ['STRLEN', key],
            ['GET', key],
            ['GETDEL', key],
            ['EXEC'],
            ['EXISTS', key],
          ]),
        ).toEqual(['OK', ...Array.from({ length: 5 }, () => 'QUEUED'), [a, 'OK', bytes, b, b], 0]);
      }
      allVerify();
    });
  }

  it('MGET over partitions here and elsewhere', async () => {
    cluster = await TestCluster.start(2, 4);
    const client = await cluster.client(0);
    const keys = Array.from({ length: 12 }, (_, i) => cluster.keyIn(i % 4, `${i}`));
    const values = keys.map((_, i) => large(SIZES[i % SIZES.length], `v${i}-`));
    for (const [i, key] of keys.entries()) await client.call('SET', key, values[i]);
    expect(await client.call('MGET', ...keys)).toEqual(values);
    const [here, others] = [keys.filter((_, i) => i % 2 === 0), keys.filter((_, i) => i % 2 === 1)];
    expect(await client.call('MGET', ...here)).toEqual(values.filter((_, i) => i % 2 === 0));
    expect(await client.call('MGET', ...others)).toEqual(values.filter((_, i) => i % 2 === 1));
    const round = [
      ['MGET', keys[7], keys[4]],
      ['PING'],
      ['GETRANGE', keys[4], '0', '3'],
      ['GET', keys[7]],
    ];
    const expected = [[values[7], values[4]], 'PONG', values[4].slice(0, 4), values[7]];
    expect(await client.pipeline(Array.from({ length: 20 }, () => round).flat())).toEqual(
      Array.from({ length: 20 }, () => expected).flat(),
    );
    allVerify();
  });
});

describe('long values in replies: held for readers that are slow', () => {
  it('what was replaced or deleted reaches the client as it was, and holds no copy', async () => {
    cluster = await TestCluster.start(1, 1);
    const [slow, other] = [await cluster.client(), await cluster.client()];
    const [filler, key] = [cluster.keyIn(0, 'filler'), cluster.keyIn(0)];
    const partition = cluster.partition(0, 0);
    await other.call('SET', filler, large(MAX));
    const values = ['a', 'b', 'c'].map((tag) => large(300_000, tag));
    await other.call('SET', key, values[0]);
    await stall(slow, filler);
    const before = partition.values.pinStats(Date.now()).pins;
    slow.write(`GETRANGE ${key} 0 -1\r\n`);
    slow.write(`*3\r\n$6\r\nGETSET\r\n$${key.length}\r\n${key}\r\n$300000\r\n${values[1]}\r\n`);
    slow.write(`GETDEL ${key}\r\n`);
    const replies = slow.receive(43);
    expect(before).toBeGreaterThan(0);
    slow.socket.resume();
    const got = await replies;
    expect(got.slice(40)).toEqual([values[0], values[0], values[1]]);
    expect(await other.call('GET', key)).toBe(null);
    allVerify();
  });

  it('a connection that ends lets go of all that its MGET holds', async () => {
    cluster = await TestCluster.start(2, 2);
    const [slow, other] = [await cluster.client(), await cluster.client()];
    const keys = [0, 1].map((id) => cluster.keyIn(id));
    for (const key of keys) await other.call('SET', key, large(MAX, key));
    slow.socket.pause();
    slow.write(Array.from({ length: 30 }, () => `MGET ${keys.join(' ')} ${keys[0]}\r\n`).join(''));
    const { values } = cluster.partition(0, 0);
    while (values.pinStats(Date.now()).pins < 2) await sleep(5);
    slow.close();
    while (values.pinStats(Date.now()).pins > 0) await sleep(5);
    expect(await other.call('MGET', ...keys)).toEqual(keys.map((key) => large(MAX, key)));
  });
});

describe('long values in replies: copies of followers', () => {
  async function follower(
    limits: Partial<RespLimits> = {},
  ): Promise<{ client: TestClient; keys: string[]; values: string[] }> {
    cluster = await TestCluster.start(2, 1, limits, { staleMaxMs: 0 });
    const keys = SIZES.map((_, i) => cluster.keyIn(0, `${i}`));
    const values = SIZES.map((bytes, i) => large(bytes, `v${i}-`));
    // As if node 1 had been the primary before: its copy is whole.
    cluster.promote(1, 0);
    cluster.tell(cluster.moved(0, 1), 1);
    const writer = await cluster.client(1);
    for (const [i, key] of keys.entries()) await writer.call('SET', key, values[i]);
    cluster.demote(1, 0);
    cluster.tell(cluster.moved(0, 0), 0, 1);
    const client = await cluster.client(1, 'follower');
    await client.call('READONLY');
    return { client, keys, values };
  }

  it('GET, MGET and GETRANGE are right at every size', async () => {
    const { client, keys, values } = await follower();
    for (const [i, key] of keys.entries()) {
      expect(await client.call('GET', key)).toBe(values[i]);
      expect(await client.call('GETRANGE', key, '10', '-10')).toBe(values[i].slice(10, -9));
    }
    expect(await client.call('MGET', ...keys, keys[8])).toEqual([...values, values[8]]);
    const calls = keys.flatMap((key) => [
      ['GET', key],
      ['STRLEN', key],
    ]);
    expect(await client.pipeline(calls)).toEqual(values.flatMap((v) => [v, v.length]));
    expect(cluster.counter(1, 'followerReads')).toBeGreaterThan(0);
    expect(cluster.nodes[1].worker.allowance.bytes).toBe(0);
  });

  it('a value that is written again while it is copied is copied again', async () => {
    const { client, keys } = await follower();
    const partition = cluster.partition(1, 0);
    const key = Buffer.from(keys[8]);
    const hash = hashKey(key, 0, key.length);
    // In place of redo that is applied: another value of the key after each turn of the copy.
    const values = Array.from({ length: 9 }, (_, i) => large(MAX, `w${i}-`));
    let writes = 0;
    const { nodes } = cluster;
    const { allowance } = nodes[1].worker;
    const reply = client.call('GET', keys[8]);
    while (allowance.bytes === 0) await new Promise((resolve) => setImmediate(resolve));
    while (allowance.bytes > 0 && writes < values.length) {
      partition.promote(3, Date.now());
      const write = partition.values.beginLarge(hash, key, 0, key.length, MAX) as LargeWrite;
      const source = Buffer.from(values[writes++]);
      while (write.written < MAX) {
        write.write(source, write.written, MAX - write.written, Date.now());
      }
      write.publish(0, Date.now());
      cluster.demote(1, 0);
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(values.slice(0, writes)).toContain(await reply);
  });

  it('copies that wait for their readers are held to the bound', async () => {
    const { client, keys, values } = await follower({ maxTransitBytes: 2 * MAX });
    const { allowance } = cluster.nodes[1].worker;
    const slow = await Promise.all(Array.from({ length: 6 }, () => cluster.client(1, 'follower')));
    const replies = slow.map((each) => {
      each.socket.pause();
      return each.pipeline([['READONLY'], ...Array.from({ length: 6 }, () => ['GET', keys[8]])]);
    });
    while (allowance.bytes < 2 * MAX) await sleep(5);
    expect(allowance.bytes).toBeLessThanOrEqual(3 * MAX);
    for (const each of slow) each.socket.resume();
    for (const reply of replies) {
      expect(await reply).toEqual(['OK', ...Array.from({ length: 6 }, () => values[8])]);
    }
    expect(await client.call('GET', keys[8])).toBe(values[8]);
    expect(allowance.bytes).toBe(0);
  });
});
