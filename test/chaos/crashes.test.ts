/** kill -9 in the middle of a bulk, of either side. The bulk is held at one chunk, so that it is in the middle. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { CHUNK } from '../../packages/replication/src/frame.ts';
import { binary, numbers } from '../support/dataset.ts';
import { eventually, within } from '../support/eventually.ts';
import { stallAt } from '../support/faults.ts';
import { CLEAN, ingotStatus, ingotVerify } from '../support/ingot.ts';
import { fill } from '../support/resp-connection.ts';
import { LinkedPair } from '../sync/linked-pair.ts';
import { LogWatch } from './log-watch.ts';

const VALUE_BYTES = 30_000;
const KEYS = 100;
const FRAMES_BEFORE = 6;
const STRIKES_WITHIN_MS = 60_000;
/** Processes start three times: on a busy machine that takes its time. */
const ENDS_WITHIN_MS = 180_000;

vi.setConfig({ testTimeout: ENDS_WITHIN_MS });

let pair: LinkedPair;

beforeEach(async () => {
  pair = await LinkedPair.first(
    { capacity: '8mb', partitions: 1, foundArgs: ['--capacity-max', '8mb'] },
    { frames: true },
  );
  await fill(pair.cluster.node(1).ports.client, KEYS, (i) => [`k${i}`, binary(i, VALUE_BYTES)]);
});

afterEach(() => pair.stop());

test('a follower killed in a bulk comes back empty, and is filled from the first chunk', async () => {
  const { cluster } = pair;
  const primary = new LogWatch(cluster.node(1));
  await holdBulk(() => cluster.node(2).launch());
  await cluster.kill(2);
  await primary.logs('connectionLost', { node: 'n2' });
  cluster.restart(2);
  await cluster.settled();

  const full = primary.lines('syncStarted').filter(({ kind }) => kind === 'full');
  expect(full.map(({ reason }) => reason)).toEqual(
    numbers(full.length).map(() => 'the copy is empty'),
  );
  expect(full.length).toBeGreaterThan(1);
  expect(await cluster.sum('ingot_full_syncs_total')).toBe(1);
  expect(await ingotVerify(cluster.node(1).ports.control)).toMatchObject(CLEAN);
});

test('a primary killed in a bulk leaves no copy: the partition is lost, and everybody says so', async () => {
  const { cluster } = pair;
  await holdBulk(() => cluster.node(2).launch());
  await cluster.kill(1);
  const follower = new LogWatch(cluster.node(2));
  await follower.logs('connectionLost', { primary: 'n1' });
  cluster.restart(1);
  await eventually('the partition begins again', async () => {
    const { partitions } = await ingotStatus(cluster.node(1).ports.control);
    return partitions[0].lost && partitions[0].primary !== null;
  });
  await cluster.settled();
  const founder = cluster.node(1).log;
  expect(founder.filter(({ event }) => event === 'partition.lost').length).toBe(1);
  expect(await cluster.sum('ingot_partitions_lost')).toBe(2);
  // It serves again, empty, and both copies are equal.
  await fill(cluster.node(2).ports.client, KEYS, (i) => [`k${i}`, binary(i + 1, VALUE_BYTES)]);
  await cluster.replicated();
  expect(await ingotVerify(cluster.node(1).ports.control)).toMatchObject(CLEAN);
});

/** Lets a bulk to node 2 begin, and stop in its middle. */
async function holdBulk(begin: () => void): Promise<void> {
  const stall = pair.linkOf(1).arm(stallAt(CHUNK, 'down', FRAMES_BEFORE));
  begin();
  await within('a bulk is in its middle', STRIKES_WITHIN_MS, stall.struck);
}
