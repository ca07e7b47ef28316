/** From what was given (flags, environment, file) to checked option values.
 *
 *  Precedence: flags > environment > file > default. A wrong value is refused in one sentence that
 *  names where it came from, since the same option can be set in three places. */
import { readFileSync } from 'node:fs';
import { parse as parseYaml } from 'yaml';
import { z } from 'zod';
import { usageError } from '../shared/errors.ts';
import { formatBytes, parseBytes } from '../shared/bytes.ts';
import { formatDuration, parseDuration } from './durations.ts';
import type { OptionRow } from './options.ts';

type OptionValue = string | number | boolean | readonly string[];

/** Where values may come from. `flags` holds only what stands on the command line. */
export interface Given {
  readonly flags: Readonly<Record<string, unknown>>;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly file: ConfigFile | null;
}

export interface ConfigFile {
  readonly path: string;
  readonly values: Readonly<Record<string, unknown>>;
}

/** Checked values by option name. The getters know the type that the row declares. */
export class OptionValues {
  readonly #values: ReadonlyMap<string, OptionValue | null>;

  constructor(values: ReadonlyMap<string, OptionValue | null>) {
    this.#values = values;
  }

  text(name: string): string | null {
    return this.#get(name) as string | null;
  }

  number(name: string): number | null {
    return this.#get(name) as number | null;
  }

  /** A word, or bytes per second. */
  rate(name: string): string | number | null {
    return this.#get(name) as string | number | null;
  }

  flag(name: string): boolean {
    return this.#get(name) as boolean;
  }

  list(name: string): readonly string[] {
    return (this.#get(name) ?? []) as readonly string[];
  }

  #get(name: string): OptionValue | null {
    const value = this.#values.get(name);
    if (value === undefined) throw new TypeError(`no option row is named ${name}`);
    return value;
  }
}

export function resolveOptions(rows: readonly OptionRow[], given: Given): OptionValues {
  const values = new Map<string, OptionValue | null>();
  for (const row of rows) values.set(row.name, resolveOption(row, given));
  return new OptionValues(values);
}

/** Reads a YAML mapping whose keys are option names; a key that is none is refused. */
export function readConfigFile(path: string, rows: readonly OptionRow[]): ConfigFile {
  let parsed: unknown;
  try {
    parsed = parseYaml(readFileSync(path, 'utf8'));
  } catch (error) {
    const why = (error as Error).message.split('\n')[0];
    throw usageError(
      `--config ${path} cannot be read as YAML (${why}); correct the file or its path`,
    );
  }
  const mapping = z.record(z.string(), z.unknown()).safeParse(parsed ?? {});
  if (!mapping.success) {
    throw usageError(`--config ${path} must be a YAML mapping such as "port: 7401"`);
  }
  const unknown = Object.keys(mapping.data).find((key) => !rows.some((row) => row.name === key));
  if (unknown !== undefined) {
    throw usageError(
      `"${unknown}" in ${path} is not an option; ` +
        'its keys are the names of the flags, without the dashes',
    );
  }
  return { path, values: mapping.data };
}

function resolveOption(row: OptionRow, given: Given): OptionValue | null {
  const flag = given.flags[row.name];
  if (flag !== undefined) return check(row, flag, `--${row.name}`);
  const variable = given.environment[row.env];
  if (variable !== undefined && variable !== '') return check(row, variable, row.env);
  const entry = given.file?.values[row.name];
  if (entry !== undefined) return check(row, entry, `"${row.name}" in ${given.file?.path}`);
  return row.default;
}

function check(row: OptionRow, value: unknown, source: string): OptionValue {
  const result = schemaOf(row).safeParse(value);
  if (result.success) return result.data;
  const shown = typeof value === 'string' ? value : JSON.stringify(value);
  throw usageError(`${source} must be ${expectation(row)}, not "${shown}"`);
}

function schemaOf(row: OptionRow): z.ZodType<OptionValue> {
  const { min, max, choices } = row;
  const range = z
    .int()
    .min(min ?? 0)
    .max(max ?? Number.MAX_SAFE_INTEGER);
  switch (row.type) {
    case 'integer':
      return z.union([z.number(), z.string().regex(/^\d+$/).transform(Number)]).pipe(range);
    case 'bytes':
      return z.union([z.number(), z.string().transform(parseBytes)]).pipe(range);
    case 'duration':
      return z
        .union([z.literal(0), z.string().transform(parseDuration)])
        .pipe(z.union([z.literal(0), range]));
    case 'rate':
      return z.union([
        z.enum(choices as [string, ...string[]]),
        z.union([z.number(), z.string().transform(parseBytes)]).pipe(range),
      ]);
    case 'flag':
      return z.union([z.boolean(), z.enum(['1', 'true', '0', 'false']).transform(isTrue)]);
    case 'choice':
      return z.enum(choices as [string, ...string[]]);
    case 'addresses':
      return z
        .union([z.array(z.string()), z.string().transform((list) => list.split(','))])
        .pipe(z.array(z.string().trim().regex(ADDRESS)).min(1));
    case 'address':
      return z.string().regex(ADDRESS);
    case 'text':
    case 'path':
      return z.string().min(1);
  }
}

const ADDRESS = /^[^\s:,]+:\d{1,5}$|^\[[^\]\s]+\]:\d{1,5}$/;

function isTrue(word: string): boolean {
  return word === '1' || word === 'true';
}

/** What a row accepts, in words that complete "must be …". */
function expectation(row: OptionRow): string {
  switch (row.type) {
    case 'integer':
      return `a whole number from ${row.min} to ${row.max}`;
    case 'bytes':
      return `a size from ${formatBytes(row.min ?? 0)} to ${formatBytes(row.max ?? 0)}, such as 64mb or 1gb`;
    case 'duration':
      return `0 or a time from ${formatDuration(row.min ?? 0)} to ${formatDuration(row.max ?? 0)}, such as 90s or 1h`;
    case 'rate':
      return `${row.choices?.join(', ')}, or a size per second from ${formatBytes(row.min ?? 0)}`;
    case 'flag':
      return 'true or false';
    case 'choice':
      return `one of ${row.choices?.join(', ')}`;
    case 'addresses':
      return 'control addresses such as 127.0.0.1:7601,127.0.0.1:7602';
    case 'address':
      return 'a control address such as 127.0.0.1:7601';
    case 'text':
    case 'path':
      return `a ${row.unit}`;
  }
}
