/** Changes of a part of a value: APPEND and SETRANGE, without writing the rest of it anew where that can be avoided.
 *
 *  An extent that changes is either patched in place, or replaced: the changed extent is written into a chunk of its own
 *  (*fresh*), and a new record lists it in the place of the old one. Replaced are extents whose bytes somebody has pinned,
 *  those that the value did not have yet, and all that change where their patches are too many for one redo record.
 *  A change is atomic for readers: its last mutation alone changes what they see, in one passage, and its redo record
 *  (patches and the record itself) fits; fresh extents are written before it, referred to by nobody. A few of
 *  them are written in the same passage; more take one passage each, pinned, and if the value changes
 *  meanwhile the edit begins again.
 *  Owner: inside a passage (`run`), or one thread outside the gate (`step`). */
import type { Buckets } from './buckets.ts';
import { invariant } from './errors.ts';
import type { Extents } from './extents.ts';
import { enterGate, leaveGate } from './gate.ts';
import {
  BUSY,
  chunksForRecords,
  type LargeWriteParts,
  releaseChunks,
  reserveChunks,
  VOID,
} from './large-write.ts';
import {
  CHUNK_BYTES,
  CHUNK_MASK,
  CHUNK_SHIFT,
  RECORD_HEADER_BYTES,
  REDO_RECORD_BYTES_MAX,
  SCRATCH_EPOCH_WORD,
  SCRATCH_ROLE_WORD,
  SCRATCH_SEALED_WORD,
} from './layout.ts';
import { ROLE_PRIMARY } from './mutation.ts';
import type { Records } from './record.ts';
import { ValuePlan } from './value-plan.ts';
import { NEEDS_PASSAGES, OUT_OF_MEMORY, SET_OK, TOO_LARGE } from './writer.ts';

/** In the place of an offset: behind the value. */
export const APPEND = -1;
/** `step` has done a part of it: call again. */
export const MORE = -6;
/** Only the last passage is left: see `finishInside`. */
export const READY = -8;

/** Fresh extents that are written in one passage with the rest: about 30 us each. */
const FRESH_PER_PASSAGE = 4;
/** What a redo record holds beside patches of values and the record: bucket, index, chunk table. */
const REDO_REST_BYTES = 1_024;
/** A patch's header, and what it takes to begin and end at multiples of 4. */
const PATCH_BYTES_MORE = 16;
/** The key has another value than the edit began with. */
export const CHANGED = -7;
/** How often an edit begins again because the value changed under it. */
const RESTARTS_MAX = 16;
const ROOM_TRIES_MAX = 3;
const CHUNKS_INITIAL = 16;

export class ValueEdit {
  readonly #parts: LargeWriteParts;
  readonly #buckets: Buckets;
  readonly #records: Records;
  readonly #extents: Extents;
  readonly #plan: ValuePlan = new ValuePlan();
  #hash = 0;
  #key: Uint8Array = new Uint8Array(0);
  #keyStart = 0;
  #keyBytes = 0;
  #offset = APPEND;
  #source: Uint8Array = new Uint8Array(0);
  #start = 0;
  #bytes = 0;
  /** The record as it was when the edit began, 0 = there was none, and its seq. */
  #base = 0;
  #baseSeq = 0;
  /** Bytes of the value before and after, and which of them change. */
  #before = 0;
  #after = 0;
  #from = 0;
  #to = 0;
  /** Positions `#fresh[0 .. #freshCount)`, ascending, and the chunks written for them so far. */
  #fresh: Int32Array = new Int32Array(CHUNKS_INITIAL);
  #freshChunks: Int32Array = new Int32Array(CHUNKS_INITIAL);
  #freshCount = 0;
  #freshWritten = 0;
  #list: Int32Array = new Int32Array(CHUNKS_INITIAL);
  #needsSlot = false;
  /** The record that the last lookup found, expired ones included; extents of the base that the new value may keep. */
  #old = 0;
  #kept = 0;
  #inPassages = false;
  #reserved = 0;
  // Of an edit in many passages.
  #epoch = 0;
  #isOpen = false;
  #isPrepared = false;
  #restarts = 0;
  #mayWrite: (() => boolean) | undefined;

  constructor(parts: LargeWriteParts) {
    this.#parts = parts;
    this.#buckets = parts.buckets;
    this.#records = parts.records;
    this.#extents = parts.extents;
  }

