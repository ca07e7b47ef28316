/** docs/commands.md, made from the command table, the list of what is not supported, and the exclusions
 *  of the comparison with Redis; `npm run docs` rewrites it, and a test fails where it is out of step. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { sinceOf } from '../../packages/node/src/commands/command-metadata.ts';
import type { CommandRow, Group } from '../../packages/node/src/commands/row.ts';
import { COMMANDS } from '../../packages/node/src/commands/table.ts';
import {
  UNSUPPORTED,
  UNSUPPORTED_PARAMETERS,
  type Unsupported,
} from '../../packages/node/src/commands/unsupported.ts';
import { EXCLUSIONS } from '../differential/exclusions.ts';

export const commandsPath: string = join(import.meta.dirname, '..', '..', 'docs', 'commands.md');

const TITLES: Readonly<Record<Group, string>> = {
  string: 'Strings',
  bitmap: 'Bits',
  generic: 'Keys',
  transactions: 'Transactions',
  connection: 'Connections',
  server: 'Servers',
  cluster: 'Cluster',
};

/** What travels between nodes alone. */
const INTERNAL = /^ingot\./;

/** `page` with every table as the rows say. */
export function withCommandTables(page: string): string {
  return [
    ['supported', supported()],
    ['unsupported', unsupported()],
  ].reduce((text, [marker, table]) => {
    const [open, close] = [`<!-- commands: ${marker} -->\n`, '<!-- end -->'];
    const from = text.indexOf(open) + open.length;
    const to = text.indexOf(close, from);
    if (from < open.length || to < 0) throw new Error(`docs/commands.md has no table "${marker}"`);
    return `${text.slice(0, from)}\n${table}\n${text.slice(to)}`;
  }, page);
}

function supported(): string {
  return (Object.keys(TITLES) as Group[]).map((group) => tableOf(group)).join('\n');
}

function tableOf(group: Group): string {
  const rows = COMMANDS.filter((row) => row.group === group && !INTERNAL.test(row.name))
    .flatMap((row) => (row.subcommands.length > 0 ? row.subcommands : [row]))
    .filter(({ name }) => !name.endsWith('|help'))
    .map((row) => ({ ...row, shown: row.name.toUpperCase().replace('|', ' ') }))
    .toSorted((a, b) => a.shown.localeCompare(b.shown, 'en'));
  const lines = rows.map(
    (row) => `| \`${row.shown}\` | ${since(row)} | ${row.summary} | ${differences(row.shown)} |\n`,
  );
  const head =
    '| command | since | what it does | differs from Redis 7.0 |\n| --- | --- | --- | --- |\n';
  return `### ${TITLES[group]}\n\n${head}${lines.join('')}`;
}

function since(row: CommandRow): string {
  return sinceOf(row) ?? 'Ingot';
}

/** The cases in which the command, or a command that it is a subcommand of, answers otherwise. */
function differences(shown: string): string {
  const names = [shown, shown.split(' ')[0]];
  return EXCLUSIONS.filter(({ commands }) => commands.some((name) => names.includes(name)))
    .map((exclusion) => exclusion.case)
    .join('; ');
}

function unsupported(): string {
  const lines = [
    ...UNSUPPORTED.map((row) => lineOf(row, '')),
    ...UNSUPPORTED_PARAMETERS.map((row) => lineOf(row, 'CONFIG SET ')),
  ];
  return `| commands | when | why not |\n| --- | --- | --- |\n${lines.toSorted(notYetFirst).join('')}`;
}

function lineOf({ standing, why, names }: Unsupported, before: string): string {
  const shown = names.split(/\s+/).map((name) => {
    const words = before === '' ? name.toUpperCase().replace('|', ' ') : `${before}${name}`;
    return `\`${words}\``;
  });
  return `| ${shown.join(' ')} | ${standing} | ${why} |\n`;
}

function notYetFirst(a: string, b: string): number {
  return Number(b.includes('| not yet |')) - Number(a.includes('| not yet |'));
}

if (import.meta.main) {
  writeFileSync(commandsPath, withCommandTables(readFileSync(commandsPath, 'utf8')));
}
