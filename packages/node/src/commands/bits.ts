/** GETBIT SETBIT BITCOUNT BITPOS BITOP: values as rows of bits, bit 0 the highest of byte 0.
 *  A value ends in zeros without end. SETBIT changes one byte where it lies; what it adds to a value
 *  is zeros. BITOP makes a whole value of others, in one passage: all keys are of one partition. */

import type { Args } from '../resp/args.ts';
import type { ReplyWriter } from '../resp/reply-writer.ts';
import type { Execution } from '../serving/execution.ts';
import { byteMask, countOnes, findBit } from './bit-span.ts';
import { NOT_AN_INTEGER, SYNTAX_ERROR } from './errors.ts';
import { BitopMaking, type Combine } from './bitop-making.ts';
import { bitOffset, OFFSET_IN_BITS, editBytes, oneByte } from './bit-values.ts';
import { copySlowly, storeMade } from './made-values.ts';
import { find, lookUpAndMark, removeKey } from './records.ts';
import { type CommandRow, command, FIRST_KEY } from './row.ts';
import { piece, PIECE_BYTES, pieceWords, tellOfValue } from './value-pieces.ts';

const NOT_A_BIT = 'ERR bit is not an integer or out of range';
const BIT_IS_0_OR_1 = 'ERR The bit argument must be 1 or 0.';
const ONE_SOURCE = 'ERR BITOP NOT must be called with a single source key.';

/** The byte that is changed, on its way into the store. */
const changed: Buffer = Buffer.alloc(1);

function getbit(execution: Execution, args: Args, out: ReplyWriter): void {
  const offset = bitOffset(execution, args, 2, 0);
  if (Number.isNaN(offset)) return out.error(OFFSET_IN_BITS);
  const ref = lookUpAndMark(execution, args, 1);
  const byte = oneByte(execution, ref, Math.floor(offset / 8));
  out.integer((byte >>> (7 - (offset % 8))) & 1);
}

function setbit(execution: Execution, args: Args, out: ReplyWriter): void {
  const { partition } = execution;
  const offset = bitOffset(execution, args, 2, 0);
  if (Number.isNaN(offset)) return out.error(OFFSET_IN_BITS);
  const bit = args.integer(3);
  if (bit !== 0 && bit !== 1) return out.error(NOT_A_BIT);
  const at = Math.floor(offset / 8);
  if (at >= partition.values.valueBytesMax(args.bytes(1))) return out.error(OFFSET_IN_BITS);
  const ref = find(execution, args, 1);
  const isThere = ref !== 0 && at < partition.valueBytes(ref);
  const before = oneByte(execution, ref, at);
  const mask = 0x80 >>> (offset % 8);
  changed[0] = bit === 1 ? before | mask : before & ~mask;
  const refused =
    isThere && changed[0] === before ? null : editBytes(execution, args, 1, at, changed, 1);
  if (refused === null) out.integer((before & mask) === 0 ? 0 : 1);
  else out.error(refused);
}

/** A part of a value by its first and last bit, counted from 0; empty where first > last. */
interface Span {
  first: number;
  last: number;
}

const span: Span = { first: 0, last: 0 };

/** Redis' rule for both ends: from the end where negative, cut to what there is. */
function settleSpan(first: number, last: number, inBits: boolean, valueBytes: number): void {
  const length = inBits ? valueBytes * 8 : valueBytes;
  const from = Math.max(first < 0 ? length + first : first, 0);
  const to = Math.min(Math.max(last < 0 ? length + last : last, 0), length - 1);
  span.first = inBits ? from : from * 8;
  span.last = inBits ? to : to * 8 + 7;
}

