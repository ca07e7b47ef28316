/** A partition: one image, its scratch, and everything that may be done to them.
 *
 *  Attach once per thread. Three ways in, and each method says which it wants:
 *   - read protocol: token = readBegin(); read; if (!readEnd(token)) read again;
 *   - passage: enter(); mutate; leave(). Nothing inside may throw or wait;
 *   - none: the method takes the gate itself.
 *  Roles: a primary is written through set/remove/...; a follower through applyRedo and landing chunks.
 *  Knows nothing of sockets, timers or clocks: `nowMs` (unix ms) is passed in. */
import { crc32 } from 'node:zlib';
import { type Budget, budgetOf } from './budget.ts';
import { Buckets } from './buckets.ts';
import { type ApplyOutcome, Copy, type Offer } from './copy.ts';
import { invariant } from './errors.ts';
import { Extents } from './extents.ts';
import { FieldSums } from './field-sums.ts';
import { appendHistory, type HistoryEntry, readHistory } from './history.ts';
import {
  CHUNK_BYTES,
  CHUNK_FREE,
  HEADER_FIELDS,
  HEADER_FLUSH_SEQ,
  offsetOf,
  SCRATCH_BASE_VALID_WORD,
  SCRATCH_CHECKED_WORD,
  SCRATCH_RECOVERED_WORD,
  SCRATCH_CONSISTENT_WORD,
  SCRATCH_EPOCH_WORD,
  SCRATCH_GENERATION_WORD,
  SCRATCH_KEY_COUNT_WORD,
  SCRATCH_ROLE_WORD,
  SCRATCH_SEALED_WORD,
  SCRATCH_SEQ_F64,
} from './layout.ts';
import { Lookups } from './lookups.ts';
import { type PartitionHandle, PartitionMemory } from './memory.ts';
import { Mutation, type MutationStep, ROLE_PRIMARY } from './mutation.ts';
import { PartitionState } from './partition-state.ts';
import { Pins } from './pins.ts';
import type { ImageParts } from './rebuild.ts';
import { Records } from './record.ts';
import { RedoRing } from './ring.ts';
import { Sieve } from './sieve.ts';
import { Slab } from './slab.ts';
import { StructRecords } from './struct-records.ts';
import { Sweeper } from './sweeper.ts';
import { verifyChunk } from './verify-chunk.ts';
import { verifyImage } from './verify.ts';
import { Values } from './values.ts';
import { Writer } from './writer.ts';

const FLUSH_SEQ_WORD = HEADER_FLUSH_SEQ >>> 2;
const PARTITION_ID_WORD = offsetOf(HEADER_FIELDS, 'partitionId') >>> 2;
const FLUSH_STAMP_MODULO = 2 ** 20;

export class Partition extends PartitionState {
  readonly imageBuffer: Buffer;
  /** The same, for words that begin anywhere. */
  readonly imageView: DataView;
  /** The image by words, and one access mark per 32 bytes of it; for `Prefetch`. */
  readonly image32: Int32Array;
  readonly accessMarks: Int32Array;
  /** Per chunk: the generation of its last change. */
  readonly stamps: Uint32Array;
  /** Large values, changes of a part of one, and pins. */
  readonly values: Values;
  /** Reads in process. */
  readonly lookups: Lookups;
  /** Records of structs, and fields in place. */
  readonly structs: StructRecords;
  /** Numbers added to fields. */
  readonly sums: FieldSums;
  readonly #memory: PartitionMemory;
  readonly #scratch32: Int32Array;
  readonly #scratch64: Float64Array;
  readonly #ring: RedoRing;
  readonly #mutation: Mutation;
  readonly #records: Records;
  readonly #slab: Slab;
  readonly #buckets: Buckets;
  readonly #sieve: Sieve;
  readonly #writer: Writer;
  readonly #extents: Extents;
  readonly #sweeper: Sweeper;
  readonly #copy: Copy;
  readonly #parts: ImageParts;

