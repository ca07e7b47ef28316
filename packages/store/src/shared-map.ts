/** A map in shared memory that all worker threads of a process read and write in place: what the package is for where there
 *  is no node around it.
 *
 *  Some partitions, all led here, and a PartitionMap over each. A worker attaches to the handle and has the same map. Every
 *  call is complete when it returns; calls of different threads on one key are as if one came after the other.
 *  Knows no clock: the caller gives one. Keys and values are bytes; strings stand for their UTF-8. */
import { StoreError } from './errors.ts';
import { type Geometry, planGeometry } from './geometry.ts';
import { ownerOf } from './hash.ts';
import type { Int64 } from './int64.ts';
import type { Lookups } from './lookups.ts';
import { MapBytes } from './map-bytes.ts';
import { MapKey } from './map-key.ts';
import { SmallCopies } from './small-copies.ts';
import { createPartition, type EvictionPolicy, type PartitionHandle } from './memory.ts';
import { PartitionMap } from './partition-map.ts';
import { attachPartition, Partition } from './partition.ts';
import type { PartitionStats } from './partition-state.ts';
import type { Pin } from './pins.ts';
import { type Bytes, type Clock, expiryOf, type SetOptions } from './map-options.ts';
import type { Struct, StructShape } from './struct.ts';
import { TypedMap } from './typed-map.ts';

export interface MapOptions {
  /** Bytes of shared memory for records and index, at least 8 MiB per partition. */
  readonly capacityBytes: number;
  /** A power of two up to 4096. Writers of one partition wait for each other; each costs about 2 MiB of part-filled
   *  chunks. Default: 8, or fewer where that would leave one less than 64 MiB. */
  readonly partitions?: number;
  /** From 1 MiB to a quarter of a partition. Default: a 16th of it, at least 1 MiB. */
  readonly valueMaxBytes?: number;
  /** What happens when it is full. Default: `sieve`, which evicts what was not read for long. */
  readonly eviction?: EvictionPolicy;
  /** Whether each change is also kept as redo, for a copy that follows: a ring of 2 MiB or more per partition, and about a
   *  fifth of the time of a write. Default: no, as nobody follows a map in process. */
  readonly redo?: boolean;
  readonly clock: Clock;
}

/** What a worker attaches to: structured-cloneable, so it travels through `workerData` and `postMessage`. */
export interface MapHandle {
  readonly partitions: readonly PartitionHandle[];
}

export interface MapStats
  extends Pick<
    PartitionStats,
    'keys' | 'records' | 'usedBytes' | 'capacityBytes' | 'evictions' | 'expiries'
  > {
  readonly pins: number;
  /** Age of the oldest pin, 0 without any: one that only grows was leaked. */
  readonly oldestPinMs: number;
}

export interface MapPage {
  readonly keys: Buffer[];
  /** Where to go on; 0 = complete. */
  readonly cursor: number;
}

const PARTITIONS_DEFAULT = 8;
const PARTITION_BYTES_COMFORTABLE = 64 * 1024 * 1024;
const PAGE_KEYS = 256;
/** A scan cursor is partition x CURSOR_FACTOR + bucket. */
const CURSOR_FACTOR = 2 ** 32;
const FIRST_EPOCH = 1;

/** Makes a map. Memory is reserved at once and touched as it fills.
 *  @throws StoreError with the numbers, when capacity, partitions or valueMaxBytes do not fit each other. */
export function createMap(options: MapOptions): SharedMap {
  const geometry = geometryOf(options);
  const eviction = options.eviction ?? 'sieve';
  const handles = Array.from({ length: geometry.partitions }, (_, id) =>
    createPartition(geometry, id, { eviction }),
  );
  const nowMs = options.clock();
  for (const handle of handles) attachPartition(handle).promote(FIRST_EPOCH, nowMs);
  return new SharedMap({ partitions: handles }, options.clock);
}

