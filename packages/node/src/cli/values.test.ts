import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { EXIT_USAGE } from '../shared/errors.ts';
import { SERVE_OPTIONS, UP_OPTIONS } from './options.ts';
import { type Given, type OptionValues, readConfigFile, resolveOptions } from './values.ts';

const folder = mkdtempSync(join(tmpdir(), 'ingot-values-'));
afterAll(() => rmSync(folder, { recursive: true }));

function configFile(text: string): string {
  const path = join(folder, 'ingot.yaml');
  writeFileSync(path, text);
  return path;
}

function resolved(given: Partial<Given>): OptionValues {
  return resolveOptions(SERVE_OPTIONS, { flags: {}, environment: {}, file: null, ...given });
}

function expectRefusal(act: () => unknown, sentence: string): void {
  const message: unknown = expect.stringContaining(sentence);
  expect(act).toThrow(expect.objectContaining({ exitCode: EXIT_USAGE, message }));
}

describe('options: precedence', () => {
  const file = { path: 'f.yaml', values: { port: 3, 'http-port': 3, 'control-port': 3 } };
  const environment = { INGOT_PORT: '2', INGOT_HTTP_PORT: '2' };
  const values = resolved({ flags: { port: '1' }, environment, file });

  test('a flag wins over all', () => expect(values.number('port')).toBe(1));
  test('a variable wins over the file', () => expect(values.number('http-port')).toBe(2));
  test('the file wins over the default', () => expect(values.number('control-port')).toBe(3));
  test('else it is the default', () => expect(values.number('cluster-port')).toBe(7800));
  test('an empty variable counts as none', () => {
    expect(resolved({ environment: { INGOT_PORT: '' } }).number('port')).toBe(7400);
  });
});

describe('options: types', () => {
  test('sizes take units, from a flag as from a file', () => {
    expect(resolved({ flags: { capacity: '2gb' } }).number('capacity')).toBe(2 ** 31);
    const file = { path: 'f.yaml', values: { capacity: 67_108_864 } };
    expect(resolved({ file }).number('capacity')).toBe(2 ** 26);
  });

  test('times take units; 0 is off', () => {
    expect(resolved({}).number('scrub-every')).toBe(3_600_000);
    expect(resolved({ flags: { 'scrub-every': '90s' } }).number('scrub-every')).toBe(90_000);
    expect(resolved({ environment: { INGOT_SCRUB_EVERY: '0' } }).number('scrub-every')).toBe(0);
    const file = { path: 'f.yaml', values: { 'scrub-every': 0 } };
    expect(resolved({ file }).number('scrub-every')).toBe(0);
  });

  test('a rate is a word or a size', () => {
    expect(resolved({}).rate('sync-rate')).toBe('adaptive');
    expect(resolved({ flags: { 'sync-rate': 'max' } }).rate('sync-rate')).toBe('max');
    expect(resolved({ flags: { 'sync-rate': '64mb' } }).rate('sync-rate')).toBe(2 ** 26);
  });

  test('addresses come with commas or as a YAML list', () => {
    const expected = ['a:1', '[::1]:2'];
    expect(resolved({ flags: { join: 'a:1, [::1]:2' } }).list('join')).toEqual(expected);
    const file = { path: 'f.yaml', values: { join: expected } };
    expect(resolved({ file }).list('join')).toEqual(expected);
    expect(resolved({}).list('join')).toEqual([]);
  });

  test('flags are true where they stand, and 1 or true in the environment', () => {
    expect(resolved({ flags: { found: true } }).flag('found')).toBe(true);
    expect(resolved({ environment: { INGOT_FOUND: '1' } }).flag('found')).toBe(true);
    expect(resolved({ environment: { INGOT_FOUND: 'false' } }).flag('found')).toBe(false);
  });
});

describe('options: a wrong value is refused in one sentence that says where it stands', () => {
  test.each([
    [{ flags: { port: '70000' } }, '--port must be a whole number from 1 to 65535, not "70000"'],
    [{ flags: { port: '1.5' } }, '--port must be a whole number from 1 to 65535, not "1.5"'],
    [
      { flags: { 'sync-rate': 'fast' } },
      '--sync-rate must be adaptive, max, or a size per second from 1mb, not "fast"',
    ],
    [
      { environment: { INGOT_CAPACITY: '1g' } },
      'INGOT_CAPACITY must be a size from 8mb to 64tb, such as 64mb or 1gb, not "1g"',
    ],
    [{ flags: { capacity: '1mb' } }, '--capacity must be a size from 8mb'],
    [
      { flags: { 'scrub-every': '60' } },
      '--scrub-every must be 0 or a time from 1s to 30d, such as 90s or 1h, not "60"',
    ],
    [{ flags: { 'scrub-every': '1ms' } }, '--scrub-every must be 0 or a time from 1s'],
    [
      { flags: { eviction: 'lru' } },
      '--eviction must be one of sieve, volatile-ttl, noeviction, not "lru"',
    ],
    [{ flags: { join: 'somewhere' } }, '--join must be control addresses such as'],
    [{ environment: { INGOT_INSECURE: 'yes' } }, 'INGOT_INSECURE must be true or false'],
    [
      { file: { path: 'f.yaml', values: { port: [1] } } },
      '"port" in f.yaml must be a whole number from 1 to 65535, not "[1]"',
    ],
  ] as [Partial<Given>, string][])('%j', (given, sentence) => {
    expectRefusal(() => resolved(given), sentence);
  });
});

describe('options: the file', () => {
  test('holds options by name', () => {
    const file = readConfigFile(configFile('nodes: 5\ncapacity: 64mb\n'), UP_OPTIONS);
    expect(file.values).toEqual({ nodes: 5, capacity: '64mb' });
  });

  test('may be empty', () => {
    expect(readConfigFile(configFile('# nothing yet\n'), UP_OPTIONS).values).toEqual({});
  });

  test.each([
    ['prot: 1', '"prot" in '],
    ['- 1', 'must be a YAML mapping'],
    ['a: [', 'cannot be read as YAML'],
  ])('%j is refused', (text, sentence) => {
    expectRefusal(() => readConfigFile(configFile(text), UP_OPTIONS), sentence);
  });

  test('that is not there is refused', () => {
    expectRefusal(() => readConfigFile(join(folder, 'none'), UP_OPTIONS), 'ENOENT');
  });
});
