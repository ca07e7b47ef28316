/** BITFIELD and BITFIELD_RO: integers of 1 to 64 bits anywhere in a value.
 *  All operations are read before the first one runs. The value then grows once, as far as any of
 *  them writes, even where OVERFLOW FAIL lets nothing be written, as in Redis. */

import type { Args } from '../resp/args.ts';
import type { ReplyWriter } from '../resp/reply-writer.ts';
import type { Execution } from '../serving/execution.ts';
import { bitOffset, editBytes, growTo, OFFSET_IN_BITS } from './bit-values.ts';
import { NOT_AN_INTEGER, SYNTAX_ERROR } from './errors.ts';
import { find, lookUpAndMark } from './records.ts';
import { type CommandRow, command, FIRST_KEY, type Run } from './row.ts';

const INVALID_TYPE =
  'ERR Invalid bitfield type. Use something like i16 u8. ' +
  'Note that u64 is not supported but i64 is.';
const INVALID_OVERFLOW = 'ERR Invalid OVERFLOW type specified';
const ONLY_GET = 'ERR BITFIELD_RO only supports the GET subcommand';

const LETTER_I = 0x69;
const LETTER_U = 0x75;
const DIGIT_0 = 0x30;
const WIDTH_MAX = 64;
/** Fields of up to so many bits, in the bytes that they touch, are numbers that are exact. */
const EASY_WIDTH_MAX = 32;
/** What is added to such a field. */
const EASY_OPERAND_MAX: number = 2 ** 52;

const GET = 0;
const SET = 1;
const INCRBY = 2;
const WORDS: readonly string[] = ['GET', 'SET', 'INCRBY'];
/** Arguments of each, its own word included. */
const ARGUMENTS: readonly number[] = [3, 4, 4];

const WRAP = 0;
const SAT = 1;
const FAIL = 2;
const OVERFLOWS: readonly string[] = ['WRAP', 'SAT', 'FAIL'];

/** Reused from command to command. */
class Operation {
  word = GET;
  signed = false;
  width = 0;
  /** In bits. */
  offset = 0;
  overflow = WRAP;
  /** What is set or added, where the field is easy; else NaN. */
  operand = 0;
  /** The same, where it is not. */
  large = 0n;
}

/** The first `count` are those of the command that runs. */
const operations: Operation[] = [];
let count = 0;

/** The bytes that a field touches: 64 bits from any bit on. */
const bytes: Buffer = Buffer.alloc(9);

/** Reads all operations into `operations`. Returns the error reply, or null. */
function parse(execution: Execution, args: Args): string | null {
  let overflow = WRAP;
  count = 0;
  for (let i = 2; i < args.count; ) {
    if (args.is(i, 'OVERFLOW') && i + 1 < args.count) {
      overflow = wordOf(OVERFLOWS, args, i + 1);
      if (overflow < 0) return INVALID_OVERFLOW;
      i += 2;
      continue;
    }
    const word = wordOf(WORDS, args, i);
    if (word < 0 || i + ARGUMENTS[word] > args.count) return SYNTAX_ERROR;
    if (count === operations.length) operations.push(new Operation());
    const operation = operations[count++];
    operation.word = word;
    operation.overflow = overflow;
    const width = widthOf(args, i + 1);
    if (width === 0) return INVALID_TYPE;
    operation.width = width;
    operation.signed = args.buf[args.start(i + 1)] === LETTER_I;
    operation.offset = bitOffset(execution, args, i + 2, width);
    if (Number.isNaN(operation.offset)) return OFFSET_IN_BITS;
    operation.operand = word === GET ? 0 : args.integer(i + 3);
    const isEasy = width <= EASY_WIDTH_MAX && Math.abs(operation.operand) <= EASY_OPERAND_MAX;
    if (!isEasy) {
      const large = word === GET ? 0n : args.bigint(i + 3);
      if (large === null) return NOT_AN_INTEGER;
      operation.large = large;
      operation.operand = Number.NaN;
    }
    i += ARGUMENTS[word];
  }
  return null;
}

/** Which of the words argument `i` is, or -1. */
function wordOf(words: readonly string[], args: Args, i: number): number {
  for (let word = 0; word < words.length; word++) if (args.is(i, words[word])) return word;
  return -1;
}

/** Bits of a type such as i16 or u8; 0 where there is none of this name. */
function widthOf(args: Args, i: number): number {
  const { buf } = args;
  const start = args.start(i);
  const digits = args.bytes(i) - 1;
  if (digits < 1 || digits > 2) return 0;
  const letter = buf[start];
  if (letter !== LETTER_I && letter !== LETTER_U) return 0;
  let width = 0;
  for (let at = start + 1; at <= start + digits; at++) {
    const digit = buf[at] - DIGIT_0;
    if (digit < 0 || digit > 9 || (digit === 0 && width === 0)) return 0;
    width = width * 10 + digit;
  }
  return width <= (letter === LETTER_I ? WIDTH_MAX : WIDTH_MAX - 1) ? width : 0;
}

function bitfield(onlyReads: boolean): Run {
  return (execution, args, out) => {
    const malformed = parse(execution, args);
    if (malformed !== null) return out.error(malformed);
    const needed = bytesNeeded();
    if (onlyReads && needed > 0) return out.error(ONLY_GET);
    let ref = needed === 0 ? lookUpAndMark(execution, args, 1) : find(execution, args, 1);
    let isKnown = true;
    if (needed > (ref === 0 ? 0 : execution.partition.valueBytes(ref))) {
      const refused = makeRoom(execution, args, needed);
      if (refused !== null) return out.error(refused);
      isKnown = false;
    }
    const mark = out.mark();
    out.array(count);
    for (let i = 0; i < count; i++) {
      if (!isKnown) ref = find(execution, args, 1);
      const failed = perform(execution, args, operations[i], ref, out);
      // A write may have put the record elsewhere.
      isKnown = operations[i].word === GET;
      if (failed === null) continue;
      out.rewind(mark);
      return out.error(failed);
    }
  };
}

