/** A follower's copy: how raw chunks and redo records land in an image.
 *
 *  Owner: the replication worker of the follower. While a bulk is under way the copy is not consistent: nobody reads
 *  it, redo only changes bytes and stamps, and the base (the last point at which it was consistent, with the
 *  history of then) is kept in scratch. Once consistent, redo also keeps used slots and counts current, so
 *  that a promotion scans nothing.
 *  Invariants: seq is contiguous; a transaction is applied whole, in one passage; every offset and length is
 *  range-checked before any byte is written. */
import { crc32 } from 'node:zlib';
import { Buckets } from './buckets.ts';
import { ChunkTable } from './chunk-table.ts';
import { enterGate, leaveGate } from './gate.ts';
import { type HistoryEntry, keepBaseHistory, readBaseHistory, readHistory } from './history.ts';
import {
  BUCKET_BYTES,
  BUCKET_OVERFLOW_WORD,
  BUCKET_SEQ_WORD,
  CHUNK_BYTES,
  CHUNK_EXTENT,
  CHUNK_FREE,
  CHUNK_SHIFT,
  CHUNK_TABLE_ENTRY_BYTES,
  CHUNK_TABLE_ENTRY_SHIFT,
  HEADER_FLUSH_SEQ,
  PATCH_ZERO_FILL,
  REDO_CHECK,
  REDO_HEADER_BYTES,
  REDO_MUTATION,
  SCRATCH_BASE_EPOCH_WORD,
  SCRATCH_BASE_GENERATION_WORD,
  SCRATCH_BASE_SEQ_F64,
  SCRATCH_BASE_VALID_WORD,
  SCRATCH_CHECKED_WORD,
  SCRATCH_CLOCK_F64,
  SCRATCH_CONSISTENT_WORD,
  SCRATCH_GENERATION_WORD,
  SCRATCH_KEY_COUNT_WORD,
  SCRATCH_LANDINGS_WORD,
  SCRATCH_RECOVERED_WORD,
  SCRATCH_RECORD_COUNT_WORD,
  SCRATCH_ROLE_WORD,
  SCRATCH_SEQ_F64,
  TABLE_OWNER_WORD,
  TABLE_POSITION_WORD,
} from './layout.ts';
import { firstFreeChunk, type PartitionMemory, writeEmptyImage } from './memory.ts';
import { type MutationStep, ROLE_FOLLOWER } from './mutation.ts';
import { type ImageParts, isOverflowSlot, isRecordSlot, rebuildScratch } from './rebuild.ts';
import { brokenRedo, isRepair } from './redo-rules.ts';
import type { RedoRing } from './ring.ts';
import { OVERFLOW_CLASS } from './size-classes.ts';

/** In `Offer.stamps`: the chunk's bytes landed after the base, whatever its stamp. */
export const LANDED_SINCE_BASE = 0xffff_ffff;

export interface CopyPoint {
  readonly epoch: number;
  readonly seq: number;
  readonly generation: number;
}

/** What a follower offers at HELLO. */
export interface Offer {
  readonly base: CopyPoint | null;
  readonly history: HistoryEntry[];
  /** Per chunk: the generation of its last change, or LANDED_SINCE_BASE. */
  readonly stamps: Uint32Array;
}

export interface CheckOutcome {
  readonly chunk: number;
  readonly seq: number;
  readonly expected: number;
  readonly actual: number;
}

export type ApplyOutcome =
  | { readonly ok: true; readonly seq: number; readonly checks: readonly CheckOutcome[] }
  | { readonly ok: false; readonly why: string };

/** Up to here a loop is cheaper than a call of Buffer.copy. */
const WRITE_BY_WORD_MAX = 64;
/** What `eachPatch` does. */
const RELEASE = 0;
const WRITE = 1;
const WRITE_TRACKED = 2;
const CLAIM = 3;

export class Copy {
  onStep: ((step: MutationStep) => void) | null = null;
  readonly #parts: ImageParts;
  readonly #memory: PartitionMemory;
  readonly #image32: Int32Array;
  readonly #scratch32: Int32Array;
  readonly #scratch64: Float64Array;
  readonly #ring: RedoRing;
  /** A repair was written in this passage after which scratch has to be rebuilt before the gate opens. */
  #repaired = false;

