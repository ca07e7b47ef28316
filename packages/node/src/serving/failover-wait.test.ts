import { afterEach, describe, expect, it } from 'vitest';
import type { MapNode } from '../shared/map.ts';
import { TestCluster } from './cluster.fixture.ts';

let cluster: TestCluster;
afterEach(() => cluster.stop());

/** The map says that the node is up, or down. */
function tellState(node: number, state: MapNode['state']): void {
  const nodes = cluster.map.nodes.map((each, i) => (i === node ? { ...each, state } : each));
  cluster.map = { ...cluster.map, version: cluster.map.version + 1, nodes };
  cluster.tell(cluster.map, 0);
}

/** Node 0 takes over the partition, as after a failover. */
function takeOver(partition: number): void {
  const map = cluster.moved(partition, 0);
  cluster.promote(0, partition);
  cluster.tell(map, 0);
}

async function barrier(): Promise<void> {
  await (await cluster.client(0, 'cluster')).call('PING');
}

describe('a failover, as clients see it', () => {
  it('plain clients wait while the owner is down, and go on with the next one', async () => {
    cluster = await TestCluster.start(2, 2);
    const client = await cluster.client(0);
    const [a, b] = [cluster.keyIn(0), cluster.keyIn(1)];
    tellState(1, 'down');
    const calls = [
      client.call('SET', b, 'v'),
      (await cluster.client(0)).call('MSET', a, '1', b, '2'),
      (await cluster.client(0)).pipeline([['MULTI'], ['INCR', `{${b}}`], ['EXEC']]),
      (await cluster.client(0)).call('DBSIZE'),
    ];
    await barrier();
    takeOver(1);
    expect(await calls[0]).toBe('OK');
    expect(await calls[1]).toBe('OK');
    expect(await calls[2]).toEqual(['OK', 'QUEUED', [1]]);
    expect(await calls[3]).toBeGreaterThan(0);
    expect(cluster.counter(0, 'parks')).toBeGreaterThan(3);
  });

  it('they wait for --failover-wait, and are told so at once after that', async () => {
    cluster = await TestCluster.start(2, 2, {}, { failoverWaitMs: 100 });
    const client = await cluster.client(0);
    tellState(1, 'down');
    expect(await client.call('GET', cluster.keyIn(1))).toMatch(/^-CLUSTERDOWN /);
    const parks = cluster.counter(0, 'parks');
    expect(await client.call('GET', cluster.keyIn(1))).toMatch(/^-CLUSTERDOWN /);
    expect(cluster.counter(0, 'parks')).toBe(parks);
    expect(await client.call('SET', cluster.keyIn(0), 'v')).toBe('OK');
  });

  it('cluster clients are told at once', async () => {
    cluster = await TestCluster.start(2, 2);
    tellState(1, 'down');
    const client = await cluster.client(0, 'cluster');
    expect(await client.call('GET', cluster.keyIn(1))).toMatch(/^-CLUSTERDOWN /);
    expect(await client.call('CLUSTER', 'INFO')).toMatch(/^cluster_state:fail/);
    expect(await client.call('CLUSTER', 'NODES')).toMatch(
      / master,fail - .* disconnected 8192-16383\n/,
    );
    cluster.tell(cluster.moved(1, null), 0);
    expect(await client.call('GET', cluster.keyIn(1))).toMatch(/^-CLUSTERDOWN /);
    expect(await client.call('CLUSTER', 'SLOTS')).toMatchObject([[0, 8191, expect.anything()]]);
    takeOver(1);
    expect(await client.call('CLUSTER', 'INFO')).toMatch(/^cluster_state:ok/);
    expect(await client.call('CLUSTER', 'SLOTS')).toMatchObject([[0, 16_383, expect.anything()]]);
  });

  it('what could not leave for its owner waits for another one, in order', async () => {
    cluster = await TestCluster.start(2, 2);
    const client = await cluster.client(0);
    const key = cluster.keyIn(1);
    // Its process is gone, and nobody has noticed yet.
    cluster.nodes[1].worker.stop();
    const replies = client.pipeline([
      ['APPEND', key, 'a'],
      ['APPEND', key, 'b'],
      ['GET', key],
    ]);
    await barrier();
    tellState(1, 'down');
    await barrier();
    takeOver(1);
    expect(await replies).toEqual([1, 2, 'ab']);
  });

  it('what could not leave is given up after --failover-wait', async () => {
    cluster = await TestCluster.start(2, 2, {}, { failoverWaitMs: 150 });
    const client = await cluster.client(0);
    cluster.nodes[1].worker.stop();
    expect(await client.call('SET', cluster.keyIn(1), 'v')).toMatch(/^-CLUSTERDOWN /);
  });

  it('what has left for an owner that is declared down: nobody can say', async () => {
    cluster = await TestCluster.start(2, 2);
    const client = await cluster.client(0);
    const key = cluster.keyIn(1);
    expect(await client.call('CLIENT', 'ACKS', 'isr')).toBe('OK');
    // Its replication worker says nothing: the owner holds the reply.
    const reply = client.call('SET', key, 'v');
    const owner = await cluster.client(1);
    while ((await owner.call('GET', key)) !== 'v');
    tellState(1, 'down');
    expect(await reply).toMatch(/^-ERR .* is unknown$/);
    takeOver(1);
    expect(await client.call('CLIENT', 'ACKS', 'local')).toBe('OK');
    expect(await client.call('GET', key)).toBeNull();
  });
});
