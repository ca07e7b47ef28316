/** LCS: the longest common subsequence of two values, its length, or where it lies.
 *  A table of (bytes of one + 1) x (bytes of the other + 1) is filled while the worker serves nobody
 *  else, so it is bounded: CELLS_MAX takes some 20 ms and 8 MiB.
 *  Source: https://redis.io/docs/latest/commands/lcs/ */

import type { Args } from '../resp/args.ts';
import type { ReplyWriter } from '../resp/reply-writer.ts';
import type { Execution } from '../serving/execution.ts';
import { NOT_AN_INTEGER, SYNTAX_ERROR } from './errors.ts';
import { lookUpAndMark } from './records.ts';
import { type CommandRow, command } from './row.ts';
import { valueCopy } from './value-pieces.ts';

const CELLS_MAX: number = 2 ** 22;
const TOO_LONG =
  'ERR Insufficient memory, transient memory for LCS exceeds what one command may take: ' +
  `${CELLS_MAX} is the most that both lengths may come to, multiplied`;
const ONE_OF_BOTH = 'ERR If you want both the length and indexes, please just use IDX.';

interface Options {
  length: boolean;
  indexes: boolean;
  matchLengths: boolean;
  matchBytesMin: number;
}

function parse(args: Args): Options | string {
  const options = { length: false, indexes: false, matchLengths: false, matchBytesMin: 0 };
  for (let i = 3; i < args.count; i++) {
    if (args.is(i, 'IDX')) options.indexes = true;
    else if (args.is(i, 'LEN')) options.length = true;
    else if (args.is(i, 'WITHMATCHLEN')) options.matchLengths = true;
    else if (args.is(i, 'MINMATCHLEN') && i + 1 < args.count) {
      const bytes = args.rounded(++i);
      if (Number.isNaN(bytes)) return NOT_AN_INTEGER;
      options.matchBytesMin = Math.max(bytes, 0);
    } else return SYNTAX_ERROR;
  }
  return options.length && options.indexes ? ONE_OF_BOTH : options;
}

/** Lengths of the common subsequences of all beginnings of both, a row per byte of `a`. */
function tableOf(a: Buffer, b: Buffer): Uint16Array {
  const width = b.length + 1;
  const table = new Uint16Array((a.length + 1) * width);
  for (let i = 1; i <= a.length; i++) {
    const byte = a[i - 1];
    let at = i * width + 1;
    let above = table[at - width - 1];
    let left = 0;
    for (let j = 0; j < b.length; j++, at++) {
      const diagonal = above;
      above = table[at - width];
      if (byte === b[j]) left = diagonal + 1;
      else if (above > left) left = above;
      table[at] = left;
    }
  }
  return table;
}

/** A stretch that both have: its first and last byte in each. */
interface Match {
  readonly a: readonly [first: number, last: number];
  readonly b: readonly [first: number, last: number];
}

/** The subsequence, and the stretches that it is made of, the last one first. */
function trace(a: Buffer, b: Buffer, table: Uint16Array): { common: Buffer; matches: Match[] } {
  const width = b.length + 1;
  const common = Buffer.alloc(table[table.length - 1]);
  const matches: Match[] = [];
  let [i, j, left] = [a.length, b.length, common.length];
  while (left > 0) {
    const above = table[(i - 1) * width + j];
    if (a[i - 1] !== b[j - 1]) {
      if (above > table[i * width + j - 1]) i--;
      else j--;
      continue;
    }
    const [endOfA, endOfB] = [i, j];
    while (i > 0 && j > 0 && a[i - 1] === b[j - 1]) {
      common[--left] = a[--i];
      j--;
    }
    matches.push({ a: [i, endOfA - 1], b: [j, endOfB - 1] });
  }
  return { common, matches };
}

function lcs(execution: Execution, args: Args, out: ReplyWriter): void {
  const { partition } = execution;
  const refs = [1, 2].map((i) => lookUpAndMark(execution, args, i));
  const lengths = refs.map((ref) => (ref === 0 ? 0 : partition.valueBytes(ref)));
  const options = parse(args);
  if (typeof options === 'string') return out.error(options);
  if ((lengths[0] + 1) * (lengths[1] + 1) > CELLS_MAX) return out.error(TOO_LONG);
  const [a, b] = refs.map((ref) => (ref === 0 ? Buffer.alloc(0) : valueCopy(execution, ref)));
  // Torn, it is run again: but not after all that work.
  if (!execution.isWhole()) return;
  execution.settled = true;
  const table = tableOf(a, b);
  const length = table[table.length - 1];
  if (options.length) return out.integer(length);
  const { common, matches } = trace(a, b, table);
  if (!options.indexes) return out.bulk(common, 0, common.length);
  const shown = matches.filter(({ a: [first, last] }) => last - first + 1 >= options.matchBytesMin);
  out.map(2);
  out.bulkText('matches');
  out.array(shown.length);
  for (const match of shown) writeMatch(match, options.matchLengths, out);
  out.bulkText('len');
  out.integer(length);
}

function writeMatch({ a, b }: Match, withLength: boolean, out: ReplyWriter): void {
  out.array(withLength ? 3 : 2);
  for (const [first, last] of [a, b]) {
    out.array(2);
    out.integer(first);
    out.integer(last);
  }
  if (withLength) out.integer(a[1] - a[0] + 1);
}

export const LCS_COMMAND: CommandRow = command({
  name: 'lcs',
  arity: -3,
  kind: 'read',
  flags: ['readonly'],
  group: 'string',
  keys: { first: 1, last: 2, step: 1 },
  summary: 'Returns the longest common subsequence of two values.',
  run: lcs,
});
