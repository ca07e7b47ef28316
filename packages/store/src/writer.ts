/** What a primary does to its records: set, remove, expire, flush, each one or more mutations.
 *
 *  Owner: whoever is inside the gate. Everything that can fail (no memory, too large) is decided before the first
 *  byte of a mutation is written; eviction to make room is made of mutations of its own. */
import type { Buckets } from './buckets.ts';
import {
  CHUNK_BYTES,
  CHUNK_SHIFT,
  HEADER_FLUSH_SEQ,
  KEY_BYTES_MAX,
  RECORD_HEADER_BYTES,
  SCRATCH_EVICTIONS_F64,
  SCRATCH_EXPIRIES_F64,
  SCRATCH_KEY_COUNT_WORD,
  SCRATCH_POLICY_WORD,
  SCRATCH_RECORD_COUNT_WORD,
} from './layout.ts';
import { type PartitionMemory, POLICY_NOEVICTION } from './memory.ts';
import type { Mutation } from './mutation.ts';
import type { Records } from './record.ts';
import type { Sieve } from './sieve.ts';
import { classOfRecord, OVERFLOW_CLASS, SLOT_BYTES, SLOTS_PER_CHUNK } from './size-classes.ts';
import type { Slab } from './slab.ts';

export const SET_OK = 1;
export const OUT_OF_MEMORY = -1;
export const TOO_LARGE = -2;

/** Records per bucket above which an insert splits one bucket, if a chunk is free. */
const LOAD_MAX = 4.5;
/** Above this the index takes a chunk from the records rather than grow longer chains. */
const LOAD_URGENT = 6.5;
const FLUSH_SEQ_WORD = HEADER_FLUSH_SEQ >>> 2;

export class Writer {
  readonly #memory: PartitionMemory;
  readonly #scratch32: Int32Array;
  readonly #buckets: Buckets;
  readonly #records: Records;
  readonly #slab: Slab;
  readonly #sieve: Sieve;
  readonly #mutation: Mutation;

  constructor(
    memory: PartitionMemory,
    parts: {
      buckets: Buckets;
      records: Records;
      slab: Slab;
      sieve: Sieve;
      mutation: Mutation;
    },
  ) {
    this.#memory = memory;
    this.#scratch32 = memory.scratch32;
    this.#buckets = parts.buckets;
    this.#records = parts.records;
    this.#slab = parts.slab;
    this.#sieve = parts.sieve;
    this.#mutation = parts.mutation;
  }

  // ------------------------------------------------------------ set

