import { ROLE_FOLLOWER } from '@ingot/store';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { monotonicMs } from '../process/monotonic-clock.ts';
import { TestCluster } from './cluster.fixture.ts';

let cluster: TestCluster;
afterEach(() => cluster.stop());

const keys = Array.from({ length: 40 }, (_, i) => `key${i}`);
const pairs = keys.flatMap((key) => [key, `v${key}`]);

for (const nodes of [1, 3]) {
  describe(`fan-out: keys of many partitions on ${nodes} node(s), through the client port`, () => {
    it('MSET writes all, MGET reads all in the order of the keys', async () => {
      cluster = await TestCluster.start(nodes, 8);
      const client = await cluster.client(0);
      expect(await client.call('MSET', ...pairs)).toBe('OK');
      const asked = [...keys.toReversed(), 'absent', 'key0'];
      const expected = asked.map((key) => (key === 'absent' ? null : `v${key}`));
      expect(await client.call('MGET', ...asked)).toEqual(expected);
    });

    it('EXISTS, TOUCH, UNLINK and DEL add up', async () => {
      cluster = await TestCluster.start(nodes, 8);
      const client = await cluster.client(0);
      await client.call('MSET', ...pairs);
      expect(await client.call('EXISTS', ...keys, 'absent', 'key0')).toBe(41);
      expect(await client.call('TOUCH', ...keys, 'absent')).toBe(40);
      expect(await client.call('UNLINK', ...keys.slice(0, 30))).toBe(30);
      expect(await client.call('DEL', ...keys)).toBe(10);
    });

    it('DBSIZE, KEYS, SCAN and RANDOMKEY see the whole cluster, FLUSHALL empties it', async () => {
      cluster = await TestCluster.start(nodes, 8);
      const client = await cluster.client(0);
      await client.call('MSET', ...pairs);
      expect(await client.call('DBSIZE')).toBe(40);
      expect(((await client.call('KEYS', '*')) as string[]).toSorted()).toEqual(keys.toSorted());
      const seen = new Set<string>();
      let cursor = '0';
      do {
        const [next, page] = (await client.call('SCAN', cursor, 'COUNT', '7')) as [
          string,
          string[],
        ];
        for (const key of page) seen.add(key);
        cursor = next;
      } while (cursor !== '0');
      expect([...seen].toSorted()).toEqual(keys.toSorted());
      expect(keys).toContain(await client.call('RANDOMKEY'));
      expect(await client.call('FLUSHALL')).toBe('OK');
      expect(await client.call('DBSIZE')).toBe(0);
      expect(await client.call('RANDOMKEY')).toBe(null);
    });

    it('a pipeline around FLUSHALL means what it says', async () => {
      cluster = await TestCluster.start(nodes, 8);
      const client = await cluster.client(0);
      const sets = keys.map((key) => ['SET', key, 'v']);
      const replies = await client.pipeline([
        ...sets,
        ['FLUSHALL'],
        ...sets.slice(0, 5),
        ['DBSIZE'],
      ]);
      expect(replies.at(-1)).toBe(5);
    });
  });
}

