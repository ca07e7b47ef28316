/** Signed 64-bit integers as decimal text, in Redis' strict syntax, read straight from bytes, and their sums.
 *
 *  No sign but '-', no leading zeros, no blanks, no "-0". A number while it is safe (no allocation), a BigInt beyond;
 *  a sum comes back in the same two shapes, or null where Redis says that it would overflow. Pure. */

const MINUS = 0x2d;
const ZERO = 0x30;

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
  const negative = buf[at] === MINUS;
  if (negative) at++;
  const first = buf[at] - ZERO;
  if (at === end || first < 0 || first > 9) return Number.NaN;
  if (first === 0) return bytes === 1 ? 0 : Number.NaN;
  let value = 0;
  const digits = end - at;
  for (; at < end; at++) {
    const digit = buf[at] - ZERO;
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

/** A number when safe, a BigInt otherwise. */
export type Int64 = number | bigint;

/** Longest decimal: a sign and 19 digits. */
export const INT64_TEXT_BYTES_MAX = 20;

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
  const small = Number(sum);
  if (Number.isSafeInteger(small)) return small;
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
