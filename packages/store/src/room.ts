/** Room: where a record goes when its class has no free slot and no chunk may simply be taken.
 *
 *  In this order: a slot of its own class, by eviction; the chunk in reserve; a larger class's slot; a chunk of another
 *  class. No class keeps chunks for ever: one chunk at a time is *drained*, a few records per passage (DRAIN_WORK), by
 *  every writer that needs room and by the storage worker. Its records move into free slots of their class; where
 *  there are none those that were read push out others of their class, and the rest is evicted. Readers go on.
 *
 *  Who gives: a class with a whole unit's worth of free slots, which loses nothing; else the one that would evict
 *  what is the oldest. A class is as old as what lies under its hand: as the time (in mutations) since the hand was last there,
 *  times the root of its slots' size, as a large record takes the place of many. Who gets: a class that would have
 *  to evict what is younger than that by OLDER_RATIO. So a new mix of sizes takes what the last one left behind
 *  before it evicts of its own, and otherwise all classes evict what nobody read for about the same time.
 *
 *  Owner: whoever is inside the gate of a partition it leads. Each step is a mutation of its own. */
import type { Buckets } from './buckets.ts';
import { classWord } from './chunk-table.ts';
import type { Extents } from './extents.ts';
import {
  CHUNK_BYTES,
  CLASS_HAND_UNIT,
  CLASS_HAND_SLOT,
  EXTENT_CLASS,
  PAGE_SHIFT,
  PAGES_PER_CHUNK_SHIFT,
  SCRATCH_CAPACITY_CHUNKS_WORD,
  SCRATCH_DONOR_CLASS_WORD,
  SCRATCH_DRAIN_SLOT_WORD,
  SCRATCH_DRAINS_F64,
  SCRATCH_EVICTED_BYTES_WORD,
  SCRATCH_GATHER_CLASS_WORD,
  SCRATCH_MOVES_F64,
  SCRATCH_POLICY_WORD,
  SCRATCH_ROOM_WORK_F64,
} from './layout.ts';
import {
  type PartitionMemory,
  POLICY_NOEVICTION,
  POLICY_SIEVE,
  POLICY_VOLATILE_TTL,
} from './memory.ts';
import type { Mutation } from './mutation.ts';
import type { Records } from './record.ts';
import { type Sieve, SPARED_MAX } from './sieve.ts';
import {
  CLASS_COUNT,
  OVERFLOW_CLASS,
  SLOT_BYTES,
  SLOTS_PER_UNIT,
  UNIT_PAGES,
} from './size-classes.ts';
import type { Slab } from './slab.ts';

/** Units of work: a slot that is looked at is one, a record that is moved or removed RECORD_WORK. */
export const RECORD_WORK = 8;
/** A page, or a chunk, that is given back: it is filled with zeros. */
const PAGE_WORK = 8;
const CHUNK_WORK = 64;
/** Of one passage that needs room, on the chunk that is being drained. */
export const DRAIN_WORK = 256;
/** Of a passage whose record finds no slot otherwise, before it takes one of a larger class. */
export const URGENT_WORK = 1_024;
/** Of a passage whose record finds none there either: what the fullest chunk takes, in units of donors that are then packed. */
export const LAST_WORK = 65_536;
/** Free chunks for who has none yet, or comes to need more than others: kept where records may be evicted. */
const RESERVE_CHUNKS = 1;
/** Of bytes evicted: after so many it is asked anew which class gives. */
const DONOR_BYTES = 4_096;
/** So much older has to be what the other class has, for it to give to one that has some. */
const OLDER_RATIO = 1.25;
/** Records of more than these bytes count as of so many: large ones go before small ones, but not without end. */
const WEIGHED_BYTES_MAX = 4_096;
/** By class. A record that takes four times as much stays half as long, if nobody reads it. */
const WEIGHTS: Float64Array = Float64Array.from(SLOT_BYTES, (bytes) =>
  Math.sqrt(Math.min(bytes, WEIGHED_BYTES_MAX)),
);
/** Slots that a record pushed out of a draining chunk looks at to find one that is less asked for. */
const PUSHED_MAX = 256;
/** Records of its class that give way to one: a slot in a pinned chunk is not handed out. */
const PINNED_VICTIMS_MAX = 4;
/** Times that a record which needs a bucket, too, has both made free for it. */
const BUCKET_ROUNDS_MAX = 4;
/** Evictions for one extent: what is evicted may be pinned, and then gives nothing. */
const EXTENT_ROUNDS_MAX = 16;
/** Chunks of a class among which the emptiest is looked for. */
const SPARSE_MAX = 16;
/** Slots of a class that `volatile-ttl` looks at for a record with an expiry, of its own class and of another. */
const VOLATILE_SLOTS_MAX = 16_384;
const GATHER_SLOTS_MAX = 4_096;
/** How much larger than its own a class may be that a record is put into. */
const HOST_RATIO = 16;
/** Below this share of free chunks the storage worker packs sparse ones. */
const PACK_SHARE = 8;

