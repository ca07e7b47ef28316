/** SIEVE: which record of a class to evict.
 *
 *  The hand walks the slots of a class in slab order. A record that was read since the hand last passed (its access
 *  mark is set) is spared and unmarked; the first that was not is the victim. New records take freed slots,
 *  which the hand has just left behind. Marks are set by readers without the gate, only when clear; a
 *  lost mark costs one wrong guess.
 *  Source: Zhang et al., SIEVE is simpler than LRU, NSDI 2024. */
import {
  CHUNK_SHIFT,
  CHUNK_SLAB,
  CLASS_HAND_CHUNK,
  CLASS_HAND_SLOT,
  SLOT_BIT_SHIFT,
} from './layout.ts';
import type { PartitionMemory } from './memory.ts';
import { CLASS_COUNT, OVERFLOW_CLASS, SLOT_BYTES, SLOTS_PER_CHUNK } from './size-classes.ts';
import { classWord, type Slab } from './slab.ts';

export class Sieve {
  readonly #scratch32: Int32Array;
  readonly #marks: Int32Array;
  readonly #slab: Slab;

  constructor(memory: PartitionMemory, slab: Slab) {
    this.#scratch32 = memory.scratch32;
    this.#marks = memory.accessMarks;
    this.#slab = slab;
  }

  /** Marks a slot as read. Any thread, without the gate. */
  mark(ref: number): void {
    const bit = ref >>> SLOT_BIT_SHIFT;
    const mask = 1 << (bit & 31);
    if ((this.#marks[bit >>> 5]! & mask) === 0) this.#marks[bit >>> 5]! |= mask;
  }

  /** The record to evict from a class that has at least one, or 0. Inside a passage. */
  victim(sizeClass: number): number {
    if (this.#slab.usedSlots(sizeClass) === 0) return 0;
    const words = this.#scratch32;
    const handAt = classWord(sizeClass);
    const slots = SLOTS_PER_CHUNK[sizeClass]!;
    const slotBytes = SLOT_BYTES[sizeClass]!;
    let chunk = words[handAt + CLASS_HAND_CHUNK]!;
    let slot = words[handAt + CLASS_HAND_SLOT]!;
    for (;;) {
      if (slot >= slots || !this.#isSlabOf(chunk, sizeClass)) {
        chunk = this.#nextChunk(chunk, sizeClass);
        slot = 0;
      }
      const ref = (chunk << CHUNK_SHIFT) + slot * slotBytes;
      slot++;
      if (!this.#slab.isUsed(ref)) continue;
      const bit = ref >>> SLOT_BIT_SHIFT;
      const mask = 1 << (bit & 31);
      if ((this.#marks[bit >>> 5]! & mask) === 0) {
        words[handAt + CLASS_HAND_CHUNK] = chunk;
        words[handAt + CLASS_HAND_SLOT] = slot;
        return ref;
      }
      this.#marks[bit >>> 5]! &= ~mask;
    }
  }

  /** A chunk to be emptied for another class: the next under the hand of the class that has the most, or 0. */
  victimChunk(): number {
    let richest = 0;
    for (let sizeClass = OVERFLOW_CLASS + 1; sizeClass < CLASS_COUNT; sizeClass++) {
      if (
        this.#slab.classChunkCount(sizeClass) > this.#slab.classChunkCount(richest || sizeClass)
      ) {
        richest = sizeClass;
      } else if (richest === 0 && this.#slab.classChunkCount(sizeClass) > 0) richest = sizeClass;
    }
    if (richest === 0) return 0;
    return this.#nextChunk(this.#scratch32[classWord(richest) + CLASS_HAND_CHUNK]!, richest);
  }

  #isSlabOf(chunk: number, sizeClass: number): boolean {
    return this.#slab.kind(chunk) === CHUNK_SLAB && this.#slab.sizeClass(chunk) === sizeClass;
  }

  /** The next chunk of a class after `chunk`, around the image. The class has one. */
  #nextChunk(chunk: number, sizeClass: number): number {
    const touched = this.#slab.chunksTouched;
    for (let step = 1; step <= touched; step++) {
      const next = (chunk + step) % touched;
      if (this.#isSlabOf(next, sizeClass)) return next;
    }
    return 0;
  }
}
