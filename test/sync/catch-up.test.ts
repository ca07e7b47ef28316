/** A follower that was away, and kept its memory, gets what changed and no more: also when the redo
 *  ring has long moved on. */
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { binary, numbers } from '../support/dataset.ts';
import { eventually } from '../support/eventually.ts';
import { CLEAN, ingotVerify } from '../support/ingot.ts';
import type { TestNode } from '../support/local-cluster.ts';
import { fill } from '../support/resp-connection.ts';
import { LinkedPair } from './linked-pair.ts';

const CHUNK_BYTES = 65_536;
/** With header and key the only record in its chunk: changed keys are changed chunks. */
const VALUE_BYTES = 62_000;
const KEYS = 3_400;
const CHANGED = KEYS / 20;
/** The changed keys are written so often that the ring (8 MiB, see `planGeometry`) is lapped. */
const ROUNDS = 2;
const GENERATION_MS = 100;

let pair: LinkedPair;

beforeAll(async () => {
  pair = await LinkedPair.first({
    capacity: '256mb',
    partitions: 1,
    foundArgs: ['--capacity-max', '256mb', '--value-max', '1mb'],
  });
  pair.cluster.node(2).launch();
  await pair.cluster.settled();
  await fill(primary().ports.client, KEYS, (i) => [`k${i}`, binary(i, VALUE_BYTES)]);
  // A copy's base is known to the generation, which lasts 100 ms: one write more leaves the load behind.
  await delay(2 * GENERATION_MS);
  await fill(primary().ports.client, 1, () => ['last', 'write']);
  await pair.cluster.replicated();
});

afterAll(() => pair.stop());

test('with the ring lapped and 5 % of the chunks changed, those chunks are sent', async () => {
  const before = await counts();
  expect(before.usedBytes / CHUNK_BYTES).toBeGreaterThan(KEYS);

  pair.cut();
  await connected(false);
  for (const round of numbers(ROUNDS)) {
    await fill(primary().ports.client, CHANGED, (i) => [
      `k${i * 20}`,
      binary(i + round + 1, VALUE_BYTES),
    ]);
  }
  pair.heal();
  await connected(true);
  await pair.cluster.replicated();

  const after = await counts();
  expect(after.partialSyncs - before.partialSyncs).toBe(1);
  expect(after.fullSyncs - before.fullSyncs).toBe(0);
  const bytes = after.sentBytes - before.sentBytes;
  expect(bytes).toBeGreaterThan(CHANGED * VALUE_BYTES);
  expect(bytes).toBeLessThanOrEqual(1.3 * CHANGED * CHUNK_BYTES);
  expect(await ingotVerify(primary().ports.control)).toMatchObject(CLEAN);
});

test('a short absence is made up for from the ring', async () => {
  const before = await counts();
  pair.cut();
  await connected(false);
  await fill(primary().ports.client, 100, (i) => [`k${i}`, binary(i, 100)]);
  pair.heal();
  await connected(true);
  await pair.cluster.replicated();

  const after = await counts();
  expect(after.partialSyncs - before.partialSyncs).toBe(1);
  expect(after.fullSyncs - before.fullSyncs).toBe(0);
  expect(after.sentBytes - before.sentBytes).toBeLessThan(100 * 1_000);
  expect(await ingotVerify(primary().ports.control)).toMatchObject(CLEAN);
});

interface Counts {
  readonly fullSyncs: number;
  readonly partialSyncs: number;
  readonly sentBytes: number;
  readonly usedBytes: number;
}

async function counts(): Promise<Counts> {
  const { cluster } = pair;
  return {
    fullSyncs: await cluster.sum('ingot_full_syncs_total'),
    partialSyncs: await cluster.sum('ingot_partial_syncs_total'),
    sentBytes: await cluster.sum('ingot_replication_sent_bytes_total'),
    usedBytes: await cluster.sum('ingot_used_bytes', { role: 'primary' }),
  };
}

/** The one partition is led by one node, followed by the other. */
function primary(): TestNode {
  return pair.cluster.node(1);
}

function connected(wanted: boolean): Promise<true> {
  return eventually(wanted ? 'the follower is back' : 'the follower is away', async () => {
    const [{ primary: leader, followers }] = (await pair.cluster.view()).partitions;
    expect(leader).toBe(primary().id);
    return (followers[0].state === 'streaming') === wanted || null;
  });
}