/** Visits the bytes of the span in `piece`, what is outside of it set to `outside`; see tellOfValue. */
function visitSpan(
  execution: Execution,
  args: Args,
  ref: number,
  outside: 0 | 1,
  visit: (bytes: number, at: number) => boolean,
  tell: (out: ReplyWriter) => void,
  out: ReplyWriter,
): void {
  const { first, last } = span;
  const [firstByte, lastByte] = [Math.floor(first / 8), Math.floor(last / 8)];
  const fill = (i: number, mask: number): void => {
    piece[i] = outside === 0 ? piece[i] & mask : piece[i] | (~mask & 0xff);
  };
  const visitPart = (bytes: number, at: number): boolean => {
    if (at === firstByte) fill(0, byteMask(first % 8, 7));
    if (at + bytes > lastByte) fill(lastByte - at, byteMask(0, last % 8));
    return visit(bytes, at);
  };
  const scan = { from: firstByte, to: lastByte + 1, visit: visitPart, tell };
  tellOfValue(execution, args, 1, ref, scan, out);
}

/** 'BIT' or 'BYTE'; null for another word. */
function unitIsBits(args: Args, i: number): boolean | null {
  if (args.is(i, 'BIT')) return true;
  return args.is(i, 'BYTE') ? false : null;
}

function bitcount(execution: Execution, args: Args, out: ReplyWriter): void {
  const ref = lookUpAndMark(execution, args, 1);
  if (ref === 0) return out.integer(0);
  const { count } = args;
  if (count === 3 || count > 5) return out.error(SYNTAX_ERROR);
  let [first, last] = [0, -1];
  let inBits: boolean | null = false;
  if (count > 3) {
    first = args.rounded(2);
    last = args.rounded(3);
    if (Number.isNaN(first) || Number.isNaN(last)) return out.error(NOT_AN_INTEGER);
    if (first < 0 && last < 0 && first > last) return out.integer(0);
    if (count === 5) inBits = unitIsBits(args, 4);
    if (inBits === null) return out.error(SYNTAX_ERROR);
  }
  settleSpan(first, last, inBits, execution.partition.valueBytes(ref));
  if (span.first > span.last) return out.integer(0);
  let ones = 0;
  const visit = (bytes: number): boolean => {
    ones += countOnes(piece, pieceWords, bytes);
    return false;
  };
  visitSpan(execution, args, ref, 0, visit, (late) => late.integer(ones), out);
}

function bitpos(execution: Execution, args: Args, out: ReplyWriter): void {
  const bit = args.rounded(2);
  if (Number.isNaN(bit)) return out.error(NOT_AN_INTEGER);
  if (bit !== 0 && bit !== 1) return out.error(BIT_IS_0_OR_1);
  const ref = lookUpAndMark(execution, args, 1);
  if (ref === 0) return out.integer(bit === 1 ? -1 : 0);
  const { count } = args;
  if (count > 6) return out.error(SYNTAX_ERROR);
  const first = count > 3 ? args.rounded(3) : 0;
  if (Number.isNaN(first)) return out.error(NOT_AN_INTEGER);
  const inBits = count === 6 ? unitIsBits(args, 5) : false;
  if (inBits === null) return out.error(SYNTAX_ERROR);
  const last = count > 4 ? args.rounded(4) : -1;
  if (Number.isNaN(last)) return out.error(NOT_AN_INTEGER);
  settleSpan(first, last, inBits, execution.partition.valueBytes(ref));
  if (span.first > span.last) return out.integer(-1);
  // Without an end the zeros behind the value count.
  let found = bit === 0 && count < 5 ? span.last + 1 : -1;
  const visit = (bytes: number, at: number): boolean => {
    const inPiece = findBit(piece, pieceWords, bytes, bit);
    if (inPiece >= 0) found = at * 8 + inPiece;
    return inPiece >= 0;
  };
  const outside = bit === 1 ? 0 : 1;
  visitSpan(execution, args, ref, outside, visit, (late) => late.integer(found), out);
}

const OPERATIONS: readonly {
  readonly word: string;
  readonly combine: Combine;
}[] = [
  {
    word: 'AND',
    combine: (into, at, words) => {
      for (let i = 0; i < words; i++) into[at + i] &= pieceWords[i];
    },
  },
  {
    word: 'OR',
    combine: (into, at, words) => {
      for (let i = 0; i < words; i++) into[at + i] |= pieceWords[i];
    },
  },
  {
    word: 'XOR',
    combine: (into, at, words) => {
      for (let i = 0; i < words; i++) into[at + i] ^= pieceWords[i];
    },
  },
  { word: 'NOT', combine: () => {} },
];

