/** Records that are structs, inside a passage: written whole, or one field in place.
 *
 *  A change in place is one small mutation: the words of the field, the record's seq, the bucket's seq, which is what WATCH
 *  compares. Where somebody has pinned bytes of the record's chunk, the record goes to another slot instead, and the pinned
 *  bytes stay. Expiry stays. Nothing here throws: codes say why nothing has changed.
 *  A struct record has its whole value in its slot: such values have no extents. */
import type { LargeWriteParts } from './large-write.ts';
import {
  CHUNK_BYTES,
  CHUNK_SHIFT,
  KEY_BYTES_MAX,
  RECORD_STRUCT,
  STRUCT_HEADER_BYTES,
} from './layout.ts';
import type { CountedField } from './counted-field.ts';
import { partOffsetOf } from './record.ts';
import { classOfRecord } from './size-classes.ts';
import { type FieldValue, StructBytes } from './struct-bytes.ts';
import type { StructField } from './struct.ts';
import { OUT_OF_MEMORY, SET_OK, TOO_LARGE } from './writer.ts';

/** There is no such key. */
export const ABSENT = 0;
/** The value is plain, or of another struct. */
export const STRUCT_MISMATCH = -9;

/** A sum would leave what the field can hold. */
export const FIELD_WOULD_OVERFLOW = -10;

const SEQ_AT = 16;
const SEQ_BYTES = 8;

/** The longest value of a struct that a key of this length may have: all of it lies in one slot. */
export function structBytesMax(keyBytes: number): number {
  return CHUNK_BYTES - partOffsetOf(keyBytes, RECORD_STRUCT, 0);
}

export class StructRecords {
  /** Fields in the image. */
  readonly image: StructBytes;
  readonly #parts: LargeWriteParts;
  /** What the last `locate` found, and where its value begins. */
  #ref = 0;
  #head = 0;

  constructor(parts: LargeWriteParts) {
    this.#parts = parts;
    this.image = new StructBytes(parts.memory.image32.buffer);
  }

  /** Image offset of the value of a record that is of this struct, or STRUCT_MISMATCH. Read protocol or passage. */
  headOf(ref: number, fingerprint: number, headBytes: number): number {
    const { records } = this.#parts;
    if (records.flags(ref) !== RECORD_STRUCT) return STRUCT_MISMATCH;
    const head = ref + partOffsetOf(records.keyBytes(ref), RECORD_STRUCT, 0);
    const stored = this.#parts.memory.image32[(head - STRUCT_HEADER_BYTES) >>> 2] >>> 0;
    return stored === fingerprint && records.valueBytes(ref) >= headBytes ? head : STRUCT_MISMATCH;
  }

  // ------------------------------------------------------------ whole

  /** Writes key and value as a record of the struct. Returns SET_OK, OUT_OF_MEMORY, or TOO_LARGE: nothing has changed
   *  then. */
  set(
    hash: number,
    key: Uint8Array,
    keyStart: number,
    keyBytes: number,
    fingerprint: number,
    value: Uint8Array,
    valueStart: number,
    valueBytes: number,
    expiresAtMs: number,
    nowMs: number,
  ): number {
    const { writer, records, slab, mutation, buckets } = this.#parts;
    if (keyBytes > KEY_BYTES_MAX || valueBytes > structBytesMax(keyBytes)) return TOO_LARGE;
    const partOffset = partOffsetOf(keyBytes, RECORD_STRUCT, 0);
    const recordBytes = partOffset + valueBytes;
    const sizeClass = classOfRecord(recordBytes);
    const old = writer.locateUnflushed(hash, key, keyStart, keyBytes, nowMs);
    const mayStay =
      old !== 0 &&
      records.flags(old) === RECORD_STRUCT &&
      records.sizeClass(old) === sizeClass &&
      !records.isExpired(old, nowMs) &&
      !slab.isPinned(old >>> CHUNK_SHIFT);
    if (mayStay) {
      mutation.begin(buckets.head, nowMs);
      writer.placed = old;
      writer.placedClass = sizeClass;
    } else if (!writer.placeRecord(hash, key, keyStart, keyBytes, sizeClass, old, nowMs)) {
      return OUT_OF_MEMORY;
    }
    const ref = writer.placed;
    this.#writeFixed(ref, keyBytes, valueBytes, fingerprint, expiresAtMs);
    records.writeBytes(ref + partOffset, value, valueStart, valueBytes);
    writer.finishRecord(recordBytes, nowMs);
    return SET_OK;
  }

