/** The redo ring: the after-images of the newest mutations, in seq order, in scratch.
 *
 *  Writer: whoever is inside the gate. Reader: replication, which copies bytes out and then looks whether the
 *  tail passed what it copied. Positions are absolute byte counts that never wrap.
 *  Invariant: the tail moves before the bytes it gives up are overwritten, and the head is read under an
 *  even gate, so a reader sees whole transactions or learns that it was lapped. */
import { beginRead, endRead, tryBeginRead } from './gate.ts';
import {
  REDO_HEADER_BYTES,
  REDO_MUTATION,
  REDO_RECORD_BYTES_MAX,
  SCRATCH_RING_HEAD_F64,
  SCRATCH_RING_TAIL_F64,
  SCRATCH_RING_TAIL_SEQ_F64,
  SCRATCH_SEQ_F64,
} from './layout.ts';
import type { PartitionMemory } from './memory.ts';

export const RING_EMPTY = 0;
export const RING_LAPPED = -1;
/** A writer is inside the gate: try again later. */
export const RING_BUSY = -2;
export const RING_NOT_HELD = -1;

const COPY_BY_WORD_MAX = 8;

export class RedoRing {
  readonly #words: Int32Array;
  readonly #buffer: Buffer;
  readonly #scratch32: Int32Array;
  readonly #scratch64: Float64Array;
  readonly #bytes: number;
  readonly #wordMask: number;
  #writeWord = 0;

  constructor(memory: PartitionMemory) {
    this.#words = memory.ring32;
    this.#buffer = memory.ringBuffer;
    this.#scratch32 = memory.scratch32;
    this.#scratch64 = memory.scratch64;
    this.#bytes = memory.geometry.ringBytes;
    this.#wordMask = this.#bytes / 4 - 1;
  }

  // ------------------------------------------------------------ writing, inside a passage

  /** Moves the tail past what `totalBytes` more will overwrite. Must come before the first `put`. */
  makeRoom(totalBytes: number): void {
    const state = this.#scratch64;
    const limit = state[SCRATCH_RING_HEAD_F64]! + totalBytes - this.#bytes;
    let tail = state[SCRATCH_RING_TAIL_F64]!;
    if (tail < limit) {
      while (tail < limit) tail += this.#words[this.#wordAt(tail)]!;
      state[SCRATCH_RING_TAIL_F64] = tail;
      state[SCRATCH_RING_TAIL_SEQ_F64] =
        tail < state[SCRATCH_RING_HEAD_F64]!
          ? this.#seqAt(this.#wordAt(tail))
          : state[SCRATCH_SEQ_F64]! + 1;
    }
    this.#writeWord = this.#wordAt(state[SCRATCH_RING_HEAD_F64]!);
  }

  /** Word index of the record that is about to be written. */
  get writeWord(): number {
    return this.#writeWord;
  }

  putWord(value: number): void {
    this.#words[this.#writeWord] = value;
    this.#writeWord = (this.#writeWord + 1) & this.#wordMask;
  }

  putU64(value: number): void {
    this.putWord(value | 0);
    this.putWord((value / 4_294_967_296) | 0);
  }

