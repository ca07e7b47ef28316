import fc from 'fast-check';
import { expect, test } from 'vitest';
import { formatBytes, parseBytes, parseRedisBytes } from './bytes.ts';

test('sizes: units are powers of two, in any case, with or without a space', () => {
  expect(parseBytes('1gb')).toBe(2 ** 30);
  expect(parseBytes('64 MB')).toBe(64 * 2 ** 20);
  expect(parseBytes('1.5kb')).toBe(1536);
  expect(parseBytes('7b')).toBe(7);
  expect(parseBytes('4096')).toBe(4096);
});

test.each(['', '1g', '-1mb', 'gb', '1e9', '0x10', '1 gb extra'])('sizes: "%s" is none', (text) => {
  expect(parseBytes(text)).toBeNaN();
});

test('sizes: what is written reads back as the same number', () => {
  fc.assert(fc.property(fc.maxSafeNat(), (bytes) => parseBytes(formatBytes(bytes)) === bytes));
  expect(formatBytes(2 ** 30)).toBe('1gb');
  expect(formatBytes(2 ** 30 + 1)).toBe('1073741825');
});

test.each([
  ['1k', 1_000],
  ['1kb', 1_024],
  ['2M', 2_000_000],
  ['2MB', 2 * 2 ** 20],
  ['3g', 3_000_000_000],
  ['3gB', 3 * 2 ** 30],
  ['17', 17],
  ['17b', 17],
])('sizes as redis.conf has them: %s is %i', (text, bytes) => {
  expect(parseRedisBytes(text)).toBe(bytes);
});

test.each(['', 'k', '1t', '-1m', '1kk'])('sizes as redis.conf has them: "%s" is none', (text) => {
  expect(parseRedisBytes(text)).toBeNaN();
});
