/** Redis' strict integers, read straight from bytes: arguments and stored values alike.
 *  No sign but '-', no leading zeros, no blanks, no "-0". Pure. */

import type { Buffer } from 'node:buffer';

export const INT64_MIN: bigint = -(2n ** 63n);
export const INT64_MAX: bigint = 2n ** 63n - 1n;

/** Digits that always fit a double without rounding: 10^15 - 1 < 2^53. */
const SAFE_DIGITS_MAX = 15;
const SAFE_BYTES_MAX = 17;

/** A safe integer, or NaN; values beyond 2^53 are NaN: ask `readInt64` for those. Never
 *  allocates. */
export function readSafeInteger(buf: Uint8Array, start: number, bytes: number): number {
  if (bytes === 0 || bytes > SAFE_BYTES_MAX) return Number.NaN;
  let at = start;
  const end = at + bytes;
  const negative = buf[at] === 0x2d;
  if (negative) at++;
  const first = buf[at] - 0x30;
  if (at === end || first < 0 || first > 9) return Number.NaN;
  if (first === 0) return bytes === 1 ? 0 : Number.NaN;
  let value = 0;
  const digits = end - at;
  for (; at < end; at++) {
    const digit = buf[at] - 0x30;
    if (digit < 0 || digit > 9) return Number.NaN;
    value = value * 10 + digit;
  }
  if (digits > SAFE_DIGITS_MAX && value > Number.MAX_SAFE_INTEGER) return Number.NaN;
  return negative ? -value : value;
}

/** A signed 64-bit integer, or null. */
export function readInt64(buf: Buffer, start: number, bytes: number): bigint | null {
  const small = readSafeInteger(buf, start, bytes);
  if (!Number.isNaN(small)) return BigInt(small);
  if (bytes < SAFE_DIGITS_MAX + 1 || bytes > 20) return null;
  const text = buf.toString('latin1', start, start + bytes);
  if (!/^-?[1-9][0-9]*$/.test(text)) return null;
  const value = BigInt(text);
  return value >= INT64_MIN && value <= INT64_MAX ? value : null;
}
