/** INCR, DECR, INCRBY, DECRBY: values that spell 64-bit integers.
 *  The expiry of the key stays; an absent key counts from 0. */

import type { Args } from '../resp/args.ts';
import type { ReplyWriter } from '../resp/reply-writer.ts';
import type { Execution } from '../serving/execution.ts';
import { DECREMENT_WOULD_OVERFLOW, NOT_AN_INTEGER, WOULD_OVERFLOW } from './errors.ts';
import {
  addInt64,
  INT64_TEXT_BYTES_MAX,
  type Int64,
  negateInt64,
  readInteger,
  writeInteger,
} from './int64.ts';
import { find, replyInteger, storeBytes } from './records.ts';
import { type CommandRow, command, FIRST_KEY, type Run } from './row.ts';

/** The new value's digits, on their way into the store. */
const digits = Buffer.allocUnsafeSlow(INT64_TEXT_BYTES_MAX);

function add(execution: Execution, args: Args, delta: Int64, out: ReplyWriter): void {
  const { partition } = execution;
  const ref = find(execution, args, 1);
  let current: Int64 | null = 0;
  let expiresAtMs = 0;
  if (ref !== 0) {
    const image = partition.imageBuffer;
    const [start, bytes] = [partition.valueOffset(ref), partition.valueBytes(ref)];
    current = partition.isInOnePiece(ref) ? readInteger(image, start, bytes) : null;
    expiresAtMs = partition.expiresAtMs(ref);
  }
  if (current === null) return out.error(NOT_AN_INTEGER);
  const sum = addInt64(current, delta);
  if (sum === null) return out.error(WOULD_OVERFLOW);
  const bytes = writeInteger(digits, sum);
  replyInteger(storeBytes(execution, args, 1, digits, 0, bytes, expiresAtMs), sum, out);
}

function incrby(execution: Execution, args: Args, out: ReplyWriter): void {
  const delta = readInteger(args.buf, args.start(2), args.bytes(2));
  if (delta === null) out.error(NOT_AN_INTEGER);
  else add(execution, args, delta, out);
}

function decrby(execution: Execution, args: Args, out: ReplyWriter): void {
  const delta = readInteger(args.buf, args.start(2), args.bytes(2));
  if (delta === null) return out.error(NOT_AN_INTEGER);
  const negated = negateInt64(delta);
  if (negated === null) out.error(DECREMENT_WOULD_OVERFLOW);
  else add(execution, args, negated, out);
}

function counter(name: string, arity: number, summary: string, run: Run): CommandRow {
  return command({
    name,
    arity,
    kind: 'write',
    flags: ['write', 'denyoom', 'fast'],
    group: 'string',
    keys: FIRST_KEY,
    summary,
    run,
  });
}

export const COUNTER_COMMANDS: readonly CommandRow[] = [
  counter('incr', 2, 'Adds 1 to the integer value of a key.', (execution, args, out) =>
    add(execution, args, 1, out),
  ),
  counter('decr', 2, 'Takes 1 from the integer value of a key.', (execution, args, out) =>
    add(execution, args, -1, out),
  ),
  counter('incrby', 3, 'Adds a number to the integer value of a key.', incrby),
  counter('decrby', 3, 'Takes a number from the integer value of a key.', decrby),
];
