import { describe, expect, it } from 'vitest';
import { globMatches } from './glob.ts';

function matches(pattern: string, text: string): boolean {
  const bytes = Buffer.from(`<<${text}>>`, 'latin1');
  return globMatches(Buffer.from(pattern, 'latin1'), bytes, 2, bytes.length - 4);
}

const CASES: [pattern: string, text: string, expected: boolean][] = [
  ['*', '', true],
  ['*', 'anything', true],
  ['h?llo', 'hello', true],
  ['h?llo', 'hllo', false],
  ['h*llo', 'heeeello', true],
  ['h*llo', 'hllo', true],
  ['*a*b*', 'xxaxxbxx', true],
  ['*a*b*', 'xxbxxaxx', false],
  ['user:*:name', 'user:12:name', true],
  ['user:*:name', 'user:12:names', false],
  ['h[ae]llo', 'hallo', true],
  ['h[ae]llo', 'hillo', false],
  ['h[^e]llo', 'hallo', true],
  ['h[^e]llo', 'hello', false],
  ['h[a-c]llo', 'hbllo', true],
  ['h[c-a]llo', 'hbllo', true],
  ['h[a-c]llo', 'hdllo', false],
  ['a[]b', 'ab', false],
  ['a[\\]]b', 'a]b', true],
  ['a[b', 'ab', true],
  ['a\\*b', 'a*b', true],
  ['a\\*b', 'axb', false],
  ['a\\', 'a\\', true],
  ['', '', true],
  ['', 'a', false],
  ['\xff\x00?', '\xff\x00\x80', true],
];

describe('glob', () => {
  it.each(CASES)('%j against %j is %s', (pattern, text, expected) => {
    expect(matches(pattern, text)).toBe(expected);
  });

  it('many stars over a long key end in bounded time', () => {
    expect(matches('a*'.repeat(30), 'a'.repeat(5_000) + 'b')).toBe(true);
    expect(matches(`${'a*'.repeat(30)}c`, 'a'.repeat(5_000))).toBe(false);
  });
});
