/** SIEVE: which record of a class to evict.
 *
 *  The paper keeps a queue: new records at the head, a hand that goes from the tail to the head and then begins
 *  anew at the tail. A record that was read since the hand last passed (its access mark is set) is spared and
 *  unmarked; the first that was not is the victim.
 *
 *  Here nothing is moved: the hand walks the slots of a class in slab order, and a new record takes the slot that
 *  the hand has just left behind. That alone would be CLOCK, whose new records have a whole round to be read in.
 *  So a record is young until the hand has passed it once, and the hand makes passes: over the old ones (young ones
 *  are not looked at), then over the young ones, as the hand in the queue comes to those at the head last. While a pass
 *  leaves many young (YOUNG_SHARE), the next is over the young again: what nobody asks for goes soon, and what
 *  is old and read stays (bench/eviction compares this with the queue and with LRU).
 *
 *  Marks are set by readers without the gate, only when clear; a lost mark costs one wrong guess. What readers no
 *  longer see (expired, flushed) is not spared. Bounded: after SPARED_MAX slots the next one goes, so that a passage
 *  stays short, and readers that mark as fast as the hand unmarks cannot keep it walking.
 *  Source: Zhang et al., SIEVE is simpler than LRU, NSDI 2024. */
import { classWord } from './chunk-table.ts';
import { InvariantError } from './errors.ts';
import type { Extents } from './extents.ts';
import {
  CHUNK_EXTENT,
  CLASS_HAND_UNIT,
  CLASS_HAND_SLOT,
  CLASS_PHASE,
  EXTENT_CLASS,
  PAGE_SHIFT,
  PAGES_PER_CHUNK_SHIFT,
  SCRATCH_DRAIN_UNIT_WORD,
} from './layout.ts';
import * as layout from './layout.ts';
import type { PartitionMemory } from './memory.ts';
import type { Records } from './record.ts';
import { SLOT_BYTES, SLOTS_PER_UNIT } from './size-classes.ts';
import type { Slab } from './slab.ts';

// V8 folds the constants of a module itself; imported ones are loaded and checked at each use.
const { SLOT_BIT_SHIFT } = layout;

/** Slots that one search passes at most. */
export const SPARED_MAX = 1_024;
/** Whom the hand looks for: the old, or the young for the n-th time in a row, from 0 on. */
const PHASE_OLD = -1;
/** One in so many is young: the next pass is over the young. */
const YOUNG_SHARE = 2;
/** After so many passes over the young the old are looked at whatever there is of them: nobody stays for ever. */
export const YOUNG_PASSES_MAX = 32;
/** Units that are looked at to find one which the hand has not just come from, or which is not new. */
const LOOKS_MAX = 4;
/** Records with an expiry among which a search of `volatile-ttl` chooses the nearest. */
const VOLATILE_CANDIDATES = 64;

export class Sieve {
  readonly #scratch32: Int32Array;
  readonly #marks: Int32Array;
  readonly #records: Records;
  readonly #slab: Slab;
  /** The hand moves on without having passed what it moves over. */
  #isLooking = false;

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

