import { describe, expect, test } from 'vitest';
import { hashKey, partitionOfSlot, slotOfKey } from './hash.ts';
import { MapKey } from './map-key.ts';

const PARTITIONS = Array.from({ length: 64 }, (_, id) => id);

/** Texts of every length around the limits, with characters of one to four bytes in any place. */
const TEXTS: readonly string[] = [
  ...Array.from({ length: 70 }, (_, length) => 'abcdefghij'.repeat(7).slice(0, length)),
  ...Array.from({ length: 9 }, (_, at) => `${'x'.repeat(at)}é`),
  ...Array.from({ length: 9 }, (_, at) => `${'x'.repeat(at)}€${'y'.repeat(at)}`),
  ...[
    '😀',
    'x😀',
    '\u0000',
    '\u007f',
    '\u0080',
    '\u00ff',
    'user:{42}:name',
    '{}a',
    'a{b',
    'z'.repeat(5_000),
  ],
  ...Array.from({ length: 9 }, (_, at) => `${'k'.repeat(at)}{tag}rest`),
  ...['|'.repeat(16), 'zz|z{', '€'.repeat(1_300), '€'.repeat(1_400)],
];

describe('store: the key of a call', () => {
  const key = new MapKey();
  test.each(TEXTS.map((text) => [text.length > 40 ? `${text.length} units` : text, text]))(
    'string and bytes of %j are the same key, hashed and placed as everywhere',
    (_, text) => {
      const bytes = Buffer.from(text);
      const hash = hashKey(bytes, 0, bytes.length);
      const owner = partitionOfSlot(slotOfKey(bytes, 0, bytes.length), PARTITIONS.length);
      for (const each of [text, bytes, text]) {
        key.take('left behind by another key that is longer than most of these');
        key.take(each);
        expect(Buffer.from(key.bytes())).toEqual(bytes);
        expect(key.length).toBe(bytes.length);
        expect(key.hash).toBe(hash);
        expect(key.ownerAmong(PARTITIONS)).toBe(owner);
        const rest = bytes.length & 3;
        if (rest !== 0) expect(key.words[bytes.length >>> 2] >>> (rest * 8)).toBe(0);
      }
    },
  );
});
