/** A mutation: the only way in which an image byte changes on a primary.
 *
 *      begin      ++seq; perhaps the next generation
 *      patch ...  the caller writes image bytes and registers each range
 *      commit     stamp every touched chunk, move the ring's tail, append the after-image, publish seq
 *
 *  Owner: whoever is inside the gate of a partition it leads. All memory is allocated up front, so a mutation
 *  neither allocates nor throws, but for broken invariants, which end the process.
 *  Invariant: stamp and redo come before `seq` is published; the redo carries the whole after-image. */
import { invariant } from './errors.ts';
import { CHUNK_BYTES, REDO_CHECK, REDO_CHECK_BYTES, REDO_REPAIR } from './layout.ts';
import * as layout from './layout.ts';
import type { PartitionMemory } from './memory.ts';
import type { RedoRing } from './ring.ts';

// V8 folds the constants of a module itself; imported ones are loaded and checked at each use.
const {
  CHUNK_SHIFT,
  PATCH_HEADER_BYTES,
  PATCH_ZERO_FILL,
  REDO_HEADER_BYTES,
  REDO_MUTATION,
  REDO_RECORD_BYTES_MAX,
  REDO_TXN_END,
  SCRATCH_CLOCK_F64,
  SCRATCH_GENERATION_START_MS_F64,
  SCRATCH_GENERATION_START_SEQ_F64,
  SCRATCH_GENERATION_WORD,
  SCRATCH_LAST_RECORD_WORD,
  SCRATCH_ROLE_WORD,
  SCRATCH_SEQ_F64,
  SCRATCH_TRANSACTION_WORD,
} = layout;

export const ROLE_NONE = 0;
export const ROLE_PRIMARY = 1;
export const ROLE_FOLLOWER = 2;

export const PATCHES_MAX = 160;
const GENERATION_MS = 100;
const GENERATION_SEQS = 65_536;
const HIGH = 4_294_967_296;
const REDO_HEADER_WORDS = REDO_HEADER_BYTES >>> 2;

/** Where a passage can be interrupted in a test: `onStep` runs between the named steps, so that one thread can let
 *  others look at the memory in the middle of it. `apply` is a follower's, between the patches of a record. */
export type MutationStep = 'begin' | 'patch' | 'stamp' | 'append' | 'publish' | 'apply';

export class Mutation {
  onStep: ((step: MutationStep) => void) | null = null;
  /** The seq of the mutation that has begun, in words: a double that is returned would be allocated. */
  seqLow = 0;
  seqHigh = 0;
  readonly #memory: PartitionMemory;
  readonly #ring: RedoRing;
  readonly #scratch32: Int32Array;
  readonly #scratch64: Float64Array;
  readonly #stamps: Uint32Array;
  readonly #offsets: Int32Array = new Int32Array(PATCHES_MAX);
  readonly #lengths: Int32Array = new Int32Array(PATCHES_MAX);
  /** False: nobody can follow, see Geometry. */
  readonly #keepsRedo: boolean;
  #patchCount = 0;
  #totalBytes = 0;
  #flags = 0;
  #bucket = 0;

  constructor(memory: PartitionMemory, ring: RedoRing) {
    this.#memory = memory;
    this.#ring = ring;
    this.#scratch32 = memory.scratch32;
    this.#scratch64 = memory.scratch64;
    this.#stamps = memory.stamps;
    this.#keepsRedo = memory.geometry.ringBytes > 0;
  }

  /** Reserves the next seq. `bucket` is the head bucket concerned, 0 = none. */
  begin(bucket: number, nowMs: number): void {
    invariant(
      this.#scratch32[SCRATCH_ROLE_WORD] === ROLE_PRIMARY,
      'an image byte changes only inside a mutation of its primary',
    );
    const seq = this.#scratch64[SCRATCH_SEQ_F64] + 1;
    this.#advanceGeneration(seq, nowMs);
    this.seqLow = seq | 0;
    this.seqHigh = (seq / HIGH) | 0;
    this.#bucket = bucket;
    this.#patchCount = 0;
    this.#flags = 0;
    this.#totalBytes = REDO_HEADER_BYTES;
    if (this.onStep !== null) this.onStep('begin');
  }