  /** The record of a class to evict, or 0 when it has none; passes `slotsMax` slots at most. Inside a passage. */
  victim(sizeClass: number, slotsMax: number, nowMs: number): number {
    const reachable = this.#reachable(sizeClass);
    if (reachable === 0) return 0;
    const phaseAt = classWord(sizeClass) + CLASS_PHASE;
    this.#choosePass(sizeClass, false);
    for (let left = Math.min(2 * reachable, slotsMax); left > 0; left--) {
      const ref = this.#advance(sizeClass);
      const isYoung = this.#slab.isYoung(ref, sizeClass);
      if (isYoung !== (this.#scratch32[phaseAt] !== PHASE_OLD)) continue;
      if (!this.#unmark(ref) || this.#records.isAbsent(ref, nowMs)) return ref;
      if (isYoung) this.#slab.grownOld(ref, sizeClass);
    }
    return this.#advance(sizeClass);
  }

  /** A record of a class that was not read lately, among the next `slotsMax` under the hand, or 0. The hand spares the
   *  others and leaves them marked, and the units as old as they were: one that is emptied next keeps what is read in it.
   *  Inside a passage. */
  unread(sizeClass: number, slotsMax: number, nowMs: number): number {
    this.#isLooking = true;
    let found = 0;
    for (let left = Math.min(this.#reachable(sizeClass), slotsMax); left > 0; left--) {
      const ref = this.#advance(sizeClass);
      if (this.isMarked(ref) && !this.#records.isAbsent(ref, nowMs)) continue;
      found = ref;
      break;
    }
    this.#isLooking = false;
    return found;
  }

  /** At the end of a pass chooses the next; in the middle of one only where it looks for what is not there. */
  #choosePass(sizeClass: number, atEnd: boolean): void {
    const phaseAt = classWord(sizeClass) + CLASS_PHASE;
    const young = this.#slab.youngSlots(sizeClass);
    const used = this.#slab.usedSlots(sizeClass);
    const passes = this.#scratch32[phaseAt];
    if (young === 0) this.#scratch32[phaseAt] = PHASE_OLD;
    else if (young === used) this.#scratch32[phaseAt] = 0;
    else if (atEnd) {
      const again = young * YOUNG_SHARE >= used && passes < YOUNG_PASSES_MAX;
      this.#scratch32[phaseAt] = again ? passes + 1 : PHASE_OLD;
    }
  }

  /** For `volatile-ttl`: of the next VOLATILE_CANDIDATES records with an expiry under the hand the one that is nearest
   *  to it; 0 when there is none in `slotsMax` slots. Inside a passage. */
  nearestExpiry(sizeClass: number, slotsMax: number, nowMs: number): number {
    let nearest = 0;
    let nearestMs = Number.POSITIVE_INFINITY;
    let candidates = 0;
    for (let left = Math.min(this.#reachable(sizeClass), slotsMax); left > 0; left--) {
      const ref = this.#advance(sizeClass);
      if (this.#records.isAbsent(ref, nowMs)) return ref;
      const expiresAtMs = this.#records.expiresAtMs(ref);
      if (expiresAtMs === 0) continue;
      if (expiresAtMs < nearestMs) {
        nearest = ref;
        nearestMs = expiresAtMs;
      }
      if (++candidates === VOLATILE_CANDIDATES) break;
    }
    return nearest;
  }

  /** A record of a class that readers no longer see, among the next SPARED_MAX under the hand, or 0. For
   *  those who may not evict. Inside a passage. */
  absentRecord(sizeClass: number, nowMs: number): number {
    for (let left = Math.min(this.#reachable(sizeClass), SPARED_MAX); left > 0; left--) {
      const ref = this.#advance(sizeClass);
      if (this.#records.isAbsent(ref, nowMs)) return ref;
    }
    return 0;
  }

  /** The record of a large value to evict, or 0. The hand walks the first extents of values in the order of the chunks,
   *  and asks each who refers to it. Inside a passage. */
  extentVictim(extents: Extents, nowMs: number): number {
    return this.#walkExtents(extents, true, false, nowMs);
  }

  /** One that readers no longer see, or that has an expiry where `orExpiring`. */
  absentExtent(extents: Extents, orExpiring: boolean, nowMs: number): number {
    return this.#walkExtents(extents, false, orExpiring, nowMs);
  }

  #walkExtents(extents: Extents, anyRecord: boolean, orExpiring: boolean, nowMs: number): number {
    const touched = this.#slab.chunksTouched;
    const classAt = classWord(EXTENT_CLASS);
    let spared = 0;
    let victim = 0;
    // Twice around at most: the first time may only clear marks.
    let left = extents.count === 0 ? 0 : 2 * touched;
    for (; left > 0 && spared < SPARED_MAX; left--) {
      const handAt = classAt + CLASS_HAND_UNIT;
      const chunk = this.#scratch32[handAt] + 1 < touched ? this.#scratch32[handAt] + 1 : 0;
      this.#scratch32[handAt] = chunk;
      if (this.#slab.kind(chunk) !== CHUNK_EXTENT || this.#slab.position(chunk) !== 0) continue;
      const ref = extents.ownerOf(chunk);
      if (ref === 0) continue;
      this.#slab.handComes(chunk << PAGES_PER_CHUNK_SHIFT, EXTENT_CLASS, true);
      if (this.#records.isAbsent(ref, nowMs)) return ref;
      if (orExpiring && this.#records.expiresAtMs(ref) !== 0) return ref;
      if (!anyRecord) continue;
      if (!this.#unmark(ref)) return ref;
      spared++;
      victim = ref;
    }
    return victim;
  }

  isMarked(ref: number): boolean {
    const bit = ref >>> SLOT_BIT_SHIFT;
    return (this.#marks[bit >>> 5] & (1 << (bit & 31))) !== 0;
  }

  /** Clears the access mark. Returns whether it was set. */
  #unmark(ref: number): boolean {
    const bit = ref >>> SLOT_BIT_SHIFT;
    const mask = 1 << (bit & 31);
    const marked = (this.#marks[bit >>> 5] & mask) !== 0;
    if (marked) this.#marks[bit >>> 5] &= ~mask;
    return marked;
  }

  /** Used slots of a class that the hand may come to: not those of a unit that is being emptied. */
  #reachable(sizeClass: number): number {
    const used = this.#slab.usedSlots(sizeClass);
    const draining = this.#scratch32[SCRATCH_DRAIN_UNIT_WORD];
    if (draining === 0 || this.#slab.classAt(draining) !== sizeClass) return used;
    return used - (SLOTS_PER_UNIT[sizeClass] - this.#slab.freeSlots(draining));
  }

  /** Moves the hand of a class that has reachable slots past the next of them, and returns its ref. */
  #advance(sizeClass: number): number {
    const words = this.#scratch32;
    const handAt = classWord(sizeClass);
    let unit = words[handAt + CLASS_HAND_UNIT];
    let slot = words[handAt + CLASS_HAND_SLOT];
    let ref = 0;
    do {
      if (slot >= SLOTS_PER_UNIT[sizeClass] || !this.#isWalked(unit, sizeClass)) {
        const next = this.#nextUnit(unit, sizeClass);
        if (next <= unit) this.#choosePass(sizeClass, true);
        this.#slab.handComes(next, sizeClass, !this.#isLooking);
        unit = next;
        slot = 0;
      }
      ref = (unit << PAGE_SHIFT) + slot * SLOT_BYTES[sizeClass];
      slot++;
    } while (!this.#slab.isUsed(ref));
    words[handAt + CLASS_HAND_UNIT] = unit;
    words[handAt + CLASS_HAND_SLOT] = slot;
    return ref;
  }

  /** The unit that the hand of a class comes to next. The class has one that is not being emptied. */
  nextUnderHand(sizeClass: number): number {
    return this.#nextUnit(this.#scratch32[classWord(sizeClass) + CLASS_HAND_UNIT], sizeClass);
  }

  #isWalked(unit: number, sizeClass: number): boolean {
    return (
      this.#slab.classAt(unit) === sizeClass && unit !== this.#scratch32[SCRATCH_DRAIN_UNIT_WORD]
    );
  }

  /** The next unit of a class behind `unit`, around the image. The class has one. Units that were taken since the hand
   *  was last here are passed by: what is in them is not so old as what lies around them. */
  #nextUnit(unit: number, sizeClass: number): number {
    const enough = this.#slab.age(sizeClass) / 2;
    let next = 0;
    let oldest = -1;
    for (let looked = 0, at = unit; looked < LOOKS_MAX && oldest < enough; looked++) {
      at = this.#slab.nextUnitOf(sizeClass, at);
      if (at === 0) throw new InvariantError('a class with units has one in the chunk table');
      const age = this.#slab.ageOfUnit(at);
      if (age <= oldest) continue;
      next = at;
      oldest = age;
    }
    return next;
  }
}
