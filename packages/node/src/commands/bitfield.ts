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
const WIDTH_MAX = 64;

type Overflow = 'WRAP' | 'SAT' | 'FAIL';
const OVERFLOWS: readonly Overflow[] = ['WRAP', 'SAT', 'FAIL'];

/** GET, SET and INCRBY, and the arguments each takes, its own word included. */
const OPERATIONS = [
  { word: 'GET', arguments: 3 },
  { word: 'SET', arguments: 4 },
  { word: 'INCRBY', arguments: 4 },
] as const;

interface Operation {
  readonly word: (typeof OPERATIONS)[number]['word'];
  readonly signed: boolean;
  readonly width: number;
  /** In bits. */
  readonly offset: number;
  readonly overflow: Overflow;
  /** What is set or added. */
  readonly operand: bigint;
}

/** The bytes that a field touches: 64 bits from any bit on. */
const bytes: Buffer = Buffer.alloc(9);

/** All operations, or the error reply. */
function parse(execution: Execution, args: Args): Operation[] | string {
  const operations: Operation[] = [];
  let overflow: Overflow = 'WRAP';
  for (let i = 2; i < args.count; ) {
    if (args.is(i, 'OVERFLOW') && i + 1 < args.count) {
      const named = OVERFLOWS.find((word) => args.is(i + 1, word));
      if (named === undefined) return INVALID_OVERFLOW;
      overflow = named;
      i += 2;
      continue;
    }
    const row = OPERATIONS.find(({ word }) => args.is(i, word));
    if (row === undefined || i + row.arguments > args.count) return SYNTAX_ERROR;
    const width = widthOf(args, i + 1);
    if (Number.isNaN(width)) return INVALID_TYPE;
    const offset = bitOffset(execution, args, i + 2, width);
    if (Number.isNaN(offset)) return OFFSET_IN_BITS;
    const operand = row.word === 'GET' ? 0n : args.bigint(i + 3);
    if (operand === null) return NOT_AN_INTEGER;
    const signed = args.buf[args.start(i + 1)] === LETTER_I;
    operations.push({ word: row.word, signed, width, offset, overflow, operand });
    i += row.arguments;
  }
  return operations;
}

/** Bits of a type such as i16 or u8; NaN where there is none of this name. */
function widthOf(args: Args, i: number): number {
  const letter = args.bytes(i) > 1 ? args.buf[args.start(i)] : 0;
  if (letter !== LETTER_I && letter !== LETTER_U) return Number.NaN;
  const width = Number(args.text(i).slice(1));
  const max = letter === LETTER_I ? WIDTH_MAX : WIDTH_MAX - 1;
  const isPlain = /^[1-9][0-9]?$/.test(args.text(i).slice(1));
  return isPlain && width <= max ? width : Number.NaN;
}

function bitfield(onlyReads: boolean): Run {
  return (execution, args, out) => {
    const operations = parse(execution, args);
    if (typeof operations === 'string') return out.error(operations);
    const writes = operations.filter(({ word }) => word !== 'GET');
    if (onlyReads && writes.length > 0) return out.error(ONLY_GET);
    if (writes.length === 0) lookUpAndMark(execution, args, 1);
    const refused = makeRoom(execution, args, writes);
    if (refused !== null) return out.error(refused);
    const mark = out.mark();
    out.array(operations.length);
    for (const operation of operations) {
      const failed = perform(execution, args, operation, out);
      if (failed === null) continue;
      out.rewind(mark);
      return out.error(failed);
    }
  };
}

function makeRoom(execution: Execution, args: Args, writes: readonly Operation[]): string | null {
  const { partition } = execution;
  const ends = writes.map(({ offset, width }) => Math.floor((offset + width - 1) / 8) + 1);
  const needed = Math.max(0, ...ends);
  if (needed > partition.values.valueBytesMax(args.bytes(1))) return OFFSET_IN_BITS;
  const ref = find(execution, args, 1);
  if (needed <= (ref === 0 ? 0 : partition.valueBytes(ref))) return null;
  return growTo(execution, args, 1, needed);
}

/** Replies to one operation; returns an error reply instead where the store refused. */
function perform(
  execution: Execution,
  args: Args,
  operation: Operation,
  out: ReplyWriter,
): string | null {
  const { word, signed, width, offset, operand } = operation;
  const from = Math.floor(offset / 8);
  const touched = Math.floor((offset + width - 1) / 8) + 1 - from;
  bytes.fill(0, 0, touched);
  const ref = find(execution, args, 1);
  if (ref !== 0) execution.partition.copyValue(ref, from, touched, bytes, 0);
  const shift = BigInt(touched * 8 - (offset % 8) - width);
  const all = BigInt(`0x${bytes.toString('hex', 0, touched)}`);
  const raw = BigInt.asUintN(width, all >> shift);
  const before = signed ? BigInt.asIntN(width, raw) : raw;
  if (word === 'GET') {
    out.integer(before);
    return null;
  }
  const next = settle(operation, word === 'SET' ? operand : before + operand);
  if (next === null) {
    out.nil();
    return null;
  }
  const mask = BigInt.asUintN(width, -1n) << shift;
  const after = (all & ~mask) | (BigInt.asUintN(width, next) << shift);
  bytes.write(after.toString(16).padStart(touched * 2, '0'), 'hex');
  // What stays as it was is no change to whoever watches the key.
  const refused = next === before ? null : editBytes(execution, args, 1, from, bytes, touched);
  if (refused === null) out.integer(word === 'SET' ? before : next);
  return refused;
}

/** What is stored for a value that may be out of range; null: nothing is. A negative value of an
 *  unsigned field counts as the 64-bit number of the same bits where it is set, as in Redis; so
 *  does its distance from the greatest value of a signed one. */
function settle({ word, signed, width, overflow }: Operation, value: bigint): bigint | null {
  const wrapped = signed ? BigInt.asIntN(width, value) : BigInt.asUintN(width, value);
  if (wrapped === value) return value;
  if (overflow === 'WRAP') return wrapped;
  if (overflow === 'FAIL') return null;
  const max = signed ? 2n ** BigInt(width - 1) - 1n : 2n ** BigInt(width) - 1n;
  const min = signed ? -max - 1n : 0n;
  const isBelow = word === 'INCRBY' || (signed && BigInt.asIntN(64, max - value) >= 0n);
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
