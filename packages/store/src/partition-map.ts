/** A partition as a map of byte keys to byte values: the plain way in, with its own gate handling.
 *
 *  For library users, tests and cold paths; the RESP data plane batches on Partition itself. */
import { Counter, NOT_AN_INTEGER, WOULD_OVERFLOW } from './counter.ts';
import { StoreError } from './errors.ts';
import { hashKey } from './hash.ts';
import type { Int64 } from './int64.ts';
import { BUSY, type LargeWrite, VOID } from './large-write.ts';
import { CHUNK_BYTES, RECORD_HEADER_BYTES } from './layout.ts';
import { MapKey } from './map-key.ts';
import type { Partition } from './partition.ts';
import type { Pin } from './pins.ts';
import { SmallCopies } from './small-copies.ts';
import { APPEND, MORE } from './value-edit.ts';
import { NEEDS_PASSAGES, SET_OK, TOO_LARGE } from './writer.ts';

export interface SetOptions {
  /** Unix ms; absent or 0 = never. */
  expiresAtMs?: number;
  /** Only if the key is absent. */
  nx?: boolean;
  /** Only if the key is there. */
  xx?: boolean;
  /** Keep the expiry that the key has. */
  keepTtl?: boolean;
  /** Return the former value. */
  get?: boolean;
}

export interface SetResult {
  /** False when `nx` or `xx` stood in the way. */
  readonly applied: boolean;
  /** The former value, if asked for by `get`; null = there was none. */
  readonly previous: Buffer | null;
}

export interface ScanPage {
  readonly keys: Buffer[];
  /** Bucket to go on with; 0 = complete. */
  readonly cursor: number;
}

function refusal(code: number, bytes: number): StoreError {
  if (code === TOO_LARGE) return new StoreError('VALUE_TOO_LARGE', `${bytes} bytes`);
  if (code === VOID) return new StoreError('NOT_LED');
  return new StoreError(code === BUSY ? 'VALUE_BUSY' : 'OUT_OF_MEMORY');
}

/** Of this thread: no call is inside another. */
const KEY: MapKey = new MapKey();
const COPIES: SmallCopies = new SmallCopies();

/** In the place of an expiry: what the key has. */
const KEEP_EXPIRY = -1;

export class PartitionMap {
  readonly partition: Partition;
  readonly #counter: Counter = new Counter();

  constructor(partition: Partition) {
    this.partition = partition;
  }

  /** A copy of the value, or null. */
  get(key: Uint8Array, nowMs: number): Buffer | null {
    KEY.take(key);
    return this.partition.lookups.get(KEY, () => nowMs, COPIES);
  }

  /** Whether the key is there. */
  has(key: Uint8Array, nowMs: number): boolean {
    return this.expiresAtMs(key, nowMs) !== null;
  }

  /** Adds to the integer that the value spells, 0 where there is none. Returns the sum.
   *  @throws StoreError NOT_AN_INTEGER, COUNTER_OVERFLOW or OUT_OF_MEMORY; nothing has changed then. */
  increment(key: Uint8Array, by: Int64, nowMs: number): Int64 {
    const { partition } = this;
    const hash = hashKey(key, 0, key.length);
    partition.enter();
    const code = this.#counter.add(partition, hash, key, 0, key.length, by, nowMs);
    partition.leave();
    if (code === NOT_AN_INTEGER) throw new StoreError('NOT_AN_INTEGER');
    if (code === WOULD_OVERFLOW) throw new StoreError('COUNTER_OVERFLOW');
    if (code !== SET_OK) throw refusal(code, 0);
    return this.#counter.sum;
  }

