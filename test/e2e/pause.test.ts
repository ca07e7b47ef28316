/** A node that stands still for longer than its lease: the others go on without it, and what it wakes up with answers
 *  nobody. It comes back as its next life, in the same process, and keeps its memory. */
import { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { LocalCluster, type TestNode } from '../support/local-cluster.ts';
import { keysOfPartitions } from '../support/partition-keys.ts';
import { RespConnection } from '../support/resp-connection.ts';
import { scrape } from '../support/scrape.ts';

const PARTITIONS = 8;
const keys = keysOfPartitions(PARTITIONS);

let cluster: LocalCluster;
let clients: Redis[];

beforeAll(async () => {
  cluster = await LocalCluster.start({ nodes: 3, capacity: '64mb', partitions: PARTITIONS });
  clients = [1, 2, 3].map((i) => new Redis(cluster.node(i).ports.client, '127.0.0.1'));
});

afterAll(async () => {
  for (const client of clients ?? []) client.disconnect();
  await cluster.stop();
});

async function writeAll(through: Redis, value: string): Promise<void> {
  for (const key of keys) expect(await through.set(key, value)).toBe('OK');
}

/** Of the partitions that it leads. */
async function keysLedBy({ id }: TestNode): Promise<string[]> {
  const { partitions } = await cluster.view(cluster.node(1));
  return partitions.flatMap((partition) => (partition.primary === id ? [keys[partition.id]] : []));
}

test('paused for longer than its lease: nothing old is answered, and it lives on', async () => {
  const paused = cluster.node(3);
  const [first, , third] = clients;
  await writeAll(first, 'before');
  const led = await keysLedBy(paused);
  expect(led.length).toBeGreaterThan(0);
  const fullSyncs = await cluster.sum('ingot_full_syncs_total');
  const asked = await RespConnection.open(paused.ports.cluster);

  process.kill(paused.pid, 'SIGSTOP');
  await cluster.until('the others end its life', ({ nodes }) =>
    nodes.some(({ id, state, leads }) => id === 'n3' && state === 'down' && leads === 0),
  );
  await writeAll(first, 'after');
  // The kernel keeps it for the workers, which wake up together with the thread that has to tell them.
  await asked.send(led.map((key) => `GET ${key}\r\n`).join(''));
  process.kill(paused.pid, 'SIGCONT');

  await eventually('what was asked is answered by nobody, or by its new owner', async () => {
    const told = asked.received.match(/-MOVED|-CLUSTERDOWN|-TRYAGAIN|after/g)?.length ?? 0;
    if (told < led.length && !asked.isClosed) throw new Error(asked.received);
    return true;
  });
  expect(asked.received).not.toContain('before');
  const { nodes } = await cluster.settled();
  const incarnation = nodes.find(({ id }) => id === 'n3')?.incarnation ?? 0;
  expect(incarnation).toBeGreaterThanOrEqual(2);
  expect(paused.isRunning).toBe(true);
  for (const key of keys) expect(await third.get(key)).toBe('after');

  const metrics = await scrape(paused.ports.http);
  expect(metrics.sum('ingot_lives_total')).toBeGreaterThanOrEqual(2);
  expect(metrics.sum('ingot_lease_remaining_seconds')).toBeGreaterThan(0);
  expect(await cluster.sum('ingot_fences_total')).toBeGreaterThanOrEqual(2);
  expect(await cluster.sum('ingot_full_syncs_total')).toBe(fullSyncs);
});
