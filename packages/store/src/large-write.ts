/** A large write: a value that does not fit one chunk, written in many short passages and published by the last.
 *
 *      begin      asks for extents; refused before anything is evicted for it
 *      write ...  64 KiB of the value a passage, into extents that no record refers to; what will be in the slot is kept here
 *      publish    one passage: the record, which refers to them, replaces the one of the key
 *
 *  Owner: one thread, outside the gate. Readers see the former value until it is published, and followers get each
 *  passage as redo of its own. Its extents are pinned, so that nobody takes them for orphans; whatever ends the write
 *  lets go of them. Role, epoch and seal are looked at in each passage: after a change the write is void, and
 *  only lets go: what it wrote is then an orphan that the new primary finds.
 *  Between passages the caller waits while followers are far behind: see `Partition.ringHead`. */
import type { Buckets } from './buckets.ts';
import { invariant } from './errors.ts';
import type { Extents } from './extents.ts';
import { enterGate, leaveGate } from './gate.ts';
import { tableChunks } from './geometry.ts';
import {
  BUCKETS_PER_CHUNK,
  CHUNK_BYTES,
  CHUNK_MASK,
  CHUNK_SHIFT,
  SCRATCH_CAPACITY_CHUNKS_WORD,
  SCRATCH_EPOCH_WORD,
  SCRATCH_ROLE_WORD,
  SCRATCH_SEALED_WORD,
  SCRATCH_WRITING_CHUNKS_WORD,
} from './layout.ts';
import type { PartitionMemory } from './memory.ts';
import { type Mutation, ROLE_PRIMARY } from './mutation.ts';
import type { Pins } from './pins.ts';
import type { Records } from './record.ts';
import { OVERFLOW_CLASS } from './size-classes.ts';
import type { Slab } from './slab.ts';
import { ValuePlan } from './value-plan.ts';
import { OUT_OF_MEMORY, SET_OK, TOO_LARGE, type Writer } from './writer.ts';

/** Others write so much at the same time that it has to wait: try again when one of them has ended. */
export const BUSY = -4;
/** This copy takes no writes, or is led in another epoch than the write began in: it has ended. */
export const VOID = -5;

/** What large writes under way may ask for together, as a share of the capacity; a single one may always ask. */
const WRITING_SHARE_MAX = 0.5;

export interface LargeWriteParts {
  readonly memory: PartitionMemory;
  readonly buckets: Buckets;
  readonly records: Records;
  readonly slab: Slab;
  readonly writer: Writer;
  readonly mutation: Mutation;
  readonly extents: Extents;
  readonly pins: Pins;
}

export interface LargeWriteRequest {
  readonly hash: number;
  /** Kept until the end: a copy of its own. */
  readonly key: Buffer;
  readonly valueBytes: number;
  /** Asked inside each passage, beside role, epoch and seal: a lease, for example. */
  readonly mayWrite?: (() => boolean) | undefined;
}

export class LargeWrite {
  readonly key: Buffer;
  readonly hash: number;
  readonly valueBytes: number;
  /** Bytes of the value written so far. */
  written = 0;
  readonly #parts: LargeWriteParts;
  readonly #scratch32: Int32Array;
  readonly #plan: ValuePlan;
  readonly #epoch: number;
  readonly #mayWrite: (() => boolean) | undefined;
  readonly #chunks: Int32Array;
  readonly #part: Buffer;
  #taken = 0;
  #isOpen = true;

  private constructor(parts: LargeWriteParts, request: LargeWriteRequest, plan: ValuePlan) {
    this.key = request.key;
    this.hash = request.hash;
    this.valueBytes = request.valueBytes;
    this.#parts = parts;
    this.#scratch32 = parts.memory.scratch32;
    this.#plan = plan;
    this.#epoch = this.#scratch32[SCRATCH_EPOCH_WORD];
    this.#mayWrite = request.mayWrite;
    this.#chunks = new Int32Array(plan.extentCount);
    this.#part = Buffer.allocUnsafe(plan.partBytes);
    parts.pins.writerBegins();
  }