  /** Writes key and value. Returns SET_OK, OUT_OF_MEMORY or TOO_LARGE; the last two change nothing. */
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
    const recordBytes = RECORD_HEADER_BYTES + keyBytes + valueBytes;
    if (keyBytes > KEY_BYTES_MAX || recordBytes > CHUNK_BYTES) return TOO_LARGE;
    const sizeClass = classOfRecord(recordBytes);
    let old = this.#buckets.locate(hash, key, keyStart, keyBytes);
    if (old !== 0 && this.#records.isFlushed(old)) {
      this.#unlink(hash, old, nowMs);
      old = this.#buckets.locate(hash, key, keyStart, keyBytes);
    }
    if (old !== 0 && this.#records.sizeClass(old) === sizeClass) {
      const head = this.#buckets.headOf(hash);
      const seq = this.#mutation.begin(head, nowMs);
      this.#records.writeHeader(old, keyBytes, valueBytes, sizeClass, expiresAtMs, seq);
      this.#records.writeBytes(old + RECORD_HEADER_BYTES + keyBytes, value, valueStart, valueBytes);
      this.#mutation.patch(old, (recordBytes + 3) & ~3);
      this.#buckets.touch(this.#mutation, head, seq);
      this.#mutation.commit();
      return SET_OK;
    }
    const grows = this.#buckets.entryWord === 0;
    if (grows && !this.#buckets.chainMayGrow()) return OUT_OF_MEMORY;
    if (!this.#slab.hasFreeChunks(this.#chunksFor(sizeClass, grows))) {
      if (!this.#makeRoom(sizeClass, grows, nowMs)) return OUT_OF_MEMORY;
      old = this.#buckets.locate(hash, key, keyStart, keyBytes); // making room may have evicted it
    }
    const head = this.#buckets.headOf(hash);
    const seq = this.#mutation.begin(head, nowMs);
    if (this.#buckets.entryWord === 0) this.#buckets.growChain(this.#mutation);
    const ref = this.#slab.takeSlot(this.#mutation, sizeClass);
    this.#records.writeHeader(ref, keyBytes, valueBytes, sizeClass, expiresAtMs, seq);
    this.#records.writeBytes(ref + RECORD_HEADER_BYTES, key, keyStart, keyBytes);
    this.#records.writeBytes(ref + RECORD_HEADER_BYTES + keyBytes, value, valueStart, valueBytes);
    this.#mutation.patch(ref, (recordBytes + 3) & ~3);
    this.#buckets.writeEntry(this.#mutation, hash, ref);
    this.#buckets.touch(this.#mutation, head, seq);
    if (old !== 0) this.#slab.markFree(old, this.#records.sizeClass(old));
    this.#mutation.commit();
    if (old === 0) {
      this.#scratch32[SCRATCH_RECORD_COUNT_WORD]!++;
      this.#scratch32[SCRATCH_KEY_COUNT_WORD]!++;
      this.#growIndex(nowMs);
    }
    return SET_OK;
  }

  #growIndex(nowMs: number): void {
    const load = this.#scratch32[SCRATCH_RECORD_COUNT_WORD]! / this.#buckets.count;
    if (load <= LOAD_MAX || this.#buckets.atMaximum()) return;
    if (this.#buckets.nextNeedsChunk() && !this.#slab.hasFreeChunks(1)) {
      if (load <= LOAD_URGENT) return;
      if (this.#scratch32[SCRATCH_POLICY_WORD] === POLICY_NOEVICTION) return;
      if (!this.#reclaimChunk(nowMs)) return;
    }
    const seq = this.#mutation.begin(this.#buckets.nextSplitSource(), nowMs);
    this.#buckets.split(this.#mutation, seq);
    this.#mutation.commit();
  }

  // ------------------------------------------------------------ room

  /** Chunks that must be free for a record of this class, and one more bucket if the chain `grows`. */
  #chunksFor(sizeClass: number, grows: boolean): number {
    const forRecord = this.#slab.hasFreeSlot(sizeClass) ? 0 : 1;
    const forBucket = grows && !this.#slab.hasFreeSlot(OVERFLOW_CLASS) ? 1 : 0;
    return forRecord + forBucket;
  }

  /** Evicts until a record of this class fits: one of its own class, else a chunk of the class with the most. */
  #makeRoom(sizeClass: number, grows: boolean, nowMs: number): boolean {
    while (!this.#slab.hasFreeChunks(this.#chunksFor(sizeClass, grows))) {
      if (this.#scratch32[SCRATCH_POLICY_WORD] === POLICY_NOEVICTION) return false;
      const victim = this.#slab.hasFreeSlot(sizeClass) ? 0 : this.#sieve.victim(sizeClass);
      if (victim !== 0) this.#evict(victim, nowMs);
      else if (!this.#reclaimChunk(nowMs)) return false;
    }
    return true;
  }

  /** Takes a chunk from the class that has the most; false when no class has one. */
  #reclaimChunk(nowMs: number): boolean {
    const chunk = this.#sieve.victimChunk();
    if (chunk !== 0) this.#emptyChunk(chunk, nowMs);
    return chunk !== 0;
  }

  #emptyChunk(chunk: number, nowMs: number): void {
    const sizeClass = this.#slab.sizeClass(chunk);
    const slotBytes = SLOT_BYTES[sizeClass]!;
    const base = chunk << CHUNK_SHIFT;
    for (let slot = 0; slot < SLOTS_PER_CHUNK[sizeClass]!; slot++) {
      const ref = base + slot * slotBytes;
      if (this.#slab.isUsed(ref)) this.#evict(ref, nowMs);
    }
    this.releaseChunk(chunk, nowMs);
  }

  releaseChunk(chunk: number, nowMs: number): void {
    this.#mutation.begin(0, nowMs);
    this.#slab.releaseChunk(this.#mutation, chunk);
    this.#mutation.commit();
  }

  #evict(ref: number, nowMs: number): void {
    this.#memory.scratch64[SCRATCH_EVICTIONS_F64]!++;
    this.removeRef(ref, nowMs);
  }

  // ------------------------------------------------------------ remove, expire, flush

  /** Removes the record at `ref`, whatever its key. */
  removeRef(ref: number, nowMs: number): void {
    const hash = this.#buckets.hashOfRecord(ref);
    this.#buckets.locateRef(hash, ref);
    this.#unlinkLocated(hash, ref, nowMs);
  }

  /** Removes a record that is past its time, and counts it. */
  expireRef(ref: number, nowMs: number): void {
    this.#memory.scratch64[SCRATCH_EXPIRIES_F64]!++;
    this.removeRef(ref, nowMs);
  }

  #unlink(hash: number, ref: number, nowMs: number): void {
    this.#buckets.locateRef(hash, ref);
    this.#unlinkLocated(hash, ref, nowMs);
  }

  #unlinkLocated(hash: number, ref: number, nowMs: number): void {
    const counted = !this.#records.isFlushed(ref);
    const head = this.#buckets.headOf(hash);
    const seq = this.#mutation.begin(head, nowMs);
    this.#buckets.writeEntry(this.#mutation, 0, 0);
    this.#buckets.touch(this.#mutation, head, seq);
    this.#slab.markFree(ref, this.#records.sizeClass(ref));
    this.#mutation.commit();
    this.#scratch32[SCRATCH_RECORD_COUNT_WORD]!--;
    if (counted) this.#scratch32[SCRATCH_KEY_COUNT_WORD]!--;
  }