  #advanceGeneration(seq: number, nowMs: number): void {
    const state = this.#scratch64;
    if (nowMs > state[SCRATCH_CLOCK_F64]) state[SCRATCH_CLOCK_F64] = nowMs;
    const elapsedMs = nowMs - state[SCRATCH_GENERATION_START_MS_F64];
    const elapsedSeqs = seq - state[SCRATCH_GENERATION_START_SEQ_F64];
    if (elapsedMs >= 0 && elapsedMs < GENERATION_MS && elapsedSeqs < GENERATION_SEQS) return;
    this.startGeneration(seq, nowMs);
  }

  /** The next generation begins with `seq`. */
  startGeneration(seq: number, nowMs: number): void {
    this.#scratch32[SCRATCH_GENERATION_WORD]++;
    this.#scratch64[SCRATCH_GENERATION_START_MS_F64] = nowMs;
    this.#scratch64[SCRATCH_GENERATION_START_SEQ_F64] = seq;
  }

  /** Registers `bytes` bytes at `offset` (both multiples of 4) that the caller has written. */
  patch(offset: number, bytes: number): void {
    this.#register(offset, bytes);
    this.#totalBytes += PATCH_HEADER_BYTES + bytes;
  }

  /** Fills a range with zeros; the redo carries its length only. */
  zeroFill(offset: number, bytes: number): void {
    this.#memory.imageBuffer.fill(0, offset, offset + bytes);
    this.#register(offset, bytes | PATCH_ZERO_FILL);
    this.#totalBytes += PATCH_HEADER_BYTES;
  }

  #register(offset: number, length: number): void {
    const index = this.#patchCount++;
    invariant(index < PATCHES_MAX, 'a mutation has at most PATCHES_MAX patches');
    this.#offsets[index] = offset;
    this.#lengths[index] = length;
    if (this.onStep !== null) this.onStep('patch');
  }

  commit(): void {
    this.#stampChunks();
    if (this.onStep !== null) this.onStep('stamp');
    if (this.#keepsRedo) this.#appendRedo();
    if (this.onStep !== null) this.onStep('append');
    this.#scratch64[SCRATCH_SEQ_F64] = this.#scratch64[SCRATCH_SEQ_F64] + 1;
    if (this.onStep !== null) this.onStep('publish');
  }

  #stampChunks(): void {
    const generation = this.#scratch32[SCRATCH_GENERATION_WORD];
    for (let i = 0; i < this.#patchCount; i++) {
      const offset = this.#offsets[i];
      const last = (offset + (this.#lengths[i] & ~PATCH_ZERO_FILL) - 1) >>> CHUNK_SHIFT;
      for (let chunk = offset >>> CHUNK_SHIFT; chunk <= last; chunk++) {
        this.#stamps[chunk] = generation;
      }
    }
  }

  #appendRedo(): void {
    const ring = this.#ring;
    const { words, wordMask } = ring;
    invariant(this.#totalBytes <= REDO_RECORD_BYTES_MAX, 'a redo record has a maximum length');
    const inTransaction = this.#scratch32[SCRATCH_TRANSACTION_WORD] !== 0;
    const start = this.#putHeader(
      this.#totalBytes,
      REDO_MUTATION,
      inTransaction ? this.#flags : this.#flags | REDO_TXN_END,
    );
    let at = (start + REDO_HEADER_WORDS) & wordMask;
    for (let i = 0; i < this.#patchCount; i++) {
      const offset = this.#offsets[i];
      const length = this.#lengths[i];
      words[at] = offset;
      words[(at + 1) & wordMask] = length;
      at = (at + 2) & wordMask;
      if (length > 0) at = ring.putImage(at, offset, length);
    }
    ring.publish(start, this.#totalBytes);
  }

  /** Returns the ring word where the record starts. */
  #putHeader(totalBytes: number, kind: number, flags: number): number {
    const ring = this.#ring;
    const { words, wordMask } = ring;
    const at = ring.makeRoom(totalBytes);
    this.#scratch32[SCRATCH_LAST_RECORD_WORD] = at;
    words[at] = totalBytes;
    words[(at + 1) & wordMask] = kind | (flags << 8) | (this.#patchCount << 16);
    words[(at + 2) & wordMask] = this.seqLow;
    words[(at + 3) & wordMask] = this.seqHigh;
    words[(at + 4) & wordMask] = this.#scratch32[SCRATCH_GENERATION_WORD];
    words[(at + 5) & wordMask] = this.#bucket;
    return at;
  }

  /** A mutation whose after-image is a whole chunk as it is: no byte changes here, and a copy that differs is made
   *  equal. Stamped like any other, so that a copy which is away meanwhile gets the chunk when it is back. */
  repair(chunk: number, nowMs: number): void {
    this.begin(0, nowMs);
    this.#flags = REDO_REPAIR;
    this.patch(chunk * CHUNK_BYTES, CHUNK_BYTES);
    this.commit();
  }

  /** Appends a CHECK marker: at the committed seq, chunk `chunk` has this crc32. Changes no image byte. */
  appendCheck(chunk: number, crc32: number): void {
    const seq = this.#scratch64[SCRATCH_SEQ_F64];
    this.seqLow = seq | 0;
    this.seqHigh = (seq / HIGH) | 0;
    this.#bucket = 0;
    this.#patchCount = 0;
    const { words, wordMask } = this.#ring;
    const start = this.#putHeader(REDO_CHECK_BYTES, REDO_CHECK, REDO_TXN_END);
    words[(start + REDO_HEADER_WORDS) & wordMask] = chunk;
    words[(start + REDO_HEADER_WORDS + 1) & wordMask] = crc32 | 0;
    this.#ring.publish(start, REDO_CHECK_BYTES);
  }

  /** Mutations until `endTransaction` are applied whole by followers. Same passage. */
  beginTransaction(): void {
    this.#scratch32[SCRATCH_TRANSACTION_WORD] = 1;
    this.#scratch32[SCRATCH_LAST_RECORD_WORD] = -1;
  }

  endTransaction(): void {
    this.#scratch32[SCRATCH_TRANSACTION_WORD] = 0;
    const lastRecord = this.#scratch32[SCRATCH_LAST_RECORD_WORD];
    if (lastRecord !== -1) this.#ring.addFlags(lastRecord, REDO_TXN_END);
  }
}
