/** Fields of a struct in memory: typed-array views, one element per field, and what may be written to each.
 *
 *  Serves the image of a partition and buffers alike: `at` is where the head begins, 8-aligned from the start of the memory.
 *  Reads of a torn image may give anything, also undefined, but do not throw. */
import { StoreError } from './errors.ts';
import type { StructField } from './struct.ts';

export type FieldValue = number | bigint | string | Uint8Array;

const INTEGERS: Readonly<Record<string, readonly [min: number, max: number]>> = {
  u8: [0, 0xff],
  i8: [-0x80, 0x7f],
  u16: [0, 0xffff],
  i16: [-0x8000, 0x7fff],
  u32: [0, 0xffff_ffff],
  i32: [-0x8000_0000, 0x7fff_ffff],
};
const U64_MAX = 2n ** 64n - 1n;
const I64_MIN = -(2n ** 63n);
const I64_MAX = 2n ** 63n - 1n;

const HIGH = 4_294_967_296;

/** What a field may be that is counted with by numbers: what it can hold, and of 64 bits what a number is exact for. Null: it
 *  does not count. */
export function numberLimits(field: StructField): readonly [min: number, max: number] | null {
  switch (field.kind) {
    case 'f32':
    case 'f64':
      return [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY];
    case 'u64':
      return [0, Number.MAX_SAFE_INTEGER];
    case 'i64':
      return [Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER];
    case 'bytes':
      return null;
    default:
      return INTEGERS[field.kind];
  }
}

/** Whether the field can hold the value. Bytes that are too few are filled up. */
export function holds(field: StructField, value: unknown): boolean {
  switch (field.kind) {
    case 'f32':
    case 'f64':
      return typeof value === 'number';
    case 'u64':
      return typeof value === 'bigint' && value >= 0n && value <= U64_MAX;
    case 'i64':
      return typeof value === 'bigint' && value >= I64_MIN && value <= I64_MAX;
    case 'bytes':
      if (typeof value === 'string') return Buffer.byteLength(value) <= field.bytes;
      return value instanceof Uint8Array && value.length <= field.bytes;
    case 'u8':
    case 'i8':
    case 'u16':
    case 'i16':
    case 'u32':
    case 'i32': {
      const [min, max] = INTEGERS[field.kind];
      return Number.isInteger(value) && (value as number) >= min && (value as number) <= max;
    }
  }
}

/** @throws StoreError FIELD_INVALID when the field cannot hold the value. */
export function check(field: StructField, value: unknown): asserts value is FieldValue {
  if (holds(field, value)) return;
  const shown = value instanceof Uint8Array ? `${value.length} bytes` : String(value);
  const kind = field.kind === 'bytes' ? `bytes(${field.bytes})` : field.kind;
  throw new StoreError('FIELD_INVALID', `${field.name} is ${kind}, not ${shown}`);
}

export class StructBytes {
  readonly buffer: Buffer;
  readonly #u8: Uint8Array;
  readonly #i8: Int8Array;
  readonly #u16: Uint16Array;
  readonly #i16: Int16Array;
  readonly #u32: Uint32Array;
  readonly #i32: Int32Array;
  readonly #u64: BigUint64Array;
  readonly #i64: BigInt64Array;
  readonly #f32: Float32Array;
  readonly #f64: Float64Array;

  /** Over memory whose length is a multiple of 8. */
  constructor(memory: ArrayBufferLike) {
    this.buffer = Buffer.from(memory);
    this.#u8 = this.buffer;
    this.#i8 = new Int8Array(memory);
    this.#u16 = new Uint16Array(memory);
    this.#i16 = new Int16Array(memory);
    this.#u32 = new Uint32Array(memory);
    this.#i32 = new Int32Array(memory);
    this.#u64 = new BigUint64Array(memory);
    this.#i64 = new BigInt64Array(memory);
    this.#f32 = new Float32Array(memory);
    this.#f64 = new Float64Array(memory);
  }

  /** A number, a bigint, or a copy of bytes. */
  read(field: StructField, head: number): number | bigint | Buffer {
    const at = head + field.offset;
    switch (field.kind) {
      case 'f64':
        return this.#f64[at >>> 3];
      case 'u64':
        return this.#u64[at >>> 3];
      case 'i64':
        return this.#i64[at >>> 3];
      case 'u32':
        return this.#u32[at >>> 2];
      case 'i32':
        return this.#i32[at >>> 2];
      case 'f32':
        return this.#f32[at >>> 2];
      case 'u16':
        return this.#u16[at >>> 1];
      case 'i16':
        return this.#i16[at >>> 1];
      case 'u8':
        return this.#u8[at];
      case 'i8':
        return this.#i8[at];
      case 'bytes':
        return Buffer.from(this.buffer.subarray(at, at + field.bytes));
    }
  }

  /** A field that counts, as a number: not exact beyond 2^53. Allocates nothing. */
  readNumber(field: StructField, head: number): number {
    const at = head + field.offset;
    switch (field.kind) {
      case 'u32':
        return this.#u32[at >>> 2];
      case 'u64':
        return this.#u32[at >>> 2] + this.#u32[(at >>> 2) + 1] * HIGH;
      case 'i64':
        return this.#u32[at >>> 2] + this.#i32[(at >>> 2) + 1] * HIGH;
      case 'f64':
        return this.#f64[at >>> 3];
      case 'i32':
        return this.#i32[at >>> 2];
      case 'f32':
        return this.#f32[at >>> 2];
      case 'u16':
        return this.#u16[at >>> 1];
      case 'i16':
        return this.#i16[at >>> 1];
      case 'u8':
        return this.#u8[at];
      case 'i8':
        return this.#i8[at];
      case 'bytes':
        return Number.NaN;
    }
  }

  /** Writes a number that is within the field's `numberLimits`. */
  writeNumber(field: StructField, head: number, value: number): void {
    const at = head + field.offset;
    switch (field.kind) {
      case 'u32':
        this.#u32[at >>> 2] = value;
        break;
      case 'u64':
      case 'i64':
        this.#u32[at >>> 2] = value;
        this.#u32[(at >>> 2) + 1] = Math.floor(value / HIGH);
        break;
      case 'f64':
        this.#f64[at >>> 3] = value;
        break;
      default:
        this.write(field, head, value);
    }
  }

  /** Writes what the field `holds`. */
  write(field: StructField, head: number, value: FieldValue): void {
    const at = head + field.offset;
    switch (field.kind) {
      case 'f64':
        this.#f64[at >>> 3] = value as number;
        break;
      case 'u64':
        this.#u64[at >>> 3] = value as bigint;
        break;
      case 'i64':
        this.#i64[at >>> 3] = value as bigint;
        break;
      case 'u32':
        this.#u32[at >>> 2] = value as number;
        break;
      case 'i32':
        this.#i32[at >>> 2] = value as number;
        break;
      case 'f32':
        this.#f32[at >>> 2] = value as number;
        break;
      case 'u16':
        this.#u16[at >>> 1] = value as number;
        break;
      case 'i16':
        this.#i16[at >>> 1] = value as number;
        break;
      case 'u8':
        this.#u8[at] = value as number;
        break;
      case 'i8':
        this.#i8[at] = value as number;
        break;
      case 'bytes': {
        const source = typeof value === 'string' ? Buffer.from(value) : (value as Uint8Array);
        this.#u8.set(source, at);
        this.#u8.fill(0, at + source.length, at + field.bytes);
        break;
      }
    }
  }
}
