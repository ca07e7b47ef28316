/** Values read in pieces of 64 KiB, in a buffer of the worker's own, so that a large one is read
 *  while others write.
 *
 *  A read is torn where the gate moves. A small value is then read again by whoever runs the
 *  command; of a large one each piece counts by itself, if the gate stood still for it and the key
 *  still has the same value. */

import type { Args } from '../resp/args.ts';
import type { ReplyWriter } from '../resp/reply-writer.ts';
import type { ValueScan } from '../serving/value-scan.ts';
import type { Execution } from '../serving/execution.ts';
import { find } from './records.ts';

export const PIECE_BYTES: number = 64 * 1024;
/** Of a value, in one turn of the event loop. */
export const SLICE_BYTES: number = 4 * PIECE_BYTES;
/** How often pieces of one value are read again, before the command as a whole is. */
const TORN_MAX = 256;

/** The piece that is visited: its bytes may be changed. */
export const piece: Buffer = Buffer.allocUnsafeSlow(PIECE_BYTES);
/** The same by words. */
export const pieceWords: Int32Array = new Int32Array(piece.buffer, piece.byteOffset);

/** Visits bytes [from, to) of the value at `ref`, of the key that is argument `keyAt`: `bytes` bytes
 *  in `piece` from byte `at` of the value on; until `visit` returns true. False: torn, and what was
 *  visited means nothing. */
export function visitValue(
  execution: Execution,
  args: Args,
  keyAt: number,
  ref: number,
  from: number,
  to: number,
  visit: (bytes: number, at: number) => boolean,
): boolean {
  const { partition } = execution;
  const seq = partition.recordSeq(ref);
  let current = ref;
  let torn = 0;
  for (let at = from; at < to; ) {
    const bytes = Math.min(PIECE_BYTES, to - at);
    const copied = partition.copyValue(current, at, bytes, piece, 0);
    if (!execution.isWhole()) {
      if (at === from || ++torn > TORN_MAX) return false;
      execution.lookAgain();
      current = find(execution, args, keyAt);
      if (current === 0 || partition.recordSeq(current) !== seq) return false;
      continue;
    }
    if (copied !== bytes || visit(bytes, at)) break;
    at += bytes;
  }
  execution.settled = true;
  return true;
}

/** For a command that has nothing to do but this: visits bytes [from, to) as visitValue does, of a long value a little
 *  per turn of the event loop; then `tell` says what came of it. */
export function tellOfValue(
  execution: Execution,
  args: Args,
  keyAt: number,
  ref: number,
  scan: Omit<ValueScan, 'key' | 'seq'>,
  out: ReplyWriter,
): void {
  const { from, to, visit, tell } = scan;
  if (execution.maySlice && to - from > SLICE_BYTES) {
    execution.scan = { ...scan, key: keyAt, seq: execution.partition.recordSeq(ref) };
    return;
  }
  if (visitValue(execution, args, keyAt, ref, from, to, visit)) tell(out);
}

/** The whole value at `ref` in memory of its own; torn, it may be anything of that length. */
export function valueCopy(execution: Execution, ref: number): Buffer {
  const { partition } = execution;
  const copy = Buffer.allocUnsafe(partition.valueBytes(ref));
  partition.copyValue(ref, 0, copy.length, copy, 0);
  return copy;
}

/** Inside a passage: whether the value at `ref` has the bytes of argument `i`. */
export function valueIs(execution: Execution, ref: number, args: Args, i: number): boolean {
  const { partition } = execution;
  const bytes = args.bytes(i);
  if (partition.valueBytes(ref) !== bytes) return false;
  for (let at = 0; at < bytes; at += PIECE_BYTES) {
    const wanted = Math.min(PIECE_BYTES, bytes - at);
    partition.copyValue(ref, at, wanted, piece, 0);
    const start = args.start(i) + at;
    if (piece.compare(args.buf, start, start + wanted, 0, wanted) !== 0) return false;
  }
  return true;
}
