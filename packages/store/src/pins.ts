/** Pins: views of a value's bytes in the image that stay as they are until they are let go of. Our `Arc + Pin`.
 *
 *  Whoever pins adds one to the counts of all chunks that hold bytes of the value, then looks at the gate again: if it
 *  moved, the pin is dropped and made anew. A writer looks at the counts inside its passage, before it hands out a slot
 *  of a chunk, gives the chunk back, or changes bytes of a value in place; so what it sees is every pin that counts.
 *  The record itself may go at once: the bytes stay, nobody finds them any more.
 *  Only primaries pin: a follower's bytes change as they come off the wire.
 *  Invariant: `pinCount` rises before the chunks' counts do and falls after them. */
import { StoreError } from './errors.ts';
import { enterGate, leaveGate, beginRead, endRead, TORN_READS_MAX } from './gate.ts';
import {
  CHUNK_SHIFT,
  PIN_TIMES,
  SCRATCH_PIN_COUNT_WORD,
  SCRATCH_PIN_TIMES_WORD,
  SCRATCH_ROLE_WORD,
  SCRATCH_WRITERS_WORD,
} from './layout.ts';
import type { PartitionMemory } from './memory.ts';
import { ROLE_PRIMARY } from './mutation.ts';
import type { Records } from './record.ts';

/** Of unix ms, as the table of times holds them: never 0. Ages up to 24 days. */
const timeWord = (nowMs: number): number => nowMs | 0 | 1;

export class Pin {
  /** The value's bytes in the image, in order. Never empty ones. */
  readonly views: readonly Buffer[];
  readonly bytes: number;
  readonly #pins: Pins;
  readonly #timeSlot: number;
  #chunks: readonly number[] | null;

  constructor(
    pins: Pins,
    found: { views: Buffer[]; bytes: number; chunks: readonly number[]; timeSlot: number },
  ) {
    this.views = found.views;
    this.bytes = found.bytes;
    this.#pins = pins;
    this.#chunks = found.chunks;
    this.#timeSlot = found.timeSlot;
  }

  /** From now on the views may change under whoever still has them.
   *  @throws StoreError PIN_RELEASED when it was called before. */
  unpin(): void {
    const chunks = this.#chunks;
    if (chunks === null) throw new StoreError('PIN_RELEASED');
    this.#chunks = null;
    this.#pins.release(chunks, this.#timeSlot);
  }
}

export interface PinStats {
  /** Pins that are held, of all threads. */
  readonly pins: number;
  /** Of the oldest of them, 0 without any. Counted up to PIN_TIMES pins at a time. */
  readonly oldestPinMs: number;
}

export class Pins {
  readonly #image: Buffer;
  readonly #counts: Int32Array;
  readonly #scratch32: Int32Array;
  readonly #records: Records;

  constructor(memory: PartitionMemory, records: Records) {
    this.#image = memory.imageBuffer;
    this.#counts = memory.pins;
    this.#scratch32 = memory.scratch32;
    this.#records = records;
  }

