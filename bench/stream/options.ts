/** The options of `npm run bench:stream`: one row each; parsing and help are made from the rows. */
import { parseArgs } from 'node:util';
import { CODECS, type CodecId } from './codecs/index.ts';
import { QUOTE_BYTES } from './quote.ts';

interface OptionRow {
  readonly name: string;
  readonly type: 'string' | 'boolean';
  readonly default: string | boolean;
  readonly doc: string;
}

const PARTS: readonly string[] = ['raw', 'table', 'slack'];
const ALL_FORMATS = Object.keys(CODECS).join(',');

export const OPTIONS: readonly OptionRow[] = [
  { name: 'rounds', type: 'string', default: '5', doc: 'figures are medians of so many rounds' },
  { name: 'parts', type: 'string', default: PARTS.join(','), doc: 'which tables' },
  { name: 'seconds', type: 'string', default: '2', doc: 'raw stream: per row and round' },
  { name: 'sizes', type: 'string', default: '64k,1m,10m,100m', doc: 'table: batches' },
  { name: 'formats', type: 'string', default: ALL_FORMATS, doc: 'table: rows' },
  { name: 'phase-ms', type: 'string', default: '400', doc: 'table: per measurement, two a round' },
  { name: 'quick', type: 'boolean', default: false, doc: '3 short rounds, batches to 1 MiB' },
  { name: 'markdown', type: 'boolean', default: false, doc: 'print the tables as markdown' },
  { name: 'help', type: 'boolean', default: false, doc: 'this list' },
];

export interface StreamOptions {
  readonly rounds: number;
  readonly raw: boolean;
  readonly table: boolean;
  readonly slack: boolean;
  readonly seconds: number;
  readonly batchesBytes: readonly number[];
  readonly codecs: readonly CodecId[];
  readonly phaseMs: number;
  readonly markdown: boolean;
  readonly help: boolean;
}

/** Throws a sentence for people where an option makes no sense. */
export function parseOptions(args: readonly string[]): StreamOptions {
  const options = Object.fromEntries(
    OPTIONS.map(({ name, type, default: value }) => [name, { type, default: value }]),
  );
  const { values } = parseArgs({ args: [...args], options });
  const text = (name: string): string => String(values[name]);
  const list = (name: string): string[] => text(name).split(',');
  const isQuick = values['quick'] === true;
  const parts = list('parts').map(part);
  return {
    rounds: isQuick ? 3 : positive('rounds', text('rounds')),
    raw: parts.includes('raw'),
    table: parts.includes('table'),
    slack: parts.includes('slack'),
    seconds: isQuick ? 1 : positive('seconds', text('seconds')),
    batchesBytes: isQuick ? [65_536, 1_048_576] : list('sizes').map(batchBytes),
    codecs: list('formats').map(codecId),
    phaseMs: isQuick ? 150 : positive('phase-ms', text('phase-ms')),
    markdown: values['markdown'] === true,
    help: values['help'] === true,
  };
}

export function helpText(): string {
  const rows = OPTIONS.map(({ name, default: value, doc }) => {
    const given = typeof value === 'string' ? ` (${value})` : '';
    return `  --${name.padEnd(10)} ${doc}${given}`;
  });
  return ['npm run bench:stream -- [options]', ...rows].join('\n');
}

function part(text: string): string {
  if (!PARTS.includes(text)) throw new Error(`--parts knows ${PARTS.join(', ')}, not ${text}`);
  return text;
}

function positive(name: string, text: string): number {
  const number = Number(text);
  if (!Number.isInteger(number) || number < 1) {
    throw new Error(`--${name} takes a whole number from 1 on, not ${text}`);
  }
  return number;
}

function batchBytes(text: string): number {
  const match = /^(\d+)([km])$/.exec(text);
  const bytes = match === null ? 0 : Number(match[1]) * (match[2] === 'k' ? 1_024 : 1_048_576);
  if (bytes === 0 || bytes % QUOTE_BYTES !== 0) {
    throw new Error(`--sizes takes sizes such as 64k or 10m, not ${text}`);
  }
  return bytes;
}

function codecId(text: string): CodecId {
  if (!(text in CODECS)) throw new Error(`--formats knows ${ALL_FORMATS}, not ${text}`);
  return text as CodecId;
}