  /** Copies an after-image out of the image. Short ones word by word: a call of Buffer.copy costs 45 ns. */
  putImage(image: Buffer, image32: Int32Array, offset: number, bytes: number): void {
    const words = bytes >>> 2;
    if (words <= COPY_BY_WORD_MAX) {
      const from = offset >>> 2;
      for (let i = 0; i < words; i++) this.putWord(image32[from + i]!);
      return;
    }
    const at = this.#writeWord * 4;
    const first = Math.min(bytes, this.#bytes - at);
    image.copy(this.#buffer, at, offset, offset + first);
    if (first < bytes) image.copy(this.#buffer, 0, offset + first, offset + bytes);
    this.#writeWord = (this.#writeWord + words) & this.#wordMask;
  }

  /** Appends a whole record that came from elsewhere, so that a promoted copy can serve its peers from it. */
  append(words: Int32Array, from: number, count: number): void {
    this.makeRoom(count * 4);
    for (let i = 0; i < count; i++) this.putWord(words[from + i]!);
    this.publish(count * 4);
  }

  publish(totalBytes: number): void {
    this.#scratch64[SCRATCH_RING_HEAD_F64]! += totalBytes;
  }

  /** Sets flag bits of a record already in the ring: the end of a transaction is known last. */
  addFlags(recordWord: number, flags: number): void {
    this.#words[(recordWord + 1) & this.#wordMask]! |= flags << 8;
  }

  // ------------------------------------------------------------ reading, from any thread

  /** Absolute position of the mutation record with this seq; the head if it is the next one to be written;
   *  RING_NOT_HELD if the ring no longer (or not yet) has it. */
  find(seq: number): number {
    for (;;) {
      const token = beginRead(this.#scratch32);
      const position = this.#walkTo(seq);
      if (endRead(this.#scratch32, token)) return position;
    }
  }

  #walkTo(seq: number): number {
    const state = this.#scratch64;
    const head = state[SCRATCH_RING_HEAD_F64]!;
    if (seq === state[SCRATCH_SEQ_F64]! + 1) return head;
    if (seq < state[SCRATCH_RING_TAIL_SEQ_F64]! || seq > state[SCRATCH_SEQ_F64]!) {
      return RING_NOT_HELD;
    }
    for (let at = state[SCRATCH_RING_TAIL_F64]!; at < head; ) {
      const word = this.#wordAt(at);
      const kind = this.#words[(word + 1) & this.#wordMask]! & 0xff;
      if (kind === REDO_MUTATION && this.#seqAt(word) === seq) return at;
      const totalBytes = this.#words[word]!;
      if (totalBytes < REDO_HEADER_BYTES || totalBytes > REDO_RECORD_BYTES_MAX)
        return RING_NOT_HELD;
      at += totalBytes;
    }
    return RING_NOT_HELD;
  }

  /** Copies whole records from absolute position `from` into `into`, at most `maxBytes` (which must be
   *  REDO_RECORD_BYTES_MAX or more), never waiting.
   *  Returns the bytes copied, RING_EMPTY, RING_LAPPED, or RING_BUSY. */
  copy(from: number, maxBytes: number, into: Buffer): number {
    const state = this.#scratch64;
    const token = tryBeginRead(this.#scratch32);
    if (token === -1) return RING_BUSY;
    const head = state[SCRATCH_RING_HEAD_F64]!;
    const tail = state[SCRATCH_RING_TAIL_F64]!;
    if (!endRead(this.#scratch32, token)) return RING_BUSY;
    if (from < tail) return RING_LAPPED;
    const wanted = Math.min(maxBytes, head - from);
    if (wanted <= 0) return RING_EMPTY;
    const at = this.#wordAt(from) * 4;
    const first = Math.min(wanted, this.#bytes - at);
    this.#buffer.copy(into, 0, at, at + first);
    if (first < wanted) this.#buffer.copy(into, first, 0, wanted - first);
    // The writer moves the tail before it overwrites; whoever read an overwritten byte sees the moved tail here.
    Atomics.load(this.#scratch32, 0);
    if (from < state[SCRATCH_RING_TAIL_F64]!) return RING_LAPPED;
    let whole = 0;
    while (whole + REDO_HEADER_BYTES <= wanted) {
      const next = whole + into.readUInt32LE(whole);
      if (next > wanted) break;
      whole = next;
    }
    return whole;
  }

  #wordAt(position: number): number {
    return (position / 4) & this.#wordMask;
  }

  #seqAt(word: number): number {
    const low = this.#words[(word + 2) & this.#wordMask]! >>> 0;
    return low + this.#words[(word + 3) & this.#wordMask]! * 4_294_967_296;
  }
}