  constructor(handle: PartitionHandle) {
    const memory = new PartitionMemory(handle);
    super(handle.id, memory);
    this.imageBuffer = memory.imageBuffer;
    this.imageView = memory.imageView;
    this.image32 = memory.image32;
    this.accessMarks = memory.accessMarks;
    this.stamps = memory.stamps;
    this.#memory = memory;
    this.#scratch32 = memory.scratch32;
    this.#scratch64 = memory.scratch64;
    const ring = new RedoRing(memory);
    const mutation = new Mutation(memory, ring);
    const records = new Records(memory);
    const slab = new Slab(memory);
    const buckets = new Buckets(memory, slab, records);
    const sieve = new Sieve(memory, slab, records);
    const extents = new Extents(memory, { buckets, records, slab, mutation });
    const writer = new Writer(memory, { buckets, records, slab, sieve, mutation, extents });
    const pins = new Pins(memory, records);
    this.#parts = { memory, buckets, records, slab };
    this.#ring = ring;
    this.#mutation = mutation;
    this.#records = records;
    this.#slab = slab;
    this.#buckets = buckets;
    this.#sieve = sieve;
    this.#writer = writer;
    this.#extents = extents;
    this.#sweeper = new Sweeper(memory, {
      buckets,
      records,
      slab,
      writer,
      mutation,
      extents,
    });
    const parts = { memory, buckets, records, slab, writer, mutation, extents, pins };
    this.values = new Values(parts, sieve);
    this.lookups = new Lookups({ memory, buckets, records, sieve, values: this.values });
    this.structs = new StructRecords(parts);
    this.sums = new FieldSums(parts, this.structs);
    this.#copy = new Copy(this.#parts, ring);
  }

  /** Becomes the primary of `epoch` and records it in the history, in a passage of its own. The copy must be
   *  consistent, or empty and new. */
  promote(epoch: number, nowMs: number): void {
    invariant(this.consistent() || this.#copy.isNew(), 'only a consistent copy is promoted');
    this.enter();
    Atomics.store(this.#scratch32, SCRATCH_ROLE_WORD, ROLE_PRIMARY);
    Atomics.store(this.#scratch32, SCRATCH_EPOCH_WORD, epoch);
    Atomics.store(this.#scratch32, SCRATCH_SEALED_WORD, 0);
    Atomics.store(this.#scratch32, SCRATCH_CONSISTENT_WORD, 1);
    Atomics.store(this.#scratch32, SCRATCH_CHECKED_WORD, 1);
    Atomics.store(this.#scratch32, SCRATCH_RECOVERED_WORD, 0);
    this.#scratch32[SCRATCH_BASE_VALID_WORD] = 0;
    this.#slab.cancelDrain();
    const startSeq = this.#scratch64[SCRATCH_SEQ_F64] + 1;
    this.#extents.forgetOrphans();
    this.#mutation.startGeneration(startSeq, nowMs);
    this.#mutation.begin(0, nowMs);
    const generation = this.#scratch32[SCRATCH_GENERATION_WORD] >>> 0;
    appendHistory(this.#memory, this.#mutation, { epoch, generation, startSeq });
    this.#mutation.commit();
    this.leave();
  }

  /** Called between the steps of every mutation made or applied through this object; for tests. */
  set onStep(hook: ((step: MutationStep) => void) | null) {
    this.#mutation.onStep = hook;
    this.#copy.onStep = hook;
  }

  // ------------------------------------------------------------ lookups: read protocol or passage

  /** The record with this key, or 0; hides what is expired or flushed. Without the gate the answer counts only
   *  after readEnd, but is never out of range. */
  find(hash: number, key: Uint8Array, start: number, bytes: number, nowMs: number): number {
    const ref = this.#buckets.find(hash, key, start, bytes);
    return ref !== 0 && this.#records.isAbsent(ref, nowMs) ? 0 : ref;
  }

  /** Notes a read for SIEVE. */
  mark(ref: number): void {
    this.#sieve.mark(ref);
  }

  /** Where the value's bytes in the slot begin. They are the whole value where it `isInOnePiece`. */
  valueOffset(ref: number): number {
    return this.#records.valueOffset(ref);
  }

  /** Of the whole value. */
  valueBytes(ref: number): number {
    return this.#records.valueBytes(ref);
  }

  /** Whether all bytes of the value stand at `valueOffset`: true but for values with extents. */
  isInOnePiece(ref: number): boolean {
    return !this.#records.hasExtents(ref);
  }

  /** Copies `bytes` bytes of the value, from its byte `from` on and as far as it goes, to `target` at `at`. Returns
   *  how many. Without the gate it may copy anything, but throws nothing and stays inside the image. */
  copyValue(ref: number, from: number, bytes: number, target: Buffer, at: number): number {
    return this.#records.copyValue(ref, from, bytes, target, at);
  }

  /** The fingerprint of the struct that a value is, 0 of a plain one. */
  fingerprint(ref: number): number {
    return this.#records.fingerprint(ref);
  }

  keyOffset(ref: number): number {
    return this.#records.keyOffset(ref);
  }

  keyBytes(ref: number): number {
    return this.#records.keyBytes(ref);
  }

  /** Unix ms; 0 = never. */
  expiresAtMs(ref: number): number {
    return this.#records.expiresAtMs(ref);
  }

  /** Bytes of memory that a record takes: its slot, its extents, its entry in a bucket. */
  recordFootprint(ref: number): number {
    return this.#records.footprint(ref);
  }

  recordSeq(ref: number): number {
    return this.#records.seq(ref);
  }

  /** Whether what was read of `ref` can be a record at all; for copies out of the image without the gate. */
  inRange(ref: number): boolean {
    return this.#records.inRange(ref);
  }

  /** Hides what is expired or flushed, for walks. */
  isAbsent(ref: number, nowMs: number): boolean {
    return this.#records.isAbsent(ref, nowMs);
  }

  /** Changes whenever a key of this hash's bucket may have changed: what WATCH compares. */
  bucketSeq(hash: number): number {
    const flushStamp = this.#memory.imageU64(FLUSH_SEQ_WORD) % FLUSH_STAMP_MODULO;
    return flushStamp * 4_294_967_296 + this.#buckets.seqLow(hash);
  }

  bucketCount(): number {
    return this.#buckets.count;
  }

  /** Visits the records of a bucket, absent ones included. Returns the next bucket, 0 at the end. A record
   *  can only move to a higher bucket, so an ascending walk misses none that was there all the while. */
  scanBucket(bucket: number, visit: (ref: number, hash: number) => void): number {
    if (bucket >= this.#buckets.count) return 0;
    this.#buckets.visitChain(bucket, visit);
    return bucket + 1 < this.#buckets.count ? bucket + 1 : 0;
  }

  /** Some record, or 0: one from the first bucket that has any, from a bucket chosen by `random` in [0, 1) on. */
  randomRef(random: number, nowMs: number): number {
    if (this.#scratch32[SCRATCH_KEY_COUNT_WORD] === 0) return 0;
    const { count } = this.#buckets;
    const first = Math.floor(random * count);
    const spread = (random * count * 4_096) >>> 0;
    const refs: number[] = [];
    for (let step = 0; step < count; step++) {
      this.#buckets.visitChain((first + step) % count, (ref) => {
        if (!this.#records.isAbsent(ref, nowMs)) refs.push(ref);
      });
      if (refs.length > 0) return refs[spread % refs.length];
    }
    return 0;
  }

  // ------------------------------------------------------------ writes: inside a passage, on a primary

  /** Returns SET_OK, OUT_OF_MEMORY, TOO_LARGE, or NEEDS_PASSAGES (see `values.beginLarge`). `expiresAtMs` 0 = never. */
  set(
    hash: number,
    key: Uint8Array,
    keyStart: number,
    keyBytes: number,
    value: Uint8Array,
    valueStart: number,
    valueBytes: number,
    expiresAtMs: number,
    nowMs: number,
  ): number {
    return this.#writer.set(
      hash,
      key,
      keyStart,
      keyBytes,
      value,
      valueStart,
      valueBytes,
      expiresAtMs,
      nowMs,
    );
  }

  /** Returns 1 if a live key was removed, else 0. */
  remove(hash: number, key: Uint8Array, start: number, bytes: number, nowMs: number): number {
    return this.#writer.remove(hash, key, start, bytes, nowMs);
  }

  /** Returns 1 if the key is there (and now expires at `expiresAtMs`, 0 = never), else 0. */
  setExpiry(
    hash: number,
    key: Uint8Array,
    start: number,
    bytes: number,
    expiresAtMs: number,
    nowMs: number,
  ): number {
    return this.#writer.setExpiry(hash, key, start, bytes, expiresAtMs, nowMs);
  }

  flush(nowMs: number): void {
    this.#writer.flush(nowMs);
  }

  beginTransaction(): void {
    this.#mutation.beginTransaction();
  }

  endTransaction(): void {
    this.#mutation.endTransaction();
  }

  // ------------------------------------------------------------ upkeep: take the gate themselves

  /** Frees expired and flushed records. Returns where to go on, 0 = once around. */
  sweep(cursorChunk: number, chunkBudget: number, nowMs: number): number {
    return this.#sweeper.sweep(cursorChunk, chunkBudget, nowMs);
  }

  /** A line for each byte of image and scratch. Takes no gate. */
  budget(): Budget {
    return budgetOf(this.#memory, this.#slab, this.#buckets);
  }

  /** Walks image and scratch; returns the first broken rule, or null. Writers wait meanwhile. */
  verify(): string | null {
    this.enter();
    const broken = verifyImage(this.#parts);
    this.leave();
    return broken;
  }

  /** As `verify`, of one chunk: its own bytes, and the records or index entries at the other end of them. Writers wait
   *  for a few ms at most. Says nothing about the bytes of values: only a second copy can. */
  verifyChunk(chunk: number): string | null {
    this.enter();
    const broken = verifyChunk(this.#parts, chunk);
    this.leave();
    return broken;
  }

  // ------------------------------------------------------------ replication: the sender's side

  history(): HistoryEntry[] {
    return this.readStable(() => readHistory(this.#memory));
  }

  /** Chunks at or above it have never been used: all zero. */
  chunksTouched(): number {
    return this.#slab.chunksTouched;
  }

  /** Whether the chunk is all zero and need not be sent in a full sync. */
  chunkIsFree(chunk: number): boolean {
    return chunk >= this.#slab.chunksTouched || this.#slab.kind(chunk) === CHUNK_FREE;
  }

  /** See RedoRing.find. */
  ringFind(seq: number): number {
    return this.#ring.find(seq);
  }

  /** See RedoRing.copy. */
  /** Bytes of whole redo records behind `from`, at least. */
  ringWaiting(from: number): number {
    return this.#ring.waiting(from);
  }

  ringCopy(from: number, maxBytes: number, into: Buffer): number {
    return this.#ring.copy(from, maxBytes, into);
  }

  /** Checksums a chunk and appends the marker to the redo, in one passage. Returns the crc32, or -1 where this
   *  is not the primary. */
  appendCheck(chunk: number): number {
    this.enter();
    let sum = -1;
    if (this.#scratch32[SCRATCH_ROLE_WORD] === ROLE_PRIMARY) {
      sum = this.chunkCrc32(chunk);
      this.#mutation.appendCheck(chunk, sum);
    }
    this.leave();
    return sum;
  }

  /** Puts the whole chunk into the redo, so that followers whose bytes differ become equal, in one passage. Returns
   *  the seq of it, or -1 where this is not the primary, or is sealed. */
  repairChunk(chunk: number, nowMs: number): number {
    this.enter();
    const mayWrite = this.mayWrite();
    if (mayWrite) this.#mutation.repair(chunk, nowMs);
    const seq = mayWrite ? this.#scratch64[SCRATCH_SEQ_F64] : -1;
    this.leave();
    return seq;
  }

  chunkCrc32(chunk: number): number {
    return crc32(this.imageBuffer.subarray(chunk * CHUNK_BYTES, (chunk + 1) * CHUNK_BYTES));
  }

  // ------------------------------------------------------------ replication: the follower's side

  offer(): Offer {
    return this.#copy.offer();
  }

  beginBulk(r0Seq: number): void {
    this.#copy.beginBulk(r0Seq);
  }

  /** The image bytes where a chunk's payload lands. */
  chunkBytesView(chunk: number, from: number, to: number): Buffer {
    const at = chunk * CHUNK_BYTES;
    return this.imageBuffer.subarray(at + from, at + to);
  }

  chunkLands(chunk: number): void {
    this.#copy.chunkLands(chunk);
  }

  chunkLanded(chunk: number, generation: number): void {
    this.#copy.chunkLanded(chunk, generation);
  }

  zeroChunk(chunk: number): void {
    this.#copy.zeroChunk(chunk);
  }

  applyRedo(buffer: Buffer, start: number, end: number, clockMs: number): ApplyOutcome {
    return this.#copy.applyRedo(buffer, start, end, clockMs);
  }

  /** The partition that the image says it is of. */
  imageOwner(): number {
    return this.#memory.image32[PARTITION_ID_WORD];
  }

  /** Raises the highest clock seen, unix ms. Takes the gate. */
  sawClock(clockMs: number): void {
    this.#copy.sawClock(clockMs);
  }

  becomeConsistent(generation: number): string | null {
    return this.#copy.becomeConsistent(generation);
  }

  /** Forgets the copy: an empty image, no base, not consistent. Generation and counters stay. Takes the gate for
   *  as long as the zeroing takes; nobody reads or writes the copy meanwhile. */
  reset(): void {
    this.enter();
    this.#copy.reset(this.id);
    this.leave();
  }
}

/** Attaches to a partition's memory from this thread.
 *  @throws StoreError HANDLE_INVALID when the memory is not what the handle says. */
export function attachPartition(handle: PartitionHandle): Partition {
  return new Partition(handle);
}
