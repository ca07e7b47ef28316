/** Commands that look at a value before they delete it, and DIGEST, by which a client can name a value.
 *  IFEQ and IFNE compare with a value, IFDEQ and IFDNE with a digest. */

import type { Args } from '../resp/args.ts';
import type { ReplyWriter } from '../resp/reply-writer.ts';
import type { Execution } from '../serving/execution.ts';
import { digestIs, isDigest, NOT_A_DIGEST, tellDigest } from './digest.ts';
import { SYNTAX_ERROR } from './errors.ts';
import { find, lookUpAndMark, removeKey } from './records.ts';
import { type CommandRow, command, FIRST_KEY } from './row.ts';
import { valueIs } from './value-pieces.ts';

/** Deletes the key if its value is argument 2. */
function delifeq(execution: Execution, args: Args, out: ReplyWriter): void {
  const ref = find(execution, args, 1);
  const isIt = ref !== 0 && valueIs(execution, ref, args, 2);
  out.integer(isIt ? removeKey(execution, args, 1) : 0);
}

const COMPARISONS: readonly {
  readonly word: string;
  readonly equal: boolean;
  readonly digests: boolean;
}[] = [
  { word: 'IFEQ', equal: true, digests: false },
  { word: 'IFNE', equal: false, digests: false },
  { word: 'IFDEQ', equal: true, digests: true },
  { word: 'IFDNE', equal: false, digests: true },
];

/** DELEX key [IFEQ value | IFNE value | IFDEQ digest | IFDNE digest] */
function delex(execution: Execution, args: Args, out: ReplyWriter): void {
  if (args.count === 2) return out.integer(removeKey(execution, args, 1));
  const comparison = COMPARISONS.find(({ word }) => args.count === 4 && args.is(2, word));
  if (comparison === undefined) return out.error(SYNTAX_ERROR);
  const { equal, digests } = comparison;
  if (digests && !isDigest(args, 3)) return out.error(NOT_A_DIGEST);
  const ref = find(execution, args, 1);
  if (ref === 0) return out.integer(0);
  const isIt = digests ? digestIs(execution, args, 1, ref, 3) : valueIs(execution, ref, args, 3);
  out.integer(isIt === equal ? removeKey(execution, args, 1) : 0);
}

function digest(execution: Execution, args: Args, out: ReplyWriter): void {
  const ref = lookUpAndMark(execution, args, 1);
  if (ref === 0) return out.nil();
  tellDigest(execution, args, ref, out);
}

const string = { group: 'string', keys: FIRST_KEY } as const;

export const CONDITIONAL_COMMANDS: readonly CommandRow[] = [
  command({
    ...string,
    name: 'delifeq',
    arity: 3,
    kind: 'write',
    flags: ['write', 'fast'],
    summary: 'Deletes a key if it has this value.',
    run: delifeq,
  }),
  command({
    ...string,
    name: 'delex',
    arity: -2,
    kind: 'write',
    flags: ['write', 'fast'],
    summary:
      'Deletes a key, if its value (IFEQ, IFNE) or digest (IFDEQ, IFDNE) is this or another.',
    run: delex,
  }),
  command({
    ...string,
    name: 'digest',
    arity: 2,
    kind: 'read',
    flags: ['readonly', 'fast'],
    summary: 'Returns the XXH3 hash of a value as 16 hexadecimal digits.',
    run: digest,
  }),
];