  /** Sets the value if the key has exactly `expected` now; null expects that it is absent. The expiry stays. Returns
   *  whether it did. Errors as of `set`. */
  compareAndSet(
    key: Uint8Array,
    expected: Uint8Array | null,
    next: Uint8Array,
    nowMs: number,
  ): boolean {
    return this.#store(key, next, nowMs, (ref) =>
      expected === null ? ref === 0 : ref !== 0 && this.#valueIs(ref, expected),
    );
  }

  #valueIs(ref: number, expected: Uint8Array): boolean {
    const { partition } = this;
    if (partition.valueBytes(ref) !== expected.length) return false;
    if (partition.isInOnePiece(ref)) {
      const at = partition.valueOffset(ref);
      const image = partition.imageBuffer;
      return image.compare(expected, 0, expected.length, at, at + expected.length) === 0;
    }
    return this.#value(ref).equals(expected);
  }

  /** Unix ms at which the key expires, 0 = never, or null when it is absent. */
  expiresAtMs(key: Uint8Array, nowMs: number): number | null {
    const hash = hashKey(key, 0, key.length);
    return this.partition.readStable(() => {
      const ref = this.partition.find(hash, key, 0, key.length, nowMs);
      return ref === 0 ? null : this.partition.expiresAtMs(ref);
    });
  }

  /** @throws StoreError OUT_OF_MEMORY or VALUE_TOO_LARGE; nothing has changed then. */
  set(key: Uint8Array, value: Uint8Array, nowMs: number, options: SetOptions = {}): SetResult {
    let previous: Buffer | null = null;
    const applied = this.#store(
      key,
      value,
      nowMs,
      (ref) => {
        if (options.get === true && ref !== 0) previous = this.#value(ref);
        return ref === 0 ? options.xx !== true : options.nx !== true;
      },
      options.expiresAtMs ?? (options.keepTtl === true ? KEEP_EXPIRY : 0),
    );
    return { applied, previous };
  }

  /** Sets a value whatever the key had, without an expiry. Errors as of `set`. */
  put(key: MapKey, value: Uint8Array, nowMs: number): void {
    const { hash, length } = key;
    const bytes = key.bytes();
    if (RECORD_HEADER_BYTES + length + value.length > CHUNK_BYTES) {
      this.set(bytes, value, nowMs);
      return;
    }
    const { partition } = this;
    partition.enter();
    const outcome = partition.set(hash, bytes, 0, length, value, 0, value.length, 0, nowMs);
    partition.leave();
    if (outcome !== SET_OK) throw refusal(outcome, value.length);
  }

  /** Writes a value if `mayApply` says so of the record that the key has then (0 = none), inside the passage. */
  #store(
    key: Uint8Array,
    value: Uint8Array,
    nowMs: number,
    mayApply: (ref: number) => boolean,
    expiry: number = KEEP_EXPIRY,
  ): boolean {
    const { partition } = this;
    const hash = hashKey(key, 0, key.length);
    const large = this.#writeLarge(hash, key, value, nowMs);
    partition.enter();
    const ref = partition.find(hash, key, 0, key.length, nowMs);
    const applies = mayApply(ref);
    const kept = ref === 0 ? 0 : partition.expiresAtMs(ref);
    const expiresAtMs = expiry === KEEP_EXPIRY ? kept : expiry;
    let outcome = SET_OK;
    if (!applies) large?.abortInside(nowMs);
    else if (large !== null) outcome = large.publishInside(expiresAtMs, nowMs);
    else {
      const [bytes, valueBytes] = [key.length, value.length];
      outcome = partition.set(hash, key, 0, bytes, value, 0, valueBytes, expiresAtMs, nowMs);
    }
    partition.leave();
    if (outcome !== SET_OK) throw refusal(outcome, value.length);
    return applies;
  }

  /** What does not fit one chunk, written and ready to be published; null: it fits one. */
  #writeLarge(hash: number, key: Uint8Array, value: Uint8Array, nowMs: number): LargeWrite | null {
    if (RECORD_HEADER_BYTES + key.length + value.length <= CHUNK_BYTES) return null;
    const write = this.partition.values.beginLarge(hash, key, 0, key.length, value.length);
    if (typeof write === 'number') throw refusal(write, value.length);
    for (let at = 0; at < value.length; ) {
      const taken = write.write(value, at, value.length - at, nowMs);
      if (taken < 0) throw refusal(taken, value.length);
      at += taken;
    }
    return write;
  }

  /** Adds to the end of a value, or makes it. Returns its bytes.
   *  @throws StoreError OUT_OF_MEMORY, VALUE_TOO_LARGE or VALUE_BUSY; nothing has changed then. */
  append(key: Uint8Array, bytes: Uint8Array, nowMs: number): number {
    return this.#edit(key, APPEND, bytes, nowMs);
  }

  /** Writes bytes over those of a value from `offset` on, and makes it longer where it ends before, with zeros in between.
   *  Returns its bytes. Errors as of `append`. */
  setRange(key: Uint8Array, offset: number, bytes: Uint8Array, nowMs: number): number {
    if (!(offset >= 0)) throw new RangeError(`a value has no byte ${offset}`);
    return this.#edit(key, offset, bytes, nowMs);
  }

  #edit(key: Uint8Array, offset: number, bytes: Uint8Array, nowMs: number): number {
    const { partition } = this;
    const { values } = partition;
    const hash = hashKey(key, 0, key.length);
    partition.enter();
    let result =
      offset === APPEND
        ? values.append(hash, key, 0, key.length, bytes, 0, bytes.length, nowMs)
        : values.setRange(hash, key, 0, key.length, offset, bytes, 0, bytes.length, nowMs);
    partition.leave();
    if (result === NEEDS_PASSAGES) {
      const edit = values.beginEdit(hash, key, 0, key.length, offset, bytes, 0, bytes.length);
      result = typeof edit === 'number' ? edit : MORE;
      if (typeof edit !== 'number') while (result === MORE) result = edit.step(nowMs);
    }
    if (result < 0) throw refusal(result, Math.max(offset, 0) + bytes.length);
    return result;
  }

  /** Bytes `from` (0 where it is less) to `to` of a value, as far as it goes, or null. */
  getRange(key: Uint8Array, from: number, to: number, nowMs: number): Buffer | null {
    const { partition } = this;
    const first = Math.max(from, 0);
    const hash = hashKey(key, 0, key.length);
    return partition.readStable(() => {
      const ref = partition.find(hash, key, 0, key.length, nowMs);
      if (ref === 0) return null;
      const bytes = Math.max(Math.min(to, partition.valueBytes(ref)) - first, 0);
      const range = Buffer.allocUnsafe(bytes);
      partition.copyValue(ref, first, bytes, range, 0);
      return range;
    });
  }

  /** See Values.pin. */
  pin(key: Uint8Array, nowMs: number): Pin | null {
    return this.partition.values.pin(hashKey(key, 0, key.length), key, 0, key.length, nowMs);
  }

  /** Whether a live key was removed. */
  delete(key: Uint8Array, nowMs: number): boolean {
    const { partition } = this;
    partition.enter();
    const removed = partition.remove(hashKey(key, 0, key.length), key, 0, key.length, nowMs);
    partition.leave();
    return removed === 1;
  }

  /** Whether the key is there; it now expires at `expiresAtMs`. */
  expire(key: Uint8Array, expiresAtMs: number, nowMs: number): boolean {
    const { partition } = this;
    const hash = hashKey(key, 0, key.length);
    partition.enter();
    const found = partition.setExpiry(hash, key, 0, key.length, expiresAtMs, nowMs);
    partition.leave();
    return found === 1;
  }

  /** Whether the key was there and had an expiry, which it no longer has. */
  persist(key: Uint8Array, nowMs: number): boolean {
    const { partition } = this;
    const hash = hashKey(key, 0, key.length);
    partition.enter();
    const ref = partition.find(hash, key, 0, key.length, nowMs);
    const expires = ref !== 0 && partition.expiresAtMs(ref) !== 0;
    if (expires) partition.setExpiry(hash, key, 0, key.length, 0, nowMs);
    partition.leave();
    return expires;
  }

  /** Keys of at least `count` records (fewer at the end) from bucket `cursor` on. Every key that is there all the
   *  while is returned at least once. */
  scan(cursor: number, count: number, nowMs: number): ScanPage {
    const { partition } = this;
    const keys: Buffer[] = [];
    for (let bucket = cursor; ; ) {
      const page = partition.readStable(() => this.#keysOf(bucket, nowMs));
      keys.push(...page.keys);
      bucket = page.cursor;
      if (bucket === 0 || keys.length >= count) return { keys, cursor: bucket };
    }
  }

  #keysOf(bucket: number, nowMs: number): ScanPage {
    const { partition } = this;
    const keys: Buffer[] = [];
    const cursor = partition.scanBucket(bucket, (ref) => {
      if (partition.isAbsent(ref, nowMs)) return;
      const at = partition.keyOffset(ref);
      keys.push(Buffer.from(partition.imageBuffer.subarray(at, at + partition.keyBytes(ref))));
    });
    return { keys, cursor };
  }

  #value(ref: number): Buffer {
    const { partition } = this;
    if (!partition.inRange(ref)) return Buffer.alloc(0); // torn: readEnd will say so
    const value = Buffer.allocUnsafe(partition.valueBytes(ref));
    partition.copyValue(ref, 0, value.length, value, 0);
    return value;
  }
}
