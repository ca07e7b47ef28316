/** docs/differences.md, made from the list of exclusions; `npm run docs` rewrites it, and a test fails
 *  where it is out of step. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { EXCLUSIONS } from './exclusions.ts';

export const pagePath: string = join(import.meta.dirname, '..', '..', 'docs', 'differences.md');

const OPEN = '<!-- differences -->\n';
const CLOSE = '<!-- end -->';

/** `page` with the table as the rows say. */
export function withDifferences(page: string): string {
  const from = page.indexOf(OPEN) + OPEN.length;
  const to = page.indexOf(CLOSE);
  if (from < OPEN.length || to < from) throw new Error('docs/differences.md has no table');
  const rows = EXCLUSIONS.map(({ commands, case: when, reason }) => {
    const names = commands.map((name) => (/^[A-Z]/.test(name) ? `\`${name}\`` : name)).join(', ');
    return `| ${names} | ${when} | ${reason} |\n`;
  });
  const table = `\n| commands | case | what, and why |\n| --- | --- | --- |\n${rows.join('')}\n`;
  return page.slice(0, from) + table + page.slice(to);
}

if (import.meta.main) writeFileSync(pagePath, withDifferences(readFileSync(pagePath, 'utf8')));
