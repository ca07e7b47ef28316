import { ROLE_FOLLOWER } from '@ingot/store';
import { afterEach, describe, expect, it } from 'vitest';
import { monotonicMs } from '../process/monotonic-clock.ts';
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

  it('a walk on from a cursor goes to its leader, also where a copy may be read', async () => {
    cluster = await TestCluster.start(2, 2, {}, { staleMaxMs: 600_000 });
    cluster.partition(0, 0).setRole(ROLE_FOLLOWER, 1);
    cluster.tell(cluster.moved(0, 1), 0, 1);
    const client = await cluster.client(0, 'follower');
    expect(await client.call('READONLY')).toBe('OK');
    cluster.nodes[0].board.heard(0, monotonicMs());
    expect(await client.call('GET', cluster.keyIn(0))).toBe(null);
    expect(await client.call('INGOT.SCAN', '0')).toMatch(/^-MOVED /);
  });
});