/** The same map in another thread. Once per thread is enough.
 *  @throws StoreError HANDLE_INVALID when it is none of this format. */
export function attachMap(handle: MapHandle, options: { readonly clock: Clock }): SharedMap {
  return new SharedMap(handle, options.clock);
}

function geometryOf(options: MapOptions): Geometry {
  const { capacityBytes, valueMaxBytes } = options;
  const comfortable = Math.max(Math.floor(capacityBytes / PARTITION_BYTES_COMFORTABLE), 1);
  const partitions =
    options.partitions ?? Math.min(PARTITIONS_DEFAULT, 2 ** Math.floor(Math.log2(comfortable)));
  return planGeometry({
    partitions,
    capacityBytes,
    capacityMaxBytes: capacityBytes,
    valueMaxBytes,
    redo: options.redo ?? false,
  });
}

export class SharedMap {
  readonly handle: MapHandle;
  readonly #maps: readonly PartitionMap[];
  readonly #clock: Clock;
  readonly #keyBytes: MapBytes = new MapBytes();
  readonly #lookups: readonly Lookups[];
  readonly #key: MapKey = new MapKey();
  readonly #copies: SmallCopies = new SmallCopies();
  readonly #valueBytes: MapBytes = new MapBytes();
  readonly #expectedBytes: MapBytes = new MapBytes();
  /** By partition: the chunk where its sweep goes on. */
  readonly #sweptTo: number[] = [];

  /** See `createMap` and `attachMap`. */
  constructor(handle: MapHandle, clock: Clock) {
    if (handle.partitions.length === 0) throw new StoreError('HANDLE_INVALID', 'no partitions');
    this.handle = handle;
    this.#maps = handle.partitions.map((part) => new PartitionMap(new Partition(part)));
    this.#lookups = this.#maps.map(({ partition }) => partition.lookups);
    this.#clock = clock;
  }

  // ------------------------------------------------------------ reads

