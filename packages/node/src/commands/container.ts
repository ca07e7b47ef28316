/** Commands of two words: CLIENT, CONFIG, COMMAND, CLUSTER.
 *  A container is a row whose subcommands are rows too; it only looks up the second word, checks
 *  that row's arity and passes on. HELP comes by itself, from the summaries. */

import type { ReplyWriter } from '../resp/reply-writer.ts';
import type { KeyPositions } from '../serving/execution.ts';
import { unknownSubcommand, wrongArity } from './errors.ts';
import { arityHolds, type CommandRow, command, type RowInput, type Run } from './row.ts';

/** What a family writes down for a subcommand. Most are about the session or the node; one that
 *  names keys is found before they are routed, and runs as a command of its own. */
export interface SubcommandInput {
  /** The second word, lower case. */
  readonly word: string;
  /** Counts both words. */
  readonly arity: number;
  readonly flags: RowInput['flags'];
  readonly kind?: 'read' | 'write';
  readonly keys?: KeyPositions;
  readonly summary: string;
  readonly run: Run;
}

export interface ContainerInput
  extends Pick<RowInput, 'name' | 'arity' | 'flags' | 'group' | 'summary'> {
  /** Group categories: Redis gives most containers none, but their subcommands one. */
  readonly categories: { readonly own: string | null; readonly subcommands: string | null };
  /** What the bare command answers, where its arity allows that (COMMAND). */
  readonly bare?: Run;
  readonly subcommands: readonly SubcommandInput[];
}

export function container(input: ContainerInput): CommandRow {
  const { name, arity, flags, group, summary, categories, bare } = input;
  const help: SubcommandInput = {
    word: 'help',
    arity: 2,
    flags: ['loading', 'stale'],
    summary: 'Lists the subcommands.',
    run: (_execution, _args, out) => writeHelp(name, inputs, out),
  };
  const inputs = [...input.subcommands, help];
  const words = inputs.map((sub) => sub.word.toUpperCase());
  const subcommands = inputs.map(({ word, ...sub }) => {
    const subcommandName = `${name}|${word}`;
    const category = categories.subcommands;
    return command({ kind: 'connection', ...sub, name: subcommandName, group, category });
  });

  const run: Run = (execution, args, out) => {
    if (args.count === 1 && bare !== undefined) return bare(execution, args, out);
    const subcommand = subcommands[words.findIndex((word) => args.is(1, word))];
    if (subcommand === undefined) return out.error(unknownSubcommand(name, args));
    if (!arityHolds(subcommand, args.count)) return out.error(wrongArity(subcommand.name));
    subcommand.run(execution, args, out);
  };
  const category = categories.own;
  const row = command({ name, arity, kind: 'connection', flags, group, summary, category, run });
  return { ...row, subcommands };
}

function writeHelp(name: string, subcommands: readonly SubcommandInput[], out: ReplyWriter): void {
  out.array(1 + subcommands.length * 2);
  out.simple(`${name.toUpperCase()} <subcommand> [<arg> ...]. Subcommands are:`);
  for (const { word, summary } of subcommands) {
    out.simple(word.toUpperCase());
    out.simple(`    ${summary}`);
  }
}
