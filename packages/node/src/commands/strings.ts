/** GET, SET and what combines them: one key, its whole value.
 *  Where a reply carries the old value, it is written before the store changes; should the store
 *  then refuse, the reply is rewound to the error. */

import { APPEND, CHANGED, NEEDS_PASSAGES } from '@ingot/store';
import type { Args } from '../resp/args.ts';
import type { ReplyWriter } from '../resp/reply-writer.ts';
import type { EditRequest, Execution } from '../serving/execution.ts';
import { digestIs, isDigest, NOT_A_DIGEST } from './digest.ts';
import {
  CHANGED_BEFORE,
  invalidExpireTime,
  NOT_AN_INTEGER,
  NOT_STAGED,
  OFFSET_OUT_OF_RANGE,
  SYNTAX_ERROR,
} from './errors.ts';
import { absoluteMs, MS_FROM_NOW, SECONDS_FROM_NOW, type TimeUnit } from './expiry-times.ts';
import {
  dropExpiry,
  expireAt,
  find,
  lookUp,
  lookUpAndMark,
  refusal,
  removeKey,
  replyInteger,
  replyOk,
  storeArgument,
  tooLarge,
  writeValue,
} from './records.ts';
import { type CommandRow, command, FIRST_KEY, type Run } from './row.ts';
import {
  GETEX_OPTIONS,
  OPTION_GET,
  OPTION_IFDEQ,
  OPTION_IFDNE,
  OPTION_IFEQ,
  OPTION_IFNE,
  OPTION_KEEPTTL,
  OPTION_NX,
  OPTION_PERSIST,
  OPTION_XX,
  SET_OPTIONS,
  WriteOptions,
} from './set-options.ts';
import { valueIs } from './value-pieces.ts';

const options = new WriteOptions();

function get(execution: Execution, args: Args, out: ReplyWriter): void {
  writeValue(execution, lookUpAndMark(execution, args, 1), out);
}

function strlen(execution: Execution, args: Args, out: ReplyWriter): void {
  const ref = lookUpAndMark(execution, args, 1);
  out.integer(ref === 0 ? 0 : execution.partition.valueBytes(ref));
}

function set(execution: Execution, args: Args, out: ReplyWriter): void {
  if (args.count > 3) setWithOptions(execution, args, out);
  else replyOk(storeArgument(execution, args, 1, 2, 0), out);
}

function setWithOptions(execution: Execution, args: Args, out: ReplyWriter): void {
  if (!options.parse(SET_OPTIONS, args, 3)) return out.error(SYNTAX_ERROR);
  const badTime = options.settleTime('set', args, execution.nowMs);
  if (badTime !== null) return out.error(badTime);
  const digests = options.has(OPTION_IFDEQ | OPTION_IFDNE);
  if (digests && !isDigest(args, options.comparedAt)) return out.error(NOT_A_DIGEST);
  const { partition } = execution;
  const mark = out.mark();
  const wantsOld = options.has(OPTION_GET);
  const ref = wantsOld ? lookUp(execution, args, 1) : find(execution, args, 1);
  if (wantsOld) writeValue(execution, ref, out);

  if (!mayReplace(execution, args, ref)) {
    if (!wantsOld) out.nil();
    return;
  }
  const keeps = ref !== 0 && options.has(OPTION_KEEPTTL);
  const expiresAtMs = keeps ? partition.expiresAtMs(ref) : options.expiresAtMs;
  const refused = storeArgument(execution, args, 1, 2, expiresAtMs);
  if (wantsOld) replaceByError(refused, mark, out);
  else replyOk(refused, out);
}

/** Whether the conditions of SET let it replace the value at `ref`, 0 = none. */
function mayReplace(execution: Execution, args: Args, ref: number): boolean {
  if (ref === 0) return !options.has(OPTION_XX | OPTION_IFEQ | OPTION_IFDEQ);
  if (options.has(OPTION_NX)) return false;
  if (options.has(OPTION_IFEQ | OPTION_IFNE)) {
    return valueIs(execution, ref, args, options.comparedAt) === options.has(OPTION_IFEQ);
  }
  if (!options.has(OPTION_IFDEQ | OPTION_IFDNE)) return true;
  return digestIs(execution, args, 1, ref, options.comparedAt) === options.has(OPTION_IFDEQ);
}

function getset(execution: Execution, args: Args, out: ReplyWriter): void {
  const mark = out.mark();
  writeValue(execution, lookUp(execution, args, 1), out);
  replaceByError(storeArgument(execution, args, 1, 2, 0), mark, out);
}

