import { afterEach, describe, expect, it } from 'vitest';
import { TestCluster } from './cluster.fixture.ts';

let cluster: TestCluster;
afterEach(() => cluster.stop());

describe('internal commands: from a client', () => {
  it('are answered, also where another node leads the partition', async () => {
    cluster = await TestCluster.start(2, 2);
    const client = await cluster.client(0);
    const key = cluster.keyIn(1);
    const malformed = '-ERR malformed command between nodes';
    expect(await client.call('INGOT.TOKEN', key)).toBe(malformed);
    expect(await client.call('INGOT.EXEC', '1', '0', '2', 'GET', key)).toBe(malformed);
    expect(await client.call('INGOT.TOKEN', cluster.keyIn(0))).not.toBe(malformed);
    expect(await client.call('PING')).toBe('PONG');
  });
});
