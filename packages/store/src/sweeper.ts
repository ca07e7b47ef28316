/** The sweeper: walks the slab and frees what readers already do not see.
 *
 *  Owner: the storage worker, for partitions led here. It looks without the gate and goes through it only where
 *  there is something to do, a few records a passage, so that writers never wait long.
 *  Also makes room ahead of need, gives empty chunks and orphaned extents back and, once a flush has emptied the
 *  index, makes it small again. */
import type { Buckets } from './buckets.ts';
import type { Extents } from './extents.ts';
import { enterGate, leaveGate } from './gate.ts';
import {
  BUCKETS_MIN,
  CHUNK_EXTENT,
  CHUNK_OVERFLOW,
  PAGE_SHIFT,
  PAGES_PER_CHUNK_SHIFT,
  SCRATCH_MEASURED_BYTES_F64,
  SCRATCH_RECORD_COUNT_WORD,
  SCRATCH_ROLE_WORD,
  SCRATCH_SEALED_WORD,
} from './layout.ts';
import type { PartitionMemory } from './memory.ts';
import { type Mutation, ROLE_PRIMARY } from './mutation.ts';
import type { Records } from './record.ts';
import {
  CLASS_COUNT,
  OVERFLOW_CLASS,
  SLOT_BYTES,
  SLOTS_PER_UNIT,
  UNIT_PAGES,
} from './size-classes.ts';
import type { Slab } from './slab.ts';
import type { Writer } from './writer.ts';

const REMOVALS_PER_PASSAGE = 32;
const BUCKETS_PER_PASSAGE = 256;

export class Sweeper {
  readonly #memory: PartitionMemory;
  readonly #scratch32: Int32Array;
  readonly #scratch64: Float64Array;
  readonly #buckets: Buckets;
  readonly #records: Records;
  readonly #slab: Slab;
  readonly #writer: Writer;
  readonly #mutation: Mutation;
  /** Of the chunks passed so far in this round. */
  #measuredBytes = 0;
  readonly #extents: Extents;