  /** Removes a key. Returns 1 if it was there and alive, else 0 (what is past its time goes too). */
  remove(hash: number, key: Uint8Array, start: number, bytes: number, nowMs: number): number {
    const ref = this.#buckets.locate(hash, key, start, bytes);
    if (ref === 0) return 0;
    const flushed = this.#records.isFlushed(ref);
    const expired = !flushed && this.#records.isExpired(ref, nowMs);
    if (expired) this.#memory.scratch64[SCRATCH_EXPIRIES_F64]!++;
    this.#unlinkLocated(hash, ref, nowMs);
    return flushed || expired ? 0 : 1;
  }

  /** Changes the expiry of the record at `ref` (found alive in this passage). */
  setExpiry(hash: number, ref: number, expiresAtMs: number, nowMs: number): void {
    const head = this.#buckets.headOf(hash);
    const seq = this.#mutation.begin(head, nowMs);
    this.#records.writeExpiry(ref, expiresAtMs, seq);
    this.#mutation.patch(ref, RECORD_HEADER_BYTES);
    this.#buckets.touch(this.#mutation, head, seq);
    this.#mutation.commit();
  }

  /** One mutation: every record written before it is absent from now on; the sweeper frees them. */
  flush(nowMs: number): void {
    const seq = this.#mutation.begin(0, nowMs);
    this.#memory.setImageU64(FLUSH_SEQ_WORD, seq);
    this.#mutation.patch(HEADER_FLUSH_SEQ, 8);
    this.#mutation.commit();
    this.#scratch32[SCRATCH_KEY_COUNT_WORD] = 0;
  }
}
