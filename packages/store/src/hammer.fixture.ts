/** Worker thread of gate.test.ts: writes or reads self-checksummed values as fast as it can.
 *  `honest` false leaves out what the control is about. */
import { parentPort, workerData } from 'node:worker_threads';
import { fillValue, isWhole } from './whole-value.fixture.ts';
import { attachPartition, hashKey, type Partition, type PartitionHandle } from './index.ts';

export interface HammerTask {
  readonly handle: PartitionHandle;
  readonly kind: 'write' | 'read' | 'count';
  readonly honest: boolean;
  readonly rounds: number;
  readonly seed: number;
  /** [stop, ready] */
  readonly control: Int32Array;
}

export interface HammerReport {
  readonly reads: number;
  readonly torn: number;
  readonly retried: number;
}

export const HAMMER_KEYS = 8;
const SIZES = [16, 64, 100, 1_000, 6_000, 30_000];
const VALUE_BYTES_MAX = 30_000;
const keys = Array.from({ length: HAMMER_KEYS }, (_, i) => Buffer.from(`hammer:${i}`));
const hashes = keys.map((key) => hashKey(key, 0, key.length));
const NOW_MS = 1_000;

function write(partition: Partition, { rounds, seed, honest, control }: HammerTask): HammerReport {
  const value = Buffer.alloc(VALUE_BYTES_MAX);
  for (let i = 0; i < rounds && Atomics.load(control, 0) === 0; i++) {
    const at = (i + seed) % HAMMER_KEYS;
    const bytes = SIZES[(i * 7 + seed) % SIZES.length];
    fillValue(value, bytes, Math.imul(i, 2_654_435_761) >>> 0);
    if (honest) partition.enter();
    partition.set(hashes[at], keys[at], 0, keys[at].length, value, 0, bytes, 0, NOW_MS);
    if (i % 11 === 0) partition.remove(hashes[at], keys[at], 0, keys[at].length, NOW_MS);
    if (honest) partition.leave();
  }
  return { reads: 0, torn: 0, retried: 0 };
}

/** Copies out what it finds; -1 = nothing there. Never throws, however torn it is. */
function copyOut(partition: Partition, at: number, into: Buffer): number {
  const ref = partition.find(hashes[at], keys[at], 0, keys[at].length, NOW_MS);
  if (ref === 0) return -1;
  const bytes = partition.valueBytes(ref);
  partition.copyValue(ref, 0, Math.min(bytes, VALUE_BYTES_MAX), into, 0);
  return bytes;
}

function read(partition: Partition, { honest, control }: HammerTask): HammerReport {
  const value = Buffer.alloc(VALUE_BYTES_MAX);
  const report = { reads: 0, torn: 0, retried: 0 };
  for (let i = 0; Atomics.load(control, 0) === 0; i++) {
    const token = partition.readBegin();
    const bytes = copyOut(partition, i % HAMMER_KEYS, value);
    const undisturbed = partition.readEnd(token);
    if (!undisturbed) report.retried++;
    if (honest && !undisturbed) continue;
    report.reads++;
    if (bytes !== -1 && !isWhole(value, bytes)) report.torn++;
    if (report.torn > 0) Atomics.store(control, 0, 1);
  }
  return report;
}

/** Adds one to a counter, `rounds` times: read and write in one passage. */
function count(partition: Partition, { rounds, honest }: HammerTask): HammerReport {
  const value = Buffer.alloc(4);
  for (let i = 0; i < rounds; i++) {
    if (honest) partition.enter();
    const ref = partition.find(hashes[0], keys[0], 0, keys[0].length, NOW_MS);
    const before = ref === 0 ? 0 : partition.imageBuffer.readUInt32LE(partition.valueOffset(ref));
    value.writeUInt32LE(before + 1);
    partition.set(hashes[0], keys[0], 0, keys[0].length, value, 0, 4, 0, NOW_MS);
    if (honest) partition.leave();
  }
  return { reads: 0, torn: 0, retried: 0 };
}

export function hammer(task: HammerTask): HammerReport {
  const partition = attachPartition(task.handle);
  Atomics.add(task.control, 1, 1);
  Atomics.notify(task.control, 1);
  if (task.kind === 'write') return write(partition, task);
  return task.kind === 'read' ? read(partition, task) : count(partition, task);
}

if (parentPort !== null && workerData !== null && 'handle' in (workerData as object)) {
  parentPort.postMessage(hammer(workerData as HammerTask));
}
