/** A plain Map behind the calls of a shared map: what each of them must return, without any of the memory that makes it hard.
 *
 *  Records of a struct are kept as what they mean: bytes, laid out here field by field, and which struct wrote them. */
import { StoreError, type StoreErrorCode, type Struct, type StructShape } from '@ingot/store';

export interface Entry {
  readonly value: Buffer;
  /** 0 = never. */
  readonly expiresAtMs: number;
  /** Of the struct that wrote it, 0 of a plain value. */
  readonly fingerprint: number;
}

export interface SetOptions {
  readonly ttlMs?: number;
  readonly keepTtl?: boolean;
  readonly nx?: boolean;
  readonly xx?: boolean;
}

const INT64_MIN = -(2n ** 63n);
const INT64_MAX = 2n ** 63n - 1n;
const INTEGER = /^(0|-?[1-9]\d*)$/;
const KEY_BYTES_MAX = 65_511;
/** What a record of a struct has in one slot beside key and value, rounded as its parts are. */
const STRUCT_RECORD_MAX = 65_536;

const refused = (code: StoreErrorCode): StoreError => new StoreError(code);
/** What does not fit one chunk is written before anybody looks whether it is to be set. */
const isLong = (key: string, valueBytes: number): boolean =>
  24 + Buffer.byteLength(key) + valueBytes > 65_536;
const to8 = (bytes: number): number => (bytes + 7) & ~7;

export class Oracle {
  nowMs = 1_000_000;
  readonly #entries = new Map<string, Entry>();
  readonly #valueBytesMax: (keyBytes: number) => number;

  /** Given the longest value that a key of so many bytes may have; 0: it may have none. */
  constructor(valueBytesMax: (keyBytes: number) => number) {
    this.#valueBytesMax = valueBytesMax;
  }

  // ------------------------------------------------------------ reads

  entry(key: string): Entry | null {
    const entry = this.#entries.get(key);
    if (entry === undefined) return null;
    return entry.expiresAtMs === 0 || entry.expiresAtMs > this.nowMs ? entry : null;
  }

  get(key: string): Buffer | null {
    return this.entry(key)?.value ?? null;
  }

  getInto(key: string, target: Buffer, offset: number): number {
    const value = this.get(key);
    value?.copy(target, offset);
    return value?.length ?? -1;
  }

  getRange(key: string, from: number, to: number): Buffer | null {
    const value = this.get(key);
    const first = Math.max(from, 0);
    return value === null ? null : value.subarray(first, Math.max(to, first));
  }

  has(key: string): boolean {
    return this.entry(key) !== null;
  }

  ttl(key: string): number | null {
    const entry = this.entry(key);
    if (entry === null) return null;
    return entry.expiresAtMs === 0 ? Infinity : entry.expiresAtMs - this.nowMs;
  }

