import { afterEach, describe, expect, it } from 'vitest';
import { commandIndexByName } from '../commands/table.ts';
import { TestCluster } from './cluster.fixture.ts';

let cluster: TestCluster;
afterEach(() => cluster.stop());

const calls = (name: string): number => cluster.nodes[0].counters.calls(commandIndexByName(name));
const errors = (name: string): number => cluster.nodes[0].counters.errors(commandIndexByName(name));

describe('batch: what is counted', () => {
  it('every executed command once, by itself, on either path', async () => {
    cluster = await TestCluster.start(1, 4);
    const client = await cluster.client();
    const keys = Array.from({ length: 1_000 }, (_, i) => `key${i}`);
    await client.pipeline(keys.map((key) => ['SET', key, 'v']));
    await client.pipeline(keys.map((key) => ['set', key, 'v', 'EX', '100']));
    await client.pipeline([['GET', 'key1'], ['GET', 'absent'], ['INCR', 'key1'], ['GET']]);
    await client.pipeline([['MULTI'], ['SET', 'a', 'x'], ['INCR', 'a'], ['EXEC']]);
    expect([calls('set'), calls('get'), calls('incr'), calls('exec')]).toEqual([2_001, 3, 2, 1]);
    expect([errors('set'), errors('get'), errors('incr')]).toEqual([0, 1, 2]);
    expect([cluster.counter(0, 'hits'), cluster.counter(0, 'misses')]).toEqual([1, 1]);
  });

  it('bytes and connections', async () => {
    cluster = await TestCluster.start(1, 1);
    const client = await cluster.client();
    await client.call('PING');
    expect(cluster.counter(0, 'receivedBytes')).toBe('*1\r\n$4\r\nPING\r\n'.length);
    expect(cluster.counter(0, 'sentBytes')).toBe('+PONG\r\n'.length);
    expect(cluster.counter(0, 'connections')).toBe(1);
    expect(cluster.counter(0, 'connectionsTotal')).toBe(1);
  });
});

describe('batch: replication is woken', () => {
  it('after a batch that wrote, when it sleeps, and by no other', async () => {
    cluster = await TestCluster.start(1, 4);
    const client = await cluster.client();
    const { wake } = cluster.nodes[0];
    Atomics.store(wake, 0, 1);
    await client.call('GET', 'a');
    expect(Atomics.load(wake, 0)).toBe(1);
    await client.call('SET', 'a', '1');
    expect(Atomics.load(wake, 0)).toBe(0);
  });
});

describe('batch: refusals of the store on the fast path', () => {
  it('a value that is too large is refused in words, and the batch goes on', async () => {
    cluster = await TestCluster.start(1, 1);
    const client = await cluster.client();
    const replies = await client.pipeline([
      ['SET', 'a', '1'],
      ['SET', 'b', 'v'.repeat(2 ** 20 + 1)],
      ['SET', 'c', '3'],
      ['MGET', 'a', 'b', 'c'],
    ]);
    expect(replies[1]).toMatch(/^-ERR value of 1048577 bytes exceeds the maximum/);
    expect(replies[3]).toEqual(['1', null, '3']);
  });
});
