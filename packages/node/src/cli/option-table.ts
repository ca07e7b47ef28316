/** Option rows as text: for `--help` and for the table in README.md. */
import { formatBytes } from '../shared/bytes.ts';
import { formatDuration } from './durations.ts';
import type { OptionRow } from './options.ts';

/** What stands between the angle brackets of a flag. */
export function unitText(row: OptionRow): string {
  return row.type === 'bytes' ? 'size' : row.unit;
}

/** Empty where the default is worked out (the row's doc says how) or is "off". */
export function defaultText(row: OptionRow): string {
  if (row.default === null || row.default === false) return '';
  return typeof row.default === 'number' ? numberText(row, row.default) : String(row.default);
}

/** A number as it would be given to the flag. */
export function numberText({ type }: OptionRow, number: number): string {
  if (type === 'bytes') return formatBytes(number);
  return type === 'duration' ? formatDuration(number) : String(number);
}

/** A Markdown table, as README.md holds it. */
export function optionTable(rows: readonly OptionRow[]): string {
  const lines = rows.map((row) => {
    const value = row.type === 'flag' ? '' : ` ${unitText(row).replaceAll('|', '\\|')}`;
    return `| \`--${row.name}\`${value} | ${defaultText(row)} | ${row.doc} |`;
  });
  return ['| option | default | |', '| --- | --- | --- |', ...lines].join('\n');
}