  keys(): string[] {
    return [...this.#entries.keys()].filter((key) => this.has(key)).sort();
  }

  bytes(): number {
    let bytes = 0;
    for (const [key, { value }] of this.#entries) bytes += key.length + value.length;
    return bytes;
  }

  // ------------------------------------------------------------ writes

  set(key: string, value: Buffer, options: SetOptions = {}): boolean {
    const { ttlMs, keepTtl, nx, xx } = options;
    if (ttlMs !== undefined && !(ttlMs > 0)) throw refused('TTL_INVALID');
    const before = this.entry(key);
    const applies = before === null ? xx !== true : nx !== true;
    if (applies || isLong(key, value.length)) this.#mayHold(key, value.length);
    if (!applies) return false;
    const kept = keepTtl === true ? (before?.expiresAtMs ?? 0) : 0;
    const expiresAtMs = ttlMs === undefined ? kept : this.nowMs + ttlMs;
    this.#entries.set(key, { value, expiresAtMs, fingerprint: 0 });
    return true;
  }

  exchange(key: string, value: Buffer, options: SetOptions = {}): Buffer | null {
    const before = this.get(key);
    this.set(key, value, options);
    return before;
  }

  compareAndSet(key: string, expected: Buffer | null, next: Buffer): boolean {
    const before = this.get(key);
    const applies = before === null ? expected === null : expected?.equals(before) === true;
    if (applies || isLong(key, next.length)) this.#mayHold(key, next.length);
    if (applies) this.#put(key, next);
    return applies;
  }

  increment(key: string, by: number | bigint): number | bigint {
    const text = this.get(key)?.toString('latin1') ?? '0';
    const before = INTEGER.test(text) ? BigInt(text) : INT64_MAX + 1n;
    if (before < INT64_MIN || before > INT64_MAX) throw refused('NOT_AN_INTEGER');
    const sum = before + BigInt(by);
    if (sum < INT64_MIN || sum > INT64_MAX) throw refused('COUNTER_OVERFLOW');
    const digits = Buffer.from(String(sum));
    this.#mayHold(key, digits.length);
    this.#put(key, digits);
    return Number.isSafeInteger(Number(sum)) ? Number(sum) : sum;
  }

  append(key: string, bytes: Buffer): number {
    return this.setRange(key, this.get(key)?.length ?? 0, bytes);
  }

  setRange(key: string, offset: number, bytes: Buffer): number {
    const before = this.get(key) ?? Buffer.alloc(0);
    const value = Buffer.alloc(Math.max(before.length, offset + bytes.length));
    this.#mayHold(key, value.length);
    before.copy(value);
    bytes.copy(value, offset);
    this.#put(key, value);
    return value.length;
  }

  delete(key: string): boolean {
    const isThere = this.has(key);
    this.#entries.delete(key);
    return isThere;
  }

  expire(key: string, ttlMs: number): boolean {
    const entry = this.entry(key);
    if (entry === null) return false;
    if (!(ttlMs > 0)) return this.delete(key);
    const expiresAtMs = ttlMs === Infinity ? 0 : this.nowMs + ttlMs;
    this.#entries.set(key, { ...entry, expiresAtMs });
    return true;
  }

  clear(): void {
    this.#entries.clear();
  }

  /** A plain value; the expiry stays. */
  #put(key: string, value: Buffer): void {
    const expiresAtMs = this.entry(key)?.expiresAtMs ?? 0;
    this.#entries.set(key, { value, expiresAtMs, fingerprint: 0 });
  }

  #mayHold(key: string, valueBytes: number): void {
    const keyBytes = Buffer.byteLength(key);
    const fits = keyBytes <= KEY_BYTES_MAX && valueBytes <= this.#valueBytesMax(keyBytes);
    if (!fits) throw refused('VALUE_TOO_LARGE');
  }

  // ------------------------------------------------------------ records of a struct

  setRecord(struct: Struct<StructShape>, key: string, value: Buffer, options: SetOptions): boolean {
    const before = this.entry(key);
    const applies = before === null ? options.xx !== true : options.nx !== true;
    this.#mayHoldRecord(key, value.length);
    if (!applies) return false;
    const kept = options.keepTtl === true ? (before?.expiresAtMs ?? 0) : 0;
    const expiresAtMs = options.ttlMs === undefined ? kept : this.nowMs + options.ttlMs;
    this.#entries.set(key, { value, expiresAtMs, fingerprint: struct.fingerprint });
    return true;
  }

  /** The bytes of a record of this struct, or null. */
  record({ fingerprint }: Struct<StructShape>, key: string): Buffer | null {
    const entry = this.entry(key);
    if (entry !== null && entry.fingerprint !== fingerprint) throw refused('STRUCT_MISMATCH');
    return entry?.value ?? null;
  }

  /** Other bytes from `at` on of a record that is there. */
  writeRecord(struct: Struct<StructShape>, key: string, at: number, bytes: Buffer): boolean {
    const before = this.record(struct, key);
    if (before === null) return false;
    const value = Buffer.from(before);
    bytes.copy(value, at);
    this.#entries.set(key, { ...(this.entry(key) as Entry), value });
    return true;
  }

  /** Another tail behind the same head. */
  writeTail(struct: Struct<StructShape>, key: string, tail: Buffer): boolean {
    const { headBytes } = struct.layout;
    this.#mayHoldRecord('', headBytes + tail.length);
    const before = this.record(struct, key);
    if (before === null) return false;
    this.#mayHoldRecord(key, headBytes + tail.length);
    const value = Buffer.concat([before.subarray(0, headBytes), tail]);
    this.#entries.set(key, { ...(this.entry(key) as Entry), value });
    return true;
  }

  #mayHoldRecord(key: string, valueBytes: number): void {
    const bytes = to8(24 + Buffer.byteLength(key)) + 8 + valueBytes;
    if (bytes > STRUCT_RECORD_MAX) throw refused('STRUCT_TOO_LARGE');
  }
}
