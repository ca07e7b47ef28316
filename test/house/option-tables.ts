/** The option tables of README.md, made from the rows of cli/options.ts. Each stands between two
 *  markers; `npm run docs` rewrites them, and readme.test.ts fails where they are out of step. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { optionTable } from '../../packages/node/src/cli/option-table.ts';
import {
  ASK_OPTIONS,
  BACKUP_OPTIONS,
  CLUSTER_OPTIONS,
  IMPORT_OPTIONS,
  INSPECT_OPTIONS,
  type OptionRow,
  PROCESS_OPTIONS,
  PROMOTE_OPTIONS,
  RESTORE_OPTIONS,
  SERVE_OPTIONS,
  UP_OPTIONS,
} from '../../packages/node/src/cli/options.ts';

const SHARED: ReadonlySet<OptionRow> = new Set([...CLUSTER_OPTIONS, ...PROCESS_OPTIONS]);

const TABLES: readonly (readonly [marker: string, rows: readonly OptionRow[]])[] = [
  ['up', UP_OPTIONS.filter((row) => !SHARED.has(row))],
  ['serve', SERVE_OPTIONS.filter((row) => !SHARED.has(row))],
  ['both', [...SHARED]],
  ['ask', ASK_OPTIONS],
  ['promote', PROMOTE_OPTIONS.filter((row) => !ASK_OPTIONS.includes(row))],
  ['backup', BACKUP_OPTIONS.filter((row) => !ASK_OPTIONS.includes(row))],
  ['inspect', INSPECT_OPTIONS],
  ['restore', RESTORE_OPTIONS],
  ['import', IMPORT_OPTIONS],
];

export const readmePath: string = join(import.meta.dirname, '..', '..', 'README.md');

/** `readme` with every table as the rows say. */
export function withOptionTables(readme: string): string {
  let text = readme;
  for (const [marker, rows] of TABLES) {
    const [open, close] = [`<!-- options: ${marker} -->\n`, '<!-- end -->'];
    const from = text.indexOf(open) + open.length;
    const to = text.indexOf(close, from);
    if (from < open.length || to < 0) throw new Error(`README.md has no table "${marker}"`);
    text = `${text.slice(0, from)}\n${optionTable(rows)}\n\n${text.slice(to)}`;
  }
  return text;
}

if (import.meta.main) {
  writeFileSync(readmePath, withOptionTables(readFileSync(readmePath, 'utf8')));
}