/** How long the value is to be for all that is written; 0: nothing is. */
function bytesNeeded(): number {
  let needed = 0;
  for (let i = 0; i < count; i++) {
    const { word, offset, width } = operations[i];
    if (word !== GET) needed = Math.max(needed, Math.floor((offset + width - 1) / 8) + 1);
  }
  return needed;
}

function makeRoom(execution: Execution, args: Args, needed: number): string | null {
  const { values } = execution.partition;
  if (needed > values.valueBytesMax(args.bytes(1))) return OFFSET_IN_BITS;
  return growTo(execution, args, 1, needed);
}

/** Replies to one operation; returns an error reply instead where the store refused. */
function perform(
  execution: Execution,
  args: Args,
  operation: Operation,
  ref: number,
  out: ReplyWriter,
): string | null {
  const { width, offset } = operation;
  const from = Math.floor(offset / 8);
  const touched = Math.floor((offset + width - 1) / 8) + 1 - from;
  bytes.fill(0, 0, touched);
  if (ref !== 0) execution.partition.copyValue(ref, from, touched, bytes, 0);
  return Number.isNaN(operation.operand)
    ? performLarge(execution, args, operation, from, touched, out)
    : performEasy(execution, args, operation, from, touched, out);
}

/** On numbers: allocates nothing. */
function performEasy(
  execution: Execution,
  args: Args,
  operation: Operation,
  from: number,
  touched: number,
  out: ReplyWriter,
): string | null {
  const { word, signed, width, offset, operand, overflow } = operation;
  const all = bytes.readUIntBE(0, touched);
  const unit = 2 ** (touched * 8 - (offset % 8) - width);
  const range = 2 ** width;
  const raw = Math.floor(all / unit) % range;
  const before = signed && raw >= range / 2 ? raw - range : raw;
  if (word === GET) {
    out.integer(before);
    return null;
  }
  const wanted = word === SET ? operand : before + operand;
  const max = signed ? range / 2 - 1 : range - 1;
  const min = signed ? -range / 2 : 0;
  let next = wanted;
  if (wanted > max || wanted < min) {
    if (overflow === FAIL) {
      out.nil();
      return null;
    }
    if (overflow === SAT) next = wanted < min && (signed || word === INCRBY) ? min : max;
    else {
      const rest = ((wanted % range) + range) % range;
      next = signed && rest >= range / 2 ? rest - range : rest;
    }
  }
  if (next !== before) {
    const nextRaw = next < 0 ? next + range : next;
    bytes.writeUIntBE(all + (nextRaw - raw) * unit, 0, touched);
    // What stays as it was is no change to whoever watches the key.
    const refused = editBytes(execution, args, 1, from, bytes, touched);
    if (refused !== null) return refused;
  }
  out.integer(word === SET ? before : next);
  return null;
}

/** On 64-bit integers. */
function performLarge(
  execution: Execution,
  args: Args,
  operation: Operation,
  from: number,
  touched: number,
  out: ReplyWriter,
): string | null {
  const { word, signed, width, offset, large } = operation;
  const shift = BigInt(touched * 8 - (offset % 8) - width);
  const all = BigInt(`0x${bytes.toString('hex', 0, touched)}`);
  const raw = BigInt.asUintN(width, all >> shift);
  const before = signed ? BigInt.asIntN(width, raw) : raw;
  if (word === GET) {
    out.integer(before);
    return null;
  }
  const next = settle(operation, word === SET ? large : before + large);
  if (next === null) {
    out.nil();
    return null;
  }
  const mask = BigInt.asUintN(width, -1n) << shift;
  const after = (all & ~mask) | (BigInt.asUintN(width, next) << shift);
  bytes.write(after.toString(16).padStart(touched * 2, '0'), 'hex');
  const refused = next === before ? null : editBytes(execution, args, 1, from, bytes, touched);
  if (refused === null) out.integer(word === SET ? before : next);
  return refused;
}

/** What is stored for a value that may be out of range; null: nothing is. A negative value of an
 *  unsigned field counts as the 64-bit number of the same bits where it is set, as in Redis; so
 *  does its distance from the greatest value of a signed one. */
function settle({ word, signed, width, overflow }: Operation, value: bigint): bigint | null {
  const wrapped = signed ? BigInt.asIntN(width, value) : BigInt.asUintN(width, value);
  if (wrapped === value) return value;
  if (overflow === WRAP) return wrapped;
  if (overflow === FAIL) return null;
  const max = signed ? 2n ** BigInt(width - 1) - 1n : 2n ** BigInt(width) - 1n;
  const min = signed ? -max - 1n : 0n;
  const isBelow = word === INCRBY || (signed && BigInt.asIntN(64, max - value) >= 0n);
  return value < min && isBelow ? min : max;
}

const bitmap = { group: 'bitmap', keys: FIRST_KEY, arity: -2 } as const;

export const BITFIELD_COMMANDS: readonly CommandRow[] = [
  command({
    ...bitmap,
    name: 'bitfield',
    kind: 'write',
    flags: ['write', 'denyoom'],
    atomic: true,
    summary: 'Reads, sets and adds to integers of any width within a value.',
    run: bitfield(false),
  }),
  command({
    ...bitmap,
    name: 'bitfield_ro',
    kind: 'read',
    flags: ['readonly', 'fast'],
    summary: 'Reads integers of any width within a value.',
    run: bitfield(true),
  }),
];