  constructor(parts: ImageParts, ring: RedoRing) {
    this.#parts = parts;
    this.#memory = parts.memory;
    this.#image32 = parts.memory.image32;
    this.#scratch32 = parts.memory.scratch32;
    this.#scratch64 = parts.memory.scratch64;
    this.#ring = ring;
  }

  /** A bulk begins: chunks will land over the image and redo goes on from `r0Seq`. Moves the gate, so that no
   *  reader trusts what it read meanwhile. */
  beginBulk(r0Seq: number): void {
    enterGate(this.#scratch32);
    if (this.#scratch32[SCRATCH_CONSISTENT_WORD] !== 0) {
      const point = this.#consistentPoint();
      this.#scratch32[SCRATCH_BASE_VALID_WORD] = 1;
      this.#scratch32[SCRATCH_BASE_EPOCH_WORD] = point.epoch;
      this.#scratch32[SCRATCH_BASE_GENERATION_WORD] = point.generation;
      this.#scratch64[SCRATCH_BASE_SEQ_F64] = point.seq;
      keepBaseHistory(this.#memory);
      this.#memory.landed.fill(0);
    }
    this.#scratch32[SCRATCH_LANDINGS_WORD]++;
    Atomics.store(this.#scratch32, SCRATCH_CONSISTENT_WORD, 0);
    Atomics.store(this.#scratch32, SCRATCH_CHECKED_WORD, 0);
    this.#scratch64[SCRATCH_SEQ_F64] = r0Seq;
    this.#ring.clear(r0Seq + 1);
    leaveGate(this.#scratch32);
  }

  /** Notes that bytes of a chunk are about to land. Call before the first of them does. */
  chunkLands(chunk: number): void {
    this.#memory.landed[chunk] = 1;
  }

  /** A chunk has landed whole, with the stamp that its primary gave it. */
  chunkLanded(chunk: number, generation: number): void {
    this.#memory.stamps[chunk] = generation;
    this.#sawGeneration(generation);
  }

  /** A chunk that a full sync does not send is zero on the primary. */
  zeroChunk(chunk: number): void {
    this.chunkLands(chunk);
    this.#memory.imageBuffer.fill(0, chunk * CHUNK_BYTES, (chunk + 1) * CHUNK_BYTES);
    this.#memory.stamps[chunk] = 0;
  }

  /** Whether nothing has been written to it or has landed in it. */
  isNew(): boolean {
    return (
      this.#scratch64[SCRATCH_SEQ_F64] === 0 && this.#memory.landed.every((flag) => flag === 0)
    );
  }

  /** Forgets image, base and ring, inside the gate. Zeroes what was ever written, and no page more. */
  reset(partitionId: number): void {
    const { geometry, imageBuffer, stamps, landed } = this.#memory;
    this.#scratch32[SCRATCH_BASE_VALID_WORD] = 0;
    Atomics.store(this.#scratch32, SCRATCH_CONSISTENT_WORD, 0);
    Atomics.store(this.#scratch32, SCRATCH_CHECKED_WORD, 0);
    const touched = Math.max(this.#parts.slab.chunksTouched, firstFreeChunk(geometry));
    for (let chunk = 0; chunk < geometry.chunkCount; chunk++) {
      if (chunk >= touched && stamps[chunk] === 0 && landed[chunk] === 0) continue;
      imageBuffer.fill(0, chunk * CHUNK_BYTES, (chunk + 1) * CHUNK_BYTES);
    }
    stamps.fill(0);
    landed.fill(0);
    writeEmptyImage(geometry, partitionId, this.#image32);
    this.#scratch64[SCRATCH_SEQ_F64] = 0;
    this.#scratch64[SCRATCH_CLOCK_F64] = 0;
    this.#scratch32[SCRATCH_LANDINGS_WORD]++;
    this.#ring.clear(1);
    rebuildScratch(this.#parts);
  }

  /** What the copy's bytes were last written under: nothing that had expired by then comes back. */
  sawClock(clockMs: number): void {
    enterGate(this.#scratch32);
    if (clockMs > this.#scratch64[SCRATCH_CLOCK_F64]) this.#scratch64[SCRATCH_CLOCK_F64] = clockMs;
    leaveGate(this.#scratch32);
  }

  #sawGeneration(generation: number): void {
    if (generation > this.#scratch32[SCRATCH_GENERATION_WORD] >>> 0) {
      this.#scratch32[SCRATCH_GENERATION_WORD] = generation;
    }
  }

  #consistentPoint(): CopyPoint {
    const history = readHistory(this.#memory);
    return {
      epoch: history.at(-1)?.epoch ?? 0,
      seq: this.#scratch64[SCRATCH_SEQ_F64],
      generation: this.#scratch32[SCRATCH_GENERATION_WORD] >>> 0,
    };
  }

  /** All bytes are those of the primary at the applied seq. Rebuilds scratch and lets readers in.
   *  Returns the first rule that the received image breaks; the copy then stays inconsistent. */
  becomeConsistent(generation: number): string | null {
    const broken = rebuildScratch(this.#parts);
    if (broken !== null) return broken;
    enterGate(this.#scratch32);
    // Not the highest ever seen: a rewound copy has seen generations of mutations that it lost, and offering one of
    // those as its base would hide what its primary changes next.
    this.#scratch32[SCRATCH_GENERATION_WORD] = generation;
    this.#memory.landed.fill(0);
    this.#scratch32[SCRATCH_BASE_VALID_WORD] = 0;
    Atomics.store(this.#scratch32, SCRATCH_RECOVERED_WORD, 0);
    Atomics.store(this.#scratch32, SCRATCH_CONSISTENT_WORD, 1);
    leaveGate(this.#scratch32);
    return null;
  }

  offer(): Offer {
    if (this.#scratch32[SCRATCH_CONSISTENT_WORD] !== 0) {
      return {
        base: this.#consistentPoint(),
        history: readHistory(this.#memory),
        stamps: this.#memory.stamps.slice(),
      };
    }
    if (this.#scratch32[SCRATCH_BASE_VALID_WORD] === 0) {
      return { base: null, history: [], stamps: new Uint32Array(0) };
    }
    return {
      base: {
        epoch: this.#scratch32[SCRATCH_BASE_EPOCH_WORD] >>> 0,
        seq: this.#scratch64[SCRATCH_BASE_SEQ_F64],
        generation: this.#scratch32[SCRATCH_BASE_GENERATION_WORD] >>> 0,
      },
      history: readBaseHistory(this.#memory),
      stamps: this.#memory.stamps.map((stamp, chunk) =>
        this.#memory.landed[chunk] === 0 ? stamp : LANDED_SINCE_BASE,
      ),
    };
  }

  // ------------------------------------------------------------ redo

  /** Applies the whole records in `buffer` from `start` to `end` (4-aligned in its ArrayBuffer), which must end
   *  with a transaction, in one passage. Nothing is applied unless all of it is well-formed and in order. */
  applyRedo(buffer: Buffer, start: number, end: number, clockMs: number): ApplyOutcome {
    if (((end - start) & 3) !== 0 || end <= start)
      return { ok: false, why: 'redo: a record is cut' };
    const words = new Int32Array(buffer.buffer, buffer.byteOffset + start, (end - start) >>> 2);
    const dueSeq = this.#scratch64[SCRATCH_SEQ_F64] + 1;
    const broken = brokenRedo(words, dueSeq, this.#memory.geometry);
    if (broken !== null) return { ok: false, why: broken };
    const checks: CheckOutcome[] = [];
    let unsound: string | null = null;
    this.#repaired = false;
    enterGate(this.#scratch32);
    const isFollower = this.#scratch32[SCRATCH_ROLE_WORD] === ROLE_FOLLOWER;
    if (isFollower) {
      if (clockMs > this.#scratch64[SCRATCH_CLOCK_F64]) {
        this.#scratch64[SCRATCH_CLOCK_F64] = clockMs;
      }
      for (let at = 0; at < words.length; at += words[at] >>> 2) {
        // A CHECK asks one copy at one moment: nobody who resumes from this ring needs it again.
        const isMutation = (words[at + 1] & 0xff) === REDO_MUTATION;
        if (isMutation) this.#ring.appendRecord(buffer, start + at * 4, words[at]);
        this.#applyRecord(words, at, checks);
      }
      if (this.#repaired) unsound = this.#settleRepair();
    }
    leaveGate(this.#scratch32);
    if (!isFollower) return { ok: false, why: 'this copy is no follower' };
    if (unsound !== null) return { ok: false, why: `the repaired copy is sound: ${unsound}` };
    return { ok: true, seq: this.#scratch64[SCRATCH_SEQ_F64], checks };
  }

  #applyRecord(words: Int32Array, at: number, checks: CheckOutcome[]): void {
    const seq = (words[at + 2] >>> 0) + words[at + 3] * 4_294_967_296;
    if ((words[at + 1] & 0xff) === REDO_CHECK) {
      this.#compareChunk(seq, words[at + 6], words[at + 7] >>> 0, checks);
      return;
    }
    const generation = words[at + 4];
    this.#sawGeneration(generation >>> 0);
    const isConsistent = this.#scratch32[SCRATCH_CONSISTENT_WORD] !== 0;
    if (isConsistent && isRepair(words, at) && !this.#isOfRecords(words[at + 6])) {
      this.#repaired = true;
    }
    if (isConsistent && !this.#repaired) {
      this.#eachPatch(words, at, RELEASE);
      this.#eachPatch(words, at, WRITE_TRACKED);
      this.#eachPatch(words, at, CLAIM);
    } else this.#eachPatch(words, at, WRITE);
    this.#scratch64[SCRATCH_SEQ_F64] = seq;
  }

  /** Whether what scratch knows cannot have gone wrong by damage to the chunk at `offset`: extents are bytes of values, no
   *  refs come from chunks of records, and while there was no flush every record counts as a key, whatever its seq. */
  #isOfRecords(offset: number): boolean {
    const kind = this.#parts.slab.kind(offset >>> CHUNK_SHIFT);
    const flushSeq = this.#memory.imageU64(HEADER_FLUSH_SEQ >>> 2);
    if (kind === CHUNK_EXTENT) return true;
    return (ChunkTable.holdsRecords(kind) || kind === CHUNK_FREE) && flushSeq === 0;
  }

  /** What scratch knew was followed through damaged bytes, so it is read anew from the repaired ones, inside the gate:
   *  nobody may promote the copy before. Where the image is still unsound, more is wrong with it than was found:
   *  it loses its base as well, because chunks that changed without a stamp would survive a catch-up.
   *  Returns the rule that it breaks. */
  #settleRepair(): string | null {
    const broken = rebuildScratch(this.#parts);
    if (broken === null) return null;
    this.#scratch32[SCRATCH_BASE_VALID_WORD] = 0;
    Atomics.store(this.#scratch32, SCRATCH_CONSISTENT_WORD, 0);
    Atomics.store(this.#scratch32, SCRATCH_CHECKED_WORD, 0);
    return broken;
  }

  /** While the copy is consistent three steps go over the patches of one record: let go of the slots that the
   *  old bytes refer to, write, take the slots that the new bytes refer to. The first and the last are
   *  idempotent, because patches overlap. */
  #eachPatch(words: Int32Array, record: number, step: number): void {
    const generation = words[record + 4];
    let at = record + REDO_HEADER_BYTES / 4;
    for (let left = words[record + 1] >>> 16; left > 0; left--) {
      const offset = words[at];
      const length = words[at + 1];
      const bytes = length & ~PATCH_ZERO_FILL;
      const dataAt = length > 0 ? at + 2 : 0;
      if (step === RELEASE) this.#trackRefs(offset, bytes, false);
      else if (step === CLAIM) this.#trackRefs(offset, bytes, true);
      else {
        if (step === WRITE) this.#write(offset, bytes, words, dataAt);
        else this.#writeTracked(offset, bytes, words, dataAt);
        this.#stamp(offset, bytes, generation);
        if (this.onStep !== null) this.onStep('apply');
      }
      at += 2 + (length > 0 ? bytes >>> 2 : 0);
    }
  }

  #stamp(offset: number, bytes: number, generation: number): void {
    const last = (offset + bytes - 1) >>> CHUNK_SHIFT;
    for (let chunk = offset >>> CHUNK_SHIFT; chunk <= last; chunk++) {
      this.#memory.stamps[chunk] = generation;
    }
  }

  #compareChunk(seq: number, chunk: number, expected: number, checks: CheckOutcome[]): void {
    if (this.#scratch32[SCRATCH_CONSISTENT_WORD] === 0) return;
    const at = chunk * CHUNK_BYTES;
    const actual = crc32(this.#memory.imageBuffer.subarray(at, at + CHUNK_BYTES));
    checks.push({ chunk, seq, expected, actual });
  }

  /** `dataAt` 0 = fill with zeros. */
  #write(offset: number, bytes: number, words: Int32Array, dataAt: number): void {
    const to = offset >>> 2;
    const count = bytes >>> 2;
    if (dataAt === 0) this.#image32.fill(0, to, to + count);
    else if (count > WRITE_BY_WORD_MAX) {
      const source = Buffer.from(words.buffer, words.byteOffset + dataAt * 4, bytes);
      source.copy(this.#memory.imageBuffer, offset);
    } else for (let i = 0; i < count; i++) this.#image32[to + i] = words[dataAt + i];
  }

  #writeTracked(offset: number, bytes: number, words: Int32Array, dataAt: number): void {
    const chunk = this.#tableEntry(offset, bytes);
    const { slab } = this.#parts;
    const before = this.#image32[offset >>> 2];
    const ownerBefore = this.#image32[(offset >>> 2) + TABLE_OWNER_WORD];
    const positionBefore = this.#image32[(offset >>> 2) + TABLE_POSITION_WORD];
    this.#write(offset, bytes, words, dataAt);
    if (offset === HEADER_FLUSH_SEQ) this.#scratch32[SCRATCH_KEY_COUNT_WORD] = 0;
    if (chunk !== -1) slab.entryChanged(chunk, before, ownerBefore, positionBefore);
  }

  /** The chunk whose table entry a patch is, or -1. */
  #tableEntry(offset: number, bytes: number): number {
    if (bytes !== CHUNK_TABLE_ENTRY_BYTES || offset < CHUNK_BYTES) return -1;
    const chunk = (offset - CHUNK_BYTES) >>> CHUNK_TABLE_ENTRY_SHIFT;
    return chunk < this.#memory.geometry.chunkCount ? chunk : -1;
  }

  #trackRefs(offset: number, bytes: number, used: boolean): void {
    if (!Buckets.holdsBuckets(this.#parts.slab.kind(offset >>> CHUNK_SHIFT))) return;
    const end = (offset + bytes) >>> 2;
    for (let word = offset >>> 2; word < end; word++) {
      const position = word & (BUCKET_BYTES / 4 - 1);
      const isOverflow = position === BUCKET_OVERFLOW_WORD;
      const isRef = isOverflow || ((position & 1) === 1 && position !== BUCKET_SEQ_WORD);
      const ref = isRef ? this.#image32[word] : 0;
      if (ref !== 0) this.#track(ref, isOverflow, used);
    }
  }

  #track(ref: number, isOverflow: boolean, used: boolean): void {
    const { slab, records } = this.#parts;
    const isSlot = isOverflow ? isOverflowSlot(this.#parts, ref) : isRecordSlot(this.#parts, ref);
    if (!isSlot || slab.isUsed(ref) === used) return;
    const sizeClass = isOverflow ? OVERFLOW_CLASS : slab.classOf(ref);
    if (used) slab.markUsed(ref, sizeClass);
    else slab.markFree(ref, sizeClass);
    if (isOverflow) return;
    const step = used ? 1 : -1;
    this.#scratch32[SCRATCH_RECORD_COUNT_WORD] += step;
    if (!records.isFlushed(ref)) this.#scratch32[SCRATCH_KEY_COUNT_WORD] += step;
  }
}
