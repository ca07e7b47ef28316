/** A primary and a follower in one process, fed by redo, by bulk, or by both: what the tests of this package share. */
import { strict as assert } from 'node:assert';
import {
  attachPartition,
  CHUNK_BYTES,
  createPartition,
  type EvictionPolicy,
  type Geometry,
  hashKey,
  type Partition,
  PartitionMap,
  type PartitionHandle,
  planGeometry,
  REDO_RECORD_BYTES_MAX,
  ROLE_FOLLOWER,
} from './index.ts';

/** The smallest partition there is, in an image without slack. */
export const SMALL: Geometry = planGeometry({
  partitions: 1,
  capacityBytes: 8 << 20,
  capacityMaxBytes: 8 << 20,
});

export const bytesOf = (text: string): Buffer => Buffer.from(text);

/** Bytes that differ from place to place and from seed to seed. */
export function patterned(bytes: number, seed: number): Buffer {
  const value = Buffer.allocUnsafe(bytes);
  for (let i = 0; i < bytes; i++) value[i] = (i * 31 + (i >>> 8) * 7 + seed * 13) & 0xff;
  return value;
}

/** The record of a key, for tests that look behind the API. */
export function refOf(partition: Partition, key: string): number {
  const name = bytesOf(key);
  return partition.find(hashKey(name, 0, name.length), name, 0, name.length, 1);
}

export function newPrimary(
  eviction: EvictionPolicy = 'sieve',
  geometry: Geometry = SMALL,
): Partition {
  const partition = attachPartition(createPartition(geometry, 0, { eviction }));
  partition.promote(1, 1);
  return partition;
}

export function newFollower(geometry: Geometry = SMALL): Partition {
  const partition = attachPartition(createPartition(geometry, 0));
  partition.setRole(ROLE_FOLLOWER, 1);
  return partition;
}

export function flush(partition: Partition, nowMs: number): void {
  partition.enter();
  partition.flush(nowMs);
  partition.leave();
}

/** Sweeps until once around finds nothing more to give back. */
export function sweepAll(partition: Partition, nowMs: number): void {
  for (let round = 0; round < 2; round++) {
    for (let cursor = 0; ; ) {
      cursor = partition.sweep(cursor, 8, nowMs);
      if (cursor === 0) break;
    }
  }
}

/** A reader of a primary's ring. */
export class RingReader {
  readonly buffer: Buffer = Buffer.from(new ArrayBuffer(REDO_RECORD_BYTES_MAX));
  readonly #primary: Partition;
  position: number;

  constructor(primary: Partition, seq: number) {
    this.#primary = primary;
    this.position = primary.ringFind(seq);
    assert(this.position >= 0, 'the ring holds where the reader starts');
  }

  /** Whole records into `buffer`; their bytes, or what ringCopy says. */
  read(maxBytes: number = REDO_RECORD_BYTES_MAX): number {
    const bytes = this.#primary.ringCopy(this.position, maxBytes, this.buffer);
    if (bytes > 0) this.position += bytes;
    return bytes;
  }

  /** Hands all there is to `follower`. */
  feed(follower: Partition, clockMs = 0): void {
    for (;;) {
      const bytes = this.read();
      if (bytes <= 0) return assert.equal(bytes, 0);
      const outcome = follower.applyRedo(this.buffer, 0, bytes, clockMs);
      assert(outcome.ok, JSON.stringify(outcome));
    }
  }
}

/** A primary whose history also goes, redo record by redo record, to a follower. */
export class Pair {
  readonly primary: Partition;
  readonly follower: Partition;
  readonly map: PartitionMap;
  readonly reader: RingReader;

  constructor(eviction: EvictionPolicy = 'sieve', geometry: Geometry = SMALL) {
    this.primary = newPrimary(eviction, geometry);
    this.follower = newFollower(geometry);
    this.map = new PartitionMap(this.primary);
    this.reader = new RingReader(this.primary, 1);
    assert.equal(this.follower.becomeConsistent(0), null);
  }

  /** Brings the follower up to date by redo alone. */
  stream(): void {
    this.reader.feed(this.follower);
  }

  assertEqualAndSound(): void {
    this.stream();
    assertEqualCopies(this.primary, this.follower);
  }
}

/** What stands behind the chunks that were ever used. */
const ZEROS = Buffer.alloc(8 * CHUNK_BYTES);

/** Equal images, equal stamps, equal counts, and neither breaks a rule. */
export function assertEqualCopies(primary: Partition, follower: Partition): void {
  assert.equal(primary.verify(), null);
  assert.equal(follower.verify(), null);
  const used = primary.chunksTouched() * CHUNK_BYTES;
  assert(primary.imageBuffer.subarray(0, used).equals(follower.imageBuffer.subarray(0, used)));
  const behind = follower.imageBuffer.subarray(used, used + ZEROS.length);
  assert(behind.equals(ZEROS.subarray(0, behind.length)));
  assert.deepEqual(follower.stamps, primary.stamps);
  const { seq, keys, records, usedBytes } = primary.stats();
  const copy = follower.stats();
  assert.deepEqual(
    { seq: copy.seq, keys: copy.keys, records: copy.records, usedBytes: copy.usedBytes },
    { seq, keys, records, usedBytes },
  );
}

/** The bulk is over: what END says. Returns the rule that the received image breaks. */
export function endBulk(primary: Partition, follower: Partition): string | null {
  return follower.becomeConsistent(Math.max(...primary.stamps));
}

/** Sends chunks of a live primary as a bulk would; `between` runs before each. */
export function bulk(
  primary: Partition,
  follower: Partition,
  chunks: readonly number[],
  between: () => void = () => {},
): void {
  for (const chunk of chunks) {
    between();
    const generation = primary.stamps[chunk];
    follower.chunkLands(chunk);
    primary
      .chunkBytesView(chunk, 0, CHUNK_BYTES)
      .copy(follower.chunkBytesView(chunk, 0, CHUNK_BYTES));
    follower.chunkLanded(chunk, generation);
  }
}

export const usedChunksOf = (primary: Partition): number[] =>
  Array.from({ length: primary.chunksTouched() }, (_, chunk) => chunk).filter(
    (chunk) => !primary.chunkIsFree(chunk),
  );

/** A worker's view of shared memory for tests that reach behind the API. */
export const wordsOf = (handle: PartitionHandle): Int32Array => new Int32Array(handle.scratch);
