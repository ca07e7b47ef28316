/** Records: 24-byte header, key, value, in one slot. Offsets as in RECORD_FIELDS.
 *
 *  Flags 0: the value is the bytes behind the key. With flags there may be a struct's fingerprint and a list of extents
 *  between them, and the slot holds only the part of the value that is in no extent (see FORMAT.md).
 *
 *  Reads may happen while a writer is inside the gate; every length is therefore checked against the record's
 *  chunk before it is used, and what was read counts only if the gate did not move. A slot never
 *  crosses its chunk, so neither does a record. */
import {
  BUCKET_BYTES,
  BUCKET_ENTRIES,
  EXTENTS_MAX,
  HEADER_FLUSH_SEQ,
  STRUCT_HEADER_BYTES,
} from './layout.ts';
import * as layout from './layout.ts';
import type { PartitionMemory } from './memory.ts';
import { SLOT_BYTES } from './size-classes.ts';

// V8 folds the constants of a module itself; imported ones are loaded and checked at each use.
const {
  CHUNK_BYTES,
  CHUNK_MASK,
  CHUNK_SHIFT,
  RECORD_EXTENTS,
  RECORD_HEADER_BYTES,
  RECORD_STRUCT,
  SCRATCH_CLOCK_F64,
} = layout;

/** Up to here a loop is cheaper than a call of Buffer.copy, which costs 45 ns: 1.2 ns a byte, or 2.4 ns a word
 *  where the target is aligned. */
const COPY_BY_BYTE_MAX = 32;
const COPY_BY_WORD_MAX = 64;
const REF_ALIGN_MASK = 7;
const HEADER_WORDS = RECORD_HEADER_BYTES >>> 2;
const EXPIRES_WORD = 2;
const FLUSH_SEQ_WORD = HEADER_FLUSH_SEQ >>> 2;
/** Of a record's second word. */
const CLASS_SHIFT = 16;
const FLAGS_SHIFT = 24;

const FLAGS_KNOWN = RECORD_EXTENTS | RECORD_STRUCT;

const to8 = (bytes: number): number => (bytes + 7) & ~7;

/** Bytes of a list of `count` extents, up to what follows. */
export function extentListBytes(count: number): number {
  return to8(4 + count * 4);
}

/** Bytes from a slot's start to the part of the value in it. */
export function partOffsetOf(keyBytes: number, flags: number, extentCount: number): number {
  const keyEnd = RECORD_HEADER_BYTES + keyBytes;
  if (flags === 0) return keyEnd;
  const structBytes = (flags & RECORD_STRUCT) === 0 ? 0 : STRUCT_HEADER_BYTES;
  const listBytes = (flags & RECORD_EXTENTS) === 0 ? 0 : extentListBytes(extentCount);
  return to8(keyEnd) + structBytes + listBytes;
}

/** Bytes of a value of `valueBytes` that are in the slot, behind `extentCount` extents. */
export function partBytesOf(valueBytes: number, extentCount: number): number {
  return Math.max(valueBytes - extentCount * CHUNK_BYTES, 0);
}

export class Records {
  readonly #image: Buffer;
  readonly #image32: Int32Array;
  readonly #image64: Float64Array;
  readonly #lastRef: number;
  readonly #imageBytes: number;
  readonly #valueBytesMax: number;
  readonly #chunkCount: number;
  readonly #memory: PartitionMemory;
  readonly #scratch64: Float64Array;

  constructor(memory: PartitionMemory) {
    this.#memory = memory;
    this.#image = memory.imageBuffer;
    this.#image32 = memory.image32;
    this.#image64 = new Float64Array(memory.image32.buffer as SharedArrayBuffer);
    this.#imageBytes = memory.geometry.imageBytes;
    this.#valueBytesMax = memory.geometry.valueMaxBytes;
    this.#chunkCount = memory.geometry.chunkCount;
    this.#lastRef = memory.geometry.imageBytes - RECORD_HEADER_BYTES;
    this.#scratch64 = memory.scratch64;
  }

