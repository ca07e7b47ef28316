/** What a primary does to its records: set, remove, expire, flush, each one or more mutations.
 *
 *  Owner: whoever is inside the gate. Everything that can fail (no memory, too large) is decided before the first
 *  byte of a mutation is written; eviction to make room is made of mutations of its own. */
import type { Buckets } from './buckets.ts';
import {
  HEADER_FLUSH_SEQ,
  SCRATCH_EVICTIONS_F64,
  SCRATCH_EXPIRIES_F64,
  SCRATCH_KEY_COUNT_WORD,
  SCRATCH_RECORD_COUNT_WORD,
} from './layout.ts';
import * as layout from './layout.ts';
import type { Extents } from './extents.ts';
import type { PartitionMemory } from './memory.ts';
import type { Mutation } from './mutation.ts';
import type { Records } from './record.ts';
import { DRAIN_WORK, Room } from './room.ts';
import type { Sieve } from './sieve.ts';
import { classOfRecord } from './size-classes.ts';
import type { Slab } from './slab.ts';
import { ValuePlan } from './value-plan.ts';

// V8 folds the constants of a module itself; imported ones are loaded and checked at each use.
const { CHUNK_BYTES, CHUNK_SHIFT, KEY_BYTES_MAX, RECORD_HEADER_BYTES } = layout;

export const SET_OK = 1;
export const OUT_OF_MEMORY = -1;
export const TOO_LARGE = -2;
/** It would fit, but not in one passage: see LargeWrite and ValueEdit. */
export const NEEDS_PASSAGES = -3;

/** Records per bucket above which an insert splits one bucket, if a chunk is free. A bucket holds 7: at this load buckets
 *  and chains take least memory, 13 to 14 bytes a record where 4.5 takes 17, and one lookup in six follows a chain. */
const LOAD_MAX = 7;
/** Above this the index takes a chunk from the records rather than grow longer chains. */
const LOAD_URGENT = 9;
const FLUSH_SEQ_WORD = HEADER_FLUSH_SEQ >>> 2;

export class Writer {
  readonly #memory: PartitionMemory;
  readonly #scratch32: Int32Array;
  readonly #scratch64: Float64Array;
  readonly #buckets: Buckets;
  readonly #records: Records;
  readonly #slab: Slab;
  readonly #mutation: Mutation;
  readonly #extents: Extents;
  readonly #plan: ValuePlan = new ValuePlan();
  /** Slot that the running write writes, whether its key is new, and whether it let go of extents. */
  placed = 0;
  /** Class of that slot: that of the record's size, or a larger one where there was no room. */
  placedClass = 0;
  readonly room: Room;
  #added = false;
  #letGo = false;
  /** Where `#choose` found a free slot, 0 = a unit is to be taken. */
  #freeUnit = 0;

  constructor(
    memory: PartitionMemory,
    parts: {
      buckets: Buckets;
      records: Records;
      slab: Slab;
      sieve: Sieve;
      mutation: Mutation;
      extents: Extents;
    },
  ) {
    this.#memory = memory;
    this.#scratch32 = memory.scratch32;
    this.#scratch64 = memory.scratch64;
    this.#buckets = parts.buckets;
    this.#records = parts.records;
    this.#slab = parts.slab;
    this.#mutation = parts.mutation;
    this.#extents = parts.extents;
    this.room = new Room(memory, parts, this);
  }

  // ------------------------------------------------------------ set

