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
import { enterGate, leaveGate } from './gate.ts';
import { type HistoryEntry, keepBaseHistory, readBaseHistory, readHistory } from './history.ts';
import {
  BUCKET_OVERFLOW_WORD,
  CHUNK_BYTES,
  CHUNK_FREE,
  CHUNK_OVERFLOW,
  CHUNK_SHIFT,
  CHUNK_SLAB,
  CHUNK_TABLE_ENTRY_BYTES,
  HEADER_FLUSH_SEQ,
  PATCH_HEADER_BYTES,
  PATCH_ZERO_FILL,
  REDO_CHECK,
  REDO_CHECK_BYTES,
  REDO_HEADER_BYTES,
  REDO_MUTATION,
  REDO_RECORD_BYTES_MAX,
  REDO_TXN_END,
  SCRATCH_BASE_EPOCH_WORD,
  SCRATCH_BASE_GENERATION_WORD,
  SCRATCH_BASE_SEQ_F64,
  SCRATCH_BASE_VALID_WORD,
  SCRATCH_CHECKED_WORD,
  SCRATCH_CLOCK_F64,
  SCRATCH_CONSISTENT_WORD,
  SCRATCH_GENERATION_WORD,
  SCRATCH_KEY_COUNT_WORD,
  SCRATCH_RECORD_COUNT_WORD,
  SCRATCH_RING_HEAD_F64,
  SCRATCH_RING_TAIL_F64,
  SCRATCH_RING_TAIL_SEQ_F64,
  SCRATCH_ROLE_WORD,
  SCRATCH_SEQ_F64,
} from './layout.ts';
import type { PartitionMemory } from './memory.ts';
import { ROLE_FOLLOWER } from './mutation.ts';
import { type ImageParts, isSlot, rebuildScratch } from './rebuild.ts';
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

const TABLE_FROM = CHUNK_BYTES;

