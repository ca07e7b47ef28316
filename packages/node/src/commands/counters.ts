/** INCR, DECR, INCRBY, DECRBY: values that spell 64-bit integers.
 *  The expiry of the key stays; an absent key counts from 0. */

import {
  Counter,
  KEY_BYTES_MAX,
  type Int64,
  NOT_AN_INTEGER as NO_INTEGER_THERE,
  negateInt64,
  OUT_OF_MEMORY as STORE_OUT_OF_MEMORY,
  readInteger,
  SET_OK,
  WOULD_OVERFLOW as OVERFLOWS,
} from '@ingot/store';
import type { Args } from '../resp/args.ts';
import type { ReplyWriter } from '../resp/reply-writer.ts';
import type { Execution } from '../serving/execution.ts';
import {
  DECREMENT_WOULD_OVERFLOW,
  keyTooLarge,
  NOT_AN_INTEGER,
  OUT_OF_MEMORY,
  WOULD_OVERFLOW,
} from './errors.ts';
import { type CommandRow, command, FIRST_KEY, type Run } from './row.ts';

const counterOfWorker = new Counter();

/** Why a counter was not changed, by the store's code. */
const REFUSALS: ReadonlyMap<number, string> = new Map([
  [NO_INTEGER_THERE, NOT_AN_INTEGER],
  [OVERFLOWS, WOULD_OVERFLOW],
  [STORE_OUT_OF_MEMORY, OUT_OF_MEMORY],
]);

function add(execution: Execution, args: Args, delta: Int64, out: ReplyWriter): void {
  const { partition, nowMs } = execution;
  const hash = execution.hash(args, 1);
  const [start, bytes] = [args.start(1), args.bytes(1)];
  const code = counterOfWorker.add(partition, hash, args.buf, start, bytes, delta, nowMs);
  if (code === SET_OK) out.integer(counterOfWorker.sum);
  else out.error(REFUSALS.get(code) ?? keyTooLarge(bytes, KEY_BYTES_MAX));
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