/** Takes records out of the index: the writer. */
export interface Evictor {
  /** Removes the record at `ref`, whatever its key, and counts why. */
  evict(ref: number, nowMs: number): void;
  releaseUnit(unit: number, nowMs: number): void;
}

export class Room {
  readonly #memory: PartitionMemory;
  readonly #scratch32: Int32Array;
  readonly #scratch64: Float64Array;
  readonly #buckets: Buckets;
  readonly #records: Records;
  readonly #slab: Slab;
  readonly #sieve: Sieve;
  readonly #mutation: Mutation;
  readonly #extents: Extents;
  readonly #evictor: Evictor;
  /** What is left of the work of the running call. */
  #work = 0;

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
    evictor: Evictor,
  ) {
    this.#memory = memory;
    this.#scratch32 = memory.scratch32;
    this.#scratch64 = memory.scratch64;
    this.#buckets = parts.buckets;
    this.#records = parts.records;
    this.#slab = parts.slab;
    this.#sieve = parts.sieve;
    this.#mutation = parts.mutation;
    this.#extents = parts.extents;
    this.#evictor = evictor;
  }

  // ------------------------------------------------------------ for a record

  /** Whether a record (and one more bucket, if its chain `grows`) fits as things are: into `freeUnit`, or, where that
   *  is 0, into one to be taken. */
  isThere(sizeClass: number, freeUnit: number, grows: boolean): boolean {
    if (freeUnit !== 0 && !grows) return true;
    const kept = freeUnit === 0 ? this.#reserve() : 0;
    const needed = this.#unitChunks(sizeClass, freeUnit) + this.#bucketChunks(grows) + kept;
    return needed === 0 || this.#freeChunks() >= needed;
  }

  /** Chunks that are taken for a slot: none, where there is one, or a free unit in a chunk that is cut. */
  #unitChunks(sizeClass: number, freeUnit: number): number {
    return freeUnit !== 0 || this.#slab.hasFreeUnit(sizeClass) ? 0 : 1;
  }

  /** Makes a record of this class fit. Returns the class whose slot it gets, 0 = none may be had. */
  make(sizeClass: number, grows: boolean, nowMs: number): number {
    const forBucket = this.#bucketChunks(grows);
    this.drain(this.#reserve() + forBucket, DRAIN_WORK, nowMs);
    const target = this.#slotFor(sizeClass, forBucket, nowMs);
    if (target === 0 || forBucket === 0) return target;
    // What is emptied for the bucket may be where the record was to go: then once more.
    for (let rounds = 0; rounds < BUCKET_ROUNDS_MAX; rounds++) {
      const freeUnit = this.#slab.freeUnitOf(target);
      if (this.isThereAtLast(target, freeUnit, grows)) return target;
      const forUnit = freeUnit === 0 ? target : OVERFLOW_CLASS;
      if (!this.#drainFor(forUnit, forBucket, LAST_WORK, nowMs)) return 0;
    }
    return 0;
  }

  #slotFor(sizeClass: number, forBucket: number, nowMs: number): number {
    if (this.#hasFreeSlot(sizeClass)) return sizeClass;
    const mayTake = this.#slab.hasFreeUnit(sizeClass) || this.#freeChunks() > forBucket;
    if (mayTake && this.#deservesChunk(sizeClass)) return sizeClass;
    for (let tries = 0; tries < PINNED_VICTIMS_MAX && this.#evictOne(sizeClass, nowMs); tries++) {
      if (this.#hasFreeSlot(sizeClass)) return sizeClass;
    }
    if (mayTake || this.#drainFor(sizeClass, forBucket, URGENT_WORK, nowMs)) return sizeClass;
    const host = this.#host(sizeClass, nowMs);
    if (host !== 0) return host;
    return this.#drainFor(sizeClass, forBucket, LAST_WORK, nowMs) ? sizeClass : 0;
  }

  /** Makes `Extents.take` find a chunk, if that may be: an orphan, a large value evicted, or a chunk of records. */
  makeForExtent(nowMs: number): boolean {
    for (let round = 0; round < EXTENT_ROUNDS_MAX; round++) {
      if (this.#extents.mayTake()) return true;
      const evicted = !this.#deservesChunk(EXTENT_CLASS) && this.#evictLarge(nowMs);
      if (!evicted && !this.drain(1, LAST_WORK, nowMs)) return false;
    }
    return this.#extents.mayTake();
  }

  /** Evicts a large value: its extents are orphans then. False when there is none to give. */
  #evictLarge(nowMs: number): boolean {
    const policy = this.#scratch32[SCRATCH_POLICY_WORD];
    const victim =
      policy === POLICY_SIEVE
        ? this.#sieve.extentVictim(this.#extents, nowMs)
        : this.#sieve.absentExtent(this.#extents, policy === POLICY_VOLATILE_TTL, nowMs);
    if (victim === 0) return false;
    this.#scratch32[SCRATCH_EVICTED_BYTES_WORD] += CHUNK_BYTES * this.#records.extentCount(victim);
    this.#evictor.evict(victim, nowMs);
    return true;
  }

  #hasFreeSlot(sizeClass: number): boolean {
    return this.#slab.freeUnitOf(sizeClass) !== 0;
  }

  /** As `isThere`, the reserve included. */
  isThereAtLast(sizeClass: number, freeUnit: number, grows: boolean): boolean {
    const forRecord = this.#unitChunks(sizeClass, freeUnit);
    return this.#slab.hasFreeChunks(forRecord + this.#bucketChunks(grows));
  }

  /** Chunks that one more bucket of a chain takes. */
  #bucketChunks(grows: boolean): number {
    return grows && !this.#hasFreeSlot(OVERFLOW_CLASS) ? 1 : 0;
  }

  #freeChunks(): number {
    return this.#scratch32[SCRATCH_CAPACITY_CHUNKS_WORD] - this.#slab.usedChunks;
  }

  #reserve(): number {
    return this.#scratch32[SCRATCH_POLICY_WORD] === POLICY_SIEVE ? RESERVE_CHUNKS : 0;
  }

  /** Frees a slot of this class; false when it has none to give. */
  #evictOne(sizeClass: number, nowMs: number): boolean {
    const victim = this.#victim(sizeClass, nowMs);
    if (victim === 0) return false;
    this.#evictor.evict(victim, nowMs);
    this.#scratch32[SCRATCH_EVICTED_BYTES_WORD] += SLOT_BYTES[sizeClass];
    return true;
  }

  #victim(sizeClass: number, nowMs: number): number {
    const policy = this.#scratch32[SCRATCH_POLICY_WORD];
    if (policy === POLICY_SIEVE) return this.#sieve.victim(sizeClass, SPARED_MAX, nowMs);
    if (policy === POLICY_NOEVICTION) return this.#sieve.absentRecord(sizeClass, nowMs);
    return this.#sieve.nearestExpiry(sizeClass, VOLATILE_SLOTS_MAX, nowMs);
  }

  /** A class with larger slots that has one free, or gives one up. */
  #host(sizeClass: number, nowMs: number): number {
    const bytesMax = SLOT_BYTES[sizeClass] * HOST_RATIO;
    for (let host = sizeClass + 1; host < CLASS_COUNT && SLOT_BYTES[host] <= bytesMax; host++) {
      if (this.#hasFreeSlot(host)) return host;
      if (this.#evictOne(host, nowMs) && this.#hasFreeSlot(host)) return host;
    }
    return 0;
  }

  // ------------------------------------------------------------ who gives, who gets

  /** Whether a class may have the chunk in reserve rather than evict of its own. */
  #deservesChunk(sizeClass: number): boolean {
    if (this.#slab.classUnitCount(sizeClass) === 0) return true;
    const donor = this.#lastDonor();
    if (donor === 0 || donor === sizeClass) return false;
    const isSparse =
      donor !== EXTENT_CLASS && this.#slab.freeSlotsOf(donor) >= SLOTS_PER_UNIT[donor];
    return isSparse || this.#age(donor) > OLDER_RATIO * this.#age(sizeClass);
  }

  /** The class that gives, as it was some evictions ago. */
  #lastDonor(): number {
    const words = this.#scratch32;
    if (words[SCRATCH_EVICTED_BYTES_WORD] >= DONOR_BYTES || words[SCRATCH_DONOR_CLASS_WORD] === 0) {
      words[SCRATCH_EVICTED_BYTES_WORD] = 0;
      words[SCRATCH_DONOR_CLASS_WORD] =
        this.#sparseClass() || this.#oldestClass(this.#extents.count !== 0);
    }
    return words[SCRATCH_DONOR_CLASS_WORD];
  }

  /** Of what the class would evict. Of a class that does not fill a unit, less: it would soon have to take another. */
  #age(sizeClass: number): number {
    if (sizeClass === EXTENT_CLASS) return this.#slab.age(EXTENT_CLASS) * WEIGHTS[CLASS_COUNT - 1];
    const used = this.#slab.usedSlots(sizeClass);
    const share = used / (used + SLOTS_PER_UNIT[sizeClass] / 2);
    return this.#slab.age(sizeClass) * WEIGHTS[sizeClass] * share;
  }

  /** The class that would evict what is the oldest; 0 = there is none. */
  #oldestClass(amongExtents: boolean): number {
    let donor = amongExtents ? EXTENT_CLASS : 0;
    let oldest = donor === 0 ? -1 : this.#age(EXTENT_CLASS);
    for (let sizeClass = 1; sizeClass < CLASS_COUNT; sizeClass++) {
      if (this.#slab.classUnitCount(sizeClass) === 0) continue;
      const age = this.#age(sizeClass);
      if (age > oldest) {
        donor = sizeClass;
        oldest = age;
      }
    }
    return donor;
  }

  /** Of the classes with a unit's worth of free slots the one with the most; 0 = there is none. */
  #sparseClass(): number {
    let sparse = 0;
    let most = 0;
    for (let sizeClass = 1; sizeClass < CLASS_COUNT; sizeClass++) {
      const units = this.#slab.freeSlotsOf(sizeClass) / SLOTS_PER_UNIT[sizeClass];
      const pages = units * UNIT_PAGES[sizeClass];
      if (units < 1 || pages < most) continue;
      sparse = sizeClass;
      most = pages;
    }
    return sparse;
  }

  // ------------------------------------------------------------ draining

  /** Empties chunks until `chunks` are free, at the price of `work` at most. Returns whether they are. */
  drain(chunks: number, work: number, nowMs: number): boolean {
    return this.#drainFor(OVERFLOW_CLASS, chunks, work, nowMs);
  }

  /** The same, until there are `chunks` and, for a class of records, a unit. */
  #drainFor(sizeClass: number, chunks: number, work: number, nowMs: number): boolean {
    this.#work = work;
    while (!this.#isThereFor(sizeClass, chunks) && this.#work > 0) {
      this.#work -= RECORD_WORK;
      if (this.#extents.reclaimOrphan(nowMs)) this.#work -= CHUNK_WORK;
      else if (!this.#advance(nowMs)) break;
    }
    this.#scratch64[SCRATCH_ROOM_WORK_F64] += work - this.#work;
    return this.#isThereFor(sizeClass, chunks);
  }

  #isThereFor(sizeClass: number, chunks: number): boolean {
    const forUnit = sizeClass === OVERFLOW_CLASS ? 0 : this.#unitChunks(sizeClass, 0);
    return this.#slab.hasFreeChunks(chunks + forUnit);
  }

  /** Ahead of need, in a passage of the storage worker: the reserve, and classes with a chunk's worth of free
   *  slots where chunks are scarce. Returns whether there is more to do. */
  tend(nowMs: number): boolean {
    const reserve = this.#reserve();
    const scarce = this.#freeChunks() * PACK_SHARE < this.#scratch32[SCRATCH_CAPACITY_CHUNKS_WORD];
    if (this.#slab.drainUnit === 0 && this.#slab.hasFreeChunks(reserve)) {
      const sparse = scarce ? this.#sparseClass() : 0;
      const began = scarce && (this.#pack() || (sparse !== 0 && this.#beginIn(sparse)));
      if (!began) return false;
    }
    this.#work = DRAIN_WORK;
    if (!this.#advance(nowMs)) return false;
    this.#scratch64[SCRATCH_ROOM_WORK_F64] += DRAIN_WORK - this.#work;
    return true;
  }

  /** Goes on emptying a chunk, begins to, or evicts a large value. False: nothing may go. */
  #advance(nowMs: number): boolean {
    if (this.#slab.drainUnit !== 0) {
      this.#step(nowMs);
      return true;
    }
    if (this.#pack()) return true;
    if (this.#scratch32[SCRATCH_POLICY_WORD] !== POLICY_SIEVE) {
      return this.#beginWithoutEviction(nowMs) || this.#evictLarge(nowMs) || this.#gather(nowMs);
    }
    const sparse = this.#sparseClass();
    if (sparse !== 0 && this.#beginIn(sparse)) return true;
    let donor = this.#oldestClass(this.#extents.count !== 0);
    if (donor === EXTENT_CLASS) {
      if (this.#evictLarge(nowMs)) return true;
      donor = this.#oldestClass(false); // no record refers to those that there are: they are being written
    }
    if (donor === 0) return false;
    // One that is pinned counts as young from now on, so that another gives.
    if (!this.#beginIn(donor)) this.#work -= CHUNK_WORK;
    return true;
  }

  #beginWithoutEviction(nowMs: number): boolean {
    const sparse = this.#sparseClass();
    return sparse === 0 ? this.#beginInAbsent(nowMs) : this.#beginIn(sparse);
  }

  #beginIn(sizeClass: number): boolean {
    const sparsest = this.#sparsest(sizeClass);
    const unit = sparsest === 0 ? this.#sieve.nextUnderHand(sizeClass) : sparsest;
    if (unit !== sparsest) this.#slab.handComes(unit, sizeClass, true);
    if (this.#isPinned(unit)) {
      this.#passHand(sizeClass, unit);
      return false;
    }
    this.#slab.beginDrain(unit);
    return true;
  }

  /** Where the free units of cut chunks make up a chunk: begins to empty the next unit of the one that has most of them, so
   *  that it comes free as a whole. Its records go to free units elsewhere. */
  #pack(): boolean {
    let chunk = this.#slab.packChunk;
    if (chunk === 0) {
      chunk = this.#slab.packable();
      if (chunk === 0) return false;
      this.#slab.beginPack(chunk);
    }
    const unit = this.#slab.unitFrom(chunk << PAGES_PER_CHUNK_SHIFT, chunk);
    if (unit === -1 || this.#slab.isPinned(chunk)) {
      this.#slab.cancelPack();
      return false;
    }
    this.#slab.beginDrain(unit);
    return true;
  }

  #isPinned(unit: number): boolean {
    return this.#slab.isPinned(unit >>> PAGES_PER_CHUNK_SHIFT);
  }

  /** For who may not evict: the unit that is next in the class with the most, if readers see nothing of it. */
  #beginInAbsent(nowMs: number): boolean {
    let richest = 0;
    let most = 0;
    for (let sizeClass = 1; sizeClass < CLASS_COUNT; sizeClass++) {
      const pages = this.#slab.classUnitCount(sizeClass) * UNIT_PAGES[sizeClass];
      if (pages <= most) continue;
      richest = sizeClass;
      most = pages;
    }
    if (richest === 0) return false;
    const unit = this.#sieve.nextUnderHand(richest);
    if (this.#isPinned(unit) || !this.#holdsOnlyAbsent(unit, richest, nowMs)) return false;
    this.#slab.beginDrain(unit);
    return true;
  }

  #holdsOnlyAbsent(unit: number, sizeClass: number, nowMs: number): boolean {
    for (let slot = 0; slot < SLOTS_PER_UNIT[sizeClass]; slot++) {
      const ref = (unit << PAGE_SHIFT) + slot * SLOT_BYTES[sizeClass];
      if (this.#slab.isUsed(ref) && !this.#records.isAbsent(ref, nowMs)) return false;
    }
    return true;
  }

  /** Of the first few units of a class with free slots the one with the most, 0 = all are rather full: the newest
   *  records are in those. */
  #sparsest(sizeClass: number): number {
    let sparsest = 0;
    let most = SLOTS_PER_UNIT[sizeClass] / 2;
    let unit = this.#slab.firstFree(sizeClass);
    for (let left = SPARSE_MAX; left > 0 && unit !== 0; left--) {
      const free = this.#slab.freeSlots(unit);
      if (free >= most && !this.#isPinned(unit)) {
        sparsest = unit;
        most = free;
      }
      unit = this.#slab.nextFree(unit);
    }
    return sparsest;
  }

  /** One slot behind the other, until the unit is empty and given back, or no work is left. */
  #step(nowMs: number): void {
    const unit = this.#slab.drainUnit;
    const sizeClass = this.#slab.classAt(unit);
    const slots = SLOTS_PER_UNIT[sizeClass];
    let slot = this.#scratch32[SCRATCH_DRAIN_SLOT_WORD];
    for (; slot < slots && this.#work > 0; slot++) {
      this.#work--;
      const ref = (unit << PAGE_SHIFT) + slot * SLOT_BYTES[sizeClass];
      if (!this.#slab.isUsed(ref)) continue;
      this.#work -= RECORD_WORK;
      if (this.#vacate(ref, sizeClass, nowMs)) continue;
      this.#giveUp(unit, sizeClass);
      return;
    }
    this.#scratch32[SCRATCH_DRAIN_SLOT_WORD] = slot;
    if (slot < slots) return;
    if (this.#isPinned(unit)) return this.#giveUp(unit, sizeClass);
    this.#work -= PAGE_WORK * UNIT_PAGES[sizeClass];
    this.#evictor.releaseUnit(unit, nowMs);
    this.#scratch64[SCRATCH_DRAINS_F64]++;
  }

  #giveUp(unit: number, sizeClass: number): void {
    this.#slab.cancelDrain();
    this.#passHand(sizeClass, unit);
  }

  /** The next search of this class begins behind `unit`. */
  #passHand(sizeClass: number, unit: number): void {
    this.#scratch32[classWord(sizeClass) + CLASS_HAND_UNIT] = unit;
    this.#scratch32[classWord(sizeClass) + CLASS_HAND_SLOT] = SLOTS_PER_UNIT[sizeClass];
  }

  /** Frees a slot of the draining unit; false when its record may neither stay elsewhere nor go. */
  #vacate(ref: number, sizeClass: number, nowMs: number): boolean {
    if (this.#records.isAbsent(ref, nowMs)) this.#evictor.evict(ref, nowMs);
    else {
      const freeUnit = this.#slab.freeUnitOf(sizeClass);
      const mayTake = this.#slab.packChunk !== 0 && this.#slab.hasFreeUnit(sizeClass);
      if (freeUnit !== 0 || mayTake) this.#move(ref, sizeClass, freeUnit, nowMs);
      else if (this.#mayGo(ref)) this.#evictor.evict(ref, nowMs);
      else return this.#pushOut(ref, sizeClass, nowMs);
    }
    return true;
  }

  #mayGo(ref: number): boolean {
    const policy = this.#scratch32[SCRATCH_POLICY_WORD];
    if (policy === POLICY_SIEVE) return !this.#sieve.isMarked(ref);
    return policy === POLICY_VOLATILE_TTL && this.#records.expiresAtMs(ref) !== 0;
  }

  /** A record that was read, or that has no expiry under `volatile-ttl`, takes the slot of one that goes; under
   *  `volatile-ttl` of a larger class, if its own has none but in this unit. */
  #pushOut(ref: number, sizeClass: number, nowMs: number): boolean {
    const victim = this.#lesser(sizeClass, nowMs);
    this.#work -= RECORD_WORK;
    if (victim !== 0) this.#evictor.evict(victim, nowMs);
    const evicts = this.#scratch32[SCRATCH_POLICY_WORD] === POLICY_SIEVE;
    // What is read in every slot of the oldest class takes no slots of those that grow.
    const host = victim !== 0 || evicts ? sizeClass : this.#host(sizeClass, nowMs);
    const freeUnit = host === 0 ? 0 : this.#slab.freeUnitOf(host);
    if (freeUnit !== 0) this.#move(ref, host, freeUnit, nowMs);
    else if (evicts) this.#evictor.evict(ref, nowMs);
    else return false;
    return true;
  }

  #lesser(sizeClass: number, nowMs: number): number {
    const policy = this.#scratch32[SCRATCH_POLICY_WORD];
    if (policy === POLICY_SIEVE) return this.#sieve.unread(sizeClass, PUSHED_MAX, nowMs);
    if (policy === POLICY_NOEVICTION) return 0;
    return this.#sieve.nearestExpiry(sizeClass, GATHER_SLOTS_MAX, nowMs);
  }

  /** The whole slot goes to a free one, header and seq as they are: what WATCH compares stays. */
  #move(ref: number, toClass: number, freeUnit: number, nowMs: number): void {
    const sizeClass = this.#records.sizeClass(ref);
    const hash = this.#buckets.hashOfRecord(ref);
    this.#buckets.locateRef(hash, ref);
    this.#mutation.begin(this.#buckets.head, nowMs);
    const to = this.#slab.takeSlot(this.#mutation, toClass, freeUnit);
    const bytes = SLOT_BYTES[sizeClass];
    this.#memory.imageBuffer.copyWithin(to, ref, ref + bytes);
    if (toClass !== sizeClass) this.#records.writeClass(to, toClass);
    this.#mutation.patch(to, bytes);
    this.#buckets.writeEntry(this.#mutation, hash, to);
    if (this.#sieve.isMarked(ref)) this.#sieve.mark(to);
    if (!this.#slab.isYoung(ref, sizeClass)) this.#slab.grownOld(to, toClass);
    this.#slab.markFree(ref, sizeClass);
    this.#mutation.commit();
    this.#scratch64[SCRATCH_MOVES_F64]++;
  }

  /** Under `volatile-ttl`, where no class has a chunk's worth of free slots: one record with an expiry goes, of one
   *  class after the other, so that some class has. */
  #gather(nowMs: number): boolean {
    if (this.#scratch32[SCRATCH_POLICY_WORD] !== POLICY_VOLATILE_TTL) return false;
    for (let left = CLASS_COUNT; left > 0 && this.#work > 0; left--) {
      const sizeClass = this.#scratch32[SCRATCH_GATHER_CLASS_WORD];
      const isThere = sizeClass > OVERFLOW_CLASS && this.#slab.usedSlots(sizeClass) > 0;
      if (isThere) {
        this.#work -= RECORD_WORK;
        const victim = this.#sieve.nearestExpiry(sizeClass, GATHER_SLOTS_MAX, nowMs);
        if (victim !== 0) {
          this.#evictor.evict(victim, nowMs);
          return true;
        }
      }
      this.#scratch32[SCRATCH_GATHER_CLASS_WORD] = (sizeClass + 1) % CLASS_COUNT;
    }
    return false;
  }
}
