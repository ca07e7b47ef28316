/** INCREX: a counter with bounds and an expiry, changed in one step, as Redis 8.8 has it. Whole numbers
 *  have 64 bits; BYFLOAT counts with 80-bit floats, as INCRBYFLOAT does. A result out of bounds is not
 *  stored, or stored as the bound it met (SATURATE).
 *  Source: https://redis.io/docs/latest/commands/increx/ */

import { INT64_TEXT_BYTES_MAX, readInteger } from '@ingot/store';
import type { Args } from '../resp/args.ts';
import type { ReplyWriter } from '../resp/reply-writer.ts';
import type { Execution } from '../serving/execution.ts';
import {
  invalidExpireTime,
  NOT_A_FLOAT,
  NOT_AN_INTEGER,
  NOT_FINITE,
  SYNTAX_ERROR,
  WOULD_OVERFLOW,
} from './errors.ts';
import {
  absoluteMs,
  MS_FROM_NOW,
  SECONDS_FROM_NOW,
  UNIX_MS,
  UNIX_SECONDS,
} from './expiry-times.ts';
import {
  addLongDoubles,
  formatLongDouble,
  type Infinite,
  type LongDouble,
  parseLongDouble,
} from './long-double.ts';
import { find, storeBytes } from './records.ts';
import { type CommandRow, command, FIRST_KEY } from './row.ts';
import { valueCopy } from './value-pieces.ts';

const NO_BOUNDS = 'ERR LBOUND must not be greater than UBOUND';
/** Text longer than this is no number. */
const FLOAT_BYTES_MAX = 256;

const INT64_MAX = 2n ** 63n - 1n;
const INT64_MIN = -INT64_MAX - 1n;

/** How numbers of one kind are counted with. */
interface Arithmetic<N> {
  readonly one: N;
  readonly zero: N;
  /** An argument; null where it is no number. */
  argument(args: Args, i: number): N | null;
  /** The value of a record; null where it is no number. */
  value(execution: Execution, ref: number): N | null;
  /** Null: there is no such number. */
  sum(a: N, b: N): N | null;
  difference(a: N, b: N): N | null;
  isBelow(a: N, b: N): boolean;
  /** Whether it can be stored, and replied. */
  fits(number: N): boolean;
  /** What a sum is cut to where no bound is given. */
  readonly limits: { readonly low: N; readonly high: N } | null;
  text(number: N): string;
  reply(number: N, out: ReplyWriter): void;
  readonly notANumber: string;
  readonly tooLarge: string;
}

const digits: Buffer = Buffer.alloc(INT64_TEXT_BYTES_MAX);

const WHOLE: Arithmetic<bigint> = {
  one: 1n,
  zero: 0n,
  argument: (args, i) => args.bigint(i),
  value: ({ partition }, ref) => {
    const bytes = partition.valueBytes(ref);
    if (bytes > INT64_TEXT_BYTES_MAX) return null;
    partition.copyValue(ref, 0, bytes, digits, 0);
    const number = readInteger(digits, 0, bytes);
    return number === null ? null : BigInt(number);
  },
  sum: (a, b) => a + b,
  difference: (a, b) => a - b,
  isBelow: (a, b) => a < b,
  fits: (number) => number >= INT64_MIN && number <= INT64_MAX,
  limits: { low: INT64_MIN, high: INT64_MAX },
  text: String,
  reply: (number, out) => out.integer(number),
  notANumber: NOT_AN_INTEGER,
  tooLarge: WOULD_OVERFLOW,
};

const negated = ({ mantissa, exponent }: LongDouble): LongDouble => ({
  mantissa: -mantissa,
  exponent,
});

function finite(number: LongDouble | Infinite | null): LongDouble | null {
  return typeof number === 'string' ? null : number;
}

const FLOAT: Arithmetic<LongDouble> = {
  one: { mantissa: 1n, exponent: 0 },
  zero: { mantissa: 0n, exponent: 0 },
  argument: (args, i) =>
    args.bytes(i) > FLOAT_BYTES_MAX ? null : finite(parseLongDouble(args.text(i))),
  value: (execution, ref) => {
    if (execution.partition.valueBytes(ref) > FLOAT_BYTES_MAX) return null;
    return finite(parseLongDouble(valueCopy(execution, ref).toString('latin1')));
  },
  sum: addLongDoubles,
  difference: (a, b) => addLongDoubles(a, negated(b)),
  isBelow: (a, b) => (addLongDoubles(a, negated(b))?.mantissa ?? 0n) < 0n,
  fits: () => true,
  limits: null,
  text: formatLongDouble,
  reply: (number, out) => {
    const text = formatLongDouble(number);
    if (out.protocol === 3) out.double(Number(text));
    else out.bulkText(text);
  },
  notANumber: NOT_A_FLOAT,
  tooLarge: NOT_FINITE,
};

/** Which argument each option has, 0 = it was not given. */
interface Options {
  increment: number;
  isFloat: boolean;
  lower: number;
  upper: number;
  saturates: boolean;
  /** Unix ms; 0 = not given. */
  expiresAtMs: number;
  persists: boolean;
  onlyWithoutExpiry: boolean;
}

