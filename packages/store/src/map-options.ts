/** What calls of a map take: keys and values, the clock, how to set. */
import { StoreError } from './errors.ts';
import type { SetOptions as PartitionSetOptions } from './partition-map.ts';

/** Bytes, or a string for its UTF-8. */
export type Bytes = string | Uint8Array;

/** Unix ms. Expiry needs it to be the same in all threads: pass `Date.now`. */
export type Clock = () => number;

export interface SetOptions extends Omit<PartitionSetOptions, 'get'> {
  /** Milliseconds from now, above 0. */
  readonly ttlMs?: number;
}

const NEVER: PartitionSetOptions = {};

/** With an expiry in unix ms.
 *  @throws StoreError TTL_INVALID */
export function expiryOf(options: SetOptions | undefined, nowMs: number): PartitionSetOptions {
  if (options === undefined) return NEVER;
  const { ttlMs, ...others } = options;
  if (ttlMs === undefined) return others;
  if (!(ttlMs > 0)) throw new StoreError('TTL_INVALID', `${ttlMs}`);
  return { ...others, expiresAtMs: nowMs + ttlMs };
}
