/** The table of docs/limits.md, made from the rows of serving/limits.ts, the options and the metrics. It stands between
 *  two markers; `npm run docs` rewrites it, and limits.test.ts fails where it is out of step. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { defaultText } from '../../packages/node/src/cli/option-table.ts';
import { type OptionRow, SERVE_OPTIONS } from '../../packages/node/src/cli/options.ts';
import { CLIENT_COUNTERS } from '../../packages/node/src/metrics/client-counters.ts';
import { LIMITS, type LimitRow } from '../../packages/node/src/serving/limits.ts';

const OPEN = '<!-- limits -->\n';
const CLOSE = '<!-- end -->';

export const limitsPath: string = join(import.meta.dirname, '..', '..', 'docs', 'limits.md');

/** Of a limit that can be set: its row of options. */
export function optionOf({ option }: LimitRow): OptionRow | undefined {
  return SERVE_OPTIONS.find(({ name }) => name === option);
}

export function metricOf({ counter }: LimitRow): string | undefined {
  const found = CLIENT_COUNTERS.find(([, row]) => row === counter);
  return found === undefined ? undefined : `ingot_${found[0]}`;
}

/** `page` with the table as the rows say. */
export function withLimitTable(page: string): string {
  const from = page.indexOf(OPEN) + OPEN.length;
  const to = page.indexOf(CLOSE, from);
  if (from < OPEN.length || to < 0) throw new Error('docs/limits.md has no table');
  return `${page.slice(0, from)}\n${table()}\n${page.slice(to)}`;
}

function table(): string {
  const head =
    '| limit | option, CONFIG | unless set | when it is reached | the client is told | metric, log |\n' +
    '| --- | --- | --- | --- | --- | --- |\n';
  return head + Object.values(LIMITS).map(line).join('');
}

function line(limit: LimitRow): string {
  const { what, parameter, live, fixed, strikes, error, event, level = 'warn' } = limit;
  const option = optionOf(limit);
  const set = [
    option === undefined ? '' : `\`--${option.name}\``,
    parameter === undefined ? '' : `\`${parameter}\`${live === true ? ' (SET, too)' : ''}`,
  ];
  const cells = [
    what,
    set.filter((each) => each !== '').join(', ') || 'fixed',
    option === undefined ? fixed : unlessSet(option),
    strikes,
    error === undefined ? '' : `\`-${error.replaceAll('NaN', 'N')}\``,
    `\`${metricOf(limit)}\`, \`${event}\` (${level})`,
  ];
  return `| ${cells.join(' | ')} |\n`;
}

function unlessSet(option: OptionRow): string {
  if (option.default === null) return option.doc.replace(/^.*; /, '');
  return option.default === 0 ? 'none' : defaultText(option);
}

if (import.meta.main) {
  writeFileSync(limitsPath, withLimitTable(readFileSync(limitsPath, 'utf8')));
}
