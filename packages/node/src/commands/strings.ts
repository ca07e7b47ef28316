/** GET, SET and what combines them: one key, its whole value.
 *  Where a reply carries the old value, it is written before the store changes; should the store
 *  then refuse, the reply is rewound to the error. */

import { CHUNK_BYTES } from '@ingot/store';
import type { Args } from '../resp/args.ts';
import type { ReplyWriter } from '../resp/reply-writer.ts';
import type { Execution } from '../serving/execution.ts';
import { invalidExpireTime, NOT_AN_INTEGER, SYNTAX_ERROR } from './errors.ts';
import {
  absoluteMs,
  MS_FROM_NOW,
  readTime,
  SECONDS_FROM_NOW,
  type TimeUnit,
} from './expiry-times.ts';
import {
  dropExpiry,
  expireAt,
  find,
  lookUp,
  lookUpAndMark,
  removeKey,
  replyInteger,
  replyOk,
  storeArgument,
  storeBytes,
  tooLarge,
  writeValue,
} from './records.ts';
import { type CommandRow, command, FIRST_KEY, type Run } from './row.ts';
import {
  GETEX_OPTIONS,
  OPTION_GET,
  OPTION_KEEPTTL,
  OPTION_NX,
  OPTION_PERSIST,
  OPTION_XX,
  SET_OPTIONS,
  WriteOptions,
} from './set-options.ts';

const options = new WriteOptions();

/** APPEND's result on its way into the store: no value is longer than one slot. */
const joined = Buffer.allocUnsafeSlow(CHUNK_BYTES);

function get(execution: Execution, args: Args, out: ReplyWriter): void {
  writeValue(execution.partition, lookUpAndMark(execution, args, 1), out);
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
  const { partition } = execution;
  const mark = out.mark();
  const wantsOld = options.has(OPTION_GET);
  const ref = wantsOld ? lookUp(execution, args, 1) : find(execution, args, 1);
  if (wantsOld) writeValue(partition, ref, out);

  if (options.has(ref === 0 ? OPTION_XX : OPTION_NX)) {
    if (!wantsOld) out.nil();
    return;
  }
  const keeps = ref !== 0 && options.has(OPTION_KEEPTTL);
  const expiresAtMs = keeps ? partition.expiresAtMs(ref) : options.expiresAtMs;
  const refused = storeArgument(execution, args, 1, 2, expiresAtMs);
  if (wantsOld) replaceByError(refused, mark, out);
  else replyOk(refused, out);
}

function getset(execution: Execution, args: Args, out: ReplyWriter): void {
  const mark = out.mark();
  writeValue(execution.partition, lookUp(execution, args, 1), out);
  replaceByError(storeArgument(execution, args, 1, 2, 0), mark, out);
}

function setnx(execution: Execution, args: Args, out: ReplyWriter): void {
  if (find(execution, args, 1) !== 0) return out.integer(0);
  replyInteger(storeArgument(execution, args, 1, 2, 0), 1, out);
}

/** SETEX and PSETEX: the time stands before the value. */
function setWithTime(name: string, unit: TimeUnit): Run {
  return (execution, args, out) => {
    const time = readTime(args, 2);
    if (Number.isNaN(time)) return out.error(NOT_AN_INTEGER);
    const expiresAtMs = absoluteMs(time, unit, execution.nowMs);
    if (time <= 0 || Number.isNaN(expiresAtMs)) return out.error(invalidExpireTime(name));
    replyOk(storeArgument(execution, args, 1, 3, expiresAtMs), out);
  };
}

function getdel(execution: Execution, args: Args, out: ReplyWriter): void {
  const ref = lookUp(execution, args, 1);
  writeValue(execution.partition, ref, out);
  if (ref !== 0) removeKey(execution, args, 1);
}

function getex(execution: Execution, args: Args, out: ReplyWriter): void {
  if (!options.parse(GETEX_OPTIONS, args, 2)) return out.error(SYNTAX_ERROR);
  const ref = lookUpAndMark(execution, args, 1);
  if (ref === 0) return out.nil();
  const badTime = options.settleTime('getex', args, execution.nowMs);
  if (badTime !== null) return out.error(badTime);
  writeValue(execution.partition, ref, out);
  if (options.expiresAtMs !== 0) expireAt(execution, args, 1, options.expiresAtMs);
  else if (options.has(OPTION_PERSIST)) dropExpiry(execution, args, 1);
}

/** Appends through a buffer of this worker: the old value may move while the new one is stored. */
function append(execution: Execution, args: Args, out: ReplyWriter): void {
  const { partition } = execution;
  const ref = find(execution, args, 1);
  if (ref === 0) return replyInteger(storeArgument(execution, args, 1, 2, 0), args.bytes(2), out);
  const oldBytes = partition.valueBytes(ref);
  const bytes = oldBytes + args.bytes(2);
  const refused = tooLarge(args.bytes(1), bytes);
  if (refused !== null) return out.error(refused);
  partition.copyValue(ref, 0, oldBytes, joined, 0);
  args.buf.copy(joined, oldBytes, args.start(2), args.start(2) + args.bytes(2));
  const expiresAtMs = partition.expiresAtMs(ref);
  replyInteger(storeBytes(execution, args, 1, joined, 0, bytes, expiresAtMs), bytes, out);
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
    summary: 'Returns the value of a key.',
    run: get,
  }),
  command({
    ...string,
    name: 'set',
    arity: -3,
    kind: 'write',
    flags: ['write', 'denyoom'],
    summary: 'Sets the value of a key, with an expiry and under conditions if asked for.',
    run: set,
  }),
  command({
    ...string,
    name: 'getset',
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
    arity: 3,
    kind: 'write',
    flags: ['write', 'denyoom', 'fast'],
    summary: 'Sets the value of a key that does not exist.',
    run: setnx,
  }),
  command({
    ...string,
    name: 'setex',
    arity: 4,
    kind: 'write',
    flags: ['write', 'denyoom'],
    summary: 'Sets the value of a key and its expiry in seconds.',
    run: setWithTime('setex', SECONDS_FROM_NOW),
  }),
  command({
    ...string,
    name: 'psetex',
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
    arity: 3,
    kind: 'write',
    flags: ['write', 'denyoom', 'fast'],
    summary: 'Appends to the value of a key, or sets it.',
    run: append,
  }),
];