const TIMES = [
  { word: 'EX', unit: SECONDS_FROM_NOW },
  { word: 'PX', unit: MS_FROM_NOW },
  { word: 'EXAT', unit: UNIX_SECONDS },
  { word: 'PXAT', unit: UNIX_MS },
];

/** The options, or the error reply. */
function parse(args: Args, nowMs: number): Options | string {
  const options: Options = {
    ...{ increment: 0, isFloat: false, lower: 0, upper: 0, saturates: false },
    ...{ expiresAtMs: 0, persists: false, onlyWithoutExpiry: false },
  };
  for (let i = 2; i < args.count; i++) {
    const isExpiryFree = options.expiresAtMs === 0 && !options.persists;
    const time = TIMES.find(({ word }) => args.is(i, word));
    if (args.is(i, 'SATURATE')) options.saturates = true;
    else if (args.is(i, 'ENX')) options.onlyWithoutExpiry = true;
    else if (args.is(i, 'PERSIST') && isExpiryFree) options.persists = true;
    else if (i + 1 === args.count) return SYNTAX_ERROR;
    else if ((args.is(i, 'BYINT') || args.is(i, 'BYFLOAT')) && options.increment === 0) {
      options.isFloat = args.is(i, 'BYFLOAT');
      options.increment = ++i;
    } else if (args.is(i, 'LBOUND') && options.lower === 0) options.lower = ++i;
    else if (args.is(i, 'UBOUND') && options.upper === 0) options.upper = ++i;
    else if (time !== undefined && isExpiryFree) {
      const count = args.rounded(++i);
      if (Number.isNaN(count)) return NOT_AN_INTEGER;
      options.expiresAtMs = absoluteMs(args, i, count, time.unit, nowMs);
      if (!(count > 0) || Number.isNaN(options.expiresAtMs)) return invalidExpireTime('increx');
    } else return SYNTAX_ERROR;
  }
  return options.onlyWithoutExpiry && options.expiresAtMs === 0 ? SYNTAX_ERROR : options;
}

function increx(execution: Execution, args: Args, out: ReplyWriter): void {
  const options = parse(args, execution.nowMs);
  if (typeof options === 'string') out.error(options);
  else if (options.isFloat) count(FLOAT, execution, args, options, out);
  else count(WHOLE, execution, args, options, out);
}

function count<N>(
  arithmetic: Arithmetic<N>,
  execution: Execution,
  args: Args,
  options: Options,
  out: ReplyWriter,
): void {
  const { zero, limits, notANumber, tooLarge } = arithmetic;
  const given = (i: number, otherwise: N | undefined): N | null | undefined =>
    i === 0 ? otherwise : arithmetic.argument(args, i);
  const increment = given(options.increment, arithmetic.one);
  const lower = given(options.lower, limits?.low);
  const upper = given(options.upper, limits?.high);
  const ref = find(execution, args, 1);
  const before = ref === 0 ? zero : arithmetic.value(execution, ref);
  if (before === null || increment === undefined || increment === null) {
    return out.error(notANumber);
  }
  if (lower === null || upper === null) return out.error(notANumber);
  if (lower !== undefined && upper !== undefined && arithmetic.isBelow(upper, lower)) {
    return out.error(NO_BOUNDS);
  }
  const sum = arithmetic.sum(before, increment);
  if (sum === null) return out.error(tooLarge);
  const after = bounded(arithmetic, sum, lower, upper);
  const isOut = after !== sum;
  const stays = isOut && !options.saturates;
  const delta = stays ? zero : arithmetic.difference(after, before);
  if (delta === null || !arithmetic.fits(delta)) return out.error(tooLarge);
  if (!stays) {
    const text = Buffer.from(arithmetic.text(after));
    const expiresAtMs = expiry(execution, ref, options);
    const refused = storeBytes(execution, args, 1, text, 0, text.length, expiresAtMs);
    if (refused !== null) return out.error(refused);
  }
  out.array(2);
  arithmetic.reply(stays ? before : after, out);
  arithmetic.reply(isOut ? delta : increment, out);
}

function bounded<N>(
  arithmetic: Arithmetic<N>,
  sum: N,
  lower: N | undefined,
  upper: N | undefined,
): N {
  if (lower !== undefined && arithmetic.isBelow(sum, lower)) return lower;
  return upper !== undefined && arithmetic.isBelow(upper, sum) ? upper : sum;
}

function expiry({ partition }: Execution, ref: number, options: Options): number {
  const before = ref === 0 ? 0 : partition.expiresAtMs(ref);
  if (options.persists) return 0;
  const keeps = options.expiresAtMs === 0 || (options.onlyWithoutExpiry && before !== 0);
  return keeps ? before : options.expiresAtMs;
}

export const INCREX_COMMAND: CommandRow = command({
  name: 'increx',
  arity: -2,
  kind: 'write',
  flags: ['write', 'denyoom', 'fast'],
  group: 'string',
  keys: FIRST_KEY,
  summary: 'Adds to the number that a key holds, within bounds, and sets its expiry.',
  run: increx,
});
