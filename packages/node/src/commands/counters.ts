/** INCR, DECR, INCRBY, DECRBY: values that spell 64-bit integers; INCRBYFLOAT: 80-bit floats.
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
  NOT_A_FLOAT,
  NOT_AN_INTEGER,
  NOT_FINITE,
  OUT_OF_MEMORY,
  WOULD_OVERFLOW,
} from './errors.ts';
import { addLongDoubles, formatLongDouble, parseLongDouble } from './long-double.ts';
import { find, storeBytes } from './records.ts';
import { type CommandRow, command, FIRST_KEY, type Run } from './row.ts';
import { valueCopy } from './value-pieces.ts';

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

/** Text longer than this is no number to Redis. */
const FLOAT_BYTES_MAX = 5 * 1024;

function incrbyfloat(execution: Execution, args: Args, out: ReplyWriter): void {
  const { partition } = execution;
  const ref = find(execution, args, 1);
  const isLong = ref !== 0 && partition.valueBytes(ref) >= FLOAT_BYTES_MAX;
  if (isLong || args.bytes(2) >= FLOAT_BYTES_MAX) return out.error(NOT_A_FLOAT);
  const current = parseLongDouble(ref === 0 ? '0' : valueCopy(execution, ref).toString('latin1'));
  const start = args.start(2);
  const delta = parseLongDouble(args.buf.toString('latin1', start, start + args.bytes(2)));
  if (current === null || delta === null) return out.error(NOT_A_FLOAT);
  const sum = addLongDoubles(current, delta);
  if (sum === null) return out.error(NOT_FINITE);
  const text = Buffer.from(formatLongDouble(sum));
  const expiresAtMs = ref === 0 ? 0 : partition.expiresAtMs(ref);
  const refused = storeBytes(execution, args, 1, text, 0, text.length, expiresAtMs);
  if (refused === null) out.bulk(text, 0, text.length);
  else out.error(refused);
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
  counter('incrbyfloat', 3, 'Adds a number to the number that a key holds.', incrbyfloat),
];