  /** Pins what `find` finds: a record, or 0. Null: it found none, or this copy is not led here. Outside the gate. */
  pin(find: () => number, nowMs: number): Pin | null {
    for (let torn = 0; torn < TORN_READS_MAX; torn++) {
      const token = beginRead(this.#scratch32);
      const ref = this.#isPrimary() ? find() : 0;
      if (ref === 0) {
        if (endRead(this.#scratch32, token)) return null;
        continue;
      }
      const pin = this.pinRead(ref, token, nowMs);
      if (pin !== null) return pin;
    }
    enterGate(this.#scratch32);
    const ref = this.#isPrimary() ? find() : 0;
    const pin = ref === 0 ? null : this.pinInside(ref, nowMs);
    leaveGate(this.#scratch32);
    return pin;
  }

  /** Pins the value of a record of a primary that was found since the read with this token began, and ends the read.
   *  Null: it was torn. */
  pinRead(ref: number, token: number, nowMs: number): Pin | null {
    const chunks = this.#chunksOf(ref);
    if (chunks === null) return null;
    this.#hold(chunks);
    const bytes = this.#records.valueBytes(ref);
    const views = this.#viewsOf(ref);
    if (endRead(this.#scratch32, token)) return this.#make(chunks, bytes, views, nowMs);
    this.#letGo(chunks);
    return null;
  }

  /** Pins the value of a record inside a passage. */
  pinInside(ref: number, nowMs: number): Pin {
    const chunks = this.#chunksOf(ref) ?? [];
    this.#hold(chunks);
    return this.#make(chunks, this.#records.valueBytes(ref), this.#viewsOf(ref), nowMs);
  }

  #isPrimary(): boolean {
    return this.#scratch32[SCRATCH_ROLE_WORD] === ROLE_PRIMARY;
  }

  #make(chunks: readonly number[], bytes: number, views: Buffer[], nowMs: number): Pin {
    return new Pin(this, { views, bytes, chunks, timeSlot: this.#noteTime(nowMs) });
  }

  /** Chunks that hold bytes of the value; null where a torn read names none. */
  #chunksOf(ref: number): number[] | null {
    const extentCount = this.#records.extentCount(ref);
    const chunks: number[] = [];
    for (let i = 0; i < extentCount; i++) {
      const chunk = this.#records.extentAt(ref, i);
      if (chunk === 0) return null;
      chunks.push(chunk);
    }
    if (this.#records.partBytes(ref) > 0) chunks.push(ref >>> CHUNK_SHIFT);
    return chunks;
  }

  /** Extents that lie side by side make one view. */
  #viewsOf(ref: number): Buffer[] {
    const views: Buffer[] = [];
    const bytes = this.#records.valueBytes(ref);
    let [from, to] = [0, 0];
    for (let position = 0; position < bytes; ) {
      const at = this.#records.offsetInValue(ref, position);
      const run = this.#records.runBytes(ref, position);
      if (at === -1 || run <= 0) break; // torn
      if (at !== to) {
        if (to > from) views.push(this.#image.subarray(from, to));
        from = at;
      }
      to = at + run;
      position += run;
    }
    if (to > from) views.push(this.#image.subarray(from, to));
    return views;
  }

  #hold(chunks: readonly number[]): void {
    Atomics.add(this.#scratch32, SCRATCH_PIN_COUNT_WORD, 1);
    for (let i = 0; i < chunks.length; i++) Atomics.add(this.#counts, chunks[i], 1);
  }

  #letGo(chunks: readonly number[]): void {
    for (let i = 0; i < chunks.length; i++) Atomics.sub(this.#counts, chunks[i], 1);
    Atomics.sub(this.#scratch32, SCRATCH_PIN_COUNT_WORD, 1);
  }

  release(chunks: readonly number[], timeSlot: number): void {
    if (timeSlot !== -1) Atomics.store(this.#scratch32, SCRATCH_PIN_TIMES_WORD + timeSlot, 0);
    this.#letGo(chunks);
  }

  // ------------------------------------------------------------ what a large write fills

  writerBegins(): void {
    Atomics.add(this.#scratch32, SCRATCH_WRITERS_WORD, 1);
    Atomics.add(this.#scratch32, SCRATCH_PIN_COUNT_WORD, 1);
  }

  writerHolds(chunk: number): void {
    Atomics.add(this.#counts, chunk, 1);
  }

  writerLetsGo(chunk: number): void {
    Atomics.sub(this.#counts, chunk, 1);
  }

  writerEnds(): void {
    Atomics.sub(this.#scratch32, SCRATCH_PIN_COUNT_WORD, 1);
    Atomics.sub(this.#scratch32, SCRATCH_WRITERS_WORD, 1);
  }

  // ------------------------------------------------------------ what leaks

  /** Puts the time into a free place of the table; -1 where all are taken. */
  #noteTime(nowMs: number): number {
    const word = timeWord(nowMs);
    for (let slot = 0; slot < PIN_TIMES; slot++) {
      const at = SCRATCH_PIN_TIMES_WORD + slot;
      if (this.#scratch32[at] !== 0) continue;
      if (Atomics.compareExchange(this.#scratch32, at, 0, word) === 0) return slot;
    }
    return -1;
  }

  stats(nowMs: number): PinStats {
    const held = Atomics.load(this.#scratch32, SCRATCH_PIN_COUNT_WORD);
    const pins = Math.max(held - Atomics.load(this.#scratch32, SCRATCH_WRITERS_WORD), 0);
    let oldestPinMs = 0;
    if (pins === 0) return { pins, oldestPinMs };
    for (let slot = 0; slot < PIN_TIMES; slot++) {
      const word = Atomics.load(this.#scratch32, SCRATCH_PIN_TIMES_WORD + slot);
      // Rounded to odd, a time may be 1 ms ahead of the clock.
      if (word !== 0) oldestPinMs = Math.max(oldestPinMs, (nowMs - word) | 0);
    }
    return { pins, oldestPinMs };
  }
}
