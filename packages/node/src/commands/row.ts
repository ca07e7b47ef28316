/** What a row of the command table says, and how a row is made.
 *
 *  A row is the whole truth about a command: dispatch, arity checks, routing, COMMAND replies and
 *  help come from it. Categories are not written down: Redis derives them from flags and group, and
 *  so does `command`. */

import type { Args } from '../resp/args.ts';
import type { ReplyWriter } from '../resp/reply-writer.ts';
import type { Command, Execution, KeyPositions } from '../serving/execution.ts';

/** Redis' groups, as COMMAND DOCS names them. */
export type Group =
  | 'string'
  | 'bitmap'
  | 'generic'
  | 'connection'
  | 'server'
  | 'transactions'
  | 'cluster';

export type Flag =
  | 'readonly'
  | 'write'
  | 'denyoom'
  | 'fast'
  | 'admin'
  | 'noscript'
  | 'loading'
  | 'stale'
  | 'no_auth'
  | 'no_async_loading'
  | 'no_multi'
  | 'allow_busy'
  | 'skip_slowlog';

export interface CommandRow extends Command {
  readonly flags: readonly Flag[];
  readonly group: Group;
  /** One sentence, as COMMAND DOCS and the README show it. */
  readonly summary: string;
  /** None but for containers. */
  readonly subcommands: readonly CommandRow[];
}

export type Run = (execution: Execution, args: Args, out: ReplyWriter) => void;

/** What a family writes down for one command. */
export interface RowInput extends Omit<Command, 'keys' | 'categories'> {
  readonly flags: readonly Flag[];
  readonly group: Group;
  readonly summary: string;
  /** None when left out. */
  readonly keys?: KeyPositions;
  /** Category that stands for the group, where it is not the group's usual one. */
  readonly category?: string | null;
  /** More categories. */
  readonly categoriesToo?: readonly string[];
  /** Dangerous although not for administrators alone, such as KEYS. */
  readonly dangerous?: boolean;
}

export const NO_KEYS: KeyPositions = { first: 0, last: 0, step: 0 };
export const FIRST_KEY: KeyPositions = { first: 1, last: 1, step: 1 };
export const ALL_KEYS: KeyPositions = { first: 1, last: -1, step: 1 };
export const KEY_VALUE_PAIRS: KeyPositions = { first: 1, last: -1, step: 2 };

const GROUP_CATEGORY: Record<Group, string | null> = {
  string: '@string',
  bitmap: '@bitmap',
  generic: '@keyspace',
  connection: '@connection',
  transactions: '@transaction',
  server: null,
  cluster: null,
};

/** In the order in which Redis names them. */
const CATEGORIES: readonly string[] = [
  '@keyspace',
  '@read',
  '@write',
  '@string',
  '@bitmap',
  '@pubsub',
  '@admin',
  '@fast',
  '@slow',
  '@blocking',
  '@dangerous',
  '@connection',
  '@transaction',
  '@scripting',
];

/** Not `fast` to Redis, yet of one key and one value. */
const QUICK: ReadonlySet<string> = new Set(['set', 'setex', 'psetex', 'getrange', 'substr']);

export function command(input: RowInput): CommandRow {
  const { category, dangerous, categoriesToo = [], ...row } = input;
  const groupCategory = category === undefined ? GROUP_CATEGORY[row.group] : category;
  const derived = categoriesOf(row.flags, groupCategory, dangerous === true);
  const categories = CATEGORIES.filter((name) => [...derived, ...categoriesToo].includes(name));
  const keys = input.keys ?? NO_KEYS;
  const atomic = input.atomic ?? keys.last !== keys.first;
  const mayBeSlow = !row.flags.includes('fast') && !QUICK.has(row.name);
  return { ...row, keys, atomic, mayBeSlow, categories, subcommands: [] };
}

/** Redis' rule: exactly `arity` arguments with the name, or at least -arity. */
export function arityHolds(row: Command, argumentCount: number): boolean {
  return row.arity >= 0 ? argumentCount === row.arity : argumentCount >= -row.arity;
}

function categoriesOf(
  flags: readonly Flag[],
  groupCategory: string | null,
  dangerous: boolean,
): string[] {
  const categories = groupCategory === null ? [] : [groupCategory];
  if (flags.includes('write')) categories.push('@write');
  if (flags.includes('readonly')) categories.push('@read');
  if (flags.includes('admin')) categories.push('@admin');
  if (flags.includes('admin') || dangerous) categories.push('@dangerous');
  categories.push(flags.includes('fast') ? '@fast' : '@slow');
  return CATEGORIES.filter((category) => categories.includes(category));
}
