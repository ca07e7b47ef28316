/** Signed 64-bit counters: what INCR and its kin compute.
 *  A number while it is safe (no allocation), a BigInt beyond; the sum comes back in the same two
 *  shapes, or null where Redis says that it would overflow. Pure. */

import type { Buffer } from 'node:buffer';
import { INT64_MAX, INT64_MIN, readInt64, readSafeInteger } from '../resp/integers.ts';

/** A number when safe, a BigInt otherwise. */
export type Int64 = number | bigint;

/** Longest decimal: a sign and 19 digits. */
export const INT64_TEXT_BYTES_MAX = 20;

const MINUS = 0x2d;
const ZERO = 0x30;

/** The integer that these bytes spell in Redis' strict syntax, or null. */
export function readInteger(buf: Buffer, start: number, bytes: number): Int64 | null {
  const small = readSafeInteger(buf, start, bytes);
  return Number.isNaN(small) ? readInt64(buf, start, bytes) : small;
}

/** a + b, or null when it leaves 64 bits. */
export function addInt64(a: Int64, b: Int64): Int64 | null {
  if (typeof a === 'number' && typeof b === 'number') {
    const sum = a + b;
    if (Number.isSafeInteger(sum)) return sum;
  }
  const sum = BigInt(a) + BigInt(b);
  return sum >= INT64_MIN && sum <= INT64_MAX ? sum : null;
}

/** -a, or null for the one value that has no opposite. */
export function negateInt64(a: Int64): Int64 | null {
  if (typeof a === 'number') return a === 0 ? 0 : -a;
  return a === INT64_MIN ? null : -a;
}

/** Writes the decimal digits at the beginning of `into`; returns how many bytes. */
export function writeInteger(into: Buffer, value: Int64): number {
  if (typeof value === 'bigint') return into.write(value.toString(), 'latin1');
  let at = 0;
  let rest = value;
  if (rest < 0) {
    into[at++] = MINUS;
    rest = -rest;
  }
  let digits = 1;
  for (let power = 10; rest >= power; power *= 10) digits++;
  for (let i = digits - 1; i >= 0; i--) {
    const next = Math.floor(rest / 10);
    into[at + i] = ZERO + (rest - next * 10);
    rest = next;
  }
  return at + digits;
}
