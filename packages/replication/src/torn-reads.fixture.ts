/** Worker threads of torn-reads.test.ts, all on the same memory: one writes to the primary, one runs sender and
 *  follower and lands everything in the copy, the others read the copy by the read protocol.
 *
 *  A value is its own proof: [crc32 of the rest, stamp, filler]. Values come in pairs, written in one transaction
 *  with one stamp: whoever sees two stamps has seen half a transaction, whoever sees a stamp smaller than one seen
 *  before has seen the copy go back. `honest` false leaves out what the control is about. */
import { parentPort, workerData } from 'node:worker_threads';
import { crc32 } from 'node:zlib';
import { attachPartition, hashKey, type Partition, type PartitionHandle } from '@ingot/store';
import { Random } from './random.fixture.ts';
import { Wire } from './wire.fixture.ts';

export interface TornReadsTask {
  readonly primary: PartitionHandle;
  readonly copy: PartitionHandle;
  readonly kind: 'write' | 'replicate' | 'read';
  readonly seed: number;
  /** A reader that is not honest does not look at the gate again. */
  readonly honest: boolean;
  /** Connections that the replicating thread makes, one after the other. */
  readonly links: number;
  readonly epoch: number;
  /** [stop] */
  readonly control: Int32Array;
}

export interface TornReadsReport {
  readonly transactions: number;
  readonly reads: number;
  readonly retried: number;
  readonly torn: number;
  readonly halves: number;
  readonly backwards: number;
  /** What primaries did: "BEGIN", "syncStarted: stream, ..." */
  readonly events: readonly string[];
}

const STOP = 0;
const PAIRS = 4;
const HEAD_BYTES = 8;
const SIZES = [16, 200, 3_000, 9_000, 24_000];
const VALUE_BYTES_MAX = 24_000;
const NOW_MS = 1_000;
/** Of 16 transactions one removes its pair. */
const REMOVES = 16;
/** Transactions that the copy may be behind: fewer than the ring holds, and more, in turns. */
const LAGS = [15, 120];
const LAG_TURN = 100;
const STEPS_PER_LINK_MAX = 30_000;

type Side = 'a' | 'b';
const keyOf = (pair: number, side: Side): Buffer => Buffer.from(`pair:${pair}:${side}`);
const pairs = Array.from({ length: PAIRS }, (_, pair) =>
  (['a', 'b'] as const).map((side) => {
    const key = keyOf(pair, side);
    return { key, hash: hashKey(key, 0, key.length) };
  }),
);

function fillValue(value: Buffer, bytes: number, stamp: number): void {
  value.writeUInt32LE(stamp, 4);
  value.fill(stamp & 0xff, HEAD_BYTES, bytes);
  value.writeUInt32LE(crc32(value.subarray(4, bytes)), 0);
}

/** Its stamp, or -1 where it is not what was written. */
function stampOf(value: Buffer, bytes: number): number {
  if (bytes < HEAD_BYTES || bytes > VALUE_BYTES_MAX) return -1;
  if (crc32(value.subarray(4, bytes)) !== value.readUInt32LE(0)) return -1;
  return value.readUInt32LE(4);
}

/** Transactions until it is told to stop; waits where the copy is too far behind. */
function write({ primary, copy, seed, control }: TornReadsTask): Partial<TornReadsReport> {
  const partition = attachPartition(primary);
  const follower = attachPartition(copy);
  const random = new Random(seed);
  const value = Buffer.alloc(VALUE_BYTES_MAX);
  let transactions = 0;
  for (let stamp = 1; Atomics.load(control, STOP) === 0; stamp++, transactions++) {
    const lagMax = LAGS[Math.floor(stamp / LAG_TURN) % LAGS.length];
    while (partition.stats().seq - follower.stats().seq > 2 * lagMax) {
      if (Atomics.wait(control, STOP, 0, 1) !== 'timed-out') return { transactions };
    }
    const pair = pairs[random.below(PAIRS)];
    const removes = random.below(REMOVES) === 0;
    partition.enter();
    partition.beginTransaction();
    for (const { key, hash } of pair) {
      const bytes = SIZES[random.below(SIZES.length)];
      fillValue(value, bytes, stamp);
      if (removes) partition.remove(hash, key, 0, key.length, NOW_MS);
      else partition.set(hash, key, 0, key.length, value, 0, bytes, 0, NOW_MS);
    }
    partition.endTransaction();
    partition.leave();
  }
  return { transactions };
}

