/** Counters: values that spell 64-bit integers, changed inside a passage of their partition.
 *
 *  One per thread. An absent key counts from 0; the expiry of a key stays.
 *  Source: https://redis.io/docs/latest/commands/incrby/ */
import { addInt64, INT64_TEXT_BYTES_MAX, type Int64, readInteger, writeInteger } from './int64.ts';
import type { Partition } from './partition.ts';

/** The value spells no 64-bit integer. */
export const NOT_AN_INTEGER = -7;
/** The sum would leave 64 bits. */
export const WOULD_OVERFLOW = -8;

export class Counter {
  /** What the key holds since the last `add` that said SET_OK. */
  sum: Int64 = 0;
  /** The sum's digits, on their way into the store. */
  readonly #digits: Buffer = Buffer.allocUnsafeSlow(INT64_TEXT_BYTES_MAX);

  /** Returns SET_OK and leaves the new value in `sum`; or NOT_AN_INTEGER, WOULD_OVERFLOW, or what `partition.set` says, and
   *  nothing has changed. */
  add(
    partition: Partition,
    hash: number,
    key: Uint8Array,
    start: number,
    bytes: number,
    delta: Int64,
    nowMs: number,
  ): number {
    const ref = partition.find(hash, key, start, bytes, nowMs);
    const current = ref === 0 ? 0 : valueOf(partition, ref);
    if (current === null) return NOT_AN_INTEGER;
    const sum = addInt64(current, delta);
    if (sum === null) return WOULD_OVERFLOW;
    this.sum = sum;
    const expiresAtMs = ref === 0 ? 0 : partition.expiresAtMs(ref);
    const digits = writeInteger(this.#digits, sum);
    return partition.set(hash, key, start, bytes, this.#digits, 0, digits, expiresAtMs, nowMs);
  }
}

function valueOf(partition: Partition, ref: number): Int64 | null {
  if (!partition.isInOnePiece(ref)) return null;
  const start = partition.valueOffset(ref);
  return readInteger(partition.imageBuffer, start, partition.valueBytes(ref));
}
