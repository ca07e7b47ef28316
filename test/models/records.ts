/** The structs of the models, and the bytes that a record of one must have. */
import {
  bytes,
  f32,
  f64,
  i16,
  json,
  struct,
  type StructField,
  type StructShape,
  type Struct,
  tail,
  u32,
  u64,
  u8,
} from '@ingot/store';

export const Quote = struct({
  ...{ size: u32, bid: f64, venue: bytes(4), seq: u64, note: tail() },
});
export const Rate = struct({ flags: u8, days: i16, spare: u8, rate: f32, doc: json() });

export interface QuoteRecord {
  readonly size: number;
  readonly bid: number;
  readonly venue: Buffer;
  readonly seq: bigint;
  readonly note: Buffer;
}

export interface RateRecord {
  readonly flags: number;
  readonly days: number;
  readonly spare: number;
  readonly rate: number;
  readonly doc: unknown;
}

type Fields = Readonly<Record<string, unknown>>;

/** Head and tail. */
export function bytesOf({ layout }: Struct<StructShape>, record: object): Buffer {
  const fields = record as Fields;
  const head = layout.fields.map((field) => bytesOfField(field, fields[field.name]));
  if (layout.tail === null) return Buffer.concat(head);
  const given = fields[layout.tail.name];
  const isJson = layout.tail.kind === 'json';
  return Buffer.concat([...head, isJson ? Buffer.from(JSON.stringify(given)) : (given as Buffer)]);
}

export function fieldOf({ layout }: Struct<StructShape>, name: string): StructField {
  return layout.fields.find((field) => field.name === name) as StructField;
}

export function bytesOfField({ kind, bytes: width }: StructField, value: unknown): Buffer {
  const field = Buffer.alloc(width);
  if (kind === 'bytes') (value as Buffer).copy(field);
  else if (kind === 'f64') field.writeDoubleLE(value as number);
  else if (kind === 'f32') field.writeFloatLE(value as number);
  else if (kind === 'u64') field.writeBigUInt64LE(value as bigint);
  else if (kind === 'i16') field.writeInt16LE(value as number);
  else field.writeUIntLE(value as number, 0, width);
  return field;
}
