/** The redo ring: the after-images of the newest mutations, in seq order, in scratch.
 *
 *  Writer: whoever is inside the gate. Reader: replication, which copies bytes out and then looks whether the
 *  tail passed what it copied. Positions are absolute byte counts that never wrap.
 *  Invariant: the tail moves before the bytes it gives up are overwritten, and the head is read under an
 *  even gate, so a reader sees whole transactions or learns that it was lapped. */
import { invariant } from './errors.ts';
import {
  beginRead,
  endRead,
  enterGate,
  leaveGate,
  orderAccesses,
  TORN_READS_MAX,
  tryBeginRead,
} from './gate.ts';
import {
  REDO_HEADER_BYTES,
  REDO_MUTATION,
  REDO_RECORD_BYTES_MAX,
  RING_SEGMENT_BYTES,
  SCRATCH_RING_TAIL_SEQ_F64,
  SCRATCH_SEQ_F64,
} from './layout.ts';
import * as layout from './layout.ts';
import type { PartitionMemory } from './memory.ts';

// V8 folds the constants of a module itself; imported ones are loaded and checked at each use.
const { RING_SEGMENT_WORD_SHIFT, SCRATCH_RING_HEAD_F64, SCRATCH_RING_TAIL_F64 } = layout;

export const RING_EMPTY = 0;
export const RING_LAPPED = -1;
/** A writer is inside the gate: try again later. */
export const RING_BUSY = -2;
export const RING_NOT_HELD = -1;

/** Up to here a loop (0.2 ns a word) beats a call of Buffer.copy (45 ns). */
const COPY_BY_WORD_MAX = 64;

export class RedoRing {
  readonly words: Int32Array;
  readonly wordMask: number;
  readonly #buffer: Buffer;
  readonly #scratch32: Int32Array;
  readonly #scratch64: Float64Array;
  readonly #bytes: number;
  readonly #marks: Float64Array;
  readonly #imageBuffer: Buffer;
  readonly #image32: Int32Array;
  /** What `#peek` read. */
  #head = 0;
  #tail = 0;
  #tailSeq = 0;
  #seq = 0;

  constructor(memory: PartitionMemory) {
    this.words = memory.ring32;
    this.#buffer = memory.ringBuffer;
    this.#scratch32 = memory.scratch32;
    this.#scratch64 = memory.scratch64;
    this.#bytes = memory.geometry.ringBytes;
    this.wordMask = this.#bytes / 4 - 1;
    this.#marks = memory.ringMarks;
    this.#imageBuffer = memory.imageBuffer;
    this.#image32 = memory.image32;
  }

  // ------------------------------------------------------------ writing, inside a passage

  /** Moves the tail past what a record of `totalBytes` will overwrite. Returns the word index where it goes;
   *  must come before the first of its words is written. */
  makeRoom(totalBytes: number): number {
    const state = this.#scratch64;
    const head = state[SCRATCH_RING_HEAD_F64];
    const limit = head + totalBytes - this.#bytes;
    if (state[SCRATCH_RING_TAIL_F64] < limit) this.#moveTail(limit);
    return (head / 4) & this.wordMask;
  }

