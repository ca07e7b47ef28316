import { afterEach, describe, expect, it, vi } from 'vitest';
import { TestCluster } from './cluster.fixture.ts';
import { PINNED_BYTES_MIN } from './pinned-value.ts';

let cluster: TestCluster;
afterEach(() => cluster.stop());

describe('MGET of keys that are led here', () => {
  it('answers in the order of the keys, however many, and counts hits and misses', async () => {
    cluster = await TestCluster.start(1, 8);
    const client = await cluster.client();
    const keys = Array.from({ length: 1_200 }, (_, i) => `key${i % 1_000}`);
    const values = keys.map((key, i) => ((i % 1_000) % 3 === 0 ? null : `value of ${key}`));
    const sets = keys.flatMap((key, i) => (values[i] === null ? [] : [['SET', key, values[i]]]));
    await client.pipeline(sets);
    const before = [cluster.counter(0, 'hits'), cluster.counter(0, 'misses')];
    expect(await client.call('MGET', ...keys)).toEqual(values);
    const missing = values.filter((value) => value === null).length;
    const after = [cluster.counter(0, 'hits'), cluster.counter(0, 'misses')];
    expect(after).toEqual([before[0] + values.length - missing, before[1] + missing]);
  });

  it('answers long values and keys of other nodes all the same', async () => {
    cluster = await TestCluster.start(2, 4);
    const client = await cluster.client();
    const long = 'x'.repeat(PINNED_BYTES_MIN);
    const [a, b, c] = [0, 2, 1].map((id) => cluster.keyIn(id));
    await client.pipeline([
      ['SET', a, long],
      ['SET', b, 'short'],
      ['SET', c, 'elsewhere'],
    ]);
    expect(await client.call('MGET', b, a, 'none', b)).toEqual(['short', long, null, 'short']);
    expect(await client.call('MGET', c, b)).toEqual(['elsewhere', 'short']);
  });

  it('reads again if a value changed meanwhile', async () => {
    cluster = await TestCluster.start(1, 4);
    const [client, other] = [await cluster.client(), await cluster.client()];
    const keys = [0, 1, 2, 3].map((id) => cluster.keyIn(id));
    await client.call('MSET', ...keys.flatMap((key) => [key, 'v']));
    const partition = cluster.partition(0, 2);
    const readEnd = vi.spyOn(partition, 'readEnd').mockReturnValueOnce(false);
    expect(await client.call('MGET', ...keys)).toEqual(['v', 'v', 'v', 'v']);
    expect(readEnd).toHaveBeenCalledTimes(2);
    expect(await other.call('GET', keys[2])).toBe('v');
  });
});