  /** The write, or why there is none: TOO_LARGE (it never fits), BUSY, VOID. Nothing has changed then. */
  static begin(parts: LargeWriteParts, request: LargeWriteRequest): LargeWrite | number {
    const { memory } = parts;
    const words = memory.scratch32;
    const plan = new ValuePlan();
    if (!plan.lay(request.key.length, request.valueBytes, memory.geometry.valueMaxBytes)) {
      return TOO_LARGE;
    }
    if (plan.extentCount + 1 > chunksForRecords(parts)) return TOO_LARGE;
    if (words[SCRATCH_ROLE_WORD] !== ROLE_PRIMARY || words[SCRATCH_SEALED_WORD] !== 0) return VOID;
    if (!reserveChunks(words, plan.extentCount)) return BUSY;
    return new LargeWrite(parts, request, plan);
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** Takes bytes of the value, at most to the end of an extent: one passage. Returns how many, or why the write has ended:
   *  OUT_OF_MEMORY, VOID. */
  write(source: Uint8Array, start: number, bytes: number, nowMs: number): number {
    invariant(this.#isOpen, 'a large write that has ended takes no bytes');
    const left = this.valueBytes - this.written;
    invariant(bytes > 0 && bytes <= left, 'a large write takes the bytes that it asked for');
    const extentBytes = this.#plan.extentCount * CHUNK_BYTES;
    if (this.written >= extentBytes) {
      this.#part.set(source.subarray(start, start + bytes), this.written - extentBytes);
      this.written += bytes;
      return bytes;
    }
    const taken = Math.min(bytes, CHUNK_BYTES - (this.written & CHUNK_MASK));
    enterGate(this.#scratch32);
    const code = this.#isLed() ? this.#writeExtent(source, start, taken, nowMs) : VOID;
    leaveGate(this.#scratch32);
    if (code === SET_OK) return taken;
    this.abort(nowMs);
    return code;
  }

  /** One mutation: bytes of one extent, which it takes if they are its first. */
  #writeExtent(source: Uint8Array, start: number, bytes: number, nowMs: number): number {
    const { writer, mutation, extents, pins, records } = this.#parts;
    const position = this.written >>> CHUNK_SHIFT;
    const from = this.written & CHUNK_MASK;
    const to = from + bytes;
    const end = (to + 3) & ~3;
    const isNew = position === this.#taken;
    if (isNew && !writer.makeRoomForExtent(nowMs)) return OUT_OF_MEMORY;
    mutation.begin(0, nowMs);
    if (isNew) {
      this.#chunks[position] = extents.take(this.hash, position);
      pins.writerHolds(this.#chunks[position]);
      this.#taken++;
    }
    const at = this.#chunks[position] << CHUNK_SHIFT;
    records.writeBytes(at + from, source, start, bytes);
    if (isNew) {
      const image = this.#parts.memory.imageBuffer;
      for (let i = to; i < end; i++) image[at + i] = 0;
      extents.clearRest(this.#chunks[position], end, CHUNK_BYTES);
    }
    mutation.patch(at + (from & ~3), end - (from & ~3));
    mutation.commit();
    this.written += bytes;
    return SET_OK;
  }

  /** Makes the value that of its key, in a passage of its own. Returns SET_OK, or why it is not: OUT_OF_MEMORY, VOID.
   *  The write has ended. `expiresAtMs` 0 = never. */
  publish(expiresAtMs: number, nowMs: number): number {
    enterGate(this.#scratch32);
    const code = this.publishInside(expiresAtMs, nowMs);
    leaveGate(this.#scratch32);
    return code;
  }

  /** As `publish`, inside a passage of the caller's. */
  publishInside(expiresAtMs: number, nowMs: number): number {
    invariant(this.#isOpen, 'a large write is published once');
    invariant(this.written === this.valueBytes, 'a large write is published whole');
    if (!this.#isLed()) {
      this.abortInside(nowMs);
      return VOID;
    }
    const { writer, records, mutation } = this.#parts;
    const { hash, key } = this;
    const plan = this.#plan;
    const old = writer.locateUnflushed(hash, key, 0, key.length, nowMs);
    if (!writer.placeRecord(hash, key, 0, key.length, plan.sizeClass, old, nowMs)) {
      this.abortInside(nowMs);
      return OUT_OF_MEMORY;
    }
    const ref = writer.placed;
    const classAndFlags = writer.placedClass | (plan.flags << 8);
    const { seqLow, seqHigh } = mutation;
    const { valueBytes } = this;
    records.writeHeader(ref, key.length, valueBytes, classAndFlags, expiresAtMs, seqLow, seqHigh);
    if (plan.flags !== 0) {
      records.padKey(ref);
      records.writeExtentList(ref, this.#chunks, plan.extentCount);
    }
    records.writeBytes(ref + plan.partOffset, this.#part, 0, plan.partBytes);
    this.#end();
    writer.finishRecord(plan.recordBytes, nowMs);
    return SET_OK;
  }

  /** Gives up what was written. Nothing happens to a write that has ended. */
  abort(nowMs: number): void {
    if (!this.#isOpen) return;
    enterGate(this.#scratch32);
    this.abortInside(nowMs);
    leaveGate(this.#scratch32);
  }

  /** As `abort`, inside a passage of the caller's. */
  abortInside(nowMs: number): void {
    if (!this.#isOpen) return;
    const { extents } = this.#parts;
    this.#end();
    if (!this.#isLed()) return;
    for (let i = 0; i < this.#taken; i++) extents.orphan(this.#chunks[i]);
    extents.reclaimSome(nowMs);
  }

  /** Lets go of what it holds. */
  #end(): void {
    const { pins } = this.#parts;
    this.#isOpen = false;
    for (let i = 0; i < this.#taken; i++) pins.writerLetsGo(this.#chunks[i]);
    releaseChunks(this.#scratch32, this.#plan.extentCount);
    pins.writerEnds();
  }

  /** Inside a passage: whether what it wrote so far is still what this copy is led with. */
  #isLed(): boolean {
    const words = this.#scratch32;
    return (
      words[SCRATCH_ROLE_WORD] === ROLE_PRIMARY &&
      words[SCRATCH_SEALED_WORD] === 0 &&
      words[SCRATCH_EPOCH_WORD] === this.#epoch &&
      (this.#mayWrite === undefined || this.#mayWrite())
    );
  }
}

/** Asks for extents that will be written but not referred to for a while, so that those who write large values at the same
 *  time do not take each other's memory. False: they already ask for too much. */
export function reserveChunks(words: Int32Array, chunks: number): boolean {
  const others = Atomics.add(words, SCRATCH_WRITING_CHUNKS_WORD, chunks);
  const askedMax = words[SCRATCH_CAPACITY_CHUNKS_WORD] * WRITING_SHARE_MAX;
  if (others === 0 || others + chunks <= askedMax) return true;
  releaseChunks(words, chunks);
  return false;
}

export function releaseChunks(words: Int32Array, chunks: number): void {
  Atomics.sub(words, SCRATCH_WRITING_CHUNKS_WORD, chunks);
}

/** Chunks that could ever hold records and extents: all but header, tables and index. */
export function chunksForRecords({ memory, buckets, slab }: LargeWriteParts): number {
  const indexChunks = Math.ceil(buckets.count / BUCKETS_PER_CHUNK);
  const fixed =
    1 + tableChunks(memory.geometry) + indexChunks + slab.classUnitCount(OVERFLOW_CLASS);
  return memory.scratch32[SCRATCH_CAPACITY_CHUNKS_WORD] - fixed;
}
