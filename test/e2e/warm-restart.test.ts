/** Nodes that start again over their data dirs: with what they had saved, and never with more than that is worth. */
import {
  appendFileSync,
  closeSync,
  existsSync,
  ftruncateSync,
  openSync,
  readFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { LocalCluster, type LogLine, type TestNode } from '../support/local-cluster.ts';
import { keysOfPartitions } from '../support/partition-keys.ts';
import { fill } from '../support/resp-connection.ts';
import { scrape } from '../support/scrape.ts';

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

const PARTITIONS = 4;
const KEYS = 2_000;
const EVERY_SECOND = ['--checkpoint-every', '1s'];

/** Where a meta page of LMDB names the last page of its file. */
const LAST_PAGE_AT = 24 + 120;

const name = (i: number): string => `key-${i}`;
const value = (i: number): string => `value-${i}-`.repeat(20);

async function put(node: TestNode, keys: Readonly<Record<string, string>>): Promise<void> {
  await withClient(node, (redis) => redis.mset(keys));
}

async function withClient<T>(node: TestNode, ask: (redis: Redis) => Promise<T>): Promise<T> {
  const redis = new Redis({ port: node.ports.client });
  try {
    return await ask(redis);
  } finally {
    redis.disconnect();
  }
}

/** Those of the first keys that are not as they were written. */
async function wrongKeys(node: TestNode): Promise<number[]> {
  const numbers = Array.from({ length: KEYS }, (_, i) => i);
  const found = await withClient(node, (redis) => redis.mget(numbers.map(name)));
  return numbers.filter((i) => found[i] !== value(i));
}

/** Writes to every partition, and waits until all of that is in the checkpoints of the node. */
async function saved(node: TestNode, mark: string): Promise<void> {
  const afterMs = Date.now();
  const keys = keysOfPartitions(PARTITIONS, mark);
  await put(node, Object.fromEntries(keys.map((key) => [key, mark])));
  await eventually('everything is saved', async () => {
    const metrics = await scrape(node.ports.http);
    return metrics.sum('ingot_checkpoint_oldest_timestamp_seconds') * 1_000 > afterMs;
  });
}

async function marked(node: TestNode, mark: string): Promise<number> {
  const found = await withClient(node, (redis) => redis.mget(keysOfPartitions(PARTITIONS, mark)));
  return found.filter((text) => text === mark).length;
}

function linesOf({ log }: TestNode, event: string): LogLine[] {
  return log.filter((line) => line.event === event);
}

describe('a single node', () => {
  let cluster: LocalCluster;
  let node: TestNode;

  beforeAll(async () => {
    cluster = await LocalCluster.start({
      ...{ nodes: 1, copies: 1, capacity: '64mb', partitions: PARTITIONS },
      args: EVERY_SECOND,
    });
    node = cluster.node(1);
    await fill(node.ports.client, KEYS, (i) => [name(i), value(i)]);
  });
  afterAll(() => cluster.stop());

  test('kill -9: what was saved is there, and the partitions say that writes may be missing', async () => {
    await saved(node, 'first');
    await cluster.kill(1);
    cluster.restart(1);
    const view = await cluster.settled();
    expect(await wrongKeys(node)).toEqual([]);
    expect(await marked(node, 'first')).toBe(PARTITIONS);
    expect(view.partitions.every(({ lossy, lost }) => lossy && !lost)).toBe(true);
    expect(linesOf(node, 'checkpoint.loaded')).toMatchObject([{ partitions: 4, refused: 0 }]);
  });

  test('SIGTERM: the last write is there, and nothing is said to be missing', async () => {
    const last = keysOfPartitions(PARTITIONS, 'last');
    await put(node, Object.fromEntries(last.map((key) => [key, 'last'])));
    expect(await node.process.stop()).toEqual({ code: 0, signal: null });
    cluster.restart(1);
    const view = await cluster.settled();
    expect(await marked(node, 'last')).toBe(PARTITIONS);
    expect(await wrongKeys(node)).toEqual([]);
    expect(view.partitions.some(({ lossy, lost }) => lossy || lost)).toBe(false);
  });

  test('a damaged checkpoint is refused whole, with the reason; the others are loaded', async () => {
    expect(await node.process.stop()).toEqual({ code: 0, signal: null });
    const probes = keysOfPartitions(PARTITIONS, 'last');
    flipByteBehind(fileOf(node, 0), probes[0]);
    cluster.restart(1);
    const view = await cluster.settled();
    expect(linesOf(node, 'checkpoint.refused')).toMatchObject([{ partition: 0 }]);
    expect(linesOf(node, 'checkpoint.refused')[0]['why']).toMatch(/^chunk \d+ is damaged$/);
    expect(view.partitions.map(({ lost }) => lost)).toEqual([true, false, false, false]);
    const found = await withClient(node, (redis) => redis.mget(probes));
    expect(found).toEqual([null, 'last', 'last', 'last']);
  });

  test('two starts that were ended while they read a sound file do not cost it', async () => {
    expect(await node.process.stop()).toEqual({ code: 0, signal: null });
    appendFileSync(`${fileOf(node, 2)}.reading`, '..');
    cluster.restart(1);
    await cluster.settled();
    expect(linesOf(node, 'checkpoint.refused')).toEqual([]);
    expect(existsSync(`${fileOf(node, 2)}.reading`)).toBe(false);
    expect(await marked(node, 'last')).toBe(PARTITIONS - 1);
  });

  test('a file that nobody lives through reading is not read by the node', async () => {
    expect(await node.process.stop()).toEqual({ code: 0, signal: null });
    endWhoReads(fileOf(node, 2));
    appendFileSync(`${fileOf(node, 2)}.reading`, '..');
    cluster.restart(1);
    await cluster.settled();
    expect(linesOf(node, 'checkpoint.refused')).toMatchObject([
      { partition: 2, why: 'the process ended 2 times while it was being read' },
    ]);
    expect(await marked(node, 'last')).toBe(PARTITIONS - 2);
  });
});

describe('three nodes', () => {
  let cluster: LocalCluster;

  beforeAll(async () => {
    cluster = await LocalCluster.start({
      ...{ nodes: 3, capacity: '64mb', partitions: PARTITIONS },
      args: EVERY_SECOND,
    });
    await fill(cluster.node(1).ports.client, KEYS, (i) => [name(i), value(i)]);
    await cluster.replicated();
  });
  afterAll(() => cluster.stop());

  test.each([
    ['SIGTERM', 2],
    ['SIGKILL', 3],
  ] as const)(
    '%s: a node that comes back catches up, and copies nothing whole',
    async (signal, i) => {
      const node = cluster.node(i);
      const other = cluster.node(1);
      await saved(node, `before ${signal}`);
      await node.process.signal(signal);
      await put(other, { [`while away ${signal}`]: 'yes' });
      cluster.restart(i);
      await cluster.settled();
      await cluster.replicated();
      const syncs = linesOf(node, 'syncStarted').map(({ kind }) => kind);
      expect(syncs.length).toBeGreaterThan(0);
      expect(syncs).not.toContain('full');
      expect(await wrongKeys(node)).toEqual([]);
      expect(await withClient(node, (redis) => redis.get(`while away ${signal}`))).toBe('yes');
    },
  );

  /** The next start has more than the one before it, in whatever order nodes end and start. */
  test.each([
    ['SIGHUP to all at once', 'SIGHUP', [1, 2, 3], false],
    ['SIGTERM one after the other; the last to end starts last', 'SIGTERM', [2, 3, 1], true],
  ] as const)('%s: every key is there, nothing is lossy', async (mark, signal, order, inTurn) => {
    const values = Object.fromEntries(keysOfPartitions(PARTITIONS, mark).map((key) => [key, mark]));
    if (!inTurn) await put(cluster.node(2), values);
    for (const i of order.slice(0, inTurn ? 2 : 0))
      await cluster.node(i).process.stop(30_000, signal);
    if (inTurn) await put(cluster.node(order[2]), values).catch(() => undefined);
    await Promise.all(cluster.running.map(({ process }) => process.stop(30_000, signal)));
    for (const i of order) {
      cluster.node(i).launch();
      if (inTurn) await eventually(`n${i} has read its disk`, () => hasLoaded(cluster.node(i)));
    }
    const view = await cluster.settled();
    expect(await wrongKeys(cluster.node(3))).toEqual([]);
    if (!inTurn) expect(await marked(cluster.node(1), mark)).toBe(PARTITIONS);
    expect(view.partitions.some(({ lost, lossy }) => lost || lossy)).toBe(false);
  });
});

function hasLoaded(node: TestNode): boolean {
  return linesOf(node, 'checkpoint.loaded').length === 1;
}

/** Cuts off the pages behind the first, once LMDB's own words about the file agree with that. */
function endWhoReads(path: string): void {
  const file = openSync(path, 'r+');
  for (const page of [0, 4_096]) writeSync(file, Buffer.alloc(8), 0, 8, page + LAST_PAGE_AT);
  ftruncateSync(file, 2 * 4_096);
  closeSync(file);
}

function fileOf({ dataDir }: TestNode, partition: number): string {
  return join(dataDir, 'checkpoints', `partition-${partition}.mdb`);
}

/** Wherever the file has it: older versions of a chunk are still in it. */
function flipByteBehind(path: string, text: string): void {
  const bytes = readFileSync(path);
  const file = openSync(path, 'r+');
  for (let at = bytes.indexOf(text); at !== -1; at = bytes.indexOf(text, at + 1)) {
    writeSync(file, Buffer.from([bytes[at + text.length] ^ 1]), 0, 1, at + text.length);
  }
  closeSync(file);
}
