/** A node joins a cluster of three: what it gets of each partition comes from a follower, and then it is in sync. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { LocalCluster } from '../support/local-cluster.ts';
import { fill } from '../support/resp-connection.ts';
import { scrape } from '../support/scrape.ts';

const PARTITIONS = 4;
const KEYS = 300;
const VALUE_BYTES = 50_000;

let cluster: LocalCluster;

beforeAll(async () => {
  cluster = await LocalCluster.plan({
    nodes: 4,
    copies: 4,
    partitions: PARTITIONS,
    capacity: '64mb',
    args: ['--sync-rate', 'max'],
  });
  for (const node of cluster.nodes.slice(0, 3)) {
    node.launch();
    await node.answers('/readyz');
  }
  await cluster.until('three nodes hold everything', ({ partitions }) =>
    partitions.every(({ inSync }) => inSync.length === 3),
  );
  const entry = (i: number): [string, Buffer] => [`key-${i}`, Buffer.alloc(VALUE_BYTES, i)];
  await fill(cluster.node(1).ports.client, KEYS, entry);
  await cluster.replicated();
});

afterAll(() => cluster.stop());

test('the bulks of node 4 come from followers', async () => {
  const asPrimary = await cluster.sum('ingot_bulk_sent_bytes_total', { as: 'primary' });
  const joiner = cluster.node(4);
  joiner.launch();
  await cluster.until('node 4 is in sync', ({ partitions }) =>
    partitions.every(({ inSync }) => inSync.length === 4),
  );
  const relayed = await cluster.sum('ingot_bulk_sent_bytes_total', { as: 'relay' });
  expect(relayed).toBeGreaterThan(KEYS * VALUE_BYTES);
  expect(await cluster.sum('ingot_seeds_total', { outcome: 'sent' })).toBeGreaterThanOrEqual(
    PARTITIONS,
  );
  // On a busy machine a follower may be too late, and a primary step in.
  const sent = (await cluster.sum('ingot_bulk_sent_bytes_total', { as: 'primary' })) - asPrimary;
  expect(sent).toBeLessThan(relayed / 2);
  const events = joiner.log.map(({ event }) => event);
  expect(events).toContain('seedStarted');
  await eventually('nobody is fed any more', async () => {
    const { samples } = await scrape(cluster.node(1).ports.http);
    return samples.every(({ name }) => name !== 'ingot_seeds_running');
  });
});