  constructor(
    memory: PartitionMemory,
    parts: {
      buckets: Buckets;
      records: Records;
      slab: Slab;
      writer: Writer;
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
    this.#writer = parts.writer;
    this.#mutation = parts.mutation;
    this.#extents = parts.extents;
  }

  /** Sweeps up to `chunkBudget` chunks from `cursorChunk` on. Returns where to go on; 0 = once around. */
  sweep(cursorChunk: number, chunkBudget: number, nowMs: number): number {
    const end = Math.min(cursorChunk + chunkBudget, this.#slab.chunksTouched);
    if (cursorChunk === 0) this.#measuredBytes = 0;
    for (let chunk = cursorChunk; chunk < end; chunk++) this.#sweepChunk(chunk, nowMs);
    for (let passages = chunkBudget; passages > 0 && this.#tend(nowMs); passages--);
    if (end < this.#slab.chunksTouched) return end;
    this.#scratch64[SCRATCH_MEASURED_BYTES_F64] = this.#measuredBytes;
    this.#shrinkIndex(nowMs);
    return 0;
  }

  #sweepChunk(chunk: number, nowMs: number): void {
    const kind = this.#slab.kind(chunk);
    if (kind === CHUNK_EXTENT) this.#releaseIfOrphan(chunk, nowMs);
    const first = chunk << PAGES_PER_CHUNK_SHIFT;
    if (kind === CHUNK_OVERFLOW) {
      if (this.#slab.isEmpty(first)) this.#releaseIfEmpty(first, OVERFLOW_CLASS, nowMs);
      return;
    }
    for (let unit = this.#slab.unitFrom(first, chunk); unit !== -1; ) {
      const sizeClass = this.#slab.classAt(unit);
      if (sizeClass === OVERFLOW_CLASS || sizeClass >= CLASS_COUNT) break; // a torn read: next time
      this.#sweepUnit(unit, sizeClass, nowMs);
      unit = this.#slab.unitFrom(unit + UNIT_PAGES[sizeClass], chunk);
    }
  }

  #sweepUnit(unit: number, sizeClass: number, nowMs: number): void {
    for (let slot = 0; slot !== -1; ) {
      slot = this.#nextAbsent(unit, sizeClass, slot, nowMs);
      if (slot !== -1) slot = this.#removeFrom(unit, sizeClass, slot, nowMs);
    }
    if (this.#slab.isEmpty(unit)) this.#releaseIfEmpty(unit, sizeClass, nowMs);
    else this.#measure(unit, sizeClass);
  }

  /** Adds up what records take of their slots. Looks without the gate: a figure for people. */
  #measure(unit: number, sizeClass: number): void {
    for (let slot = 0; slot < SLOTS_PER_UNIT[sizeClass]; slot++) {
      const ref = (unit << PAGE_SHIFT) + slot * SLOT_BYTES[sizeClass];
      if (!this.#slab.isUsed(ref)) continue;
      this.#measuredBytes += Math.min(this.#records.bytesInSlot(ref), SLOT_BYTES[sizeClass]);
    }
  }

  /** The first slot from `slot` on that seems to hold an absent record, or -1. Looks without the gate. */
  #nextAbsent(unit: number, sizeClass: number, slot: number, nowMs: number): number {
    for (; slot < SLOTS_PER_UNIT[sizeClass]; slot++) {
      const ref = (unit << PAGE_SHIFT) + slot * SLOT_BYTES[sizeClass];
      if (this.#slab.isUsed(ref) && this.#records.isAbsent(ref, nowMs)) return slot;
    }
    return -1;
  }

  /** One passage: removes absent records from `slot` on. Returns the slot to go on with, -1 at the end. */
  #removeFrom(unit: number, sizeClass: number, slot: number, nowMs: number): number {
    enterGate(this.#scratch32);
    let next = -1;
    if (this.#mayMutate() && this.#slab.classAt(unit) === sizeClass) {
      let removals = 0;
      for (; slot < SLOTS_PER_UNIT[sizeClass]; slot++) {
        if (removals === REMOVALS_PER_PASSAGE) {
          next = slot;
          break;
        }
        const ref = (unit << PAGE_SHIFT) + slot * SLOT_BYTES[sizeClass];
        if (this.#slab.isUsed(ref) && this.#writer.removeAbsent(ref, nowMs)) removals++;
      }
    }
    leaveGate(this.#scratch32);
    return next;
  }

  /** An extent that nobody refers to, nor fills, nor reads. Looks without the gate first. */
  #releaseIfOrphan(chunk: number, nowMs: number): void {
    if (this.#extents.ownerOf(chunk) !== 0) return;
    enterGate(this.#scratch32);
    if (this.#mayMutate()) this.#extents.releaseIfOrphan(chunk, nowMs);
    leaveGate(this.#scratch32);
  }

  /** One passage: goes on making room ahead of need. */
  #tend(nowMs: number): boolean {
    enterGate(this.#scratch32);
    const more = this.#mayMutate() && this.#writer.room.tend(nowMs);
    leaveGate(this.#scratch32);
    return more;
  }

  #releaseIfEmpty(unit: number, sizeClass: number, nowMs: number): void {
    const chunk = unit >>> PAGES_PER_CHUNK_SHIFT;
    enterGate(this.#scratch32);
    const isThere =
      sizeClass === OVERFLOW_CLASS
        ? this.#slab.kind(chunk) === CHUNK_OVERFLOW
        : this.#slab.classAt(unit) === sizeClass;
    if (this.#mayMutate() && isThere && this.#slab.isEmpty(unit) && !this.#slab.isPinned(chunk)) {
      this.#writer.releaseUnit(unit, nowMs);
    }
    leaveGate(this.#scratch32);
  }

  /** Of an index without records: lets go of the overflow buckets, then of one chunk after the other. */
  #shrinkIndex(nowMs: number): void {
    for (let from = 0; from < this.#buckets.count; from += BUCKETS_PER_PASSAGE) {
      if (this.#slab.usedSlots(OVERFLOW_CLASS) === 0) break;
      enterGate(this.#scratch32);
      if (this.#indexIsEmpty()) this.#dropOverflow(from, nowMs);
      leaveGate(this.#scratch32);
    }
    while (this.#dropIndexChunk(nowMs));
  }

  /** One passage; false when there is no more to drop. */
  #dropIndexChunk(nowMs: number): boolean {
    if (this.#buckets.count <= BUCKETS_MIN) return false;
    enterGate(this.#scratch32);
    const may =
      this.#indexIsEmpty() &&
      this.#slab.usedSlots(OVERFLOW_CLASS) === 0 &&
      this.#buckets.count > BUCKETS_MIN;
    if (may) this.#writer.shrinkIndex(nowMs);
    leaveGate(this.#scratch32);
    return may;
  }

  #indexIsEmpty(): boolean {
    return this.#mayMutate() && this.#scratch32[SCRATCH_RECORD_COUNT_WORD] === 0;
  }

  #dropOverflow(from: number, nowMs: number): void {
    const end = Math.min(from + BUCKETS_PER_PASSAGE, this.#buckets.count);
    for (let bucket = from; bucket < end; bucket++) {
      if (!this.#buckets.hasOverflow(bucket)) continue;
      this.#mutation.begin(this.#buckets.refOf(bucket), nowMs);
      this.#buckets.dropOverflow(this.#mutation, bucket);
      this.#mutation.commit();
    }
  }

  #mayMutate(): boolean {
    return (
      this.#memory.scratch32[SCRATCH_ROLE_WORD] === ROLE_PRIMARY &&
      this.#memory.scratch32[SCRATCH_SEALED_WORD] === 0
    );
  }
}