function setnx(execution: Execution, args: Args, out: ReplyWriter): void {
  if (find(execution, args, 1) !== 0) return out.integer(0);
  replyInteger(storeArgument(execution, args, 1, 2, 0), 1, out);
}

/** SETEX and PSETEX: the time stands before the value. */
function setWithTime(name: string, unit: TimeUnit): Run {
  return (execution, args, out) => {
    const time = args.rounded(2);
    if (Number.isNaN(time)) return out.error(NOT_AN_INTEGER);
    const expiresAtMs = absoluteMs(args, 2, time, unit, execution.nowMs);
    if (time <= 0 || Number.isNaN(expiresAtMs)) return out.error(invalidExpireTime(name));
    replyOk(storeArgument(execution, args, 1, 3, expiresAtMs), out);
  };
}

function getdel(execution: Execution, args: Args, out: ReplyWriter): void {
  const ref = lookUp(execution, args, 1);
  writeValue(execution, ref, out);
  if (ref !== 0) removeKey(execution, args, 1);
}

function getex(execution: Execution, args: Args, out: ReplyWriter): void {
  if (!options.parse(GETEX_OPTIONS, args, 2)) return out.error(SYNTAX_ERROR);
  const ref = lookUpAndMark(execution, args, 1);
  if (ref === 0) return out.nil();
  const badTime = options.settleTime('getex', args, execution.nowMs);
  if (badTime !== null) return out.error(badTime);
  writeValue(execution, ref, out);
  const { partition } = execution;
  if (options.expiresAtMs !== 0) expireAt(execution, args, 1, options.expiresAtMs);
  else if (options.has(OPTION_PERSIST) && partition.expiresAtMs(ref) !== 0) {
    dropExpiry(execution, args, 1);
  }
}

function append(execution: Execution, args: Args, out: ReplyWriter): void {
  const { partition, nowMs } = execution;
  const { buf } = args;
  const bytes = args.bytes(2);
  const [keyStart, keyBytes] = [args.start(1), args.bytes(1)];
  const hash = execution.hash(args, 1);
  const { values } = partition;
  const code = values.append(hash, buf, keyStart, keyBytes, buf, args.start(2), bytes, nowMs);
  replyEdited(execution, args, { key: 1, value: 2, offset: APPEND }, code, out);
}

function setrange(execution: Execution, args: Args, out: ReplyWriter): void {
  const { partition, nowMs } = execution;
  const offset = args.rounded(2);
  if (Number.isNaN(offset)) return out.error(NOT_AN_INTEGER);
  if (offset < 0) return out.error(OFFSET_OUT_OF_RANGE);
  const bytes = args.bytes(3);
  if (bytes === 0) {
    const ref = find(execution, args, 1);
    return out.integer(ref === 0 ? 0 : partition.valueBytes(ref));
  }
  const refused = tooLarge(partition, args.bytes(1), offset + bytes);
  if (refused !== null) return out.error(refused);
  const { buf } = args;
  const code = partition.values.setRange(
    execution.hash(args, 1),
    buf,
    args.start(1),
    args.bytes(1),
    offset,
    buf,
    args.start(3),
    bytes,
    nowMs,
  );
  replyEdited(execution, args, { key: 1, value: 3, offset }, code, out);
}

/** The length of the value, or why it stays as it was. */
function replyEdited(
  execution: Execution,
  args: Args,
  edit: EditRequest,
  code: number,
  out: ReplyWriter,
): void {
  if (code >= 0) return out.integer(code);
  if (code === NEEDS_PASSAGES && execution.staged !== null) {
    const { partition, nowMs } = execution;
    const start = args.start(edit.key);
    const end = start + args.bytes(edit.key);
    const bytes = args.bytes(edit.value);
    const staged = execution.staged.takeEdit(partition, args.buf, start, end, edit.offset, bytes);
    const finished = staged?.finishInside(nowMs) ?? NEEDS_PASSAGES;
    if (finished === CHANGED) return out.error(CHANGED_BEFORE);
    if (finished !== NEEDS_PASSAGES) return replyEdited(execution, args, edit, finished, out);
  }
  if (code === NEEDS_PASSAGES) {
    execution.undone = true;
    execution.edit = edit;
    return out.error(NOT_STAGED);
  }
  const { partition } = execution;
  const ref = edit.offset === APPEND ? find(execution, args, 1) : 0;
  const from = ref === 0 ? Math.max(edit.offset, 0) : partition.valueBytes(ref);
  out.error(refusal(code, partition, args.bytes(edit.key), from + args.bytes(edit.value)));
}