  /** What is to change: `bytes` bytes of `source` go to byte `offset` of the value, or behind it (APPEND). */
  describe(
    hash: number,
    key: Uint8Array,
    keyStart: number,
    keyBytes: number,
    offset: number,
    source: Uint8Array,
    start: number,
    bytes: number,
  ): void {
    this.#hash = hash;
    this.#key = key;
    this.#keyStart = keyStart;
    this.#keyBytes = keyBytes;
    this.#offset = offset;
    this.#source = source;
    this.#start = start;
    this.#bytes = bytes;
  }

  // ------------------------------------------------------------ in one passage

  /** Inside a passage: does what was described. Returns the bytes of the value now, or OUT_OF_MEMORY, TOO_LARGE,
   *  NEEDS_PASSAGES: nothing has changed then. */
  run(nowMs: number): number {
    this.#inPassages = false;
    for (let tries = 0; tries < ROOM_TRIES_MAX; tries++) {
      const code = this.#prepare(nowMs);
      if (code !== SET_OK) return code;
      if (this.#freshCount > FRESH_PER_PASSAGE) return NEEDS_PASSAGES;
      let result = MORE;
      while (result === MORE && this.#freshWritten < this.#freshCount) {
        result = this.#writeFresh(nowMs);
      }
      if (result === MORE) result = this.#finish(nowMs);
      if (result >= 0) return result;
      this.#dropFresh(nowMs);
      if (result !== CHANGED) return result;
    }
    return OUT_OF_MEMORY; // what made room took the value itself, each time
  }

  // ------------------------------------------------------------ in many passages

  /** For what `run` says NEEDS_PASSAGES to, outside the gate; `key` and `source` stay as they are until the end. Returns
   *  SET_OK, TOO_LARGE, BUSY or VOID. */
  begin(mayWrite?: () => boolean): number {
    const words = this.#parts.memory.scratch32;
    if (words[SCRATCH_ROLE_WORD] !== ROLE_PRIMARY || words[SCRATCH_SEALED_WORD] !== 0) return VOID;
    const chunks = Math.ceil(this.#bytes / CHUNK_BYTES) + 1;
    if (!reserveChunks(words, chunks)) return BUSY;
    this.#reserved = chunks;
    this.#parts.pins.writerBegins();
    this.#epoch = words[SCRATCH_EPOCH_WORD];
    this.#mayWrite = mayWrite;
    this.#isOpen = true;
    this.#isPrepared = false;
    this.#restarts = 0;
    this.#inPassages = true;
    return SET_OK;
  }

  /** One passage. Returns MORE, or what ends the edit: the bytes of the value now, OUT_OF_MEMORY, TOO_LARGE, VOID, or BUSY
   *  where the value changed under it too often. */
  step(nowMs: number): number {
    return this.#step(nowMs, true);
  }

  /** As `step`, but for the last passage, in place of which it returns READY. */
  prepare(nowMs: number): number {
    return this.#step(nowMs, false);
  }

  /** Inside a passage of the caller's: whether what was prepared still fits the value of its key. */
  holdsInside(nowMs: number): boolean {
    return this.#isOpen && this.#isLed() && this.#isBaseThere(nowMs);
  }

  /** The last passage of an edit that is READY, as a part of the caller's: the bytes of the value now, OUT_OF_MEMORY, VOID,
   *  or CHANGED where the key has another value by now. The edit has ended. */
  finishInside(nowMs: number): number {
    invariant(this.#isOpen, 'an edit is finished once');
    const result = this.#isLed() ? this.#finish(nowMs) : VOID;
    this.#end(result !== VOID, nowMs);
    return result;
  }

  #step(nowMs: number, finishes: boolean): number {
    invariant(this.#isOpen, 'an edit that has ended has no more steps');
    const { scratch32 } = this.#parts.memory;
    enterGate(scratch32);
    let result = this.#isLed() ? this.#stepInside(nowMs, finishes) : VOID;
    if (result === CHANGED) {
      this.#dropFresh(nowMs);
      this.#isPrepared = false;
      result = ++this.#restarts < RESTARTS_MAX ? MORE : BUSY;
    }
    if (result !== MORE && result !== READY) this.#end(result !== VOID, nowMs);
    leaveGate(scratch32);
    return result;
  }

  #stepInside(nowMs: number, finishes: boolean): number {
    if (!this.#isPrepared) {
      const code = this.#prepare(nowMs);
      if (code !== SET_OK) return code;
      this.#isPrepared = true;
    }
    if (this.#freshWritten < this.#freshCount) return this.#writeFresh(nowMs);
    return finishes ? this.#finish(nowMs) : READY;
  }

  /** Gives the edit up. Nothing happens to one that has ended. */
  abort(nowMs: number): void {
    if (!this.#isOpen) return;
    const { scratch32 } = this.#parts.memory;
    enterGate(scratch32);
    this.#end(this.#isLed(), nowMs);
    leaveGate(scratch32);
  }

  /** Lets go of what it holds; `isLed`: and gives back what it wrote for nothing. */
  #end(isLed: boolean, nowMs: number): void {
    const { pins, memory } = this.#parts;
    this.#isOpen = false;
    if (isLed) this.#dropFresh(nowMs);
    else for (let i = 0; i < this.#freshWritten; i++) pins.writerLetsGo(this.#freshChunks[i]);
    this.#freshWritten = 0;
    releaseChunks(memory.scratch32, this.#reserved);
    pins.writerEnds();
  }

  #isLed(): boolean {
    const words = this.#parts.memory.scratch32;
    return (
      words[SCRATCH_ROLE_WORD] === ROLE_PRIMARY &&
      words[SCRATCH_SEALED_WORD] === 0 &&
      words[SCRATCH_EPOCH_WORD] === this.#epoch &&
      (this.#mayWrite === undefined || this.#mayWrite())
    );
  }

  // ------------------------------------------------------------ what changes how

  #prepare(nowMs: number): number {
    const { memory } = this.#parts;
    const records = this.#records;
    this.#locate(nowMs);
    const isAbsent = this.#old === 0 || records.isExpired(this.#old, nowMs);
    this.#base = isAbsent ? 0 : this.#old;
    this.#baseSeq = isAbsent ? 0 : records.seq(this.#old);
    this.#before = isAbsent ? 0 : records.valueBytes(this.#old);
    this.#from = this.#offset === APPEND ? this.#before : this.#offset;
    this.#to = this.#from + this.#bytes;
    this.#after = Math.max(this.#before, this.#to);
    const { valueMaxBytes } = memory.geometry;
    if (!this.#plan.lay(this.#keyBytes, this.#after, valueMaxBytes)) return TOO_LARGE;
    if (this.#plan.extentCount + 1 > chunksForRecords(this.#parts)) return TOO_LARGE;
    this.#kept = isAbsent ? 0 : Math.min(records.extentCount(this.#base), this.#plan.extentCount);
    this.#chooseFresh();
    return SET_OK;
  }

  #locate(nowMs: number): void {
    const { writer } = this.#parts;
    const [key, start, bytes] = [this.#key, this.#keyStart, this.#keyBytes];
    this.#old = writer.locateUnflushed(this.#hash, key, start, bytes, nowMs);
  }

  /** Where the change begins in an extent, or in the part in the slot (position = extentCount). What lies behind the
   *  old value changes too: it becomes zeros, or new bytes. */
  #changedFrom(position: number): number {
    return Math.max(Math.min(this.#from, this.#before), position * CHUNK_BYTES);
  }

  #changedTo(position: number): number {
    const end = position < this.#plan.extentCount ? (position + 1) * CHUNK_BYTES : this.#after;
    return Math.min(this.#to, end);
  }

  #isChanged(position: number): boolean {
    return this.#changedTo(position) > this.#changedFrom(position);
  }

  #chooseFresh(): void {
    const plan = this.#plan;
    const first = Math.min(Math.min(this.#from, this.#before) >>> CHUNK_SHIFT, this.#kept);
    let patchBytes = plan.recordBytes + REDO_REST_BYTES;
    for (let position = first; position < this.#kept; position++) {
      if (!this.#isChanged(position)) continue;
      patchBytes += this.#changedTo(position) - this.#changedFrom(position) + PATCH_BYTES_MORE;
    }
    const mayPatch = !this.#inPassages && patchBytes <= REDO_RECORD_BYTES_MAX;
    this.#freshCount = 0;
    this.#freshWritten = 0;
    for (let position = first; position < plan.extentCount; position++) {
      const isReplaced = this.#isChanged(position) && (!mayPatch || this.#isPinnedAt(position));
      if (position >= this.#kept || isReplaced) this.#noteFresh(position);
    }
    this.#needsSlot = this.#freshCount > 0 || !this.#mayStayInSlot();
  }

  #isPinnedAt(position: number): boolean {
    return this.#parts.slab.isPinned(this.#records.extentAt(this.#base, position));
  }

  #noteFresh(position: number): void {
    if (this.#freshCount === this.#fresh.length) {
      this.#fresh = larger(this.#fresh);
      this.#freshChunks = larger(this.#freshChunks);
    }
    this.#fresh[this.#freshCount++] = position;
  }

  /** Bytes behind the value may change even if it is pinned: no view shows them. */
  #mayStayInSlot(): boolean {
    const base = this.#base;
    const plan = this.#plan;
    if (base === 0 || this.#records.flags(base) !== plan.flags) return false;
    if (this.#records.sizeClass(base) !== plan.sizeClass) return false;
    const from = this.#changedFrom(plan.extentCount);
    const changesBytes = from < Math.min(this.#before, this.#changedTo(plan.extentCount));
    return !changesBytes || !this.#parts.slab.isPinned(base >>> CHUNK_SHIFT);
  }

  /** Whether the key still has the value that the edit began with. */
  #isBaseThere(nowMs: number): boolean {
    this.#locate(nowMs);
    const ref = this.#old;
    const isAbsent = ref === 0 || this.#records.isExpired(ref, nowMs);
    if (this.#base === 0) return isAbsent;
    if (isAbsent || this.#records.seq(ref) !== this.#baseSeq) return false;
    this.#base = ref;
    return true;
  }

  // ------------------------------------------------------------ fresh extents

  /** One mutation: the next fresh extent, which nobody refers to yet. Returns MORE, OUT_OF_MEMORY or CHANGED. */
  #writeFresh(nowMs: number): number {
    const { writer, mutation, pins, memory } = this.#parts;
    if (!writer.makeRoomForExtent(nowMs)) return OUT_OF_MEMORY;
    if (!this.#isBaseThere(nowMs)) return CHANGED;
    const position = this.#fresh[this.#freshWritten];
    mutation.begin(0, nowMs);
    const chunk = this.#extents.take(this.#hash, position);
    this.#freshChunks[this.#freshWritten++] = chunk;
    if (this.#inPassages) pins.writerHolds(chunk);
    const from = position * CHUNK_BYTES;
    const bytes = Math.min(this.#after - from, CHUNK_BYTES);
    const end = (bytes + 3) & ~3;
    const at = chunk << CHUNK_SHIFT;
    memory.imageBuffer.fill(0, at + bytes, at + end);
    this.#compose(at, from, from + bytes);
    this.#extents.clearRest(chunk, end, CHUNK_BYTES);
    mutation.patch(at, end);
    mutation.commit();
    return MORE;
  }

  /** What was written for nothing becomes orphans. */
  #dropFresh(nowMs: number): void {
    for (let i = 0; i < this.#freshWritten; i++) {
      if (this.#inPassages) this.#parts.pins.writerLetsGo(this.#freshChunks[i]);
      this.#extents.orphan(this.#freshChunks[i]);
    }
    this.#freshWritten = 0;
    this.#extents.reclaimSome(nowMs);
  }

  /** Bytes `from` to `to` of the value as it will be, to image offset `at`. */
  #compose(at: number, from: number, to: number): void {
    const { imageBuffer } = this.#parts.memory;
    const oldEnd = Math.min(to, this.#before);
    if (from < oldEnd) {
      this.#records.copyValue(this.#base, from, oldEnd - from, imageBuffer, at);
    }
    this.#overlay(at, from, to);
  }

  /** Of these only what changes: zeros behind the old value, then the new bytes. */
  #overlay(at: number, from: number, to: number): void {
    const gapFrom = Math.max(from, this.#before);
    const gapTo = Math.min(to, this.#from);
    if (gapFrom < gapTo) {
      this.#parts.memory.imageBuffer.fill(0, at + gapFrom - from, at + gapTo - from);
    }
    const newFrom = Math.max(from, this.#from);
    const newTo = Math.min(to, this.#to);
    if (newFrom >= newTo) return;
    const sourceAt = this.#start + newFrom - this.#from;
    this.#records.writeBytes(at + newFrom - from, this.#source, sourceAt, newTo - newFrom);
  }

  // ------------------------------------------------------------ the last mutation

  /** The value changes. Returns its bytes, OUT_OF_MEMORY or CHANGED. */
  #finish(nowMs: number): number {
    const { writer } = this.#parts;
    if (!this.#isBaseThere(nowMs)) return CHANGED;
    if (!this.#needsSlot) {
      this.#finishInPlace(nowMs);
      return this.#after;
    }
    const { sizeClass } = this.#plan;
    if (!writer.hasRoomFor(sizeClass)) {
      if (!writer.makeRoomFor(sizeClass, nowMs)) return OUT_OF_MEMORY;
      if (!this.#isBaseThere(nowMs)) return CHANGED;
    }
    this.#finishInNewSlot(nowMs);
    return this.#after;
  }

  #finishInPlace(nowMs: number): void {
    const { mutation } = this.#parts;
    mutation.begin(this.#buckets.head, nowMs);
    this.#patchExtents();
    const { extentCount } = this.#plan;
    if (this.#isChanged(extentCount)) {
      const from = this.#changedFrom(extentCount);
      const at = this.#records.valueOffset(this.#base) + from - extentCount * CHUNK_BYTES;
      this.#patchRange(at, from, this.#changedTo(extentCount));
    }
    this.#writeHeader(this.#base, this.#records.expiresAtMs(this.#base));
    mutation.patch(this.#base, RECORD_HEADER_BYTES);
    this.#buckets.touch(mutation);
    mutation.commit();
  }

  /** Extents that change in place. */
  #patchExtents(): void {
    let fresh = 0;
    const first = Math.min(this.#from, this.#before) >>> CHUNK_SHIFT;
    for (let position = first; position < this.#kept; position++) {
      if (fresh < this.#freshCount && this.#fresh[fresh] === position) fresh++;
      else if (this.#isChanged(position)) {
        const from = this.#changedFrom(position);
        const at = this.#records.extentAt(this.#base, position) << CHUNK_SHIFT;
        this.#patchRange(at + (from & CHUNK_MASK), from, this.#changedTo(position));
      }
    }
  }

  #patchRange(at: number, from: number, to: number): void {
    this.#overlay(at, from, to);
    const start = at & ~3;
    this.#parts.mutation.patch(start, ((at + to - from + 3) & ~3) - start);
  }

  #writeHeader(ref: number, expiresAtMs: number): void {
    const { mutation, slab } = this.#parts;
    const classAndFlags = slab.classOf(ref) | (this.#plan.flags << 8);
    const { seqLow, seqHigh } = mutation;
    const after = this.#after;
    this.#records.writeHeader(
      ref,
      this.#keyBytes,
      after,
      classAndFlags,
      expiresAtMs,
      seqLow,
      seqHigh,
    );
  }

  #finishInNewSlot(nowMs: number): void {
    const { writer, pins } = this.#parts;
    const records = this.#records;
    const plan = this.#plan;
    const base = this.#base;
    const [key, start, bytes] = [this.#key, this.#keyStart, this.#keyBytes];
    const expiresAtMs = base === 0 ? 0 : records.expiresAtMs(base);
    this.#listExtents();
    writer.placeChosen(this.#hash, key, start, bytes, this.#old, nowMs, base !== 0);
    this.#patchExtents();
    const ref = writer.placed;
    this.#writeHeader(ref, expiresAtMs);
    if (plan.flags !== 0) {
      records.padKey(ref);
      records.writeExtentList(ref, this.#list, plan.extentCount);
    }
    this.#compose(ref + plan.partOffset, plan.extentCount * CHUNK_BYTES, this.#after);
    if (this.#inPassages) {
      for (let i = 0; i < this.#freshCount; i++) pins.writerLetsGo(this.#freshChunks[i]);
    }
    this.#freshWritten = 0;
    writer.finishRecord(plan.recordBytes, nowMs);
    this.#extents.reclaimSome(nowMs);
  }

  /** The new list; extents of the old one that are not in it become orphans. */
  #listExtents(): void {
    const { extentCount } = this.#plan;
    const oldCount = this.#base === 0 ? 0 : this.#records.extentCount(this.#base);
    while (this.#list.length < extentCount) this.#list = larger(this.#list);
    let fresh = 0;
    for (let position = 0; position < Math.max(extentCount, oldCount); position++) {
      const old = position < oldCount ? this.#records.extentAt(this.#base, position) : 0;
      const isFresh = fresh < this.#freshCount && this.#fresh[fresh] === position;
      if (position < extentCount) this.#list[position] = isFresh ? this.#freshChunks[fresh] : old;
      if (old !== 0 && (isFresh || position >= extentCount)) this.#extents.orphan(old);
      if (isFresh) fresh++;
    }
  }
}

function larger(words: Int32Array): Int32Array {
  const doubled = new Int32Array(words.length * 2);
  doubled.set(words);
  return doubled;
}