describe('fan-out: other ports and other states', () => {
  it('on the cluster port keys of several partitions are CROSSSLOT', async () => {
    cluster = await TestCluster.start(1, 8);
    const client = await cluster.client(0, 'cluster');
    expect(await client.call('MGET', ...keys)).toMatch(/^-CROSSSLOT /);
    expect(await client.call('MGET', '{a}1', '{a}2')).toEqual([null, null]);
  });

  it('on the cluster port DBSIZE, KEYS and FLUSHALL cover what is led there', async () => {
    cluster = await TestCluster.start(2, 2);
    const client = await cluster.client(0);
    await client.call('MSET', cluster.keyIn(0), 'v', cluster.keyIn(1), 'v');
    const there = await cluster.client(1, 'cluster');
    expect(await there.call('DBSIZE')).toBe(1);
    expect(await there.call('KEYS', '*')).toEqual([cluster.keyIn(1)]);
    await there.call('FLUSHALL');
    expect(await client.call('KEYS', '*')).toEqual([cluster.keyIn(0)]);
  });

  it('with a leader down, nothing is done by half', async () => {
    cluster = await TestCluster.start(2, 2);
    const client = await cluster.client(0);
    await client.call('MSET', cluster.keyIn(0), 'v', cluster.keyIn(1), 'v');
    const map = cluster.moved(0, 0);
    const nodes = map.nodes.map((n) => (n.id === 'n1' ? { ...n, state: 'down' as const } : n));
    cluster.tell({ ...map, nodes }, 0);
    for (const words of [['DBSIZE'], ['FLUSHALL'], ['DEL', cluster.keyIn(0), cluster.keyIn(1)]]) {
      expect(await client.call(...(words as [string]))).toMatch(/^-CLUSTERDOWN /);
    }
    expect(await client.call('EXISTS', cluster.keyIn(0))).toBe(1);
  });

  it('a key that waits for its owner holds the whole command back, in order', async () => {
    cluster = await TestCluster.start(1, 2);
    const client = await cluster.client(0);
    cluster.partition(0, 1).seal(true);
    const two = [cluster.keyIn(0), cluster.keyIn(1)] as const;
    const replies = client.pipeline([
      ['MSET', two[0], 'a', two[1], 'b'],
      ['MGET', ...two],
      ['DBSIZE'],
    ]);
    const other = await cluster.client(0);
    expect(await other.call('EXISTS', two[0])).toBe(0);
    cluster.partition(0, 1).seal(false);
    cluster.nodes[0]?.worker.roleChanged();
    expect(await replies).toEqual(['OK', ['a', 'b'], 2]);
  });
});

describe('fan-out: over all partitions, one of which finds no owner', () => {
  afterEach(() => void vi.useRealTimers());

  it('never leaves out what is sealed here meanwhile', async () => {
    cluster = await TestCluster.start(2, 2);
    const client = await cluster.client(0);
    await client.call('MSET', cluster.keyIn(0), 'v', cluster.keyIn(1), 'v');
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    cluster.partition(1, 1).seal(true);
    const asked = client.call('FLUSHALL');
    // The other node has refused: it is asked again soon.
    while (vi.getTimerCount() === 0) await new Promise((resolve) => setImmediate(resolve));
    cluster.partition(0, 0).seal(true);
    cluster.partition(1, 1).seal(false);
    vi.advanceTimersByTime(60_000);
    expect(await asked).toMatch(/^-/);
    expect(cluster.partition(1, 1).stats().keys).toBe(1);
  });
});

describe('follower port', () => {
  it('reads a consistent copy after READONLY, and counts it; without it, MOVED', async () => {
    cluster = await TestCluster.start(2, 2);
    const key = cluster.keyIn(0);
    await (await cluster.client(0)).call('SET', key, 'v');
    // n0's copy becomes a follower's; n1 leads.
    cluster.partition(0, 0).setRole(ROLE_FOLLOWER, 1);
    cluster.tell(cluster.moved(0, 1), 0);
    const client = await cluster.client(0, 'follower');
    expect(await client.call('GET', key)).toMatch(/^-MOVED /);
    expect(await client.call('READONLY')).toBe('OK');
    cluster.nodes[0].board.heard(0, monotonicMs());
    expect(await client.call('GET', key)).toBe('v');
    expect(await client.call('SET', key, 'x')).toMatch(/^-MOVED /);
    expect(cluster.counter(0, 'followerReads')).toBe(1);
    expect(await client.call('READWRITE')).toBe('OK');
    expect(await client.call('GET', key)).toMatch(/^-MOVED /);
  });

  it('does not answer from a copy whose primary has been silent for --stale-max', async () => {
    cluster = await TestCluster.start(2, 1, {}, { staleMaxMs: 1_000 });
    const key = cluster.keyIn(0);
    const client = await cluster.client(0, 'follower');
    await client.call('SET', key, 'v');
    cluster.partition(0, 0).setRole(ROLE_FOLLOWER, 1);
    cluster.tell(cluster.moved(0, 1), 0);
    await client.call('READONLY');
    cluster.nodes[0].board.heard(0, monotonicMs() - 1_000);
    expect(await client.call('GET', key)).toMatch(/^-MOVED /);
    cluster.nodes[0].board.heard(0, monotonicMs());
    expect(await client.call('GET', key)).toBe('v');
  });
});