  /** A copy of the value, or null. */
  get(key: Bytes): Buffer | null {
    const taken = this.#key;
    taken.take(key);
    return taken.ownerAmong(this.#lookups).get(taken, this.#clock, this.#copies);
  }

  /** Copies the value into `target` from byte `offset` on, as far as there is room, and allocates nothing. Returns the
   *  bytes that the value has, which may be more, or -1 where the key is absent. */
  getInto(key: Bytes, target: Buffer, offset: number = 0): number {
    const taken = this.#key;
    taken.take(key);
    return taken
      .ownerAmong(this.#lookups)
      .getInto(taken, target, offset, this.#clock, this.#copies);
  }

  /** A copy of bytes `from` to `to` (not included) of the value, as far as it goes, or null. */
  getRange(key: Bytes, from: number, to: number): Buffer | null {
    const bytes = this.#keyBytes.of(key);
    return this.#mapOf(bytes).getRange(bytes, from, to, this.#clock());
  }

  /** Views of the value's bytes where they are, which stay as they are until `unpin`, whatever is written meanwhile.
   *  Null: the key is absent. Memory under a pin is not used again: let go of it soon, in a `finally`. */
  pin(key: Bytes): Pin | null {
    const bytes = this.#keyBytes.of(key);
    return this.#mapOf(bytes).pin(bytes, this.#clock());
  }

  has(key: Bytes): boolean {
    const bytes = this.#keyBytes.of(key);
    return this.#mapOf(bytes).has(bytes, this.#clock());
  }

  /** Milliseconds that the key has left, Infinity where it does not expire, null where it is absent. */
  ttl(key: Bytes): number | null {
    const bytes = this.#keyBytes.of(key);
    const nowMs = this.#clock();
    const expiresAtMs = this.#mapOf(bytes).expiresAtMs(bytes, nowMs);
    if (expiresAtMs === null) return null;
    return expiresAtMs === 0 ? Number.POSITIVE_INFINITY : expiresAtMs - nowMs;
  }

  // ------------------------------------------------------------ writes

  /** Sets the value; an expiry that the key had goes, unless `keepTtl`. Returns whether it was set: `nx` and `xx` may stand
   *  in the way.
   *  @throws StoreError OUT_OF_MEMORY, VALUE_TOO_LARGE or VALUE_BUSY; nothing has changed then. */
  set(key: Bytes, value: Bytes, options?: SetOptions): boolean {
    if (options === undefined) {
      const taken = this.#key;
      taken.take(key);
      taken.ownerAmong(this.#maps).put(taken, this.#valueBytes.of(value), this.#clock());
      return true;
    }
    const bytes = this.#keyBytes.of(key);
    const nowMs = this.#clock();
    const map = this.#mapOf(bytes);
    return map.set(bytes, this.#valueBytes.of(value), nowMs, expiryOf(options, nowMs)).applied;
  }

  /** Sets the value and returns a copy of the former one, or null. Errors as of `set`. */
  exchange(key: Bytes, value: Bytes, options?: SetOptions): Buffer | null {
    const bytes = this.#keyBytes.of(key);
    const nowMs = this.#clock();
    const asked = { ...expiryOf(options, nowMs), get: true };
    return this.#mapOf(bytes).set(bytes, this.#valueBytes.of(value), nowMs, asked).previous;
  }

  /** Sets the value if the key has exactly `expected` now; null expects it to be absent. The expiry stays. Returns whether
   *  it did. Errors as of `set`. */
  compareAndSet(key: Bytes, expected: Bytes | null, next: Bytes): boolean {
    const bytes = this.#keyBytes.of(key);
    const was = expected === null ? null : this.#expectedBytes.of(expected);
    return this.#mapOf(bytes).compareAndSet(bytes, was, this.#valueBytes.of(next), this.#clock());
  }

  /** Adds to the 64-bit integer that the value spells in decimal digits, 0 where the key is absent. Returns the sum: a number
   *  while that is exact, else a BigInt.
   *  @throws StoreError NOT_AN_INTEGER, COUNTER_OVERFLOW or OUT_OF_MEMORY; nothing has changed then. */
  increment(key: Bytes, by: Int64 = 1): Int64 {
    const bytes = this.#keyBytes.of(key);
    if (typeof by === 'number' && !Number.isSafeInteger(by)) {
      throw new StoreError('NOT_AN_INTEGER', `${by} is to be added`);
    }
    return this.#mapOf(bytes).increment(bytes, by, this.#clock());
  }

  /** Adds to the end of the value, or makes it. Returns the bytes that it has now. Errors as of `set`. */
  append(key: Bytes, value: Bytes): number {
    const bytes = this.#keyBytes.of(key);
    return this.#mapOf(bytes).append(bytes, this.#valueBytes.of(value), this.#clock());
  }

  /** Writes over the value from byte `offset` on; zeros stand where it ended before. Returns the bytes that it has now.
   *  Errors as of `set`. */
  setRange(key: Bytes, offset: number, value: Bytes): number {
    const bytes = this.#keyBytes.of(key);
    return this.#mapOf(bytes).setRange(bytes, offset, this.#valueBytes.of(value), this.#clock());
  }

  /** Whether the key was there. */
  delete(key: Bytes): boolean {
    const bytes = this.#keyBytes.of(key);
    return this.#mapOf(bytes).delete(bytes, this.#clock());
  }

  /** Lets the key expire in `ttlMs` milliseconds; Infinity = never. Returns whether it was there. */
  expire(key: Bytes, ttlMs: number): boolean {
    const bytes = this.#keyBytes.of(key);
    const nowMs = this.#clock();
    const expiresAtMs = ttlMs === Number.POSITIVE_INFINITY ? 0 : nowMs + ttlMs;
    if (expiresAtMs === 0 || ttlMs > 0) {
      return this.#mapOf(bytes).expire(bytes, expiresAtMs, nowMs);
    }
    return this.#mapOf(bytes).delete(bytes, nowMs);
  }

  /** Removes all keys: one short passage per partition; memory is given back as it is needed. */
  clear(): void {
    const nowMs = this.#clock();
    for (const { partition } of this.#maps) {
      partition.enter();
      partition.flush(nowMs);
      partition.leave();
    }
  }

  // ------------------------------------------------------------ walks

  /** Keys from a cursor on (0 = from the beginning), about `count` of them. A key that is there all the while is returned at
   *  least once, by walks of any length, while others write. */
  scan(cursor: number = 0, count: number = PAGE_KEYS): MapPage {
    const id = Math.floor(cursor / CURSOR_FACTOR);
    const map = this.#maps[id];
    if (map === undefined) throw new StoreError('CURSOR_INVALID', `${cursor}`);
    const page = map.scan(cursor % CURSOR_FACTOR, count, this.#clock());
    const next = page.cursor === 0 ? id + 1 : id;
    const isComplete = next === this.#maps.length;
    return { keys: page.keys, cursor: isComplete ? 0 : next * CURSOR_FACTOR + page.cursor };
  }

  /** All keys, as `scan` finds them: one that is written meanwhile may come twice, or not. */
  *keys(): Generator<Buffer> {
    let cursor = 0;
    do {
      const page = this.scan(cursor);
      yield* page.keys;
      cursor = page.cursor;
    } while (cursor !== 0);
  }

  /** All keys with copies of their values, as `keys` finds them. */
  *entries(): Generator<[key: Buffer, value: Buffer]> {
    for (const key of this.keys()) {
      const value = this.get(key);
      if (value !== null) yield [key, value];
    }
  }

  [Symbol.iterator](): Generator<[key: Buffer, value: Buffer]> {
    return this.entries();
  }

  // ------------------------------------------------------------ typed records

  /** Records of a struct in this map: their fields are read and written where they are. Make it once and keep it. */
  typed<S extends StructShape>(struct: Struct<S>): TypedMap<S> {
    return new TypedMap(this.#maps, this.#clock, struct);
  }

  // ------------------------------------------------------------ upkeep

  /** Frees expired records, `chunkBudget` chunks of 64 KiB per partition, from where the last call left off. Reads never
   *  see what has expired; this gives its memory back before it is needed. One thread is enough. */
  sweep(chunkBudget: number): void {
    const nowMs = this.#clock();
    this.#maps.forEach(({ partition }, id) => {
      this.#sweptTo[id] = partition.sweep(this.#sweptTo[id] ?? 0, chunkBudget, nowMs);
    });
  }

  stats(): MapStats {
    const nowMs = this.#clock();
    const sum = {
      ...{ keys: 0, records: 0, usedBytes: 0, capacityBytes: 0, evictions: 0, expiries: 0 },
      ...{ pins: 0, oldestPinMs: 0 },
    };
    for (const { partition } of this.#maps) {
      const stats = partition.stats();
      const { pins, oldestPinMs } = partition.values.pinStats(nowMs);
      sum.keys += stats.keys;
      sum.records += stats.records;
      sum.usedBytes += stats.usedBytes;
      sum.capacityBytes += stats.capacityBytes;
      sum.evictions += stats.evictions;
      sum.expiries += stats.expiries;
      sum.pins += pins;
      sum.oldestPinMs = Math.max(sum.oldestPinMs, oldestPinMs);
    }
    return sum;
  }

  /** Walks all memory and returns the first rule of the format that does not hold, or null. Writers wait meanwhile. */
  verify(): string | null {
    for (const { partition } of this.#maps) {
      const broken = partition.verify();
      if (broken !== null) return `partition ${partition.id}: ${broken}`;
    }
    return null;
  }

  /** The Redis hash slot decides: keys with the same `{tag}` are in one partition. */
  #mapOf(key: Uint8Array): PartitionMap {
    return ownerOf(this.#maps, key);
  }
}
