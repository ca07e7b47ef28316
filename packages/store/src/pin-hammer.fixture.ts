/** Worker thread of pin-hammer.test.ts: sets, changes and deletes self-checksummed values of 8 to 300 KB as fast as it can,
 *  or pins them, looks whether they are whole, waits for some passages, and looks again.
 *
 *  A writer that is not honest does not look at pins. */
import { parentPort, workerData } from 'node:worker_threads';
import { fillValue, isWhole } from './whole-value.fixture.ts';
import { attachPartition, type Partition, type PartitionHandle, PartitionMap } from './index.ts';
import { SCRATCH_PIN_COUNT_WORD } from './layout.ts';

export interface PinHammerTask {
  readonly handle: PartitionHandle;
  readonly kind: 'write' | 'pin' | 'copy';
  readonly honest: boolean;
  readonly rounds: number;
  readonly seed: number;
  /** [stop] */
  readonly control: Int32Array;
}

export interface PinHammerReport {
  readonly reads: number;
  readonly torn: number;
  /** Pins under which bytes changed. */
  readonly changed: number;
}

const NOW_MS = 1_000;
const SIZES = [8_000, 30_000, 66_000, 150_000, 300_000];
const VALUE_BYTES_MAX = 300_000;
const keys = Array.from({ length: 4 }, (_, i) => Buffer.from(`hammer:${i}`));
/** Passages of others that a reader lets by while it holds a pin. */
const GATES_WAITED = 40;

function write(
  partition: Partition,
  { rounds, seed, honest, control, handle }: PinHammerTask,
): void {
  const scratch32 = new Int32Array(handle.scratch);
  const map = new PartitionMap(partition);
  const value = Buffer.alloc(VALUE_BYTES_MAX);
  for (let i = 0; i < rounds && Atomics.load(control, 0) === 0; i++) {
    const key = keys[(i * 2 + seed) % keys.length]; // each writer has keys of its own
    const bytes = SIZES[(i * 7 + seed) % SIZES.length];
    fillValue(value, bytes, Math.imul(i + seed * 1_000_003, 2_654_435_761) >>> 0);
    if (!honest) scratch32[SCRATCH_PIN_COUNT_WORD] = 0;
    map.set(key, value.subarray(0, bytes), NOW_MS);
    if (i % 3 === 0) map.setRange(key, 0, value.subarray(0, bytes), NOW_MS); // the same bytes
    if (i % 11 === 0) map.delete(key, NOW_MS);
    if (i % 50 === 0) partition.sweep(0, 1_000, NOW_MS);
  }
}

/** Until the gate has moved on for some passages, or nobody comes by. */
function letOthersBy(partition: Partition): void {
  for (let i = 0; i < GATES_WAITED; i++) {
    const token = partition.readBegin();
    for (let spins = 0; spins < 2_000 && partition.readEnd(token); spins++);
  }
}

function pin(partition: Partition, { control }: PinHammerTask): PinHammerReport {
  const map = new PartitionMap(partition);
  const report = { reads: 0, torn: 0, changed: 0 };
  for (let i = 0; Atomics.load(control, 0) === 0; i++) {
    const held = map.pin(keys[i % keys.length], NOW_MS);
    if (held === null) continue;
    const first = Buffer.concat([...held.views]);
    if (!isWhole(first, held.bytes)) report.torn++;
    letOthersBy(partition);
    if (!Buffer.concat([...held.views]).equals(first)) report.changed++;
    held.unpin();
    report.reads++;
    if (report.torn + report.changed > 0) Atomics.store(control, 0, 1);
  }
  return report;
}

function copy(partition: Partition, { control }: PinHammerTask): PinHammerReport {
  const map = new PartitionMap(partition);
  const report = { reads: 0, torn: 0, changed: 0 };
  for (let i = 0; Atomics.load(control, 0) === 0; i++) {
    const value = map.get(keys[i % keys.length], NOW_MS);
    if (value === null) continue;
    report.reads++;
    if (!isWhole(value, value.length)) report.torn++;
  }
  return report;
}

function hammer(task: PinHammerTask): PinHammerReport {
  const partition = attachPartition(task.handle);
  if (task.kind === 'pin') return pin(partition, task);
  if (task.kind === 'copy') return copy(partition, task);
  write(partition, task);
  return { reads: 0, torn: 0, changed: 0 };
}

parentPort?.postMessage(hammer(workerData as PinHammerTask));
