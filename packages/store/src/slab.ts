/** The slab: units cut into slots of one class, and who uses which slot.
 *
 *  Which units there are the chunk table says; the rest (used bits, free counts, lists of units with free slots) is
 *  scratch: free = unreachable from buckets. Owner: whoever is inside the gate. On followers the same calls keep
 *  it current, so that promotion scans nothing.
 *  Invariant: a unit is in its class's free list exactly when its free count is above zero. One unit at a time may be
 *  draining: it is in no list, so that none of its slots is handed out, and its free count is DRAINING lower. */
import { ChunkTable, classWord } from './chunk-table.ts';
import { tableChunks } from './geometry.ts';
import {
  CLASS_FREE_HEAD,
  CLASS_PASSED,
  CLASS_UNIT_COUNT,
  CLASS_USED_SLOTS,
  CLASS_YOUNG_SLOTS,
  SCRATCH_DRAIN_SLOT_WORD,
  SCRATCH_DRAIN_UNIT_WORD,
  SCRATCH_SEQ_F64,
  SLOT_BITS_PER_PAGE_WORDS,
} from './layout.ts';
import * as layout from './layout.ts';
import type { PartitionMemory } from './memory.ts';
import type { Mutation } from './mutation.ts';
import {
  LAST_TINY_CLASS,
  SLOT_BYTES,
  SLOTS_PER_UNIT,
  UNIT_BYTES,
  UNIT_PAGES,
} from './size-classes.ts';

// V8 folds the constants of a module itself; imported ones are loaded and checked at each use.
const { PAGES_PER_CHUNK_SHIFT, PAGE_SHIFT, SCRATCH_PIN_COUNT_WORD, SLOT_BIT_SHIFT } = layout;

/** Units in pinned chunks that a search for a free slot passes by; behind them it takes a new one. */
const PINNED_HOPS_MAX = 64;
/** Below every count, so that a draining unit's never comes to zero, where lists change. */
const DRAINING = 1 << 14;

export class Slab extends ChunkTable {
  readonly #memory: PartitionMemory;
  readonly #scratch32: Int32Array;
  readonly #usedBits: Int32Array;
  readonly #freeCounts: Int16Array;
  readonly #hints: Int16Array;

  constructor(memory: PartitionMemory) {
    super(memory);
    this.#memory = memory;
    this.#scratch32 = memory.scratch32;
    this.#usedBits = memory.usedBits;
    this.#freeCounts = memory.freeCounts;
    this.#hints = memory.freeHints;
  }

  protected unitTaken(unit: number, sizeClass: number): void {
    this.#clearBits(unit, UNIT_PAGES[sizeClass]);
    this.#scratch32[classWord(sizeClass) + CLASS_UNIT_COUNT]++;
    this.#freeCounts[unit] = SLOTS_PER_UNIT[sizeClass];
    this.#hints[unit] = 0;
    this.#linkFree(unit, sizeClass);
    this.startAge(unit, sizeClass);
  }

  protected unitReleased(unit: number, sizeClass: number): void {
    this.#scratch32[classWord(sizeClass) + CLASS_UNIT_COUNT]--;
    if (this.isDraining(unit)) this.#scratch32[SCRATCH_DRAIN_UNIT_WORD] = 0;
    else this.#unlinkFree(unit, sizeClass);
    this.#freeCounts[unit] = 0;
  }

  // ------------------------------------------------------------ how old

