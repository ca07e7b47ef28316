/** Option rows as text: for `--help` and for the table in README.md. */
import { formatBytes } from './bytes.ts';
import type { OptionRow } from './options.ts';

/** What stands between the angle brackets of a flag. */
export function unitText(row: OptionRow): string {
  return row.type === 'bytes' ? 'size' : row.unit;
}

/** Empty where the default is worked out (the row's doc says how) or is "off". */
export function defaultText(row: OptionRow): string {
  if (row.default === null || row.default === false) return '';
  return row.type === 'bytes' ? formatBytes(Number(row.default)) : String(row.default);
}

/** A Markdown table, as README.md holds it. */
export function optionTable(rows: readonly OptionRow[]): string {
  const lines = rows.map((row) => {
    const value = row.type === 'flag' ? '' : ` ${unitText(row).replaceAll('|', '\\|')}`;
    return `| \`--${row.name}\`${value} | ${defaultText(row)} | ${row.doc} |`;
  });
  return ['| option | default | |', '| --- | --- | --- |', ...lines].join('\n');
}