/** Redis' rule: both ends count, from the end where negative. */
function getrange(execution: Execution, args: Args, out: ReplyWriter): void {
  const [first, last] = [args.rounded(2), args.rounded(3)];
  if (Number.isNaN(first) || Number.isNaN(last)) return out.error(NOT_AN_INTEGER);
  const { partition } = execution;
  const ref = lookUpAndMark(execution, args, 1);
  const valueBytes = ref === 0 ? 0 : partition.valueBytes(ref);
  const from = Math.max(first < 0 ? valueBytes + first : first, 0);
  const to = Math.min(last < 0 ? Math.max(valueBytes + last, 0) : last, valueBytes - 1);
  const isEmpty = valueBytes === 0 || from > to || (first < 0 && last < 0 && first > last);
  if (isEmpty) return out.bulkText('');
  const bytes = to - from + 1;
  execution.values.put(partition, ref, from, bytes, out);
}

/** Takes the reply back when the store refused, and leaves the error in its place. */
function replaceByError(refused: string | null, mark: number, out: ReplyWriter): void {
  if (refused === null) return;
  out.rewind(mark);
  out.error(refused);
}

const string = { group: 'string', keys: FIRST_KEY } as const;

export const STRING_COMMANDS: readonly CommandRow[] = [
  command({
    ...string,
    name: 'get',
    arity: 2,
    kind: 'read',
    flags: ['readonly', 'fast'],
    sends: 'value',
    summary: 'Returns the value of a key.',
    run: get,
  }),
  command({
    ...string,
    name: 'set',
    value: 2,
    arity: -3,
    kind: 'write',
    flags: ['write', 'denyoom'],
    summary: 'Sets the value of a key, with an expiry and under conditions if asked for.',
    run: set,
  }),
  command({
    ...string,
    name: 'getset',
    value: 2,
    arity: 3,
    kind: 'write',
    flags: ['write', 'denyoom', 'fast'],
    summary: 'Sets the value of a key and returns the one before.',
    run: getset,
  }),
  command({
    ...string,
    name: 'getdel',
    arity: 2,
    kind: 'write',
    flags: ['write', 'fast'],
    summary: 'Returns the value of a key and deletes it.',
    run: getdel,
  }),
  command({
    ...string,
    name: 'getex',
    arity: -2,
    kind: 'write',
    flags: ['write', 'fast'],
    summary: 'Returns the value of a key and sets or drops its expiry.',
    run: getex,
  }),
  command({
    ...string,
    name: 'setnx',
    value: 2,
    arity: 3,
    kind: 'write',
    flags: ['write', 'denyoom', 'fast'],
    summary: 'Sets the value of a key that does not exist.',
    run: setnx,
  }),
  command({
    ...string,
    name: 'setex',
    value: 3,
    arity: 4,
    kind: 'write',
    flags: ['write', 'denyoom'],
    summary: 'Sets the value of a key and its expiry in seconds.',
    run: setWithTime('setex', SECONDS_FROM_NOW),
  }),
  command({
    ...string,
    name: 'psetex',
    value: 3,
    arity: 4,
    kind: 'write',
    flags: ['write', 'denyoom'],
    summary: 'Sets the value of a key and its expiry in milliseconds.',
    run: setWithTime('psetex', MS_FROM_NOW),
  }),
  command({
    ...string,
    name: 'strlen',
    arity: 2,
    kind: 'read',
    flags: ['readonly', 'fast'],
    summary: 'Returns the length of a value in bytes.',
    run: strlen,
  }),
  command({
    ...string,
    name: 'append',
    edits: { value: 2, offset: 0 },
    arity: 3,
    kind: 'write',
    flags: ['write', 'denyoom', 'fast'],
    summary: 'Appends to the value of a key, or sets it.',
    run: append,
  }),
  command({
    ...string,
    name: 'setrange',
    edits: { value: 3, offset: 2 },
    arity: 4,
    kind: 'write',
    flags: ['write', 'denyoom'],
    summary: 'Overwrites a part of a value from an offset on, with zeros before it where needed.',
    run: setrange,
  }),
  command({
    ...string,
    name: 'getrange',
    arity: 4,
    kind: 'read',
    flags: ['readonly'],
    summary: 'Returns a part of a value.',
    run: getrange,
  }),
  command({
    ...string,
    name: 'substr',
    arity: 4,
    kind: 'read',
    flags: ['readonly'],
    summary: 'Returns a part of a value, as GETRANGE does.',
    run: getrange,
  }),
];
