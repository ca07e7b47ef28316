/** From what a client says about expiry to absolute unix ms.
 *  Redis keeps int64 ms; the record keeps an f64, exact to 2^53 ms (the year 287,396) and rounded
 *  beyond. The limits and their errors are Redis'. Pure. */

import type { Args } from '../resp/args.ts';

const INT64_MAX_MS = 2 ** 63;

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

/** Argument `i` as a number of units; NaN when it is no 64-bit integer. Past 2^53 it is rounded. */
export function readTime(args: Args, i: number): number {
  return args.rounded(i);
}

/** Absolute unix ms of a time in `unit`; NaN when it leaves the range that Redis accepts. */
export function absoluteMs(time: number, unit: TimeUnit, nowMs: number): number {
  const ms = time * unit.msPerUnit;
  if (ms >= INT64_MAX_MS || ms < -INT64_MAX_MS) return Number.NaN;
  const absolute = unit.relative ? ms + nowMs : ms;
  return absolute >= INT64_MAX_MS ? Number.NaN : absolute;
}
