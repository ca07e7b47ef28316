import { expect, test } from 'vitest';
import { helpText, OPTIONS, parseOptions } from './options.ts';
import { median, percentile } from '../statistics.ts';
import { figure, textTable } from './text-table.ts';

test('bench: stream: without options it measures everything, five rounds', () => {
  const options = parseOptions([]);
  expect(options).toMatchObject({ rounds: 5, raw: true, table: true, markdown: false });
  expect(options.batchesBytes).toEqual([65_536, 1_048_576, 10_485_760, 104_857_600]);
  expect(options.codecs.at(-1)).toBe('raw');
});

test.each([
  [['--sizes', '64'], '--sizes takes sizes such as 64k or 10m, not 64'],
  [['--formats', 'xml'], 'not xml'],
  [['--rounds', '0'], '--rounds takes a whole number from 1 on, not 0'],
  [['--parts', 'cooked'], '--parts knows raw, table, slack, not cooked'],
])('bench: stream: %j is refused with a sentence', (args, sentence) => {
  expect(() => parseOptions(args)).toThrow(sentence);
});

test('bench: stream: help names every option', () => {
  const help = helpText();
  for (const { name } of OPTIONS) expect(help).toContain(`--${name}`);
});

test('bench: percentiles lie between the numbers they stand for', () => {
  expect(median([3, 1, 2])).toBe(2);
  expect(median([4, 1, 2, 3])).toBe(2.5);
  expect(percentile([10], 0.99)).toBe(10);
  expect(percentile([0, 100], 0.99)).toBe(99);
  expect(percentile([], 0.5)).toBeNaN();
});

test('bench: a table is aligned for a terminal and piped for markdown', () => {
  const rows = [
    ['raw', figure(1234.5)],
    ['JSON', figure(0.01234)],
  ];
  expect(textTable(['', 'MiB/s'], rows, false)).toBe('      MiB/s\nraw    1235\nJSON  0.012');
  expect(textTable(['', 'MiB/s'], rows, true)).toBe(
    '|  | MiB/s |\n| --- | ---: |\n| raw | 1235 |\n| JSON | 0.012 |',
  );
});
