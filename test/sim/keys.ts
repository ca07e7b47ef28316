/** The keys of a simulated partition and what values look like.
 *
 *  A value tells who wrote it and whether it is whole: [stamp u32][bytes u32][key u32][filler: stamp's low byte ...]
 *  [stamp u32]. Stamps are numbers of writes, never used twice. Some keys stand alone; those of a group are only ever
 *  written together, with one stamp, in one transaction. */
import { hashKey, type Partition } from '@ingot/store';

export const SINGLE_KEYS = 18;
export const GROUPS = 3;
export const GROUP_KEYS = 4;
export const KEY_COUNT: number = SINGLE_KEYS + GROUPS * GROUP_KEYS;
export const VALUE_BYTES_MIN = 16;
/** Some values take a few passages: more than a chunk. */
export const VALUE_BYTES_MAX = 200_000;

export interface Key {
  readonly index: number;
  readonly name: string;
  readonly bytes: Buffer;
  readonly hash: number;
}

export const KEYS: readonly Key[] = Array.from({ length: KEY_COUNT }, (_, index) => {
  const group = Math.floor((index - SINGLE_KEYS) / GROUP_KEYS);
  const name = index < SINGLE_KEYS ? `key:${index}` : `group:${group}:${index}`;
  const bytes = Buffer.from(name);
  return { index, name, bytes, hash: hashKey(bytes, 0, bytes.length) };
});

export function keysOfGroup(group: number): readonly Key[] {
  const from = SINGLE_KEYS + group * GROUP_KEYS;
  return KEYS.slice(from, from + GROUP_KEYS);
}

export function fillValue(into: Buffer, key: Key, stamp: number, bytes: number): void {
  into.fill(stamp & 0xff, 0, bytes);
  into.writeUInt32LE(stamp, 0);
  into.writeUInt32LE(bytes, 4);
  into.writeUInt32LE(key.index, 8);
  into.writeUInt32LE(stamp, bytes - 4);
}

/** The stamp of a value, -1 where it is not one whole value of this key. */
export function stampOf(value: Buffer, key: Key, bytes: number): number {
  if (bytes < VALUE_BYTES_MIN || bytes > value.length) return -1;
  const stamp = value.readUInt32LE(0);
  const isFramed =
    value.readUInt32LE(4) === bytes &&
    value.readUInt32LE(8) === key.index &&
    value.readUInt32LE(bytes - 4) === stamp;
  if (!isFramed) return -1;
  for (let at = 12; at < bytes - 4; at++) if (value[at] !== (stamp & 0xff)) return -1;
  return stamp;
}

/** What the index of a partition holds for a key, expired or not. */
export interface RawRecord {
  readonly stamp: number;
  readonly expiresAtMs: number;
}

const FLUSH_SEQ_WORD = 8;

/** Reads the index and the record's first bytes, whatever the clock says; inside a passage or at rest. */
export function rawRecord(partition: Partition, key: Key): RawRecord | null {
  const { image32, imageBuffer } = partition;
  const head = Buffer.alloc(4);
  const flushSeq = (image32[FLUSH_SEQ_WORD] >>> 0) + image32[FLUSH_SEQ_WORD + 1] * 4_294_967_296;
  let found: RawRecord | null = null;
  const bucket = (key.hash >>> 0) % partition.bucketCount();
  partition.scanBucket(bucket, (ref, hash) => {
    if (hash !== key.hash || partition.recordSeq(ref) < flushSeq) return;
    const at = partition.keyOffset(ref);
    if (!imageBuffer.subarray(at, at + partition.keyBytes(ref)).equals(key.bytes)) return;
    partition.copyValue(ref, 0, 4, head, 0);
    found = { stamp: head.readUInt32LE(0), expiresAtMs: partition.expiresAtMs(ref) };
  });
  return found;
}
