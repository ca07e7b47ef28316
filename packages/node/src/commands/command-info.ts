/** COMMAND: what the table says, in Redis' shape. */

import type { Args } from '../resp/args.ts';
import type { ReplyWriter } from '../resp/reply-writer.ts';
import type { Execution } from '../serving/execution.ts';
import { keyIndexes } from '../serving/keys.ts';
import { writeDocs } from './command-docs.ts';
import { type KeySpec, keySpecsOf, tipsOf } from './command-metadata.ts';
import { container } from './container.ts';
import { SYNTAX_ERROR } from './errors.ts';
import { globMatches } from './glob.ts';
import { arityHolds, type CommandRow, type Flag } from './row.ts';

/** Name, arity, flags, first, last, step, categories, tips, key specifications, subcommands. */
function writeInfo(row: CommandRow, out: ReplyWriter): void {
  out.array(10);
  out.bulkText(row.name);
  out.integer(row.arity);
  writeFlags(row.flags, out);
  out.integer(row.keys.first);
  out.integer(row.keys.last);
  out.integer(row.keys.step);
  writeFlags(row.categories, out);
  writeBulks(tipsOf(row), out);
  const specs = keySpecsOf(row);
  out.set(specs.length);
  for (const spec of specs) writeKeySpec(spec, out);
  out.set(row.subcommands.length);
  for (const subcommand of row.subcommands) writeInfo(subcommand, out);
}

function writeBulks(words: readonly string[], out: ReplyWriter): void {
  out.set(words.length);
  for (const word of words) out.bulkText(word);
}

function writeKeySpec({ notes, flags, first, lastKey, step }: KeySpec, out: ReplyWriter): void {
  out.map(notes === null ? 3 : 4);
  if (notes !== null) {
    out.bulkText('notes');
    out.bulkText(notes);
  }
  out.bulkText('flags');
  writeFlags(flags, out);
  out.bulkText('begin_search');
  writeSearch('index', [['index', first]], out);
  out.bulkText('find_keys');
  const range = [
    ['lastkey', lastKey],
    ['keystep', step],
    ['limit', 0],
  ] as const;
  writeSearch('range', range, out);
}

function writeFlags(flags: readonly string[], out: ReplyWriter): void {
  out.set(flags.length);
  for (const flag of flags) out.simple(flag);
}

function writeSearch(
  type: string,
  spec: readonly (readonly [name: string, value: number])[],
  out: ReplyWriter,
): void {
  out.map(2);
  out.bulkText('type');
  out.bulkText(type);
  out.bulkText('spec');
  out.map(spec.length);
  for (const [name, value] of spec) {
    out.bulkText(name);
    out.integer(value);
  }
}

/** The row that argument `i` names: `get`, or a subcommand as `client|id`. */
function rowNamed(rows: readonly CommandRow[], args: Args, i: number): CommandRow | null {
  for (const row of rows) {
    if (args.is(i, row.name.toUpperCase())) return row;
    const subcommand = rowNamed(row.subcommands, args, i);
    if (subcommand !== null) return subcommand;
  }
  return null;
}

/** The rows that arguments 2.. name, with null for unknown names; all rows without arguments. */
function rowsAsked(rows: readonly CommandRow[], args: Args): readonly (CommandRow | null)[] {
  if (args.count <= 2) return rows;
  const asked: (CommandRow | null)[] = [];
  for (let i = 2; i < args.count; i++) asked.push(rowNamed(rows, args, i));
  return asked;
}

const NO_SUCH_COMMAND = 'ERR Invalid command specified';
const NO_KEYS = 'ERR The command has no key arguments';
const WRONG_COUNT = 'ERR Invalid number of arguments specified for command';

interface KeyUse {
  /** Argument of the command that COMMAND was asked about. */
  readonly at: number;
  readonly flags: readonly string[];
}

/** Arguments 2.. are a command: its keys and what it does to them; or the error reply. */
function keysUsed(rows: readonly CommandRow[], args: Args): readonly KeyUse[] | string {
  const named = rows.find(({ name }) => args.is(2, name.toUpperCase()));
  const subcommand = named?.subcommands.find(
    ({ name }) => args.count > 3 && args.is(3, name.slice(name.indexOf('|') + 1).toUpperCase()),
  );
  const row = subcommand ?? (named !== undefined && named.subcommands.length > 0 ? null : named);
  if (row === null || row === undefined) return NO_SUCH_COMMAND;
  const specs = keySpecsOf(row);
  if (specs.length === 0) return NO_KEYS;
  const count = args.count - 2;
  if (!arityHolds(row, count)) return WRONG_COUNT;
  const [first, rest = first] = specs.map(({ flags }) => flagsInCall(row, flags, args));
  return keyIndexes(row.keys, count).map((at, i) => ({ at, flags: i === 0 ? first : rest }));
}

