/** DUMP and RESTORE: values in Redis' own wrapping, so that they travel between Redis and Ingot. */

import type { Args } from '../resp/args.ts';
import type { ReplyWriter } from '../resp/reply-writer.ts';
import type { Execution } from '../serving/execution.ts';
import { NOT_AN_INTEGER, SYNTAX_ERROR, valueTooLarge } from './errors.ts';
import { absoluteMs, MS_FROM_NOW, UNIX_MS } from './expiry-times.ts';
import { storeMade } from './made-values.ts';
import {
  dumpHead,
  dumpIsWhole,
  FOOTER_BYTES,
  readDumpedString,
  TYPE_STRING,
  writeDumpFooter,
} from './rdb-string.ts';
import { find, lookUp, replyOk } from './records.ts';
import { type CommandRow, command, FIRST_KEY } from './row.ts';
import { piece, visitValue } from './value-pieces.ts';

const KEY_EXISTS = 'BUSYKEY Target key name already exists.';
const INVALID_TTL = 'ERR Invalid TTL value, must be >= 0';
const INVALID_IDLETIME = 'ERR Invalid IDLETIME value, must be >= 0';
const INVALID_FREQ = 'ERR Invalid FREQ value, must be >= 0 and <= 255';
const FREQ_MAX = 255;
const WRONG_FOOTER = 'ERR DUMP payload version or checksum are wrong';
const BAD_FORMAT = 'ERR Bad data format';
const NO_STRING = 'ERR Bad data format: Ingot holds strings only';

function dump(execution: Execution, args: Args, out: ReplyWriter): void {
  const { partition } = execution;
  const ref = lookUp(execution, args, 1);
  if (ref === 0) return out.nil();
  const valueBytes = partition.valueBytes(ref);
  partition.copyValue(ref, 0, Math.min(valueBytes, piece.length), piece, 0);
  // Torn, its length would be anything.
  if (!execution.isWhole()) return;
  const { head, isWhole } = dumpHead(piece, valueBytes);
  const rest = isWhole ? 0 : valueBytes;
  const start = out.bulkSpace(head.length + rest + FOOTER_BYTES);
  if (start === -1) return;
  const { buffer } = out;
  head.copy(buffer, start);
  const from = start + head.length;
  const visited = visitValue(execution, args, 1, ref, 0, rest, (bytes, at) => {
    piece.copy(buffer, from + at, 0, bytes);
    return false;
  });
  if (visited) writeDumpFooter(buffer, start, from + rest);
}

interface RestoreOptions {
  replace: boolean;
  absolute: boolean;
}

/** How long a value was not used, and how often it was, is read and forgotten: eviction here keeps
 *  neither. Returns the error reply where the words make no sense. */
function parseOptions(args: Args): RestoreOptions | string {
  const options = { replace: false, absolute: false };
  let isIdle = false;
  let isFrequent = false;
  for (let i = 4; i < args.count; i++) {
    const hasMore = i + 1 < args.count;
    if (args.is(i, 'REPLACE')) options.replace = true;
    else if (args.is(i, 'ABSTTL')) options.absolute = true;
    else if (args.is(i, 'IDLETIME') && hasMore && !isFrequent) {
      const seconds = args.rounded(++i);
      if (Number.isNaN(seconds)) return NOT_AN_INTEGER;
      if (seconds < 0) return INVALID_IDLETIME;
      isIdle = true;
    } else if (args.is(i, 'FREQ') && hasMore && !isIdle) {
      const often = args.rounded(++i);
      if (Number.isNaN(often)) return NOT_AN_INTEGER;
      if (often < 0 || often > FREQ_MAX) return INVALID_FREQ;
      isFrequent = true;
    } else return SYNTAX_ERROR;
  }
  return options;
}

function restore(execution: Execution, args: Args, out: ReplyWriter): void {
  const { partition, nowMs } = execution;
  const options = parseOptions(args);
  if (typeof options === 'string') return out.error(options);
  if (!options.replace && find(execution, args, 1) !== 0) return out.error(KEY_EXISTS);
  const ttl = args.rounded(2);
  if (Number.isNaN(ttl)) return out.error(NOT_AN_INTEGER);
  if (ttl < 0) return out.error(INVALID_TTL);
  const unit = options.absolute ? UNIX_MS : MS_FROM_NOW;
  // A time that leaves 64 bits has passed, as in Redis.
  const expiresAtMs = ttl === 0 ? 0 : absoluteMs(args, 2, ttl, unit, nowMs) || 1;
  const [start, bytes] = [args.start(3), args.bytes(3)];
  if (!dumpIsWhole(args.buf, start, bytes)) return out.error(WRONG_FOOTER);
  const dumped = readDumpedString(args.buf, start, bytes);
  if (dumped === null) {
    return out.error(args.buf[start] === TYPE_STRING ? BAD_FORMAT : NO_STRING);
  }
  const valueBytesMax = partition.values.valueBytesMax(args.bytes(1));
  if (dumped.bytes > valueBytesMax) return out.error(valueTooLarge(dumped.bytes, valueBytesMax));
  const value = dumped.make();
  if (value === null) return out.error(BAD_FORMAT);
  replyOk(
    storeMade(execution, args, 1, dumped.bytes, '', () => value, expiresAtMs),
    out,
  );
}

export const DUMP_COMMANDS: readonly CommandRow[] = [
  command({
    name: 'dump',
    arity: 2,
    kind: 'read',
    flags: ['readonly'],
    group: 'generic',
    keys: FIRST_KEY,
    summary: 'Returns a value wrapped for RESTORE, here or in Redis.',
    run: dump,
  }),
  command({
    name: 'restore',
    arity: -4,
    kind: 'write',
    flags: ['write', 'denyoom'],
    group: 'generic',
    keys: FIRST_KEY,
    dangerous: true,
    summary: 'Sets a key to a value that DUMP returned, here or in Redis.',
    run: restore,
  }),
];
