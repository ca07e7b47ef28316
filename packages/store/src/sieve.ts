/** SIEVE: which record of a class to evict.
 *
 *  The hand walks the slots of a class in slab order. A record that was read since the hand last passed (its access
 *  mark is set) is spared and unmarked; the first that was not is the victim. New records take freed slots,
 *  which the hand has just left behind. Marks are set by readers without the gate, only when clear; a
 *  lost mark costs one wrong guess. What readers no longer see (expired, flushed) is not spared.
 *  Bounded: after SPARED_MAX spared records the next one goes, so that a passage stays short, and readers
 *  that mark as fast as the hand unmarks cannot keep it walking.
 *  Source: Zhang et al., SIEVE is simpler than LRU, NSDI 2024. */
import { InvariantError } from './errors.ts';
import type { Extents } from './extents.ts';
import {
  CHUNK_EXTENT,
  CHUNK_SHIFT,
  CHUNK_SLAB,
  CLASS_HAND_CHUNK,
  CLASS_HAND_SLOT,
  EXTENT_CLASS,
  SLOT_BIT_SHIFT,
} from './layout.ts';
import type { PartitionMemory } from './memory.ts';
import type { Records } from './record.ts';
import { CLASS_COUNT, OVERFLOW_CLASS, SLOT_BYTES, SLOTS_PER_CHUNK } from './size-classes.ts';
import { classWord, type Slab } from './slab.ts';

/** Records that one search spares at most. */
export const SPARED_MAX = 1_024;

export class Sieve {
  readonly #scratch32: Int32Array;
  readonly #marks: Int32Array;
  readonly #records: Records;
  readonly #slab: Slab;

  constructor(memory: PartitionMemory, slab: Slab, records: Records) {
    this.#scratch32 = memory.scratch32;
    this.#marks = memory.accessMarks;
    this.#records = records;
    this.#slab = slab;
  }

  /** Marks a slot as read. Any thread, without the gate. */
  mark(ref: number): void {
    const bit = ref >>> SLOT_BIT_SHIFT;
    const mask = 1 << (bit & 31);
    if ((this.#marks[bit >>> 5] & mask) === 0) this.#marks[bit >>> 5] |= mask;
  }

  /** The record of a class to evict, or 0 when it has none. Inside a passage. */
  victim(sizeClass: number, nowMs: number): number {
    for (let left = Math.min(this.#slab.usedSlots(sizeClass), SPARED_MAX); left > 0; left--) {
      const ref = this.#advance(sizeClass);
      if (!this.#unmark(ref) || this.#records.isAbsent(ref, nowMs)) return ref;
    }
    return this.#slab.usedSlots(sizeClass) === 0 ? 0 : this.#advance(sizeClass);
  }

  /** A record of a class that readers no longer see, among the next SPARED_MAX under the hand, or 0. For
   *  those who may not evict. Inside a passage. */
  absentRecord(sizeClass: number, nowMs: number): number {
    for (let left = Math.min(this.#slab.usedSlots(sizeClass), SPARED_MAX); left > 0; left--) {
      const ref = this.#advance(sizeClass);
      if (this.#records.isAbsent(ref, nowMs)) return ref;
    }
    return 0;
  }

  /** The record of a large value to evict, or 0. The hand walks the first extents of values in the order of the chunks,
   *  and asks each who refers to it. `anyRecord` false: only what readers no longer see. Inside a passage. */
  extentVictim(extents: Extents, anyRecord: boolean, nowMs: number): number {
    const touched = this.#slab.chunksTouched;
    const handAt = classWord(EXTENT_CLASS) + CLASS_HAND_CHUNK;
    let spared = 0;
    let victim = 0;
    // Twice around at most: the first time may only clear marks.
    for (
      let left = extents.count === 0 ? 0 : 2 * touched;
      left > 0 && spared < SPARED_MAX;
      left--
    ) {
      const chunk = this.#scratch32[handAt] + 1 < touched ? this.#scratch32[handAt] + 1 : 0;
      this.#scratch32[handAt] = chunk;
      if (this.#slab.kind(chunk) !== CHUNK_EXTENT || this.#slab.position(chunk) !== 0) continue;
      const ref = extents.ownerOf(chunk);
      if (ref === 0) continue;
      if (this.#records.isAbsent(ref, nowMs)) return ref;
      if (!anyRecord) continue;
      if (!this.#unmark(ref)) return ref;
      spared++;
      victim = ref;
    }
    return victim;
  }

  /** Clears the access mark. Returns whether it was set. */
  #unmark(ref: number): boolean {
    const bit = ref >>> SLOT_BIT_SHIFT;
    const mask = 1 << (bit & 31);
    const marked = (this.#marks[bit >>> 5] & mask) !== 0;
    if (marked) this.#marks[bit >>> 5] &= ~mask;
    return marked;
  }

  /** Moves the hand of a class that has used slots past the next of them, and returns its ref. */
  #advance(sizeClass: number): number {
    const words = this.#scratch32;
    const handAt = classWord(sizeClass);
    let chunk = words[handAt + CLASS_HAND_CHUNK];
    let slot = words[handAt + CLASS_HAND_SLOT];
    let ref = 0;
    do {
      if (slot >= SLOTS_PER_CHUNK[sizeClass] || !this.#isSlabOf(chunk, sizeClass)) {
        chunk = this.#nextChunk(chunk, sizeClass);
        slot = 0;
      }
      ref = (chunk << CHUNK_SHIFT) + slot * SLOT_BYTES[sizeClass];
      slot++;
    } while (!this.#slab.isUsed(ref));
    words[handAt + CLASS_HAND_CHUNK] = chunk;
    words[handAt + CLASS_HAND_SLOT] = slot;
    return ref;
  }

  /** A chunk to be emptied for another class: the next under the hand of the class that has the most, or 0. */
  victimChunk(): number {
    let richest = 0;
    let most = 0;
    for (let sizeClass = OVERFLOW_CLASS + 1; sizeClass < CLASS_COUNT; sizeClass++) {
      const chunks = this.#slab.classChunkCount(sizeClass);
      if (chunks > most) {
        richest = sizeClass;
        most = chunks;
      }
    }
    if (richest === 0) return 0;
    return this.#nextChunk(this.#scratch32[classWord(richest) + CLASS_HAND_CHUNK], richest);
  }

  #isSlabOf(chunk: number, sizeClass: number): boolean {
    return this.#slab.kind(chunk) === CHUNK_SLAB && this.#slab.sizeClass(chunk) === sizeClass;
  }

  /** The next chunk of a class after `chunk`, around the image. The class has one. */
  #nextChunk(chunk: number, sizeClass: number): number {
    const touched = this.#slab.chunksTouched;
    let next = chunk;
    for (let step = 0; step < touched; step++) {
      next = next + 1 < touched ? next + 1 : 0;
      if (this.#isSlabOf(next, sizeClass)) return next;
    }
    throw new InvariantError('a class with chunks has one in the chunk table');
  }
}
