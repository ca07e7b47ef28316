/** Records of one struct in a shared map: `map.typed(Quote)`.
 *
 *  A field is read straight from the image and written in place; an object is made by `get` only. Fields that belong
 *  together are read together by `locate`, which copies the head and leaves the tail where it is. Every call is complete
 *  when it returns, and each field is changed through the gate and the redo like any other write.
 *  Owner: one thread, like the map that it is of. */
import { StoreError } from './errors.ts';
import { TORN_READS_MAX } from './gate.ts';
import { hashKey, ownerOf } from './hash.ts';
import { CountedField } from './counted-field.ts';
import { type FieldSums, Whereabouts } from './field-sums.ts';
import { MapKey } from './map-key.ts';
import { TypedRecord } from './typed-record.ts';
import { MapBytes } from './map-bytes.ts';
import { type Bytes, type Clock, expiryOf, type SetOptions } from './map-options.ts';
import type { PartitionMap } from './partition-map.ts';
import type { Partition } from './partition.ts';
import { check, type FieldValue, holds, StructBytes } from './struct-bytes.ts';
import { ABSENT, FIELD_WOULD_OVERFLOW, STRUCT_MISMATCH, structBytesMax } from './struct-records.ts';
import type {
  FieldName,
  NumberName,
  ReadOf,
  Struct,
  StructField,
  StructInput,
  StructShape,
  StructValue,
  TailName,
  WriteOf,
} from './struct.ts';
import { SET_OK, TOO_LARGE } from './writer.ts';

/** The fixed fields that the last `locate` found. */
export type Head<S> = { readonly [N in FieldName<S>]: ReadOf<S[N]> };

/** What a sum is, by what was added. */
export type SumOf<By> = By extends bigint ? bigint : number;

const TAIL_BYTES_INITIAL = 256;

const to8 = (count: number): number => (count + 7) & ~7;

export class TypedMap<S extends StructShape> {
  readonly struct: Struct<S>;
  /** What the last `locate` found: read its fields at once, `view.head.bid`. Zeros before. */
  readonly head: Head<S>;
  readonly #maps: readonly PartitionMap[];
  readonly #clock: Clock;
  readonly #fields: Readonly<Record<string, StructField>>;
  readonly #fingerprint: number;
  readonly #headBytes: number;
  readonly #counted: Readonly<Record<string, CountedField>>;
  readonly #sums: readonly FieldSums[];
  readonly #keyBytes: MapBytes = new MapBytes();
  readonly #where: Whereabouts = new Whereabouts(new MapKey());
  /** A head that was read, or one to be written and its tail. */
  readonly #located: StructBytes;
  #written: StructBytes;
  #sum: number | bigint = 0;

  /** See `SharedMap.typed`. */
  constructor(maps: readonly PartitionMap[], clock: Clock, struct: Struct<S>) {
    const { layout, fingerprint } = struct;
    this.struct = struct;
    this.#maps = maps;
    this.#clock = clock;
    this.#fingerprint = fingerprint;
    this.#headBytes = layout.headBytes;
    const fields: Record<string, StructField> = Object.create(null);
    for (const field of layout.fields) fields[field.name] = field;
    this.#fields = fields;
    const counted: Record<string, CountedField> = Object.create(null);
    for (const field of layout.fields) {
      const each = CountedField.of(struct, field);
      if (each !== null) counted[field.name] = each;
    }
    this.#counted = counted;
    this.#sums = maps.map(({ partition }) => partition.sums);
    this.#located = new StructBytes(new ArrayBuffer(to8(layout.headBytes)));
    this.#written = new StructBytes(new ArrayBuffer(to8(layout.headBytes) + TAIL_BYTES_INITIAL));
    this.head = this.#headView();
  }

