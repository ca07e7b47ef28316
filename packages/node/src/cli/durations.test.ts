import fc from 'fast-check';
import { expect, test } from 'vitest';
import { formatDuration, parseDuration } from './durations.ts';

test('times: a number and its unit, in any case, with or without a space; 0 needs none', () => {
  expect(parseDuration('1h')).toBe(3_600_000);
  expect(parseDuration('90 S')).toBe(90_000);
  expect(parseDuration('1.5m')).toBe(90_000);
  expect(parseDuration('250ms')).toBe(250);
  expect(parseDuration('2d')).toBe(172_800_000);
  expect(parseDuration('0')).toBe(0);
});

test.each(['', '60', 'h', '-1h', '1w', '1 h extra'])('times: "%s" is none', (text) => {
  expect(parseDuration(text)).toBeNaN();
});

test('times: what is written reads back as the same number', () => {
  fc.assert(fc.property(fc.nat(2 ** 31), (ms) => parseDuration(formatDuration(ms)) === ms));
  expect(formatDuration(3_600_000)).toBe('1h');
  expect(formatDuration(90_000)).toBe('90s');
});