export class Copy {
  readonly #parts: ImageParts;
  readonly #memory: PartitionMemory;
  readonly #image32: Int32Array;
  readonly #scratch32: Int32Array;
  readonly #scratch64: Float64Array;
  readonly #ring: RedoRing;

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
      this.#parts.slab.clearBits();
    }
    Atomics.store(this.#scratch32, SCRATCH_CONSISTENT_WORD, 0);
    Atomics.store(this.#scratch32, SCRATCH_CHECKED_WORD, 0);
    this.#scratch64[SCRATCH_SEQ_F64] = r0Seq;
    this.#scratch64[SCRATCH_RING_TAIL_F64] = this.#scratch64[SCRATCH_RING_HEAD_F64]!;
    this.#scratch64[SCRATCH_RING_TAIL_SEQ_F64] = r0Seq + 1;
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

  #sawGeneration(generation: number): void {
    if (generation > this.#scratch32[SCRATCH_GENERATION_WORD]! >>> 0) {
      this.#scratch32[SCRATCH_GENERATION_WORD] = generation;
    }
  }

  #consistentPoint(): CopyPoint {
    const history = readHistory(this.#memory);
    return {
      epoch: history.at(-1)?.epoch ?? 0,
      seq: this.#scratch64[SCRATCH_SEQ_F64]!,
      generation: this.#scratch32[SCRATCH_GENERATION_WORD]! >>> 0,
    };
  }

  /** All bytes are those of the primary at the applied seq. Rebuilds scratch and lets readers in.
   *  Returns the first rule that the received image breaks; the copy then stays inconsistent. */
  becomeConsistent(generation: number): string | null {
    this.#sawGeneration(generation);
    const broken = rebuildScratch(this.#parts);
    if (broken !== null) return broken;
    enterGate(this.#scratch32);
    this.#memory.landed.fill(0);
    this.#scratch32[SCRATCH_BASE_VALID_WORD] = 0;
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
        epoch: this.#scratch32[SCRATCH_BASE_EPOCH_WORD]! >>> 0,
        seq: this.#scratch64[SCRATCH_BASE_SEQ_F64]!,
        generation: this.#scratch32[SCRATCH_BASE_GENERATION_WORD]! >>> 0,
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
    const words = new Int32Array(buffer.buffer, buffer.byteOffset + start, (end - start) >>> 2);
    const broken = this.#brokenRedo(words);
    if (broken !== null) return { ok: false, why: broken };
    const checks: CheckOutcome[] = [];
    enterGate(this.#scratch32);
    const isFollower = this.#scratch32[SCRATCH_ROLE_WORD] === ROLE_FOLLOWER;
    if (isFollower) {
      if (clockMs > this.#scratch64[SCRATCH_CLOCK_F64]!) {
        this.#scratch64[SCRATCH_CLOCK_F64] = clockMs;
      }
      for (let at = 0; at < words.length; at += words[at]! >>> 2)
        this.#applyRecord(words, at, checks);
    }
    leaveGate(this.#scratch32);
    if (!isFollower) return { ok: false, why: 'this copy is no follower' };
    return { ok: true, seq: this.#scratch64[SCRATCH_SEQ_F64]!, checks };
  }

  #brokenRedo(words: Int32Array): string | null {
    let expectedSeq = this.#scratch64[SCRATCH_SEQ_F64]! + 1;
    let complete = false;
    for (let at = 0; at < words.length; ) {
      if (at + REDO_HEADER_BYTES / 4 > words.length) return 'redo: a record is cut';
      const totalBytes = words[at]!;
      const kind = words[at + 1]! & 0xff;
      const isWhole = at + (totalBytes >>> 2) <= words.length;
      if (totalBytes < REDO_HEADER_BYTES || totalBytes > REDO_RECORD_BYTES_MAX) {
        return `redo: a record of ${totalBytes} bytes`;
      }
      if ((totalBytes & 3) !== 0 || !isWhole) return 'redo: a record is cut';
      const seq = (words[at + 2]! >>> 0) + words[at + 3]! * 4_294_967_296;
      if (kind === REDO_MUTATION) {
        if (seq !== expectedSeq) return `redo: seq ${seq} where ${expectedSeq} is due`;
        expectedSeq++;
        const broken = this.#brokenPatches(words, at, totalBytes >>> 2);
        if (broken !== null) return broken;
      } else if (kind === REDO_CHECK) {
        if (seq !== expectedSeq - 1 || totalBytes !== REDO_CHECK_BYTES)
          return 'redo: CHECK out of order';
        const chunk = words[at + REDO_HEADER_BYTES / 4]!;
        if (chunk < 0 || chunk >= this.#memory.geometry.chunkCount)
          return `redo: CHECK of ${chunk}`;
      } else return `redo: kind ${kind}`;
      complete = ((words[at + 1]! >>> 8) & REDO_TXN_END) !== 0;
      at += totalBytes >>> 2;
    }
    return complete ? null : 'redo: the transaction has no end';
  }

  #brokenPatches(words: Int32Array, record: number, recordWords: number): string | null {
    const patchCount = words[record + 1]! >>> 16;
    let at = record + REDO_HEADER_BYTES / 4;
    const end = record + recordWords;
    for (let i = 0; i < patchCount; i++) {
      if (at + 2 > end) return 'redo: a patch is cut';
      const offset = words[at]!;
      const length = words[at + 1]!;
      const bytes = length & ~PATCH_ZERO_FILL;
      if (offset < 0 || ((offset | bytes) & 3) !== 0 || bytes === 0)
        return 'redo: a patch is misaligned';
      if (bytes > this.#memory.geometry.imageBytes - offset) return 'redo: a patch is out of range';
      at += PATCH_HEADER_BYTES / 4 + (length > 0 ? bytes >>> 2 : 0);
    }
    return at === end ? null : 'redo: patches do not fill their record';
  }

  #applyRecord(words: Int32Array, at: number, checks: CheckOutcome[]): void {
    const seq = (words[at + 2]! >>> 0) + words[at + 3]! * 4_294_967_296;
    const generation = words[at + 4]!;
    this.#ring.append(words, at, words[at]! >>> 2);
    if ((words[at + 1]! & 0xff) === REDO_CHECK) {
      this.#compareChunk(seq, words[at + 6]!, words[at + 7]! >>> 0, checks);
      return;
    }
    this.#sawGeneration(generation >>> 0);
    const patchCount = words[at + 1]! >>> 16;
    const first = at + REDO_HEADER_BYTES / 4;
    const tracked = this.#scratch32[SCRATCH_CONSISTENT_WORD] !== 0;
    if (tracked) this.#eachPatch(words, first, patchCount, this.#releaseRefs);
    this.#eachPatch(words, first, patchCount, tracked ? this.#writeTracked : this.#writePlain);
    if (tracked) this.#eachPatch(words, first, patchCount, this.#claimRefs);
    this.#eachPatch(words, first, patchCount, (offset, bytes) => {
      const last = (offset + bytes - 1) >>> CHUNK_SHIFT;
      for (let chunk = offset >>> CHUNK_SHIFT; chunk <= last; chunk++) {
        this.#memory.stamps[chunk] = generation;
      }
    });
    this.#scratch64[SCRATCH_SEQ_F64] = seq;
  }

  #eachPatch(
    words: Int32Array,
    first: number,
    count: number,
    visit: (offset: number, bytes: number, words: Int32Array, dataAt: number) => void,
  ): void {
    let at = first;
    for (let i = 0; i < count; i++) {
      const length = words[at + 1]!;
      const bytes = length & ~PATCH_ZERO_FILL;
      visit(words[at]!, bytes, words, length > 0 ? at + 2 : -1);
      at += 2 + (length > 0 ? bytes >>> 2 : 0);
    }
  }

  #compareChunk(seq: number, chunk: number, expected: number, checks: CheckOutcome[]): void {
    if (this.#scratch32[SCRATCH_CONSISTENT_WORD] === 0) return;
    const at = chunk * CHUNK_BYTES;
    const actual = crc32(this.#memory.imageBuffer.subarray(at, at + CHUNK_BYTES));
    checks.push({ chunk, seq, expected, actual });
  }

  // The three steps over the patches of one record, while the copy is consistent: let go of the slots that the
  // old bytes refer to, write, take the slots that the new bytes refer to. Each is idempotent, because patches overlap.

  readonly #writePlain = (
    offset: number,
    bytes: number,
    words: Int32Array,
    dataAt: number,
  ): void => {
    const to = offset >>> 2;
    const count = bytes >>> 2;
    if (dataAt === -1) this.#image32.fill(0, to, to + count);
    else for (let i = 0; i < count; i++) this.#image32[to + i] = words[dataAt + i]!;
  };

  readonly #writeTracked = (
    offset: number,
    bytes: number,
    words: Int32Array,
    dataAt: number,
  ): void => {
    const { slab } = this.#parts;
    const chunk = (offset - TABLE_FROM) / CHUNK_TABLE_ENTRY_BYTES;
    const isTableEntry =
      bytes === CHUNK_TABLE_ENTRY_BYTES && chunk >= 0 && chunk < this.#memory.geometry.chunkCount;
    const kindBefore = isTableEntry ? slab.kind(chunk) : CHUNK_FREE;
    const classBefore = isTableEntry ? slab.sizeClass(chunk) : 0;
    this.#writePlain(offset, bytes, words, dataAt);
    if (offset === HEADER_FLUSH_SEQ) this.#scratch32[SCRATCH_KEY_COUNT_WORD] = 0;
    if (!isTableEntry) return;
    if (kindBefore !== CHUNK_FREE) slab.chunkReleased(chunk, kindBefore, classBefore);
    const kind = slab.kind(chunk);
    if (kind !== CHUNK_FREE) slab.chunkTaken(chunk, kind, slab.sizeClass(chunk));
  };

  readonly #releaseRefs = (offset: number, bytes: number): void => {
    if (!Buckets.holdsBuckets(this.#parts.slab.kind(offset >>> CHUNK_SHIFT))) return;
    for (let word = offset >>> 2; word < (offset + bytes) >>> 2; word++)
      this.#trackRef(word, false);
  };

  readonly #claimRefs = (offset: number, bytes: number): void => {
    if (!Buckets.holdsBuckets(this.#parts.slab.kind(offset >>> CHUNK_SHIFT))) return;
    for (let word = offset >>> 2; word < (offset + bytes) >>> 2; word++) this.#trackRef(word, true);
  };

  #trackRef(word: number, used: boolean): void {
    const position = word & 15;
    if ((position & 1) === 0 && position !== BUCKET_OVERFLOW_WORD) return;
    if (position === 15) return;
    const ref = this.#image32[word]!;
    if (ref === 0) return;
    const { slab, records } = this.#parts;
    const isOverflow = position === BUCKET_OVERFLOW_WORD;
    if (!isSlot(this.#parts, ref, isOverflow ? CHUNK_OVERFLOW : CHUNK_SLAB)) return;
    if (slab.isUsed(ref) === used) return;
    const sizeClass = isOverflow ? OVERFLOW_CLASS : slab.sizeClass(ref >>> CHUNK_SHIFT);
    if (!isOverflow) {
      const step = used ? 1 : -1;
      this.#scratch32[SCRATCH_RECORD_COUNT_WORD]! += step;
      if (!records.isFlushed(ref)) this.#scratch32[SCRATCH_KEY_COUNT_WORD]! += step;
    }
    if (used) slab.markUsed(ref, sizeClass);
    else slab.markFree(ref, sizeClass);
  }
}
