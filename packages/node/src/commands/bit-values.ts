/** What commands on bits share: offsets as clients write them, and bytes changed where they lie. */

import { NEEDS_PASSAGES, readSafeInteger } from '@ingot/store';
import type { Args } from '../resp/args.ts';
import { type Execution, GROW } from '../serving/execution.ts';
import { NOT_STAGED } from './errors.ts';
import { refusal } from './records.ts';

export const OFFSET_IN_BITS = 'ERR bit offset is not an integer or out of range';

const HASH_SIGN = 0x23;

const one: Buffer = Buffer.alloc(1);
const nothing: Buffer = Buffer.alloc(0);

/** Argument `i` as an offset in bits, NaN when it is none, or behind the longest value that a client
 *  could send. `width` not 0: `#n` counts in fields of so many bits. */
export function bitOffset(execution: Execution, args: Args, i: number, width: number): number {
  const inFields = width > 0 && args.bytes(i) > 0 && args.buf[args.start(i)] === HASH_SIGN;
  const skip = inFields ? 1 : 0;
  const [start, bytes] = [args.start(i) + skip, args.bytes(i) - skip];
  const count = readSafeInteger(args.buf, start, bytes);
  const offset = inFields ? count * width : count;
  const limit = execution.worker.settings.limits.maxBulkBytes;
  return offset >= 0 && Math.floor(offset / 8) < limit ? offset : Number.NaN;
}

/** Byte `at` of a value; 0 behind its end, or without a record. */
export function oneByte(execution: Execution, ref: number, at: number): number {
  return ref !== 0 && execution.partition.copyValue(ref, at, 1, one, 0) === 1 ? one[0] : 0;
}

/** Writes `bytes` bytes of `source` to byte `offset` of a value, zeros before them where it was
 *  shorter. @returns the error reply when the store refused, or null. */
export function editBytes(
  execution: Execution,
  args: Args,
  keyAt: number,
  offset: number,
  source: Buffer,
  bytes: number,
): string | null {
  const { partition, nowMs } = execution;
  const [start, keyBytes] = [args.start(keyAt), args.bytes(keyAt)];
  const code = partition.values.setRange(
    execution.hash(args, keyAt),
    args.buf,
    start,
    keyBytes,
    offset,
    source,
    0,
    bytes,
    nowMs,
  );
  if (code >= 0) return null;
  if (code !== NEEDS_PASSAGES) return refusal(code, partition, keyBytes, offset + bytes);
  execution.undone = true;
  execution.edit = { key: keyAt, value: GROW, offset: offset + bytes };
  return NOT_STAGED;
}

/** Makes a value at least so long, with zeros. */
export function growTo(
  execution: Execution,
  args: Args,
  keyAt: number,
  bytes: number,
): string | null {
  return editBytes(execution, args, keyAt, bytes, nothing, 0);
}
