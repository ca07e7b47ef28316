/** The command line: which commands there are and which options each takes. Parsing and help are
 *  commander's; checking and precedence are values.ts'. Commands are loaded when they are asked
 *  for, so that `ingot status` does not load a server. */
import { Command, CommanderError, Option } from 'commander';
import { INGOT_VERSION } from '../commands/version.ts';
import { EXIT_OK, EXIT_USAGE, usageError } from '../shared/errors.ts';
import {
  ASK_OPTIONS,
  BACKUP_OPTIONS,
  IMPORT_OPTIONS,
  INSPECT_OPTIONS,
  type OptionRow,
  PROMOTE_OPTIONS,
  RESTORE_OPTIONS,
  SERVE_OPTIONS,
  UP_OPTIONS,
} from './options.ts';
import { defaultText, unitText } from './option-table.ts';
import { type OptionValues, readConfigFile, resolveOptions } from './values.ts';

type Run = (values: OptionValues, operands: readonly string[]) => Promise<number>;

type Operand = readonly [name: string, doc: string, presence?: 'optional'];

interface CommandRow {
  readonly name: string;
  readonly doc: string;
  /** What follows the name, in order. */
  readonly operands?: readonly Operand[];
  readonly options: readonly OptionRow[];
  readonly takesConfigFile: boolean;
  readonly load: () => Promise<Run>;
}

export const COMMANDS: readonly CommandRow[] = [
  {
    name: 'serve',
    doc: 'run one node',
    options: SERVE_OPTIONS,
    takesConfigFile: true,
    load: async () => (await import('./serve.ts')).serve,
  },
  {
    name: 'up',
    doc: 'run a whole cluster on this machine, in one terminal',
    options: UP_OPTIONS,
    takesConfigFile: true,
    load: async () => (await import('./up.ts')).up,
  },
  {
    name: 'status',
    doc: 'show the nodes and partitions of a cluster',
    options: ASK_OPTIONS,
    takesConfigFile: false,
    load: async () => (await import('./status.ts')).status,
  },
  {
    name: 'verify',
    doc: 'prove that all copies are equal, while writes go on',
    options: ASK_OPTIONS,
    takesConfigFile: false,
    load: async () => (await import('./verify.ts')).verify,
  },
  {
    name: 'promote',
    doc: 'have another node lead a partition',
    operands: [
      ['PARTITION', 'its number'],
      ['NODE', 'a node with a copy in sync'],
    ],
    options: PROMOTE_OPTIONS,
    takesConfigFile: false,
    load: async () => (await import('./promote.ts')).promote,
  },
  {
    name: 'leave',
    doc: 'take a node out of the cluster for good; others take over what it holds',
    operands: [['NODE', 'its id']],
    options: ASK_OPTIONS,
    takesConfigFile: false,
    load: async () => (await import('./leave.ts')).leave,
  },
  {
    name: 'capacity',
    doc: 'show how much memory the partitions may use, or raise or lower it',
    operands: [['SIZE', 'of all primaries of the cluster together, such as 2gb', 'optional']],
    options: ASK_OPTIONS,
    takesConfigFile: false,
    load: async () => (await import('./capacity.ts')).capacity,
  },
  {
    name: 'backup',
    doc: 'write an image of every partition into one file, while the cluster serves',
    options: BACKUP_OPTIONS,
    takesConfigFile: false,
    load: async () => (await import('./backup.ts')).backup,
  },
  {
    name: 'inspect',
    doc: 'show what a backup holds',
    operands: [['FILE', 'the backup']],
    options: INSPECT_OPTIONS,
    takesConfigFile: false,
    load: async () => (await import('./inspect.ts')).inspect,
  },
  {
    name: 'restore',
    doc: 'fill a running, empty cluster with the records of a backup',
    options: RESTORE_OPTIONS,
    takesConfigFile: false,
    load: async () => (await import('./restore.ts')).restore,
  },
  {
    name: 'import',
    doc: 'copy the strings of a running Redis or Valkey, with their expiry, into a running cluster',
    operands: [['SOURCE', 'redis://[[user]:password@]host[:port][/db], or rediss:// for TLS']],
    options: IMPORT_OPTIONS,
    takesConfigFile: false,
    load: async () => (await import('./import.ts')).importStrings,
  },
];

/** Runs one command to its end; the answer is the exit code. */
export async function runProgram(args: readonly string[]): Promise<number> {
  let exitCode = EXIT_OK;
  const program = new Command('ingot')
    .description('A cache cluster that speaks the Redis protocol.')
    .version(INGOT_VERSION, '--version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .helpCommand('help [command]', 'print the help of a command')
    .exitOverride()
    // Errors become one sentence, printed by main.ts; only help and version are printed here.
    .configureOutput({ outputError: () => undefined });
  for (const row of COMMANDS) {
    const command = program.command(row.name).description(row.doc);
    for (const [name, doc, presence] of row.operands ?? []) {
      command.argument(presence === 'optional' ? `[${name}]` : `<${name}>`, doc);
    }
    for (const option of row.options) command.addOption(commanderOption(option));
    if (row.takesConfigFile) command.option('--config <file>', 'YAML file of options');
    command.action(async () => {
      const values = valuesOf(row, command);
      const run = await row.load();
      exitCode = await run(values, command.args);
    });
  }
  try {
    await program.parseAsync(args, { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    return outcomeOf(error);
  }
  return exitCode;
}

function commanderOption(row: OptionRow): Option {
  const value = row.type === 'flag' ? '' : ` <${unitText(row)}>`;
  const standard = defaultText(row);
  const notes = standard === '' ? row.env : `default ${standard}, ${row.env}`;
  return new Option(`--${row.name}${value}`, `${row.doc} (${notes})`);
}

function valuesOf(row: CommandRow, command: Command): OptionValues {
  const flags: Record<string, unknown> = {};
  for (const option of command.options) {
    flags[option.name()] = command.getOptionValue(option.attributeName());
  }
  const path = flags['config'] as string | undefined;
  const file = path === undefined ? null : readConfigFile(path, row.options);
  return resolveOptions(row.options, { flags, environment: process.env, file });
}

/** commander throws for help and version too, once they are printed. */
function outcomeOf(error: CommanderError): number {
  if (error.exitCode === 0) return EXIT_OK;
  if (error.code === 'commander.help') return EXIT_USAGE;
  const [first, ...rest] = error.message.replace(/^error: /, '').split('\n');
  const hint = rest.join(' ').replace(/[()?]/g, '').trim().toLowerCase();
  const guess = hint === '' ? '' : ` (${hint}?)`;
  throw usageError(
    `${first}${guess}; "ingot --help" and "ingot help <command>" list what there is`,
  );
}
