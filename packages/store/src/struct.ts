/** Structs: named fields of fixed width, and how they lie in the bytes of a value. Our `#[repr(C)]` for users.
 *
 *  A layout has no padding and every field is naturally aligned, so a field is one element of a typed array over the
 *  image. Where the fields as they were declared would need padding, they are laid widest first; where even that
 *  would leave some at the end, the struct is refused. One variable tail (bytes or JSON) may follow the fixed *head*.
 *  Integers are little-endian. The fingerprint is that of names, types and offsets: it is stored with each record.
 *  Knows nothing of memory: see struct-records.ts for where fields are read and written. */
import { StoreError } from './errors.ts';
import { hashKey } from './hash.ts';
import { CHUNK_BYTES, RECORD_HEADER_BYTES, STRUCT_HEADER_BYTES } from './layout.ts';

export type FieldKind =
  | 'u8'
  | 'i8'
  | 'u16'
  | 'i16'
  | 'u32'
  | 'i32'
  | 'u64'
  | 'i64'
  | 'f32'
  | 'f64'
  | 'bytes';
export type TailKind = 'tail' | 'json';

/** Of a fixed field: what reading gives, and what may be written. The types are all that knows them. */
export interface FieldType<Read, Write = Read> {
  readonly kind: FieldKind;
  readonly bytes: number;
  readonly types?: readonly [Read, Write];
}

/** Of the tail: bytes as they are, or the JSON text of a value. */
export interface TailType<Read, Write = Read> {
  readonly kind: TailKind;
  readonly types?: readonly [Read, Write];
}

/** What `struct` is given: name by name, the type of a field; at most one tail among them. */
export type StructShape = Readonly<Record<string, FieldType<unknown> | TailType<unknown>>>;

const fieldOf = <Read, Write = Read>(kind: FieldKind, bytes: number): FieldType<Read, Write> =>
  Object.freeze({ kind, bytes });

export const u8: FieldType<number> = fieldOf('u8', 1);
export const i8: FieldType<number> = fieldOf('i8', 1);
export const u16: FieldType<number> = fieldOf('u16', 2);
export const i16: FieldType<number> = fieldOf('i16', 2);
export const u32: FieldType<number> = fieldOf('u32', 4);
export const i32: FieldType<number> = fieldOf('i32', 4);
export const u64: FieldType<bigint> = fieldOf('u64', 8);
export const i64: FieldType<bigint> = fieldOf('i64', 8);
export const f32: FieldType<number> = fieldOf('f32', 4);
export const f64: FieldType<number> = fieldOf('f64', 8);

/** `count` bytes. Shorter ones that are written are filled up with zeros; strings stand for their UTF-8. Reading gives a
 *  copy of all of them. */
export function bytes(count: number): FieldType<Buffer, string | Uint8Array> {
  return fieldOf('bytes', count);
}

/** Bytes of any number, behind the fixed fields. */
export function tail(): TailType<Buffer, string | Uint8Array> {
  return Object.freeze({ kind: 'tail' });
}

/** A value of any size as JSON, behind the fixed fields. */
export function json<Value = unknown>(): TailType<Value> {
  return Object.freeze({ kind: 'json' });
}

/** Names of the fixed fields. */
export type FieldName<S> = {
  [N in keyof S]: S[N] extends { readonly bytes: number } ? N : never;
}[keyof S] &
  string;
/** Names of the fields that count: all but bytes. */
export type NumberName<S> = {
  [N in FieldName<S>]: ReadOf<S[N]> extends number | bigint ? N : never;
}[FieldName<S>];
export type TailName<S> = Exclude<keyof S, FieldName<S>> & string;
/** What reading a field or the tail gives. */
export type ReadOf<F> = F extends { readonly types?: readonly [infer Read, unknown] }
  ? Read
  : never;
/** What may be written to it. */
export type WriteOf<F> = F extends { readonly types?: readonly [unknown, infer Write] }
  ? Write
  : never;
/** All of a record as an object. */
export type StructValue<S> = { [N in keyof S]: ReadOf<S[N]> };
/** What an object must have to be written. */
export type StructInput<S> = { readonly [N in keyof S]: WriteOf<S[N]> };

export interface StructField {
  readonly name: string;
  readonly kind: FieldKind;
  /** From the value's start. */
  readonly offset: number;
  readonly bytes: number;
}