  /** All but key and value. */
  #writeFixed(
    ref: number,
    keyBytes: number,
    valueBytes: number,
    fingerprint: number,
    expiresAtMs: number,
  ): void {
    const { records, writer, mutation } = this.#parts;
    const classAndFlags = writer.placedClass | (RECORD_STRUCT << 8);
    const { seqLow, seqHigh } = mutation;
    records.writeHeader(ref, keyBytes, valueBytes, classAndFlags, expiresAtMs, seqLow, seqHigh);
    records.padKey(ref);
    records.writeFingerprint(ref, fingerprint);
  }

  // ------------------------------------------------------------ one field

  /** Finds the record of a key. Returns where its value begins, ABSENT or STRUCT_MISMATCH. */
  locate(
    hash: number,
    key: Uint8Array,
    start: number,
    bytes: number,
    fingerprint: number,
    headBytes: number,
    nowMs: number,
  ): number {
    const { writer, records } = this.#parts;
    const ref = writer.locateUnflushed(hash, key, start, bytes, nowMs);
    if (ref === 0 || records.isExpired(ref, nowMs)) return ABSENT;
    this.#ref = ref;
    this.#head = this.headOf(ref, fingerprint, headBytes);
    return this.#head;
  }

  /** Writes a value that the field holds into the record that `locate` found just now, by the same key. Returns SET_OK,
   *  OUT_OF_MEMORY, or ABSENT where making room took the record itself. */
  write(
    hash: number,
    key: Uint8Array,
    start: number,
    bytes: number,
    field: StructField,
    value: FieldValue,
    nowMs: number,
  ): number {
    const { slab, mutation, buckets } = this.#parts;
    const ref = this.#ref;
    if (slab.isPinned(ref >>> CHUNK_SHIFT)) {
      return this.#writeElsewhere(hash, key, start, bytes, field, value, nowMs);
    }
    mutation.begin(buckets.head, nowMs);
    this.image.write(field, this.#head, value);
    this.commitField(ref, this.#head, field);
    return SET_OK;
  }

  /** Ends a mutation that wrote a field in place. */
  commitField(ref: number, head: number, field: StructField): void {
    const { records, mutation, buckets } = this.#parts;
    records.writeSeq(ref, mutation.seqLow, mutation.seqHigh);
    mutation.patch(ref + SEQ_AT, SEQ_BYTES);
    const from = (head + field.offset) & ~3;
    const to = (head + field.offset + field.bytes + 3) & ~3;
    mutation.patch(from, to - from);
    buckets.touch(mutation);
    mutation.commit();
  }

  /** As `locate` and `write`, of a field that counts, wherever the record is. */
  writeNumber(
    hash: number,
    key: Uint8Array,
    counted: CountedField,
    value: number,
    nowMs: number,
  ): number {
    const { field, fingerprint, headBytes } = counted;
    const isWide = field.kind === 'u64' || field.kind === 'i64';
    const head = this.locate(hash, key, 0, key.length, fingerprint, headBytes, nowMs);
    if (head <= 0) return head;
    return this.write(hash, key, 0, key.length, field, isWide ? BigInt(value) : value, nowMs);
  }

  #writeElsewhere(
    hash: number,
    key: Uint8Array,
    start: number,
    bytes: number,
    field: StructField,
    value: FieldValue,
    nowMs: number,
  ): number {
    const { writer, records, buckets, memory } = this.#parts;
    const recordBytes = records.bytesInSlot(this.#ref);
    const sizeClass = classOfRecord(recordBytes);
    let old = this.#ref;
    if (!writer.hasRoomFor(sizeClass)) {
      if (!writer.makeRoomFor(sizeClass, nowMs)) return OUT_OF_MEMORY;
      old = buckets.locate(hash, key, start, bytes);
      if (old === 0) return ABSENT;
    }
    writer.placeChosen(hash, key, start, bytes, old, nowMs);
    const ref = writer.placed;
    const valueBytes = records.valueBytes(old);
    const [fingerprint, expiresAtMs] = [records.fingerprint(old), records.expiresAtMs(old)];
    this.#writeFixed(ref, bytes, valueBytes, fingerprint, expiresAtMs);
    const head = ref + partOffsetOf(bytes, RECORD_STRUCT, 0);
    records.copyValue(old, 0, valueBytes, memory.imageBuffer, head);
    this.image.write(field, head, value);
    writer.finishRecord(recordBytes, nowMs);
    return SET_OK;
  }
}
