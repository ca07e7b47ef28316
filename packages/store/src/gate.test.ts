import { Worker } from 'node:worker_threads';
import { describe, expect, test } from 'vitest';
import { tryBeginRead } from './gate.ts';
import type { HammerReport, HammerTask } from './hammer.fixture.ts';
import {
  attachPartition,
  createPartition,
  hashKey,
  newStableView,
  type Partition,
  type PartitionHandle,
} from './index.ts';
import { SMALL, wordsOf } from './pair.fixture.ts';

const WRITES = 60_000;
const COUNTS = 50_000;
/** Enough for a reader to meet a writer, if anything lets it. */
const WRITES_UNTIL_TORN_MAX = 5_000_000;

function newHandle(): [PartitionHandle, Partition] {
  const handle = createPartition(SMALL, 0);
  const partition = attachPartition(handle);
  partition.promote(1, 1);
  return [handle, partition];
}

function start(
  handle: PartitionHandle,
  control: Int32Array,
  kind: HammerTask['kind'],
  seed: number,
  { honest = true, rounds = WRITES } = {},
): Promise<HammerReport> {
  const workerData: HammerTask = { handle, control, kind, seed, honest, rounds };
  const worker = new Worker(new URL('hammer.fixture.ts', import.meta.url), {
    workerData,
    execArgv: ['--conditions=source'],
  });
  return new Promise((resolve, reject) => {
    worker.once('message', resolve);
    worker.once('error', reject);
  });
}

/** Writers until they are done, readers until then. */
async function run(
  handle: PartitionHandle,
  writers: { honest?: boolean; rounds?: number }[],
  readers: { honest?: boolean }[],
): Promise<HammerReport[]> {
  const control = new Int32Array(new SharedArrayBuffer(8));
  const reading = readers.map((options, seed) => start(handle, control, 'read', seed, options));
  const writing = writers.map((options, seed) => start(handle, control, 'write', seed, options));
  await Promise.all(writing);
  Atomics.store(control, 0, 1);
  return Promise.all(reading);
}

const sum = (reports: HammerReport[], field: keyof HammerReport): number =>
  reports.reduce((total, report) => total + report[field], 0);

describe('store: gate, on real threads', () => {
  test('two writers and two readers: no value of mixed sizes is ever read torn', async () => {
    const [handle, partition] = newHandle();
    const reports = await run(handle, [{}, {}], [{}, {}]);
    expect(sum(reports, 'torn')).toBe(0);
    expect(sum(reports, 'reads')).toBeGreaterThan(0);
    expect(sum(reports, 'retried')).toBeGreaterThan(0);
    expect(partition.verify()).toBeNull();
  });

  test('control: a reader that does not look at the gate again reads torn values', async () => {
    const [handle] = newHandle();
    const reports = await run(handle, [{ rounds: WRITES_UNTIL_TORN_MAX }], [{ honest: false }]);
    expect(sum(reports, 'torn')).toBeGreaterThan(0);
  });

  test('control: a writer that skips the gate has its values read torn', async () => {
    const [handle] = newHandle();
    const control = new Int32Array(new SharedArrayBuffer(8));
    const reading = start(handle, control, 'read', 0);
    const writing = start(handle, control, 'write', 0, {
      honest: false,
      rounds: WRITES_UNTIL_TORN_MAX,
    });
    await writing;
    Atomics.store(control, 0, 1);
    expect((await reading).torn).toBeGreaterThan(0);
  });

  test('two threads that count in passages lose no count', async () => {
    const [handle, partition] = newHandle();
    const control = new Int32Array(new SharedArrayBuffer(8));
    const options = { rounds: COUNTS };
    await Promise.all([0, 1].map((seed) => start(handle, control, 'count', seed, options)));
    const key = Buffer.from('hammer:0');
    const ref = partition.find(hashKey(key, 0, key.length), key, 0, key.length, 1_000);
    expect(partition.imageBuffer.readUInt32LE(partition.valueOffset(ref))).toBe(2 * COUNTS);
    expect(partition.stats().seq).toBe(2 * COUNTS + 1);
  });
});

describe('store: gate', () => {
  test('the gate may run over the end of its 32 bits', () => {
    const [handle, partition] = newHandle();
    wordsOf(handle)[0] = 0x7fff_fffe;
    const before = partition.readBegin();
    partition.enter();
    expect(tryBeginRead(wordsOf(handle))).toBe(-1);
    partition.leave();
    expect(partition.readEnd(before)).toBe(false);
    const after = partition.readBegin();
    expect(after).toBe(-0x8000_0000);
    expect(partition.readEnd(after)).toBe(true);
    wordsOf(handle)[0] = -2;
    partition.enter();
    partition.leave();
    expect(partition.readBegin()).toBe(0);
  });

  test('a reader that is disturbed every time goes through the gate itself', () => {
    const [, partition] = newHandle();
    let tries = 0;
    const read = (): number => {
      if (++tries <= 64) {
        partition.enter();
        partition.leave();
      }
      return tries;
    };
    expect(partition.readStable(read)).toBe(65);
    partition.enter();
    partition.leave();
  });

  test('what needs a stable view without waiting is told that a writer is inside', () => {
    const [, partition] = newHandle();
    const view = newStableView();
    partition.enter();
    expect(partition.tryStable(view)).toBe(false);
    partition.leave();
    expect(partition.tryStable(view)).toBe(true);
    expect(view).toMatchObject({ seq: 1, epoch: 1, role: 1, consistent: true });
  });
});