export interface StructLayout {
  /** In the order in which they lie. */
  readonly fields: readonly StructField[];
  /** Of all fixed fields together. */
  readonly headBytes: number;
  /** The tail's name and kind, or null. */
  readonly tail: { readonly name: string; readonly kind: TailKind } | null;
  /** Whether the fields lie in another order than they were declared in, because that would have needed padding. */
  readonly reordered: boolean;
}

export interface Struct<S extends StructShape> {
  readonly shape: S;
  readonly layout: StructLayout;
  /** u32 of names, types and offsets: another one is another struct. Never 0. */
  readonly fingerprint: number;
}

/** With a key of no bytes; the tail shares what is left. */
const HEAD_BYTES_MAX: number = CHUNK_BYTES - RECORD_HEADER_BYTES - STRUCT_HEADER_BYTES;

const isField = (type: FieldType<unknown> | TailType<unknown>): type is FieldType<unknown> =>
  'bytes' in type;

const alignmentOf = (field: { kind: FieldKind; bytes: number }): number =>
  field.kind === 'bytes' ? 1 : field.bytes;

/** Lays the fields out.
 *  @throws StoreError STRUCT_INVALID where no order of them does without padding (says how many bytes to add), or where
 *  they are no struct: no field, two tails, bytes(n) of another n than 1 and more. */
export function struct<const S extends StructShape>(shape: S): Struct<S> {
  const declared: Omit<StructField, 'offset'>[] = [];
  let tailFound: StructLayout['tail'] = null;
  for (const [name, type] of Object.entries(shape)) {
    if (isField(type)) declared.push({ name, kind: type.kind, bytes: type.bytes });
    else if (tailFound === null) tailFound = { name, kind: type.kind };
    else throw new StoreError('STRUCT_INVALID', `two tails: ${tailFound.name} and ${name}`);
  }
  const broken = brokenFields(declared);
  if (broken !== null) throw new StoreError('STRUCT_INVALID', broken);
  const inOrder = place(declared);
  const fields = inOrder ?? place(declared.toSorted((a, b) => alignmentOf(b) - alignmentOf(a)));
  // Widest first leaves no gap: every width is a power of two, and plain bytes come last.
  if (fields === null) throw new StoreError('STRUCT_INVALID', 'the fields leave gaps');
  const headBytes = fields.reduce((sum, field) => sum + field.bytes, 0);
  const layout = { fields, headBytes, tail: tailFound, reordered: inOrder === null };
  return { shape, layout, fingerprint: fingerprintOf(layout) };
}

function brokenFields(fields: readonly Omit<StructField, 'offset'>[]): string | null {
  if (fields.length === 0) return 'it has no field of fixed width: a plain value does';
  for (const { name, kind, bytes: count } of fields) {
    if (kind === 'bytes' && (!Number.isInteger(count) || count < 1)) {
      return `${name} has ${count} bytes: it needs a whole number above 0`;
    }
  }
  const headBytes = fields.reduce((sum, field) => sum + field.bytes, 0);
  if (headBytes > HEAD_BYTES_MAX) {
    return `its fields have ${headBytes} bytes, and a record holds ${HEAD_BYTES_MAX}`;
  }
  const widest = Math.max(...fields.map(alignmentOf));
  const over = headBytes % widest;
  if (over === 0) return null;
  const wide = fields.find((field) => alignmentOf(field) === widest);
  const missing = widest - over;
  return (
    `its fields have ${headBytes} bytes, and ${wide?.name} is aligned to ${widest}: add ${missing} bytes of fields, ` +
    `as in { ..., spare: bytes(${missing}) }, or widen one`
  );
}

/** One behind the other; null where one would not be aligned. */
function place(fields: readonly Omit<StructField, 'offset'>[]): StructField[] | null {
  const placed: StructField[] = [];
  let offset = 0;
  for (const field of fields) {
    if (offset % alignmentOf(field) !== 0) return null;
    placed.push({ ...field, offset });
    offset += field.bytes;
  }
  return placed;
}

/** Part of the format: records of another release carry it. */
function fingerprintOf(layout: Omit<StructLayout, 'reordered'>): number {
  const rows: unknown[] = layout.fields.map(({ name, kind, bytes: count, offset }) => [
    name,
    kind,
    count,
    offset,
  ]);
  if (layout.tail !== null) rows.push([layout.tail.name, layout.tail.kind]);
  const text = Buffer.from(JSON.stringify(rows));
  const hash = hashKey(text, 0, text.length) >>> 0;
  return hash === 0 ? 1 : hash;
}