/** One connection after the other, each left at a random step; then the copy may catch up for good. */
function replicate(task: TornReadsTask): Partial<TornReadsReport> {
  const ends = {
    primary: attachPartition(task.primary),
    copy: attachPartition(task.copy),
    epoch: task.epoch,
  };
  const random = new Random(task.seed);
  const events: string[] = [];
  let nowMs = NOW_MS;
  for (let link = 0; link < task.links && Atomics.load(task.control, STOP) === 0; link++) {
    const wire = new Wire(ends, random);
    const steps = random.below(STEPS_PER_LINK_MAX);
    for (let i = 0; i < steps && wire.dropped === null; i++) wire.step(nowMs++);
    events.push(...wire.events);
  }
  Atomics.store(task.control, STOP, 1);
  Atomics.notify(task.control, STOP);
  return { events };
}

class CopyReader {
  reads = 0;
  retried = 0;
  torn = 0;
  halves = 0;
  backwards = 0;
  readonly #copy: Partition;
  readonly #honest: boolean;
  readonly #values = [Buffer.alloc(VALUE_BYTES_MAX), Buffer.alloc(VALUE_BYTES_MAX)];
  readonly #lastStamps: number[] = pairs.map(() => 0);

  constructor(copy: Partition, honest: boolean) {
    this.#copy = copy;
    this.#honest = honest;
  }

  /** Reads both values of a pair as one command would; nothing counts unless the gate stood still. */
  read(pair: number): void {
    const token = this.#copy.readBegin();
    if (!this.#copy.consistent()) return;
    const sizes = pairs[pair].map((_, side) => this.#copyOut(pair, side));
    const isUndisturbed = this.#copy.readEnd(token);
    if (!isUndisturbed) this.retried++;
    if (!isUndisturbed && this.#honest) return;
    this.reads++;
    this.#judge(pair, sizes);
  }

  /** -1 = nothing there. Never throws, however torn it is. */
  #copyOut(pair: number, side: number): number {
    const { key, hash } = pairs[pair][side];
    const ref = this.#copy.find(hash, key, 0, key.length, NOW_MS);
    if (ref === 0 || !this.#copy.inRange(ref)) return -1;
    const bytes = this.#copy.valueBytes(ref);
    const from = this.#copy.valueOffset(ref);
    const to = from + Math.min(bytes, VALUE_BYTES_MAX);
    this.#copy.imageBuffer.copy(this.#values[side], 0, from, to);
    return bytes;
  }

  #judge(pair: number, sizes: readonly number[]): void {
    const stamps = sizes.map((bytes, side) =>
      bytes === -1 ? 0 : stampOf(this.#values[side], bytes),
    );
    if (stamps.includes(-1)) this.torn++;
    else if (stamps[0] !== stamps[1]) this.halves++;
    else if (stamps[0] !== 0 && stamps[0] < this.#lastStamps[pair]) this.backwards++;
    else this.#lastStamps[pair] = Math.max(stamps[0], this.#lastStamps[pair]);
  }
}

/** Until it is told to stop; a reader that is not honest stops everybody once it has seen what it was to see. */
function read({ copy, honest, control }: TornReadsTask): Partial<TornReadsReport> {
  const reader = new CopyReader(attachPartition(copy), honest);
  for (let i = 0; Atomics.load(control, STOP) === 0; i++) {
    reader.read(i % PAIRS);
    if (!honest && reader.torn > 0) Atomics.store(control, STOP, 1);
  }
  const { reads, retried, torn, halves, backwards } = reader;
  return { reads, retried, torn, halves, backwards };
}

const NOTHING: TornReadsReport = {
  transactions: 0,
  reads: 0,
  retried: 0,
  torn: 0,
  halves: 0,
  backwards: 0,
  events: [],
};

function run(task: TornReadsTask): TornReadsReport {
  const work = { write, replicate, read }[task.kind];
  return { ...NOTHING, ...work(task) };
}

parentPort?.postMessage(run(workerData as TornReadsTask));