  /** Of the whole value. What a torn read says is never more than a value may have. */
  valueBytes(ref: number): number {
    const bytes = this.#image32[ref >>> 2] >>> 0;
    return bytes <= CHUNK_BYTES || (this.hasExtents(ref) && bytes <= this.#valueBytesMax)
      ? bytes
      : 0;
  }

  keyBytes(ref: number): number {
    return this.#image32[(ref >>> 2) + 1] & 0xffff;
  }

  sizeClass(ref: number): number {
    return (this.#image32[(ref >>> 2) + 1] >>> CLASS_SHIFT) & 0xff;
  }

  flags(ref: number): number {
    return this.#image32[(ref >>> 2) + 1] >>> FLAGS_SHIFT;
  }

  /** No flags: its value stands behind its key, all of it. */
  isPlain(ref: number): boolean {
    return this.#image32[(ref >>> 2) + 1] >>> FLAGS_SHIFT === 0;
  }

  /** Whether it is of this class and plain: it may be written over by such a one. */
  isPlainOf(ref: number, sizeClass: number): boolean {
    return this.#image32[(ref >>> 2) + 1] >>> CLASS_SHIFT === sizeClass;
  }

  hasExtents(ref: number): boolean {
    return (this.flags(ref) & RECORD_EXTENTS) !== 0;
  }

  isStruct(ref: number): boolean {
    return (this.flags(ref) & RECORD_STRUCT) !== 0;
  }

  expiresAtMs(ref: number): number {
    return this.#image64[(ref >>> 3) + 1];
  }

  seq(ref: number): number {
    return this.#memory.imageU64((ref >>> 2) + 4);
  }

  seqIs(ref: number, seqLow: number, seqHigh: number): boolean {
    const word = (ref >>> 2) + 4;
    return this.#image32[word] === seqLow && this.#image32[word + 1] === seqHigh;
  }

  keyOffset(ref: number): number {
    return ref + RECORD_HEADER_BYTES;
  }

  /** Where the value's bytes in the slot begin: all of them, but for a record with extents. */
  valueOffset(ref: number): number {
    const word = this.#image32[(ref >>> 2) + 1];
    const flags = word >>> FLAGS_SHIFT;
    if (flags === 0) return ref + RECORD_HEADER_BYTES + (word & 0xffff);
    return ref + partOffsetOf(word & 0xffff, flags, this.extentCount(ref));
  }

  /** Bytes of the value that are in the slot. */
  partBytes(ref: number): number {
    return partBytesOf(this.valueBytes(ref), this.extentCount(ref));
  }

  /** Word of the list of extents; of a record that has one. */
  #listWord(ref: number): number {
    const structBytes = this.isStruct(ref) ? STRUCT_HEADER_BYTES : 0;
    return (ref + to8(RECORD_HEADER_BYTES + this.keyBytes(ref)) + structBytes) >>> 2;
  }

  /** 0 without extents; never more than a list can hold. */
  extentCount(ref: number): number {
    if (!this.hasExtents(ref)) return 0;
    return Math.min(this.#image32[this.#listWord(ref)] >>> 0, EXTENTS_MAX);
  }

  /** The chunk that holds the value from `index` x 64 KiB on; 0 where a torn read names none. */
  extentAt(ref: number, index: number): number {
    const chunk = this.#image32[this.#listWord(ref) + 1 + index] >>> 0;
    return chunk < this.#chunkCount ? chunk : 0;
  }

  /** Whether `chunk` is this extent of the value. */
  refersTo(ref: number, position: number, chunk: number): boolean {
    return position < this.extentCount(ref) && this.extentAt(ref, position) === chunk;
  }

  /** What the fields of a struct were, 0 of a record that is none. */
  fingerprint(ref: number): number {
    if (!this.isStruct(ref)) return 0;
    return this.#image32[(ref + to8(RECORD_HEADER_BYTES + this.keyBytes(ref))) >>> 2] >>> 0;
  }

  /** Whether `ref` can be a record at all and ends, with its key and value, inside its chunk. */
  inRange(ref: number): boolean {
    if (ref <= 0 || (ref & REF_ALIGN_MASK) !== 0 || ref > this.#lastRef) return false;
    const word = this.#image32[(ref >>> 2) + 1];
    if (word >>> FLAGS_SHIFT !== 0) return this.#endOf(ref) <= CHUNK_BYTES;
    const keyEnd = (ref & CHUNK_MASK) + RECORD_HEADER_BYTES + (word & 0xffff);
    return keyEnd <= CHUNK_BYTES && this.#image32[ref >>> 2] >>> 0 <= CHUNK_BYTES - keyEnd;
  }

  /** What it takes of the memory: its slot, its extents, its entry in a bucket. */
  footprint(ref: number): number {
    const entryBytes = BUCKET_BYTES / BUCKET_ENTRIES;
    const slotBytes = SLOT_BYTES[this.sizeClass(ref)] ?? 0;
    return slotBytes + this.extentCount(ref) * CHUNK_BYTES + Math.ceil(entryBytes);
  }

  /** Whether the record names this class and is not longer than its slots. */
  fits(ref: number, sizeClass: number): boolean {
    if (this.sizeClass(ref) !== sizeClass) return false;
    if (!this.isPlain(ref)) return this.#endOf(ref) - (ref & CHUNK_MASK) <= SLOT_BYTES[sizeClass];
    const bytes = RECORD_HEADER_BYTES + this.keyBytes(ref) + (this.#image32[ref >>> 2] >>> 0);
    return bytes <= SLOT_BYTES[sizeClass];
  }

  /** Bytes from the slot's start to the record's end: header, key, and what of the value is not in extents. */
  bytesInSlot(ref: number): number {
    return this.isPlain(ref)
      ? RECORD_HEADER_BYTES + this.keyBytes(ref) + this.valueBytes(ref)
      : this.#endOf(ref) - (ref & CHUNK_MASK);
  }

  /** Where in its chunk a record with flags ends; behind the chunk where its lengths make no sense. */
  #endOf(ref: number): number {
    const flags = this.flags(ref);
    const at = ref & CHUNK_MASK;
    const fixedEnd = at + partOffsetOf(this.keyBytes(ref), flags & RECORD_STRUCT, 0);
    if ((flags & ~FLAGS_KNOWN) !== 0 || to8(fixedEnd) > CHUNK_BYTES) return CHUNK_BYTES + 1;
    const valueBytes = this.#image32[ref >>> 2] >>> 0;
    let extentCount = 0;
    if ((flags & RECORD_EXTENTS) !== 0) {
      extentCount = this.#image32[this.#listWord(ref)] >>> 0;
      const isTight = valueBytes > (extentCount - 1) * CHUNK_BYTES;
      if (extentCount < 1 || extentCount > EXTENTS_MAX || !isTight) return CHUNK_BYTES + 1;
      if (valueBytes > this.#valueBytesMax) return CHUNK_BYTES + 1;
    }
    const partAt = partOffsetOf(this.keyBytes(ref), flags, extentCount);
    return at + partAt + partBytesOf(valueBytes, extentCount);
  }

  // ------------------------------------------------------------ the value, wherever it is

  /** Image offset of the value's byte `from`; -1 where a torn read would lead out of the image. */
  offsetInValue(ref: number, from: number): number {
    const index = from >>> CHUNK_SHIFT;
    const extentCount = this.extentCount(ref);
    if (index < extentCount) {
      const chunk = this.extentAt(ref, index);
      return chunk === 0 ? -1 : (chunk << CHUNK_SHIFT) + (from & CHUNK_MASK);
    }
    const at = this.valueOffset(ref) + from - extentCount * CHUNK_BYTES;
    return at < this.#imageBytes ? at : -1;
  }

  /** How many bytes of the value lie in one run from byte `from` on. */
  runBytes(ref: number, from: number): number {
    const left = this.valueBytes(ref) - from;
    if (from >>> CHUNK_SHIFT >= this.extentCount(ref)) return left;
    return Math.min(left, CHUNK_BYTES - (from & CHUNK_MASK));
  }

  /** Copies bytes `from` to `from + bytes` of the value, as far as it goes, to `target` at `at`. Returns how many
   *  were copied. A torn read may copy anything, but stays inside the image. */
  copyValue(ref: number, from: number, bytes: number, target: Buffer, at: number): number {
    const end = Math.min(from + bytes, this.valueBytes(ref));
    let position = from;
    while (position < end) {
      const source = this.offsetInValue(ref, position);
      if (source === -1) break;
      const run = Math.min(this.runBytes(ref, position), end - position);
      if (run <= 0) break;
      this.#image.copy(target, at + position - from, source, source + run);
      position += run;
    }
    return Math.max(position - from, 0);
  }

  /** Whether a flush came after the record was written. */
  isFlushed(ref: number): boolean {
    if ((this.#image32[FLUSH_SEQ_WORD] | this.#image32[FLUSH_SEQ_WORD + 1]) === 0) return false;
    return this.seq(ref) < this.#memory.imageU64(FLUSH_SEQ_WORD);
  }

  /** Whether the record has an expiry. */
  expires(ref: number): boolean {
    const word = (ref >>> 2) + EXPIRES_WORD;
    return (this.#image32[word] | this.#image32[word + 1]) !== 0;
  }

  /** Whether the record's time is over, by `nowMs` or by the highest clock that this copy has seen, whichever
   *  is later: no failover brings an expired key back. */
  isExpired(ref: number, nowMs: number): boolean {
    const word = (ref >>> 2) + EXPIRES_WORD;
    if ((this.#image32[word] | this.#image32[word + 1]) === 0) return false; // most: 0 = never
    const expiresAtMs = this.#image64[(ref >>> 3) + 1];
    return expiresAtMs <= nowMs || expiresAtMs <= this.#scratch64[SCRATCH_CLOCK_F64];
  }

  /** Whether readers must not see it. */
  isAbsent(ref: number, nowMs: number): boolean {
    return this.isExpired(ref, nowMs) || this.isFlushed(ref);
  }

  /** Compares by words: the image's side is aligned. */
  keyEquals(ref: number, key: Uint8Array, start: number, bytes: number): boolean {
    const words = this.#image32;
    let word = ref >>> 2;
    if ((words[word + 1] & 0xffff) !== bytes) return false;
    word += HEADER_WORDS;
    let at = start;
    for (const end = word + (bytes >>> 2); word < end; word++, at += 4) {
      if (words[word] !== word32(key, at)) return false;
    }
    const rest = bytes & 3;
    if (rest === 0) return true;
    let last = key[at];
    if (rest > 1) last |= key[at + 1] << 8;
    if (rest > 2) last |= key[at + 2] << 16;
    return ((words[word] ^ last) & ((1 << (rest << 3)) - 1)) === 0;
  }

  /** As `keyEquals`, of a key in words, the last one filled up with zeros. */
  keyIs(ref: number, key: Int32Array, bytes: number): boolean {
    const words = this.#image32;
    let word = ref >>> 2;
    if ((words[word + 1] & 0xffff) !== bytes) return false;
    word += HEADER_WORDS;
    const whole = bytes >>> 2;
    for (let i = 0; i < whole; i++) if (words[word + i] !== key[i]) return false;
    const rest = bytes & 3;
    return rest === 0 || ((words[word + whole] ^ key[whole]) & ((1 << (rest << 3)) - 1)) === 0;
  }

  /** `classAndFlags`: the class, and the flags shifted by 8. */
  writeHeader(
    ref: number,
    keyBytes: number,
    valueBytes: number,
    classAndFlags: number,
    expiresAtMs: number,
    seqLow: number,
    seqHigh: number,
  ): void {
    const word = ref >>> 2;
    this.#image32[word] = valueBytes;
    this.#image32[word + 1] = keyBytes | (classAndFlags << CLASS_SHIFT);
    this.#image64[(ref >>> 3) + 1] = expiresAtMs;
    this.#image32[word + 4] = seqLow;
    this.#image32[word + 5] = seqHigh;
  }

  /** Zeros between the key and what follows it 8-aligned, of a record with flags whose header and key are written. */
  padKey(ref: number): void {
    const keyEnd = ref + RECORD_HEADER_BYTES + this.keyBytes(ref);
    for (let at = keyEnd; (at & 7) !== 0; at++) this.#image[at] = 0;
  }

  /** Of a record with RECORD_STRUCT whose header and key are written; and the zeros behind it. */
  writeFingerprint(ref: number, fingerprint: number): void {
    const word = (ref + to8(RECORD_HEADER_BYTES + this.keyBytes(ref))) >>> 2;
    this.#image32[word] = fingerprint;
    this.#image32[word + 1] = 0;
  }

  /** The list of extents of a record whose header and key are written; zeros behind it. */
  writeExtentList(ref: number, chunks: Int32Array, count: number): void {
    const word = this.#listWord(ref);
    this.#image32[word] = count;
    for (let i = 0; i < count; i++) this.#image32[word + 1 + i] = chunks[i];
    if ((count & 1) === 0) this.#image32[word + 1 + count] = 0;
  }

  writeClass(ref: number, sizeClass: number): void {
    const word = (ref >>> 2) + 1;
    this.#image32[word] =
      (this.#image32[word] & ~(0xff << CLASS_SHIFT)) | (sizeClass << CLASS_SHIFT);
  }

  writeExpiry(ref: number, expiresAtMs: number, seqLow: number, seqHigh: number): void {
    this.#image64[(ref >>> 3) + 1] = expiresAtMs;
    this.#image32[(ref >>> 2) + 4] = seqLow;
    this.#image32[(ref >>> 2) + 5] = seqHigh;
  }

  writeSeq(ref: number, seqLow: number, seqHigh: number): void {
    this.#image32[(ref >>> 2) + 4] = seqLow;
    this.#image32[(ref >>> 2) + 5] = seqHigh;
  }

  writeBytes(at: number, source: Uint8Array, start: number, bytes: number): void {
    if (bytes === source.length && bytes > COPY_BY_BYTE_MAX) this.#image.set(source, at);
    else if ((at & 3) === 0 && bytes <= COPY_BY_WORD_MAX)
      this.#writeWords(at, source, start, bytes);
    else if (bytes <= COPY_BY_BYTE_MAX) {
      const image = this.#image;
      for (let i = 0; i < bytes; i++) image[at + i] = source[start + i];
    } else Buffer.prototype.copy.call(source, this.#image, at, start, start + bytes);
  }

  #writeWords(at: number, source: Uint8Array, start: number, bytes: number): void {
    const words = this.#image32;
    const image = this.#image;
    let word = at >>> 2;
    let from = start;
    for (const end = word + (bytes >>> 2); word < end; word++, from += 4) {
      words[word] = word32(source, from);
    }
    for (let i = bytes & ~3; i < bytes; i++) image[at + i] = source[from++];
  }
}

/** Four bytes, little-endian, from anywhere. */
function word32(source: Uint8Array, at: number): number {
  return source[at] | (source[at + 1] << 8) | (source[at + 2] << 16) | (source[at + 3] << 24);
}
