/** Keys and values made from their number alone: what was written can be said again at any time, by any
 *  process, without keeping it. Same number, same bytes. */

const POOL_BYTES = 1 << 20;
const pool = makePool();

/** `count` numbers from 0. */
export function numbers(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i);
}

export function key(prefix: string, i: number): string {
  return `${prefix}:${i}`;
}

/** Printable, of 16 to 271 bytes: lengths differ, so size classes do. */
export function value(i: number): string {
  const bytes = 16 + (mix(i) % 256);
  return `${i}=`.padEnd(bytes, mix(i ^ 0x5bd1e995).toString(36));
}

/** Any byte may occur, in any place. */
export function binary(i: number, bytes: number): Buffer {
  const from = mix(i) % (POOL_BYTES - bytes);
  const copy = Buffer.from(pool.subarray(from, from + bytes));
  if (bytes >= 4) copy.writeUInt32LE(i >>> 0, 0);
  return copy;
}

/** Splits work into pieces that fit one pipeline. */
export function* batches<T>(items: readonly T[], size: number): Generator<T[]> {
  for (let at = 0; at < items.length; at += size) yield items.slice(at, at + size);
}

/** murmur3's finalizer. */
export function mix(n: number): number {
  let h = n >>> 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

function makePool(): Buffer {
  const bytes = Buffer.alloc(POOL_BYTES);
  for (let at = 0; at < POOL_BYTES; at += 4) bytes.writeUInt32LE(mix(at), at);
  return bytes;
}