/** What SET and BITFIELD do depends on their other arguments. */
function flagsInCall(
  { name }: CommandRow,
  flags: readonly string[],
  args: Args,
): readonly string[] {
  if (!flags.includes('variable_flags')) return flags;
  const says = (word: string, from: number): boolean => {
    for (let i = from; i < args.count; i++) if (args.is(i, word)) return true;
    return false;
  };
  if (name === 'bitfield') {
    const writes = says('SET', 4) || says('INCRBY', 4);
    return writes ? ['RW', 'access', 'update'] : ['RO', 'access'];
  }
  if (name === 'delex') return args.count > 4 ? ['RW', 'delete'] : ['RM', 'delete'];
  return says('GET', 5) ? ['RW', 'access', 'update'] : ['OW', 'update'];
}

/** Which rows COMMAND LIST FILTERBY keeps. */
const LIST_FILTERS: readonly {
  readonly word: string;
  readonly keeps: (row: CommandRow, value: Buffer) => boolean;
}[] = [
  {
    word: 'PATTERN',
    keeps: ({ name }, value) => globMatches(value, Buffer.from(name), 0, name.length),
  },
  {
    word: 'ACLCAT',
    keeps: ({ categories }, value) => categories.includes(`@${value.toString().toLowerCase()}`),
  },
  { word: 'MODULE', keeps: () => false },
];

const FLAGS: readonly Flag[] = ['loading', 'stale'];

/** The COMMAND row over all `rows`, which it joins itself. */
export function commandCommand(rows: () => readonly CommandRow[]): CommandRow {
  function info(_execution: Execution, args: Args, out: ReplyWriter): void {
    const asked = rowsAsked(rows(), args);
    out.array(asked.length);
    for (const row of asked) {
      if (row === null) out.nilArray();
      else writeInfo(row, out);
    }
  }

  function docs(_execution: Execution, args: Args, out: ReplyWriter): void {
    const known = rowsAsked(rows(), args).filter((row) => row !== null);
    out.map(known.length);
    for (const row of known) writeDocs(row, out);
  }

  function getKeys(_execution: Execution, args: Args, out: ReplyWriter): void {
    const keys = keysUsed(rows(), args);
    if (typeof keys === 'string') return out.error(keys);
    out.array(keys.length);
    for (const { at } of keys) out.bulk(args.buf, args.start(at + 2), args.bytes(at + 2));
  }

  function getKeysAndFlags(_execution: Execution, args: Args, out: ReplyWriter): void {
    const keys = keysUsed(rows(), args);
    if (typeof keys === 'string') return out.error(keys);
    out.array(keys.length);
    for (const { at, flags } of keys) {
      out.array(2);
      out.bulk(args.buf, args.start(at + 2), args.bytes(at + 2));
      writeFlags(flags, out);
    }
  }

  function list(_execution: Execution, args: Args, out: ReplyWriter): void {
    const filter = LIST_FILTERS.find(({ word }) => args.count === 5 && args.is(3, word));
    const filtered = args.count === 5 && args.is(2, 'FILTERBY') && filter !== undefined;
    if (args.count > 2 && !filtered) return out.error(SYNTAX_ERROR);
    const value = filtered ? args.copy(4) : null;
    const all = rows().flatMap((row) => [row, ...row.subcommands]);
    const kept = all.filter((row) => value === null || filter?.keeps(row, value));
    out.array(kept.length);
    for (const row of kept) out.bulkText(row.name);
  }

  return container({
    name: 'command',
    arity: -1,
    flags: FLAGS,
    group: 'server',
    categories: { own: '@connection', subcommands: '@connection' },
    summary: 'Describes the commands.',
    bare: info,
    subcommands: [
      {
        word: 'count',
        arity: 2,
        flags: FLAGS,
        summary: 'Returns the number of commands.',
        run: (_execution, _args, out) => out.integer(rows().length),
      },
      {
        word: 'info',
        arity: -2,
        flags: FLAGS,
        summary: 'Returns arity, flags and key positions of commands.',
        run: info,
      },
      {
        word: 'getkeys',
        arity: -4,
        flags: FLAGS,
        summary: 'Returns the keys of the command that follows.',
        run: getKeys,
      },
      {
        word: 'getkeysandflags',
        arity: -4,
        flags: FLAGS,
        summary: 'Returns the keys of the command that follows, and what it does to them.',
        run: getKeysAndFlags,
      },
      {
        word: 'list',
        arity: -2,
        flags: FLAGS,
        summary: 'Returns the names of commands and subcommands, of all or filtered.',
        run: list,
      },
      {
        word: 'docs',
        arity: -2,
        flags: FLAGS,
        summary: 'Returns what commands do, in a sentence each.',
        run: docs,
      },
    ],
  });
}
