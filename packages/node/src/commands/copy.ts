/** COPY RENAME RENAMENX: from one key to another of the same partition, the expiry with it.
 *  Keys of two partitions cannot be changed at one moment: they are refused before anything runs. */

import { SET_OK } from '@ingot/store';
import type { Args } from '../resp/args.ts';
import type { ReplyWriter } from '../resp/reply-writer.ts';
import type { Execution } from '../serving/execution.ts';
import { NOT_AN_INTEGER, SYNTAX_ERROR } from './errors.ts';
import { copySlowly, storeMade } from './made-values.ts';
import { find, refusal, removeKey } from './records.ts';
import { type CommandRow, command, type Run } from './row.ts';
import { valueCopy } from './value-pieces.ts';

const NO_SUCH_KEY = 'ERR no such key';
const SAME_KEY = 'ERR source and destination objects are the same';
const NO_SUCH_DATABASE = 'ERR DB index is out of range';

const NOT_32_BITS = 'ERR value is out of range, value must between -2147483648 and 2147483647';

const SOURCE = 1;
const TARGET = 2;

/** Stores what the source holds under the other key. Returns the error reply, or null. */
function copyOver(execution: Execution, args: Args, ref: number): string | null {
  const { partition } = execution;
  if (partition.fingerprint(ref) !== 0) return copyStruct(execution, args, ref);
  const seq = partition.recordSeq(ref);
  return storeMade(
    execution,
    args,
    TARGET,
    partition.valueBytes(ref),
    `${seq}`,
    () => valueCopy(execution, ref),
    partition.expiresAtMs(ref),
    () => copySlowly(execution, args, SOURCE, seq),
  );
}

/** A struct stays one: it has no extents, so one passage is enough. */
function copyStruct(execution: Execution, args: Args, ref: number): string | null {
  const { partition, nowMs } = execution;
  const value = valueCopy(execution, ref);
  const keyBytes = args.bytes(TARGET);
  const code = partition.structs.set(
    execution.hash(args, TARGET),
    args.buf,
    args.start(TARGET),
    keyBytes,
    partition.fingerprint(ref),
    value,
    0,
    value.length,
    partition.expiresAtMs(ref),
    nowMs,
  );
  return code === SET_OK ? null : refusal(code, partition, keyBytes, value.length);
}

function areSame(args: Args): boolean {
  const [start, end] = [args.start(TARGET), args.start(TARGET) + args.bytes(TARGET)];
  const source = args.start(SOURCE);
  return args.buf.compare(args.buf, start, end, source, source + args.bytes(SOURCE)) === 0;
}

function copy(execution: Execution, args: Args, out: ReplyWriter): void {
  let replaces = false;
  for (let i = 3; i < args.count; i++) {
    if (args.is(i, 'REPLACE')) replaces = true;
    else if (args.is(i, 'DB') && i + 1 < args.count) {
      const database = args.rounded(++i);
      if (Number.isNaN(database)) return out.error(NOT_AN_INTEGER);
      if (database !== (database | 0)) return out.error(NOT_32_BITS);
      if (database !== 0) return out.error(NO_SUCH_DATABASE);
    } else return out.error(SYNTAX_ERROR);
  }
  if (areSame(args)) return out.error(SAME_KEY);
  const ref = find(execution, args, SOURCE);
  if (ref === 0 || (!replaces && find(execution, args, TARGET) !== 0)) return out.integer(0);
  const refused = copyOver(execution, args, ref);
  if (refused === null) out.integer(1);
  else out.error(refused);
}

function rename(onlyNew: boolean): Run {
  return (execution, args, out) => {
    const ref = find(execution, args, SOURCE);
    if (ref === 0) return out.error(NO_SUCH_KEY);
    const same = areSame(args);
    if (onlyNew && (same || find(execution, args, TARGET) !== 0)) return out.integer(0);
    if (!same) {
      const refused = copyOver(execution, args, ref);
      if (refused !== null) return out.error(refused);
      removeKey(execution, args, SOURCE);
    }
    if (onlyNew) out.integer(1);
    else out.ok();
  };
}

const twoKeys = {
  kind: 'write',
  group: 'generic',
  keys: { first: SOURCE, last: TARGET, step: 1 },
} as const;

export const COPY_COMMANDS: readonly CommandRow[] = [
  command({
    ...twoKeys,
    name: 'copy',
    arity: -3,
    flags: ['write', 'denyoom'],
    summary: 'Copies a value, with its expiry, to another key.',
    run: copy,
  }),
  command({
    ...twoKeys,
    name: 'rename',
    arity: 3,
    flags: ['write'],
    summary: 'Gives a value, with its expiry, to another key.',
    run: rename(false),
  }),
  command({
    ...twoKeys,
    name: 'renamenx',
    arity: 3,
    flags: ['write', 'fast'],
    summary: 'Gives a value, with its expiry, to a key that does not exist.',
    run: rename(true),
  }),
];
