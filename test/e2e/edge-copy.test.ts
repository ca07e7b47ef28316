/** An edge copy of three nodes (`ingot serve --follow-only`): it answers reads from its last whole round, also while a
 *  primary is killed in the middle of the next one, and shows what was written once a round has ended. */
import { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { ingotStatus } from '../support/ingot.ts';
import { LocalCluster } from '../support/local-cluster.ts';
import { keysOfPartitions } from '../support/partition-keys.ts';
import { fill } from '../support/resp-connection.ts';
import { scrape } from '../support/scrape.ts';

const PARTITIONS = 4;
const EDGE = 4;
/** More than a redo ring holds, for every partition: a round of chunks, which the rate draws out. */
const FILLED = 120;
const VALUE = 'x'.repeat(40_000);
const tags = keysOfPartitions(PARTITIONS);
const leftOf = (tag: string): string => `{${tag}}:left`;
const rightOf = (tag: string): string => `{${tag}}:right`;

vi.setConfig({ testTimeout: 180_000, hookTimeout: 180_000 });

let cluster: LocalCluster;
let edge: Redis;
let clients: Redis[];

beforeAll(async () => {
  cluster = await LocalCluster.start({
    nodes: EDGE,
    capacity: '96mb',
    partitions: PARTITIONS,
    args: ['--sync-rate', '1mb'],
    argsOf: (i) => (i === EDGE ? ['--follow-only', '--mode', 'snapshot', '--every', '1s'] : []),
  });
  clients = cluster.nodes.map(({ ports }) => new Redis(ports.client, { maxRetriesPerRequest: 0 }));
  // One of the nodes is killed.
  for (const client of clients) client.on('error', () => {});
  edge = clients[EDGE - 1];
});

afterAll(async () => {
  for (const client of clients) client.disconnect();
  await cluster.stop();
});

/** Both keys of every partition, in one transaction each. */
async function writeAll(value: string): Promise<void> {
  for (const tag of tags) {
    await clients[1].multi().set(leftOf(tag), value).set(rightOf(tag), value).exec();
  }
}

/** By partition, as the edge has it. Fails where a transaction is seen half. */
async function readAll(): Promise<(string | null)[]> {
  const values: (string | null)[] = [];
  for (const tag of tags) {
    const [left, right] = await edge.mget(leftOf(tag), rightOf(tag));
    expect(left).toBe(right);
    values.push(left);
  }
  return values;
}

async function shows(value: string): Promise<void> {
  await eventually(`the edge shows ${value}`, async () => {
    const values = await readAll();
    return values.every((each) => each === value);
  });
}

const metric = async (name: string): Promise<number> =>
  (await scrape(cluster.node(EDGE).ports.http)).sum(name);

test('an edge copy is a member that holds nothing, and shows what was written after a round', async () => {
  await writeAll('first');
  await shows('first');
  const view = await ingotStatus(cluster.node(1).ports.control);
  const row = view.nodes.find(({ id }) => id === `n${EDGE}`);
  expect(row).toMatchObject({ observer: true, isAcceptor: false, leads: 0, follows: 0 });
  expect(row?.snapshots).toMatchObject({ partitions: PARTITIONS, readable: PARTITIONS });
  expect(row?.snapshots?.ageSeconds).toBeGreaterThanOrEqual(0);
  expect(await edge.info('replication')).toMatch(/role:slave[\s\S]*ingot_snapshot_age_seconds:\d/);
});

test('it takes no writes, and answers what covers all keys from its copies', async () => {
  await expect(edge.set('any', 1)).rejects.toThrow(/^READONLY/);
  await expect(edge.flushall()).rejects.toThrow(/^READONLY/);
  expect(await edge.dbsize()).toBe(2 * PARTITIONS);
  expect(await edge.mget(...tags.map(leftOf))).toEqual(tags.map(() => 'first'));
  const { cluster: port } = cluster.node(EDGE).ports;
  const clusterClient = new Redis(port, { enableReadyCheck: false });
  expect(await clusterClient.get(leftOf(tags[0]))).toBe('first');
  await expect(clusterClient.set(leftOf(tags[0]), 1)).rejects.toThrow(/^MOVED/);
  clusterClient.disconnect();
});

test('what has expired is not served, although no round has said so', async () => {
  await clients[0].set('short', 'lived', 'PX', 2_500);
  await eventually('the edge has it', async () => (await edge.get('short')) === 'lived');
  const pttl = await edge.pttl('short');
  expect(pttl).toBeLessThanOrEqual(2_500);
  await eventually('it is gone', async () => (await edge.get('short')) === null);
});

test('a primary that is killed in the middle of a round leaves the round before in place', async () => {
  const port = cluster.node(2).ports.client;
  await fill(port, FILLED * PARTITIONS, (i) => [
    `{${tags[i % PARTITIONS]}}:${Math.floor(i / PARTITIONS)}`,
    VALUE,
  ]);
  await writeAll('second');
  // A round that has begun since shows all of it or nothing; none has ended in so short a time.
  const received = await metric('ingot_replication_received_bytes_total');
  await eventually('chunks arrive', async () => {
    return (await metric('ingot_replication_received_bytes_total')) > received + 500_000;
  });
  const { partitions } = await cluster.view();
  const led = partitions.filter(({ primary }) => primary === 'n1').map(({ id }) => id);
  expect(led.length).toBeGreaterThan(0);
  await cluster.kill(1);
  const after = await readAll();
  for (const id of led) expect(after[id]).toBe('first');
  await eventually('the round is given up', async () => {
    await readAll();
    return (await metric('ingot_snapshot_rounds_interrupted_total')) > 0;
  });
  clients[0].disconnect();
  await shows('second');
  expect(await edge.dbsize()).toBe((2 + FILLED) * PARTITIONS);
});
