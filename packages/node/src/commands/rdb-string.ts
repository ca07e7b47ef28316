/** Strings as Redis writes them into RDB files and DUMP payloads: a length and the bytes, an integer,
 *  or bytes that LZF has compressed. Nothing is compressed here; all of it is read.
 *  A payload is a type byte, the string, the version (u16), the CRC-64 of all before it.
 *  Source: https://rdb.fnordig.de/file_format.html */

import { readSafeInteger } from '@ingot/store';
import { CRC64_BYTES, writeCrc64 } from './crc64.ts';

/** Of Redis 7.0. */
const VERSION = 10;
const VERSION_BYTES = 2;
export const FOOTER_BYTES: number = VERSION_BYTES + CRC64_BYTES;
export const TYPE_STRING = 0;

const SHORT_MAX = 63;
const MIDDLE_MAX = 16_383;
const MIDDLE_MARK = 0x40;
const LENGTH_32_MARK = 0x80;
const LENGTH_64_MARK = 0x81;
/** The two high bits: what follows is no length. */
const ENCODED_MARK = 0xc0;
const INT8 = 0;
const INT16 = 1;
const INT32 = 2;
const LZF = 3;
/** No integer of 32 bits has more. */
const INTEGER_BYTES_MAX = 11;

/** What stands before the bytes of a value in a payload, or all of it but the footer. */
export interface DumpHead {
  readonly head: Buffer;
  readonly isWhole: boolean;
}

const scratch: Buffer = Buffer.alloc(6);

/** `first`: the beginning of the value, all of it where it is short enough to be an integer. */
export function dumpHead(first: Buffer, valueBytes: number): DumpHead {
  scratch[0] = TYPE_STRING;
  const mayBeInteger = valueBytes <= INTEGER_BYTES_MAX;
  const integer = mayBeInteger ? readSafeInteger(first, 0, valueBytes) : Number.NaN;
  if (integer === (integer | 0)) {
    const kind =
      integer === (integer << 24) >> 24 ? INT8 : integer === (integer << 16) >> 16 ? INT16 : INT32;
    scratch[1] = ENCODED_MARK | kind;
    scratch.writeInt32LE(integer, 2);
    return { head: scratch.subarray(0, 2 + 2 ** kind), isWhole: true };
  }
  let bytes = 2;
  if (valueBytes <= SHORT_MAX) scratch[1] = valueBytes;
  else if (valueBytes <= MIDDLE_MAX) {
    bytes = scratch.writeUInt16BE((MIDDLE_MARK << 8) | valueBytes, 1);
  } else {
    scratch[1] = LENGTH_32_MARK;
    bytes = scratch.writeUInt32BE(valueBytes, 2);
  }
  return { head: scratch.subarray(0, bytes), isWhole: false };
}

/** Writes version and sum behind a payload that lies in [start, end) of `buffer`. */
export function writeDumpFooter(buffer: Buffer, start: number, end: number): void {
  buffer.writeUInt16LE(VERSION, end);
  writeCrc64(buffer, start, end + VERSION_BYTES, buffer, end + VERSION_BYTES);
}

/** Whether the payload in [start, start + bytes) is whole and of a version that can be read. */
export function dumpIsWhole(buffer: Buffer, start: number, bytes: number): boolean {
  if (bytes < FOOTER_BYTES) return false;
  const end = start + bytes;
  if (buffer.readUInt16LE(end - FOOTER_BYTES) > VERSION) return false;
  const sum = Buffer.allocUnsafe(CRC64_BYTES);
  writeCrc64(buffer, start, end - CRC64_BYTES, sum, 0);
  return sum.compare(buffer, end - CRC64_BYTES, end) === 0;
}

/** A string in a payload: how long it is, and how to make it; null where its bytes make no sense. */
export interface DumpedString {
  readonly bytes: number;
  readonly make: () => Buffer | null;
}

/** The string of a payload that is whole; null where it is another type, or damaged. */
export function readDumpedString(
  buffer: Buffer,
  start: number,
  bytes: number,
): DumpedString | null {
  if (buffer[start] !== TYPE_STRING) return null;
  const cursor = new Cursor(buffer, start + 1, start + bytes);
  const mark = cursor.byte();
  if (mark < ENCODED_MARK) return plain(cursor, cursor.length(mark));
  switch (mark & ~ENCODED_MARK) {
    case INT8:
      return integer(cursor, 1);
    case INT16:
      return integer(cursor, 2);
    case INT32:
      return integer(cursor, 4);
    case LZF: {
      const packed = cursor.length(cursor.byte());
      const length = cursor.length(cursor.byte());
      const view = cursor.take(packed);
      if (view === null || Number.isNaN(length)) return null;
      return { bytes: length, make: () => unpack(view, length) };
    }
    default:
      return null;
  }
}

function plain(cursor: Cursor, length: number): DumpedString | null {
  const view = cursor.take(length);
  return view === null ? null : { bytes: length, make: () => Buffer.from(view) };
}

function integer(cursor: Cursor, width: number): DumpedString | null {
  const view = cursor.take(width);
  if (view === null) return null;
  const text = Buffer.from(String(view.readIntLE(0, width)));
  return { bytes: text.length, make: () => text };
}

/** Reads on; past the end everything is NaN or null. */
class Cursor {
  private readonly buffer: Buffer;
  private readonly end: number;
  private at: number;

  constructor(buffer: Buffer, at: number, end: number) {
    this.buffer = buffer;
    this.at = at;
    this.end = end;
  }

  byte(): number {
    return this.at < this.end ? this.buffer[this.at++] : Number.NaN;
  }

  /** A length that begins with the byte `mark`; NaN for one past 2^53, too. */
  length(mark: number): number {
    if (mark <= SHORT_MAX) return mark;
    if (mark < LENGTH_32_MARK) return ((mark & SHORT_MAX) << 8) | this.byte();
    const bytes = mark === LENGTH_32_MARK ? 4 : mark === LENGTH_64_MARK ? 8 : 0;
    const view = bytes === 0 ? null : this.take(bytes);
    if (view === null) return Number.NaN;
    return bytes === 4 ? view.readUInt32BE(0) : Number(view.readBigUInt64BE(0));
  }

  take(bytes: number): Buffer | null {
    if (!(bytes <= this.end - this.at)) return null;
    const view = this.buffer.subarray(this.at, this.at + bytes);
    this.at += bytes;
    return view;
  }
}

const LITERALS_MAX = 32;
const LONG_RUN = 7;

/** LZF: literal runs, and runs that repeat what came up to 8 KiB before. Null where they do not come
 *  to `length` bytes. */
export function unpack(packed: Buffer, length: number): Buffer | null {
  const out = Buffer.allocUnsafe(length);
  let to = 0;
  for (let from = 0; from < packed.length; ) {
    const control = packed[from++];
    if (control < LITERALS_MAX) {
      const run = control + 1;
      if (to + run > length || from + run > packed.length) return null;
      packed.copy(out, to, from, from + run);
      from += run;
      to += run;
      continue;
    }
    let run = control >>> 5;
    if (run === LONG_RUN) run += packed[from++];
    run += 2;
    let source = to - ((control & 0x1f) << 8) - packed[from++] - 1;
    if (!(source >= 0 && to + run <= length)) return null;
    for (; run > 0; run--) out[to++] = out[source++];
  }
  return to === length ? out : null;
}
