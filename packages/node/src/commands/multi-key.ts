/** Commands over several keys: MGET MSET MSETNX, and DEL UNLINK EXISTS TOUCH, which also take one.
 *  What arrives here is of one partition; calls over several are split by the executor and put
 *  together again by the row's `split`. A write over several keys reaches followers as one
 *  transaction, because the executor runs the whole command in one. */

import type { Args } from '../resp/args.ts';
import type { ReplyWriter } from '../resp/reply-writer.ts';
import type { Execution } from '../serving/execution.ts';
import { wrongArity } from './errors.ts';
import {
  find,
  lookUp,
  lookUpAndMark,
  removeKey,
  storeArgument,
  tooLarge,
  writeValue,
} from './records.ts';
import { ALL_KEYS, type CommandRow, command, KEY_VALUE_PAIRS, type Run } from './row.ts';

function mget(execution: Execution, args: Args, out: ReplyWriter): void {
  out.array(args.count - 1);
  for (let i = 1; i < args.count; i++) {
    writeValue(execution, lookUpAndMark(execution, args, i), out);
  }
}

/** All sizes are checked before the first key changes, so that a value that is too large leaves
 *  nothing behind. Running out of memory in the middle does: the keys before it stay set. */
function mset(execution: Execution, args: Args, out: ReplyWriter): void {
  if (args.count % 2 === 0) return out.error(wrongArity('mset'));
  for (let i = 1; i < args.count; i += 2) {
    const refused = tooLarge(execution.partition, args.bytes(i), args.bytes(i + 1));
    if (refused !== null) return out.error(refused);
  }
  for (let i = 1; i < args.count; i += 2) {
    const refused = storeArgument(execution, args, i, i + 1, 0);
    if (refused !== null) return out.error(refused);
  }
  out.ok();
}

/** All or none, here in the memory that they take, too. */
function msetnx(execution: Execution, args: Args, out: ReplyWriter): void {
  if (args.count % 2 === 0) return out.error(wrongArity('msetnx'));
  for (let i = 1; i < args.count; i += 2) {
    if (find(execution, args, i) !== 0) return out.integer(0);
    const refused = tooLarge(execution.partition, args.bytes(i), args.bytes(i + 1));
    if (refused !== null) return out.error(refused);
  }
  for (let i = 1; i < args.count; i += 2) {
    const refused = storeArgument(execution, args, i, i + 1, 0);
    if (refused === null) continue;
    for (let k = 1; k < i; k += 2) removeKey(execution, args, k);
    return out.error(refused);
  }
  out.integer(1);
}

/** Replies how many of the keys `visit` found; a key named twice is visited twice. */
function countOver(visit: (execution: Execution, args: Args, i: number) => number): Run {
  return (execution, args, out) => {
    let found = 0;
    for (let i = 1; i < args.count; i++) found += visit(execution, args, i);
    out.integer(found);
  };
}

const exists: Run = countOver((execution, args, i) => (lookUp(execution, args, i) === 0 ? 0 : 1));
/** Counts as a use even where the client's reads do not (CLIENT NO-TOUCH), as in Redis. */
const touch: Run = countOver((execution, args, i) => {
  const ref = lookUp(execution, args, i);
  if (ref === 0) return 0;
  execution.partition.mark(ref);
  return 1;
});

export const MULTI_KEY_COMMANDS: readonly CommandRow[] = [
  command({
    name: 'mget',
    arity: -2,
    kind: 'read',
    flags: ['readonly', 'fast'],
    group: 'string',
    keys: ALL_KEYS,
    split: 'gather',
    summary: 'Returns the values of several keys.',
    run: mget,
  }),
  command({
    name: 'mset',
    arity: -3,
    kind: 'write',
    flags: ['write', 'denyoom'],
    group: 'string',
    keys: KEY_VALUE_PAIRS,
    value: 2,
    split: 'ok',
    summary: 'Sets the values of several keys.',
    run: mset,
  }),
  command({
    name: 'msetnx',
    arity: -3,
    kind: 'write',
    flags: ['write', 'denyoom'],
    group: 'string',
    keys: KEY_VALUE_PAIRS,
    value: 2,
    summary: 'Sets the values of several keys of one partition if none of them exists.',
    run: msetnx,
  }),
  command({
    name: 'del',
    arity: -2,
    kind: 'write',
    flags: ['write'],
    group: 'generic',
    keys: ALL_KEYS,
    split: 'sum',
    summary: 'Deletes keys and returns how many there were.',
    run: countOver(removeKey),
  }),
  command({
    name: 'unlink',
    arity: -2,
    kind: 'write',
    flags: ['write', 'fast'],
    group: 'generic',
    keys: ALL_KEYS,
    split: 'sum',
    summary: 'Deletes keys, as DEL does.',
    run: countOver(removeKey),
  }),
  command({
    name: 'exists',
    arity: -2,
    kind: 'read',
    flags: ['readonly', 'fast'],
    group: 'generic',
    keys: ALL_KEYS,
    split: 'sum',
    summary: 'Returns how many of the keys exist.',
    run: exists,
  }),
  command({
    name: 'touch',
    arity: -2,
    kind: 'read',
    flags: ['readonly', 'fast'],
    group: 'generic',
    keys: ALL_KEYS,
    split: 'sum',
    summary: 'Marks keys as used and returns how many exist.',
    run: touch,
  }),
];
