/** From what a client says about expiry to absolute unix ms.
 *  Redis keeps int64 ms; the record keeps an f64, exact to 2^53 ms (the year 287,396) and rounded
 *  beyond. The limits and their errors are Redis'. Pure. */

import type { Args } from '../resp/args.ts';

const INT64_MAX = 2n ** 63n - 1n;
const INT64_MIN = -(2n ** 63n);
/** As large as a time becomes in a record: the largest double below 2^63. */
const MS_MAX = 2 ** 63 - 1024;

/** How one option or command states a time. */
export interface TimeUnit {
  readonly msPerUnit: 1 | 1000;
  /** Counted from now, or from the epoch. */
  readonly relative: boolean;
}

export const SECONDS_FROM_NOW: TimeUnit = { msPerUnit: 1000, relative: true };
export const MS_FROM_NOW: TimeUnit = { msPerUnit: 1, relative: true };
export const UNIX_SECONDS: TimeUnit = { msPerUnit: 1000, relative: false };
export const UNIX_MS: TimeUnit = { msPerUnit: 1, relative: false };

/** Absolute unix ms of argument `i`, which reads as `time` in `unit`; NaN when it leaves the range that
 *  Redis accepts. */
export function absoluteMs(
  args: Args,
  i: number,
  time: number,
  unit: TimeUnit,
  nowMs: number,
): number {
  const ms = time * unit.msPerUnit;
  if (Number.isSafeInteger(ms)) return unit.relative ? ms + nowMs : ms;
  const exactMs = (args.bigint(i) ?? 0n) * BigInt(unit.msPerUnit);
  if (exactMs > INT64_MAX || exactMs < INT64_MIN) return Number.NaN;
  const absolute = unit.relative ? exactMs + BigInt(nowMs) : exactMs;
  return absolute > INT64_MAX ? Number.NaN : Math.min(Number(absolute), MS_MAX);
}