  /** Mutations since the hand of a class was last where it is now: so long has nobody read what it would evict. */
  age(sizeClass: number): number {
    return (this.#seqLow() - this.#scratch32[classWord(sizeClass) + CLASS_PASSED]) >>> 0;
  }

  /** Mutations since a hand came to the unit, or a class took it. */
  ageOfUnit(unit: number): number {
    return (this.#seqLow() - this.#memory.passed[unit]) >>> 0;
  }

  /** The hand of a class comes to one of its units, and passes it or only looks. */
  handComes(unit: number, sizeClass: number, passes: boolean): void {
    const { passed } = this.#memory;
    this.#scratch32[classWord(sizeClass) + CLASS_PASSED] = passed[unit];
    if (passes) passed[unit] = this.#seqLow();
  }

  protected startAge(unit: number, sizeClass: number): void {
    const seqLow = this.#seqLow();
    this.#memory.passed[unit] = seqLow;
    if (this.classUnitCount(sizeClass) > 1) return;
    this.#scratch32[classWord(sizeClass) + CLASS_PASSED] = seqLow;
  }

  #seqLow(): number {
    return this.#memory.scratch64[SCRATCH_SEQ_F64] | 0;
  }

  // ------------------------------------------------------------ draining

  /** The unit whose slots are not handed out, because it is being emptied; 0 = none. */
  get drainUnit(): number {
    return this.#scratch32[SCRATCH_DRAIN_UNIT_WORD];
  }

  isDraining(unit: number): boolean {
    return this.#freeCounts[unit] < 0;
  }

  beginDrain(unit: number): void {
    if (this.#freeCounts[unit] > 0) this.#unlinkFree(unit, this.classAt(unit));
    this.#freeCounts[unit] -= DRAINING;
    this.#scratch32[SCRATCH_DRAIN_UNIT_WORD] = unit;
    this.#scratch32[SCRATCH_DRAIN_SLOT_WORD] = 0;
  }

  /** The draining unit, if there is one, serves its class again; so does a chunk that was being packed. */
  cancelDrain(): void {
    this.cancelPack();
    const unit = this.drainUnit;
    if (unit === 0) return;
    this.#scratch32[SCRATCH_DRAIN_UNIT_WORD] = 0;
    this.#freeCounts[unit] += DRAINING;
    if (this.#freeCounts[unit] > 0) this.#linkFree(unit, this.classAt(unit));
  }

  // ------------------------------------------------------------ slots

  /** Whether somebody holds views of bytes in the chunk, or fills it. Inside a passage, and without an atomic load: a pin
   *  that counts was there before the gate was closed (whoever adds one looks at the gate afterwards), and closing
   *  it orders. A pin that is added now may be seen or not: its reader will find the gate moved, and drops it. */
  isPinned(chunk: number): boolean {
    return this.#scratch32[SCRATCH_PIN_COUNT_WORD] !== 0 && this.#memory.pins[chunk] !== 0;
  }

  /** A unit of the class with a free slot that may be handed out, or 0: slots in pinned chunks may not. Ask once and keep
   *  the answer for `takeSlot`: pins come and go. */
  freeUnitOf(sizeClass: number): number {
    let unit = this.#scratch32[classWord(sizeClass) + CLASS_FREE_HEAD];
    if (unit === 0 || !this.isPinned(unit >>> PAGES_PER_CHUNK_SHIFT)) return unit;
    for (let hops = 0; hops < PINNED_HOPS_MAX && unit !== 0; hops++) {
      unit = this.#memory.nextFree[unit];
      if (unit !== 0 && !this.isPinned(unit >>> PAGES_PER_CHUNK_SHIFT)) return unit;
    }
    return 0;
  }

  classUnitCount(sizeClass: number): number {
    return this.#scratch32[classWord(sizeClass) + CLASS_UNIT_COUNT];
  }

  youngSlots(sizeClass: number): number {
    return this.#scratch32[classWord(sizeClass) + CLASS_YOUNG_SLOTS];
  }

  usedSlots(sizeClass: number): number {
    return this.#scratch32[classWord(sizeClass) + CLASS_USED_SLOTS];
  }

  /** First of a class's list of units with free slots, 0 = none; `nextFree` goes on. */
  firstFree(sizeClass: number): number {
    return this.#scratch32[classWord(sizeClass) + CLASS_FREE_HEAD];
  }

  /** No slot below it is free. */
  hint(unit: number): number {
    return this.#hints[unit];
  }

  freeSlots(unit: number): number {
    const count = this.#freeCounts[unit];
    return count < 0 ? count + DRAINING : count;
  }

  usedIn(unit: number): number {
    return SLOTS_PER_UNIT[this.classAt(unit)] - this.freeSlots(unit);
  }

  isEmpty(unit: number): boolean {
    return this.freeSlots(unit) === SLOTS_PER_UNIT[this.classAt(unit)];
  }

  /** Free slots of a class that may be handed out. */
  freeSlotsOf(sizeClass: number): number {
    const unit = this.drainUnit;
    const slots = this.classUnitCount(sizeClass) * SLOTS_PER_UNIT[sizeClass];
    const free = slots - this.usedSlots(sizeClass);
    return unit !== 0 && this.classAt(unit) === sizeClass ? free - this.freeSlots(unit) : free;
  }

  /** Takes a free slot, inside a mutation, from the unit that `freeUnitOf` gave; from a new one if that was 0. */
  takeSlot(mutation: Mutation, sizeClass: number, freeUnit: number): number {
    const unit = freeUnit === 0 ? this.takeUnit(mutation, sizeClass) : freeUnit;
    const slotBytes = SLOT_BYTES[sizeClass];
    const base = unit << PAGE_SHIFT;
    let offset = this.#hints[unit] * slotBytes;
    while (this.isUsed(base + offset)) offset += slotBytes;
    this.#hints[unit] = offset / slotBytes + 1;
    this.markUsed(base + offset, sizeClass);
    return base + offset;
  }

  isUsed(ref: number): boolean {
    const bit = ref >>> SLOT_BIT_SHIFT;
    return (this.#usedBits[bit >>> 5] & (1 << (bit & 31))) !== 0;
  }

  /** Whether the record came since SIEVE's hand last passed its slot. A slot of two bits or more keeps that in
   *  the other bit of the pair in which it starts, where no other slot starts; tiny ones are always young. */
  isYoung(ref: number, sizeClass: number): boolean {
    const bit = (ref >>> SLOT_BIT_SHIFT) ^ (sizeClass > LAST_TINY_CLASS ? 1 : 0);
    return (this.#usedBits[bit >>> 5] & (1 << (bit & 31))) !== 0;
  }

  grownOld(ref: number, sizeClass: number): void {
    if (sizeClass <= LAST_TINY_CLASS) return;
    const bit = (ref >>> SLOT_BIT_SHIFT) ^ 1;
    this.#usedBits[bit >>> 5] &= ~(1 << (bit & 31));
    this.#scratch32[classWord(sizeClass) + CLASS_YOUNG_SLOTS]--;
  }

  markUsed(ref: number, sizeClass: number): void {
    const bit = ref >>> SLOT_BIT_SHIFT;
    this.#usedBits[bit >>> 5] |= sizeClass > LAST_TINY_CLASS ? 3 << (bit & 30) : 1 << (bit & 31);
    const classAt = classWord(sizeClass);
    this.#scratch32[classAt + CLASS_USED_SLOTS]++;
    this.#scratch32[classAt + CLASS_YOUNG_SLOTS]++;
    const unit = unitOf(ref, sizeClass);
    if (--this.#freeCounts[unit] === 0) this.#unlinkFree(unit, sizeClass);
  }

  /** Frees a slot; its access mark goes with it. */
  markFree(ref: number, sizeClass: number): void {
    const bit = ref >>> SLOT_BIT_SHIFT;
    const classAt = classWord(sizeClass);
    if (this.isYoung(ref, sizeClass)) this.#scratch32[classAt + CLASS_YOUNG_SLOTS]--;
    this.#usedBits[bit >>> 5] &= ~(sizeClass > LAST_TINY_CLASS ? 3 << (bit & 30) : 1 << (bit & 31));
    this.#memory.accessMarks[bit >>> 5] &= ~(1 << (bit & 31));
    this.#scratch32[classAt + CLASS_USED_SLOTS]--;
    const unit = unitOf(ref, sizeClass);
    const slot = ((ref & (UNIT_BYTES[sizeClass] - 1)) / SLOT_BYTES[sizeClass]) | 0;
    if (slot < this.#hints[unit]) this.#hints[unit] = slot;
    if (this.#freeCounts[unit]++ === 0) this.#linkFree(unit, sizeClass);
  }

  #linkFree(unit: number, sizeClass: number): void {
    const headAt = classWord(sizeClass) + CLASS_FREE_HEAD;
    const head = this.#scratch32[headAt];
    this.#memory.nextFree[unit] = head;
    this.#memory.previousFree[unit] = 0;
    if (head !== 0) this.#memory.previousFree[head] = unit;
    this.#scratch32[headAt] = unit;
  }

  #unlinkFree(unit: number, sizeClass: number): void {
    const previous = this.#memory.previousFree[unit];
    const next = this.#memory.nextFree[unit];
    if (previous === 0) this.#scratch32[classWord(sizeClass) + CLASS_FREE_HEAD] = next;
    else this.#memory.nextFree[previous] = next;
    if (next !== 0) this.#memory.previousFree[next] = previous;
  }

  // ------------------------------------------------------------ rebuilding after a bulk

  /** Only the bit: its count comes with `slotsUsed`. Nobody knows how old it is: old. */
  setUsed(ref: number): void {
    const bit = ref >>> SLOT_BIT_SHIFT;
    this.#usedBits[bit >>> 5] |= 1 << (bit & 31);
  }

  /** The used bits of a unit, all free until now, have `count` set. */
  slotsUsed(unit: number, count: number): void {
    const sizeClass = this.classAt(unit);
    this.#scratch32[classWord(sizeClass) + CLASS_USED_SLOTS] += count;
    if (sizeClass <= LAST_TINY_CLASS) {
      this.#scratch32[classWord(sizeClass) + CLASS_YOUNG_SLOTS] += count;
    }
    this.#freeCounts[unit] -= count;
    if (this.#freeCounts[unit] === 0) this.#unlinkFree(unit, sizeClass);
  }

  /** Reads before it writes: a page that was never written costs no memory, and mostly none was. */
  #clearBits(unit: number, pages: number): void {
    const { accessMarks } = this.#memory;
    const from = unit * SLOT_BITS_PER_PAGE_WORDS;
    for (let word = from; word < from + pages * SLOT_BITS_PER_PAGE_WORDS; word++) {
      if (this.#usedBits[word] !== 0) this.#usedBits[word] = 0;
      if (accessMarks[word] !== 0) accessMarks[word] = 0;
    }
  }

  /** Forgets everything that scratch knows and reads the chunk table anew; slots all count as free. */
  rebuildFromTable(): void {
    this.rebuildTable(1 + tableChunks(this.#memory.geometry));
  }
}

/** The unit in which a slot of this class lies. */
export function unitOf(ref: number, sizeClass: number): number {
  return (ref >>> PAGE_SHIFT) & -UNIT_PAGES[sizeClass];
}