  #headView(): Head<S> {
    const view: object = Object.create(null);
    for (const field of this.struct.layout.fields) {
      const get = (): unknown => this.#located.read(field, 0);
      Object.defineProperty(view, field.name, { get, enumerable: true });
    }
    return view as Head<S>;
  }

  // ------------------------------------------------------------ reads

  /** One field, straight from the image, or null where the key is absent.
   *  @throws StoreError STRUCT_MISMATCH when the value is plain or of another struct, like all that follow. */
  read<N extends FieldName<S>>(key: Bytes, name: N): ReadOf<S[N]> | null {
    const field = this.#field(name);
    const bytes = this.#keyBytes.of(key);
    const { partition } = ownerOf(this.#maps, bytes);
    const { structs } = partition;
    const hash = hashKey(bytes, 0, bytes.length);
    const nowMs = this.#clock();
    for (let torn = 0; ; torn++) {
      const isLast = torn === TORN_READS_MAX;
      const token = isLast ? entered(partition) : partition.readBegin();
      const ref = partition.find(hash, bytes, 0, bytes.length, nowMs);
      const head = ref === 0 ? ABSENT : structs.headOf(ref, this.#fingerprint, this.#headBytes);
      const value = head > 0 ? structs.image.read(field, head) : null;
      if (isLast) partition.leave();
      else if (!partition.readEnd(token)) continue;
      if (head === STRUCT_MISMATCH) throw mismatch(this.struct);
      if (ref !== 0) partition.mark(ref);
      return value as ReadOf<S[N]> | null;
    }
  }

  /** Reads all fixed fields of a record at once, into `head`; the tail is not touched. Returns whether the key is there:
   *  `head` stays as it is where not. */
  locate(key: Bytes): boolean {
    const { buffer } = this.#located;
    return this.#copy(key, 0, this.#headBytes, () => buffer) !== null;
  }

  /** The record as an object of its own, or null. */
  get(key: Bytes): StructValue<S> | null {
    const value = this.#copy(key, 0, Number.POSITIVE_INFINITY, allocate);
    if (value === null) return null;
    const head = new StructBytes(new ArrayBuffer(to8(this.#headBytes)));
    value.copy(head.buffer, 0, 0, this.#headBytes);
    const record: Record<string, unknown> = {};
    for (const name of Object.keys(this.struct.shape)) {
      const field = this.#fields[name];
      record[name] =
        field === undefined ? this.#tailOf(value.subarray(this.#headBytes)) : head.read(field, 0);
    }
    return record as StructValue<S>;
  }

  /** A copy of the tail, or what its JSON says; null where the key is absent. */
  readTail(key: Bytes): ReadOf<S[TailName<S>]> | null {
    const value = this.#copy(key, this.#headBytes, Number.POSITIVE_INFINITY, allocate);
    return value === null ? null : this.#tailOf(value);
  }

  #tailOf(bytes: Buffer): ReadOf<S[TailName<S>]> {
    const isJson = this.struct.layout.tail?.kind === 'json';
    return (isJson ? JSON.parse(bytes.toString()) : bytes) as ReadOf<S[TailName<S>]>;
  }

  has(key: Bytes): boolean {
    return this.#copy(key, 0, 0, allocate) !== null;
  }

  /** Copies bytes `from` to `to` of the value, as far as it goes, to what `into` makes room with. Null: no such key. */
  #copy(key: Bytes, from: number, to: number, into: (bytes: number) => Buffer): Buffer | null {
    const bytes = this.#keyBytes.of(key);
    const { partition } = ownerOf(this.#maps, bytes);
    const hash = hashKey(bytes, 0, bytes.length);
    const nowMs = this.#clock();
    for (let torn = 0; ; torn++) {
      const isLast = torn === TORN_READS_MAX;
      const token = isLast ? entered(partition) : partition.readBegin();
      const ref = partition.find(hash, bytes, 0, bytes.length, nowMs);
      const head =
        ref === 0 ? ABSENT : partition.structs.headOf(ref, this.#fingerprint, this.#headBytes);
      let copy: Buffer | null = null;
      if (head > 0) {
        const end = Math.min(partition.valueBytes(ref), to);
        copy = into(Math.max(end - from, 0));
        partition.copyValue(ref, from, Math.max(end - from, 0), copy, 0);
      }
      if (isLast) partition.leave();
      else if (!partition.readEnd(token)) continue;
      if (head === STRUCT_MISMATCH) throw mismatch(this.struct);
      if (ref !== 0) partition.mark(ref);
      return copy;
    }
  }

  // ------------------------------------------------------------ writes of one field

  /** Writes one field in place. Expiry, the other fields and the tail stay. Returns whether the key was there.
   *  @throws StoreError FIELD_INVALID when the field cannot hold the value, STRUCT_MISMATCH, or OUT_OF_MEMORY where the
   *  record is pinned and there is no room for another; nothing has changed then. */
  write<N extends FieldName<S>>(key: Bytes, name: N, value: WriteOf<S[N]>): boolean {
    const field = this.#field(name);
    const given: unknown = value;
    check(field, given);
    return this.#change(key, field, bytesOf(given), false);
  }

  /** Adds to a field in place. Returns the sum, or null where the key is absent. A sum of f32 is rounded to it. Fields of 64
   *  bits take numbers as well as bigints, and give back what they were given: numbers, which are three times as fast, as long
   *  as the field and the sum are exact (2^53).
   *  @throws StoreError FIELD_OVERFLOW where the field or the number could not hold the sum, and as `write`. */
  increment<N extends NumberName<S>, By extends number | ReadOf<S[N]>>(
    key: Bytes,
    name: N,
    by: By,
  ): SumOf<By> | null {
    const given: unknown = by;
    if (typeof given === 'number') {
      const counted = this.countedBy(name, given);
      this.#where.take(key);
      const sums = this.#where.key.ownerAmong(this.#sums);
      const code = sums.add(this.#where, counted, given, this.#clock);
      return this.summed(sums, code, counted) as SumOf<By> | null;
    }
    const field = this.#field(name);
    const isWide = field.kind === 'u64' || field.kind === 'i64';
    if (!isWide || typeof given !== 'bigint') throw notAdded(field, given);
    return this.#change(key, field, given, true) ? (this.#sum as SumOf<By>) : null;
  }

  /** The record of a key, found once and found again fast. */
  record(key: Bytes): TypedRecord<S> {
    const taken = this.#where.key;
    taken.take(key);
    return new TypedRecord(this, taken.copy(), taken.ownerAmong(this.#sums), this.#clock);
  }

  /** For `increment`: a field that this may be added to. */
  countedBy(name: string, by: number): CountedField {
    const counted = this.#counted[name];
    if (counted === undefined) throw notAdded(this.#field(name), by);
    if (!counted.isFloat && !Number.isInteger(by)) throw notAdded(counted.field, by);
    return counted;
  }

  /** For `increment`: what came of it. */
  summed(sums: FieldSums, code: number, { field }: CountedField): number | null {
    if (code === SET_OK) return sums.sum;
    if (code === ABSENT) return null;
    throw this.#refusal(code, field);
  }

  #change(key: Bytes, field: StructField, value: FieldValue, adds: boolean): boolean {
    const bytes = this.#keyBytes.of(key);
    const { partition } = ownerOf(this.#maps, bytes);
    const hash = hashKey(bytes, 0, bytes.length);
    const nowMs = this.#clock();
    partition.enter();
    const code = this.#changeInside(partition, hash, bytes, field, value, adds, nowMs);
    partition.leave();
    if (code === SET_OK) return true;
    if (code === ABSENT) return false;
    throw this.#refusal(code, field);
  }

  #refusal(code: number, field: StructField): StoreError {
    if (code === STRUCT_MISMATCH) return mismatch(this.struct);
    if (code !== FIELD_WOULD_OVERFLOW) return new StoreError('OUT_OF_MEMORY');
    return new StoreError('FIELD_OVERFLOW', `${field.name} is ${field.kind}`);
  }

  #changeInside(
    partition: Partition,
    hash: number,
    key: Uint8Array,
    field: StructField,
    value: FieldValue,
    adds: boolean,
    nowMs: number,
  ): number {
    const { structs } = partition;
    const [print, headBytes] = [this.#fingerprint, this.#headBytes];
    const head = structs.locate(hash, key, 0, key.length, print, headBytes, nowMs);
    if (head <= 0) return head;
    let next = value;
    if (adds) {
      const now = structs.image.read(field, head);
      // Both are numbers, or both bigints: `increment` saw to it.
      next =
        typeof now === 'bigint' ? now + (value as bigint) : (now as number) + (value as number);
      if (field.kind === 'f32') next = Math.fround(next as number);
      if (!holds(field, next)) return FIELD_WOULD_OVERFLOW;
      this.#sum = next;
    }
    return structs.write(hash, key, 0, key.length, field, next, nowMs);
  }

  // ------------------------------------------------------------ writes of whole records

  /** Sets all fields and the tail; options and return value as those of `SharedMap.set`.
   *  @throws StoreError FIELD_INVALID, STRUCT_TOO_LARGE or OUT_OF_MEMORY; nothing has changed then. */
  set(key: Bytes, value: StructInput<S>, options?: SetOptions): boolean {
    const input = value as Readonly<Record<string, unknown>>;
    const { layout } = this.struct;
    const tail = layout.tail === null ? NOTHING : this.#tailBytes(input[layout.tail.name]);
    const valueBytes = this.#prepare(tail);
    for (const field of layout.fields) {
      const given = input[field.name];
      check(field, given);
      this.#written.write(field, 0, given);
    }
    const bytes = this.#keyBytes.of(key);
    const { partition } = ownerOf(this.#maps, bytes);
    const hash = hashKey(bytes, 0, bytes.length);
    const nowMs = this.#clock();
    const { expiresAtMs, keepTtl, nx, xx } = expiryOf(options, nowMs);
    partition.enter();
    const ref = partition.find(hash, bytes, 0, bytes.length, nowMs);
    const applies = ref === 0 ? xx !== true : nx !== true;
    const kept = keepTtl === true && ref !== 0 ? partition.expiresAtMs(ref) : 0;
    const code = applies
      ? this.#store(partition, hash, bytes, valueBytes, expiresAtMs ?? kept, nowMs)
      : SET_OK;
    partition.leave();
    if (code !== SET_OK) throw refusal(code, bytes, valueBytes);
    return applies;
  }

  /** Writes another tail behind the same fields, as one write of the record; the expiry stays. Returns whether the key was
   *  there.
   *  @throws StoreError STRUCT_MISMATCH, STRUCT_TOO_LARGE or OUT_OF_MEMORY; nothing has changed then. */
  writeTail(key: Bytes, value: WriteOf<S[TailName<S>]>): boolean {
    if (this.struct.layout.tail === null) throw new StoreError('FIELD_INVALID', 'it has no tail');
    const valueBytes = this.#prepare(this.#tailBytes(value));
    const bytes = this.#keyBytes.of(key);
    const { partition } = ownerOf(this.#maps, bytes);
    const hash = hashKey(bytes, 0, bytes.length);
    const nowMs = this.#clock();
    partition.enter();
    const ref = partition.find(hash, bytes, 0, bytes.length, nowMs);
    let code =
      ref === 0 ? ABSENT : partition.structs.headOf(ref, this.#fingerprint, this.#headBytes);
    if (code > 0) {
      partition.copyValue(ref, 0, this.#headBytes, this.#written.buffer, 0);
      const expiresAtMs = partition.expiresAtMs(ref);
      code = this.#store(partition, hash, bytes, valueBytes, expiresAtMs, nowMs);
    }
    partition.leave();
    if (code === STRUCT_MISMATCH) throw mismatch(this.struct);
    if (code !== SET_OK && code !== ABSENT) throw refusal(code, bytes, valueBytes);
    return code === SET_OK;
  }

  /** What `#written` holds, inside a passage. */
  #store(
    partition: Partition,
    hash: number,
    key: Uint8Array,
    valueBytes: number,
    expiresAtMs: number,
    nowMs: number,
  ): number {
    const { buffer } = this.#written;
    return partition.structs.set(
      hash,
      key,
      0,
      key.length,
      this.#fingerprint,
      buffer,
      0,
      valueBytes,
      expiresAtMs,
      nowMs,
    );
  }

  /** Puts the tail where it is to be in the value. Returns the value's bytes. */
  #prepare(tail: Uint8Array): number {
    const valueBytes = this.#headBytes + tail.length;
    if (valueBytes > structBytesMax(0)) throw refusal(TOO_LARGE, NOTHING, valueBytes);
    if (valueBytes > this.#written.buffer.length) {
      this.#written = new StructBytes(new ArrayBuffer(to8(valueBytes * 2)));
    }
    this.#written.buffer.set(tail, this.#headBytes);
    return valueBytes;
  }

  #tailBytes(value: unknown): Uint8Array {
    const { tail } = this.struct.layout;
    const given = tail?.kind === 'json' ? JSON.stringify(value) : value;
    if (typeof given === 'string') return Buffer.from(given);
    if (given instanceof Uint8Array) return given;
    throw new StoreError('FIELD_INVALID', `${tail?.name} is ${tail?.kind}, not ${String(value)}`);
  }

  #field(name: string): StructField {
    const field = this.#fields[name];
    if (field === undefined) throw new StoreError('FIELD_INVALID', `there is no field ${name}`);
    return field;
  }
}

const NOTHING: Uint8Array = new Uint8Array(0);
const allocate = (bytes: number): Buffer => Buffer.allocUnsafe(bytes);

/** For the last try of a read. */
function entered(partition: Partition): number {
  partition.enter();
  return 0;
}

function notAdded(field: StructField, by: unknown): StoreError {
  const shown = `${field.name} is ${field.kind}, ${String(by)} is to be added`;
  return new StoreError('FIELD_INVALID', shown);
}

/** Strings are encoded before the gate. */
function bytesOf(value: FieldValue): FieldValue {
  return typeof value === 'string' ? Buffer.from(value) : value;
}

function mismatch(struct: Struct<StructShape>): StoreError {
  const names = struct.layout.fields.map((field) => field.name).join(', ');
  return new StoreError('STRUCT_MISMATCH', `asked for one of ${names}`);
}

function refusal(code: number, key: Uint8Array, valueBytes: number): StoreError {
  if (code !== TOO_LARGE) return new StoreError('OUT_OF_MEMORY');
  return new StoreError('STRUCT_TOO_LARGE', `${valueBytes} bytes beside a key of ${key.length}`);
}