function bitop(execution: Execution, args: Args, out: ReplyWriter): void {
  const operation = OPERATIONS.find(({ word }) => args.is(1, word));
  if (operation === undefined) return out.error(SYNTAX_ERROR);
  if (operation.word === 'NOT' && args.count !== 4) return out.error(ONE_SOURCE);
  const { partition } = execution;
  const sources: number[] = [];
  for (let i = 3; i < args.count; i++) sources.push(find(execution, args, i));
  const lengths = sources.map((ref) => (ref === 0 ? 0 : partition.valueBytes(ref)));
  const bytes = Math.max(...lengths);
  if (bytes === 0) {
    removeKey(execution, args, 2);
    return out.integer(0);
  }
  const stamp = sources.map((ref) => (ref === 0 ? 0 : partition.recordSeq(ref))).join(' ');
  const make = (): Buffer => {
    const words = new Int32Array((bytes + 3) >>> 2);
    const result = Buffer.from(words.buffer, 0, bytes);
    if (sources[0] !== 0) partition.copyValue(sources[0], 0, bytes, result, 0);
    sources.slice(1).forEach((ref) => combineWith(execution, ref, words, bytes, operation.combine));
    if (operation.word === 'NOT') words.forEach((word, i) => (words[i] = ~word));
    return result;
  };
  const slowly = (): BitopMaking => {
    const copies = sources.map((ref, i) =>
      ref === 0 ? null : copySlowly(execution, args, i + 3, partition.recordSeq(ref)),
    );
    return new BitopMaking(
      execution.worker,
      copies,
      bytes,
      operation.combine,
      operation.word === 'NOT',
    );
  };
  const refused = storeMade(execution, args, 2, bytes, stamp, make, 0, slowly);
  if (refused === null) out.integer(bytes);
  else out.error(refused);
}

/** Zeros stand for what a source is too short for. */
function combineWith(
  execution: Execution,
  ref: number,
  words: Int32Array,
  bytes: number,
  combine: Combine,
): void {
  for (let at = 0; at < bytes; at += PIECE_BYTES) {
    const wanted = Math.min(PIECE_BYTES, bytes - at);
    const copied = ref === 0 ? 0 : execution.partition.copyValue(ref, at, wanted, piece, 0);
    const end = (wanted + 3) & ~3;
    piece.fill(0, copied, end);
    combine(words, at >>> 2, end >>> 2);
  }
}

const bitmap = { group: 'bitmap' } as const;

export const BIT_COMMANDS: readonly CommandRow[] = [
  command({
    ...bitmap,
    name: 'getbit',
    arity: 3,
    kind: 'read',
    keys: FIRST_KEY,
    flags: ['readonly', 'fast'],
    summary: 'Returns one bit of a value.',
    run: getbit,
  }),
  command({
    ...bitmap,
    name: 'setbit',
    arity: 4,
    kind: 'write',
    keys: FIRST_KEY,
    flags: ['write', 'denyoom'],
    summary: 'Sets or clears one bit of a value and returns what it was.',
    run: setbit,
  }),
  command({
    ...bitmap,
    name: 'bitcount',
    arity: -2,
    kind: 'read',
    keys: FIRST_KEY,
    flags: ['readonly'],
    summary: 'Counts the bits that are set in a value, or in a part of it.',
    run: bitcount,
  }),
  command({
    ...bitmap,
    name: 'bitpos',
    arity: -3,
    kind: 'read',
    keys: FIRST_KEY,
    flags: ['readonly'],
    summary: 'Returns the position of the first bit that is set, or that is clear.',
    run: bitpos,
  }),
  command({
    ...bitmap,
    name: 'bitop',
    arity: -4,
    kind: 'write',
    keys: { first: 2, last: -1, step: 1 },
    flags: ['write', 'denyoom'],
    summary: 'Combines values bit by bit (AND OR XOR NOT) and stores the result.',
    run: bitop,
  }),
];