  /** To the first record that starts in the next segment: no walk over old records, each a cache miss. */
  #moveTail(limit: number): void {
    const mark = this.#markOf(Math.ceil(limit / RING_SEGMENT_BYTES));
    this.#scratch64[SCRATCH_RING_TAIL_F64] = this.#marks[mark];
    this.#scratch64[SCRATCH_RING_TAIL_SEQ_F64] = this.#marks[mark + 1];
    orderAccesses();
  }

  /** Index of the mark of an absolute segment. */
  #markOf(segment: number): number {
    return (segment % (this.#bytes / RING_SEGMENT_BYTES)) * 2;
  }

  /** Copies an after-image out of the image to word index `at`. Returns the index behind it. */
  putImage(at: number, imageOffset: number, bytes: number): number {
    const { words, wordMask } = this;
    const image32 = this.#image32;
    const from = imageOffset >>> 2;
    const count = bytes >>> 2;
    const end = at + count;
    if (count > COPY_BY_WORD_MAX) this.#putBytes(at, this.#imageBuffer, imageOffset, bytes);
    else if (end <= wordMask) for (let i = 0; i < count; i++) words[at + i] = image32[from + i];
    else for (let i = 0; i < count; i++) words[(at + i) & wordMask] = image32[from + i];
    return end & wordMask;
  }

  /** Appends a whole record that came from elsewhere, so that a promoted copy can serve its peers from it. */
  appendRecord(source: Buffer, from: number, totalBytes: number): void {
    const at = this.makeRoom(totalBytes);
    this.#putBytes(at, source, from, totalBytes);
    this.publish(at, totalBytes);
  }

  /** Both parts of what may end behind the ring's end. */
  #putBytes(at: number, source: Buffer, from: number, bytes: number): void {
    const first = Math.min(bytes, this.#bytes - at * 4);
    source.copy(this.#buffer, at * 4, from, from + first);
    if (first < bytes) source.copy(this.#buffer, 0, from + first, from + bytes);
  }

  /** The record at word index `at` is complete. */
  publish(at: number, totalBytes: number): void {
    this.#scratch64[SCRATCH_RING_HEAD_F64] += totalBytes;
    const end = (at + (totalBytes >>> 2)) & this.wordMask;
    const segment = at >>> RING_SEGMENT_WORD_SHIFT;
    const endSegment = end >>> RING_SEGMENT_WORD_SHIFT;
    if (segment !== endSegment) this.#markSegments(segment, endSegment, this.#seqAt(at) + 1);
  }

  /** The head is where the next record starts, in all segments that the last one has entered. */
  #markSegments(after: number, last: number, nextSeq: number): void {
    const segmentMask = this.wordMask >>> RING_SEGMENT_WORD_SHIFT;
    for (let segment = after; segment !== last; ) {
      segment = (segment + 1) & segmentMask;
      this.#marks[segment * 2] = this.#scratch64[SCRATCH_RING_HEAD_F64];
      this.#marks[segment * 2 + 1] = nextSeq;
    }
  }

  /** Sets flag bits of a record already in the ring: the end of a transaction is known last. */
  addFlags(recordWord: number, flags: number): void {
    this.words[(recordWord + 1) & this.wordMask] |= flags << 8;
  }

  /** Forgets what it holds; the next record is that of `nextSeq`. */
  clear(nextSeq: number): void {
    this.#scratch64[SCRATCH_RING_TAIL_F64] = this.#scratch64[SCRATCH_RING_HEAD_F64];
    this.#scratch64[SCRATCH_RING_TAIL_SEQ_F64] = nextSeq;
  }

  // ------------------------------------------------------------ reading, from any thread

  /** Absolute position of the mutation record with this seq; the head if it is the next one to be written;
   *  RING_NOT_HELD if the ring no longer (or not yet) has it. */
  find(seq: number): number {
    this.#peekPatiently();
    if (seq === this.#seq + 1) return this.#head;
    if (seq < this.#tailSeq || seq > this.#seq) return RING_NOT_HELD;
    return this.#walkTo(seq, this.#startOfWalk(seq), this.#head);
  }

  /** The newest mark before the record, or the tail. What a writer changed meanwhile lies behind the head. */
  #startOfWalk(seq: number): number {
    const first = Math.floor(this.#tail / RING_SEGMENT_BYTES) + 1;
    for (let segment = Math.floor(this.#head / RING_SEGMENT_BYTES); segment >= first; segment--) {
      const mark = this.#markOf(segment);
      const position = this.#marks[mark];
      if (this.#marks[mark + 1] <= seq && position >= this.#tail && position < this.#head) {
        return position;
      }
    }
    return this.#tail;
  }

  /** Walks without the gate, for a walk is longer than the pauses of a busy writer. A record that was read
   *  while the tail had not passed it was whole; if the tail did pass it, so it did all before it. */
  #walkTo(seq: number, from: number, head: number): number {
    let at = from;
    while (at < head) {
      const word = this.#wordAt(at);
      const totalBytes = this.words[word];
      const kind = this.words[(word + 1) & this.wordMask] & 0xff;
      const recordSeq = this.#seqAt(word);
      orderAccesses();
      if (at < this.#scratch64[SCRATCH_RING_TAIL_F64]) {
        this.#peekPatiently();
        if (seq < this.#tailSeq) return RING_NOT_HELD;
        at = this.#tail;
        continue;
      }
      if (kind === REDO_MUTATION && recordSeq === seq) return at;
      if (totalBytes < REDO_HEADER_BYTES || totalBytes > REDO_RECORD_BYTES_MAX)
        return RING_NOT_HELD;
      at += totalBytes;
    }
    return RING_NOT_HELD;
  }

  /** Reads head, tail and seq under one even gate; false when a writer was inside. */
  #peek(): boolean {
    const token = tryBeginRead(this.#scratch32);
    if (token === -1) return false;
    this.#readState();
    return endRead(this.#scratch32, token);
  }

  #readState(): void {
    const state = this.#scratch64;
    this.#head = state[SCRATCH_RING_HEAD_F64];
    this.#tail = state[SCRATCH_RING_TAIL_F64];
    this.#tailSeq = state[SCRATCH_RING_TAIL_SEQ_F64];
    this.#seq = state[SCRATCH_SEQ_F64];
  }

  #peekPatiently(): void {
    for (let torn = 0; torn < TORN_READS_MAX; torn++) {
      const token = beginRead(this.#scratch32);
      this.#readState();
      if (endRead(this.#scratch32, token)) return;
    }
    enterGate(this.#scratch32);
    this.#readState();
    leaveGate(this.#scratch32);
  }

  /** Bytes of whole records behind `from`, at least: a glance that looks at no gate. */
  waiting(from: number): number {
    return this.#scratch64[SCRATCH_RING_HEAD_F64] - from;
  }

  /** Copies whole records from absolute position `from` into `into`, at most `maxBytes` (which must be
   *  REDO_RECORD_BYTES_MAX or more, or all that was `waiting`), never waiting.
   *  Returns the bytes copied, RING_EMPTY, RING_LAPPED, or RING_BUSY. */
  copy(from: number, maxBytes: number, into: Buffer): number {
    if (!this.#peek()) return RING_BUSY;
    if (from < this.#tail) return RING_LAPPED;
    const wanted = Math.min(maxBytes, this.#head - from);
    if (wanted <= 0) return RING_EMPTY;
    const at = this.#wordAt(from) * 4;
    const first = Math.min(wanted, this.#bytes - at);
    this.#buffer.copy(into, 0, at, at + first);
    if (first < wanted) this.#buffer.copy(into, first, 0, wanted - first);
    // The writer moves the tail before it overwrites; whoever read an overwritten byte sees the moved tail here.
    orderAccesses();
    if (from < this.#scratch64[SCRATCH_RING_TAIL_F64]) return RING_LAPPED;
    let whole = 0;
    while (whole + REDO_HEADER_BYTES <= wanted) {
      const next = whole + into.readUInt32LE(whole);
      if (next <= whole || next > wanted) break;
      whole = next;
    }
    invariant(whole > 0, 'what the ring holds begins with a whole record');
    return whole;
  }

  #wordAt(position: number): number {
    return (position / 4) & this.wordMask;
  }

  #seqAt(word: number): number {
    const low = this.words[(word + 2) & this.wordMask] >>> 0;
    return low + this.words[(word + 3) & this.wordMask] * 4_294_967_296;
  }
}
