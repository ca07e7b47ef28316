/** COMMAND: what the table says, in Redis' shape.
 *  Tips and key specifications are left empty: clients route by first, last and step. */

import type { Args } from '../resp/args.ts';
import type { ReplyWriter } from '../resp/reply-writer.ts';
import type { Execution } from '../serving/execution.ts';
import { container } from './container.ts';
import { SYNTAX_ERROR } from './errors.ts';
import { globMatches } from './glob.ts';
import type { CommandRow, Flag } from './row.ts';

/** Name, arity, flags, first, last, step, categories, tips, key specifications, subcommands. */
function writeInfo(row: CommandRow, out: ReplyWriter): void {
  out.array(10);
  out.bulkText(row.name);
  out.integer(row.arity);
  out.set(row.flags.length);
  for (const flag of row.flags) out.simple(flag);
  out.integer(row.keys.first);
  out.integer(row.keys.last);
  out.integer(row.keys.step);
  out.set(row.categories.length);
  for (const category of row.categories) out.simple(category);
  out.array(0);
  out.array(0);
  out.array(row.subcommands.length);
  for (const subcommand of row.subcommands) writeInfo(subcommand, out);
}

function writeDocs(row: CommandRow, out: ReplyWriter): void {
  out.bulkText(row.name);
  const hasSubcommands = row.subcommands.length > 0;
  out.map(hasSubcommands ? 3 : 2);
  out.bulkText('summary');
  out.bulkText(row.summary);
  out.bulkText('group');
  out.bulkText(row.group);
  if (!hasSubcommands) return;
  out.bulkText('subcommands');
  out.map(row.subcommands.length);
  for (const subcommand of row.subcommands) writeDocs(subcommand, out);
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

  function list(_execution: Execution, args: Args, out: ReplyWriter): void {
    const filter = LIST_FILTERS.find(({ word }) => args.count === 5 && args.is(3, word));
    const filtered = args.count === 5 && args.is(2, 'FILTERBY') && filter !== undefined;
    if (args.count > 2 && !filtered) return out.error(SYNTAX_ERROR);
    const value = filtered ? args.copy(4) : null;
    const kept = rows().filter((row) => value === null || filter?.keeps(row, value));
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
        word: 'list',
        arity: -2,
        flags: FLAGS,
        summary: 'Returns the names of the commands.',
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