  /** Writes key and value. Returns SET_OK, or what says why nothing has changed: OUT_OF_MEMORY, TOO_LARGE, or
   *  NEEDS_PASSAGES for what does not fit one chunk. */
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
    if (recordBytes > CHUNK_BYTES || keyBytes > KEY_BYTES_MAX) {
      const fits = this.#plan.lay(keyBytes, valueBytes, this.#memory.geometry.valueMaxBytes);
      return fits ? NEEDS_PASSAGES : TOO_LARGE;
    }
    const sizeClass = classOfRecord(recordBytes);
    const old = this.locateUnflushed(hash, key, keyStart, keyBytes, nowMs);
    if (
      old !== 0 &&
      this.#records.isPlainOf(old, sizeClass) &&
      !this.#slab.isPinned(old >>> CHUNK_SHIFT)
    ) {
      if (this.#records.isExpired(old, nowMs)) this.#countExpiry();
      this.#mutation.begin(this.#buckets.head, nowMs);
      this.placed = old;
      this.placedClass = sizeClass;
    } else if (!this.placeRecord(hash, key, keyStart, keyBytes, sizeClass, old, nowMs)) {
      return OUT_OF_MEMORY;
    }
    const ref = this.placed;
    const { seqLow, seqHigh } = this.#mutation;
    this.#records.writeHeader(
      ref,
      keyBytes,
      valueBytes,
      this.placedClass,
      expiresAtMs,
      seqLow,
      seqHigh,
    );
    const valueAt = ref + RECORD_HEADER_BYTES + keyBytes;
    this.#records.writeBytes(valueAt, value, valueStart, valueBytes);
    this.finishRecord(recordBytes, nowMs);
    return SET_OK;
  }

  /** Ends the mutation that wrote the record at `placed`, and does what it brings with it. */
  finishRecord(recordBytes: number, nowMs: number): void {
    this.#mutation.patch(this.placed, (recordBytes + 3) & ~3);
    this.#buckets.touch(this.#mutation);
    this.#mutation.commit();
    if (this.#added) this.#growIndex(nowMs);
    if (this.#letGo) this.#extents.reclaimSome(nowMs);
  }

  /** `locate`, but a record that a flush made absent is removed for good first. */
  locateUnflushed(
    hash: number,
    key: Uint8Array,
    start: number,
    bytes: number,
    nowMs: number,
  ): number {
    this.#added = false;
    this.#letGo = false;
    const ref = this.#buckets.locate(hash, key, start, bytes);
    if (ref === 0 || !this.#records.isFlushed(ref)) return ref;
    this.#unlinkLocated(ref, nowMs);
    return this.#buckets.locate(hash, key, start, bytes);
  }

  /** Begins the mutation of a `set` that needs a slot: takes one, writes the key, points the bucket's entry at it
   *  and lets go of the record of the key in another class. False, and nothing begun: no memory. */
  placeRecord(
    hash: number,
    key: Uint8Array,
    keyStart: number,
    keyBytes: number,
    sizeClass: number,
    replaced: number,
    nowMs: number,
  ): boolean {
    let old = replaced;
    if (!this.hasRoomFor(sizeClass)) {
      if (!this.makeRoomFor(sizeClass, nowMs)) return false;
      old = this.#buckets.locate(hash, key, keyStart, keyBytes); // it may have been evicted, or moved
    }
    this.placeChosen(hash, key, keyStart, keyBytes, old, nowMs);
    return true;
  }

  /** Whether a record of this class fits where the last locate looked; chooses its class and unit for `placeChosen`. */
  hasRoomFor(sizeClass: number): boolean {
    const grows = this.#buckets.entryWord === 0;
    this.#choose(sizeClass);
    return (
      (!grows || this.#buckets.chainMayGrow()) &&
      this.room.isThere(this.placedClass, this.#freeUnit, grows)
    );
  }

  /** Makes such a record fit, if that may be; any record may have been evicted then, so locate again. */
  makeRoomFor(sizeClass: number, nowMs: number): boolean {
    const grows = this.#buckets.entryWord === 0;
    if (grows && !this.#buckets.chainMayGrow()) return false;
    const target = this.room.make(sizeClass, grows, nowMs);
    if (target === 0) return false;
    this.#choose(target);
    return this.room.isThereAtLast(target, this.#freeUnit, grows); // pins come and go
  }

  #choose(sizeClass: number): void {
    this.placedClass = sizeClass;
    this.#freeUnit = this.#slab.freeUnitOf(sizeClass);
  }

  /** As `placeRecord`, after `hasRoomFor` or `makeRoomFor` said yes and the last locate found `old`, whose extents the new
   *  record may keep. */
  placeChosen(
    hash: number,
    key: Uint8Array,
    keyStart: number,
    keyBytes: number,
    old: number,
    nowMs: number,
    keepsExtents = false,
  ): void {
    this.#mutation.begin(this.#buckets.head, nowMs);
    if (this.#buckets.entryWord === 0) this.#buckets.growChain(this.#mutation);
    const ref = this.#slab.takeSlot(this.#mutation, this.placedClass, this.#freeUnit);
    this.#records.writeBytes(ref + RECORD_HEADER_BYTES, key, keyStart, keyBytes);
    this.#buckets.writeEntry(this.#mutation, hash, ref);
    if (old !== 0) {
      if (this.#records.isExpired(old, nowMs)) this.#countExpiry();
      if (keepsExtents) this.#slab.markFree(old, this.#records.sizeClass(old));
      else this.#freeRecord(old);
    } else {
      this.#scratch32[SCRATCH_RECORD_COUNT_WORD]++;
      this.#scratch32[SCRATCH_KEY_COUNT_WORD]++;
    }
    this.#added = old === 0;
    this.placed = ref;
  }

  /** The slot of a record that no bucket refers to any more, and its extents, may be used again. */
  #freeRecord(ref: number): void {
    if (this.#records.hasExtents(ref)) {
      this.#extents.letGo(ref);
      this.#letGo = true;
    }
    this.#slab.markFree(ref, this.#records.sizeClass(ref));
  }

  #growIndex(nowMs: number): void {
    const records = this.#scratch32[SCRATCH_RECORD_COUNT_WORD];
    const { count } = this.#buckets;
    if (records <= LOAD_MAX * count || this.#buckets.atMaximum()) return;
    if (this.#buckets.nextNeedsChunk() && !this.#slab.hasFreeChunks(1)) {
      if (records <= LOAD_URGENT * count || !this.room.drain(1, DRAIN_WORK, nowMs)) return;
    }
    this.#mutation.begin(this.#buckets.nextSplitSource(), nowMs);
    this.#buckets.split(this.#mutation);
    this.#mutation.commit();
  }

  /** Makes `Extents.take` find a chunk, if that may be. */
  makeRoomForExtent(nowMs: number): boolean {
    return this.room.makeForExtent(nowMs);
  }

  releaseUnit(unit: number, nowMs: number): void {
    this.#mutation.begin(0, nowMs);
    this.#slab.releaseUnit(this.#mutation, unit);
    this.#mutation.commit();
  }

  /** Only what readers still saw counts as an eviction. */
  evict(ref: number, nowMs: number): void {
    if (!this.#records.isFlushed(ref)) {
      if (this.#records.isExpired(ref, nowMs)) this.#countExpiry();
      else this.#scratch64[SCRATCH_EVICTIONS_F64]++;
    }
    this.#removeRef(ref, nowMs);
  }

  #countExpiry(): void {
    this.#scratch64[SCRATCH_EXPIRIES_F64]++;
  }

  // ------------------------------------------------------------ remove, expire, flush

  /** Removes the record at `ref` if readers no longer see it; what is past its time is counted. */
  removeAbsent(ref: number, nowMs: number): boolean {
    const flushed = this.#records.isFlushed(ref);
    if (!flushed && !this.#records.isExpired(ref, nowMs)) return false;
    if (!flushed) this.#countExpiry();
    this.#removeRef(ref, nowMs);
    return true;
  }

  /** Removes the record at `ref`, whatever its key. */
  #removeRef(ref: number, nowMs: number): void {
    this.#buckets.locateRef(this.#buckets.hashOfRecord(ref), ref);
    this.#unlinkLocated(ref, nowMs);
  }

  /** Removes the record that the last locate found. */
  #unlinkLocated(ref: number, nowMs: number): void {
    const counted = !this.#records.isFlushed(ref);
    this.#mutation.begin(this.#buckets.head, nowMs);
    this.#buckets.writeEntry(this.#mutation, 0, 0);
    this.#buckets.touch(this.#mutation);
    this.#freeRecord(ref);
    this.#mutation.commit();
    this.#scratch32[SCRATCH_RECORD_COUNT_WORD]--;
    if (counted) this.#scratch32[SCRATCH_KEY_COUNT_WORD]--;
  }

  /** Removes a key. Returns 1 if it was there and alive, else 0 (what is past its time goes too). */
  remove(hash: number, key: Uint8Array, start: number, bytes: number, nowMs: number): number {
    const ref = this.#buckets.locate(hash, key, start, bytes);
    if (ref === 0) return 0;
    this.#letGo = false;
    const flushed = this.#records.isFlushed(ref);
    const expired = !flushed && this.#records.isExpired(ref, nowMs);
    if (expired) this.#countExpiry();
    this.#unlinkLocated(ref, nowMs);
    if (this.#letGo) this.#extents.reclaimSome(nowMs);
    return flushed || expired ? 0 : 1;
  }

  /** Changes the expiry of a key. Returns 1 if it was there and alive, else 0. */
  setExpiry(
    hash: number,
    key: Uint8Array,
    start: number,
    bytes: number,
    expiresAtMs: number,
    nowMs: number,
  ): number {
    const ref = this.#buckets.locate(hash, key, start, bytes);
    if (ref === 0 || this.#records.isAbsent(ref, nowMs)) return 0;
    this.#mutation.begin(this.#buckets.head, nowMs);
    this.#records.writeExpiry(ref, expiresAtMs, this.#mutation.seqLow, this.#mutation.seqHigh);
    this.#mutation.patch(ref, RECORD_HEADER_BYTES);
    this.#buckets.touch(this.#mutation);
    this.#mutation.commit();
    return 1;
  }

  /** One mutation: every record written before it is absent from now on; the sweeper frees them. */
  flush(nowMs: number): void {
    this.#mutation.begin(0, nowMs);
    this.#writeFlushSeq();
    this.#mutation.commit();
    this.#scratch32[SCRATCH_KEY_COUNT_WORD] = 0;
  }

  /** Makes an index without records one chunk smaller. Buckets of other hashes take over, so it counts as a
   *  flush: what WATCH compares must not come back to a value it had. */
  shrinkIndex(nowMs: number): void {
    this.#mutation.begin(0, nowMs);
    this.#writeFlushSeq();
    this.#buckets.dropLastChunk(this.#mutation);
    this.#mutation.commit();
  }

  #writeFlushSeq(): void {
    const words = this.#memory.image32;
    words[FLUSH_SEQ_WORD] = this.#mutation.seqLow;
    words[FLUSH_SEQ_WORD + 1] = this.#mutation.seqHigh;
    this.#mutation.patch(HEADER_FLUSH_SEQ, 8);
  }
}
