import { Worker } from 'node:worker_threads';
import { describe, expect, test } from 'vitest';
import { attachPartition, createPartition, type Partition, type PartitionHandle } from './index.ts';
import { SMALL, sweepAll } from './pair.fixture.ts';
import type { PinHammerReport, PinHammerTask } from './pin-hammer.fixture.ts';

const WRITES = 1_500;
/** Enough for a pin to meet a writer that does not look at it. */
const WRITES_UNTIL_CHANGED_MAX = 200_000;

function newHandle(): [PartitionHandle, Partition] {
  const handle = createPartition(SMALL, 0);
  const partition = attachPartition(handle);
  partition.promote(1, 1);
  return [handle, partition];
}

function start(workerData: PinHammerTask): Promise<PinHammerReport> {
  const worker = new Worker(new URL('pin-hammer.fixture.ts', import.meta.url), {
    workerData,
    execArgv: ['--conditions=source'],
  });
  return new Promise((resolve, reject) => {
    worker.once('message', resolve);
    worker.once('error', reject);
  });
}

describe('store: pins, on real threads', () => {
  test('values that are pinned or copied while two writers replace them are whole, and pinned ones stay', async () => {
    const [handle, partition] = newHandle();
    const control = new Int32Array(new SharedArrayBuffer(4));
    const task = { handle, control, honest: true, rounds: WRITES };
    const reading = (['pin', 'copy'] as const).map((kind) => start({ ...task, kind, seed: 0 }));
    await Promise.all([0, 1].map((seed) => start({ ...task, kind: 'write', seed })));
    Atomics.store(control, 0, 1);
    for (const report of await Promise.all(reading)) {
      expect(report).toMatchObject({ torn: 0, changed: 0 });
      expect(report.reads).toBeGreaterThan(0);
    }
    expect(partition.values.pinStats(1)).toEqual({ pins: 0, oldestPinMs: 0 });
    sweepAll(partition, 1_000);
    expect(partition.verify()).toBeNull();
  });

  test('control: under a writer that does not look at pins, pinned bytes change', async () => {
    const [handle] = newHandle();
    const control = new Int32Array(new SharedArrayBuffer(4));
    const task = { handle, control, rounds: WRITES_UNTIL_CHANGED_MAX, seed: 0 };
    const pinning = start({ ...task, kind: 'pin', honest: true });
    await start({ ...task, kind: 'write', honest: false });
    Atomics.store(control, 0, 1);
    const { changed } = await pinning;
    expect(changed).toBeGreaterThan(0);
  });
});
