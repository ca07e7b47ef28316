import { describe, expect, test } from 'vitest';
import { murmur3 } from './hash.ts';
import { hashKey, partitionOfSlot, placeKey, slotOfKey } from './index.ts';

const u32 = (text: string | Buffer, seed: number): number => {
  const bytes = Buffer.from(text);
  return murmur3(bytes, 0, bytes.length, seed) >>> 0;
};
const slot = (key: string): number => slotOfKey(Buffer.from(key), 0, Buffer.byteLength(key));

describe('store: hash', () => {
  // Vectors of MurmurHash3_x86_32 as published with the reference implementation and its ports.
  test.each([
    ['', 0, 0],
    ['', 1, 0x514e28b7],
    ['', 0xffffffff, 0x81f16f39],
    ['\u0000\u0000\u0000\u0000', 0, 0x2362f9de],
    ['a', 0x9747b28c, 0x7fa09ea6],
    ['aa', 0x9747b28c, 0x5d211726],
    ['aaa', 0x9747b28c, 0x283e0130],
    ['aaaa', 0x9747b28c, 0x5a97808a],
    ['abc', 0, 0xb3dd93fa],
    ['Hello, world!', 0x9747b28c, 0x24884cba],
    ['The quick brown fox jumps over the lazy dog', 0x9747b28c, 0x2fa826cd],
  ])('murmur3 of %j with seed %d', (text, seed, expected) => {
    expect(u32(text, seed)).toBe(expected);
  });

  test('bytes above 0x7f hash as unsigned', () => {
    expect(u32(Buffer.from([0xff, 0xff, 0xff, 0xff]), 0)).toBe(0x76293b50);
    expect(u32(Buffer.from([0x21, 0x43, 0x65, 0x87]), 0x5082edee)).toBe(0x2362f9de);
  });

  test('a key hashes alike wherever it lies in a buffer', () => {
    const key = Buffer.from('partition:42');
    const window = Buffer.concat([Buffer.from('???'), key, Buffer.from('!')]);
    expect(hashKey(window, 3, key.length)).toBe(hashKey(key, 0, key.length));
  });

  test('CRC16 is that of the Redis cluster specification', () => {
    expect(slot('123456789')).toBe(0x31c3);
    expect(slot('foo')).toBe(12_182);
    expect(slot('bar')).toBe(5_061);
    expect(slot('')).toBe(0);
  });

  // The examples of the specification's hash tag section.
  test('only what stands between the first { and the next } counts, if that is not empty', () => {
    expect(slot('{user1000}.following')).toBe(slot('user1000'));
    expect(slot('{user1000}.followers')).toBe(slot('{user1000}.following'));
    expect(slot('foo{{bar}}zap')).toBe(slot('{bar'));
    expect(slot('foo{bar}{zap}')).toBe(slot('bar'));
    expect(slot('foo{}{bar}')).not.toBe(slot('bar'));
    expect(slot('foo{}{bar}')).toBe(crcOfWhole('foo{}{bar}'));
    expect(slot('foo{bar')).toBe(crcOfWhole('foo{bar'));
    expect(slot('foo}bar{')).toBe(crcOfWhole('foo}bar{'));
  });

  test('hash and slot in one pass are the same two', () => {
    const [hashes, slots] = [new Int32Array(1), new Uint16Array(1)];
    const braces = [
      '{',
      '}',
      '{}',
      '{a}',
      'a{b}c',
      '{abc}defg',
      'abcd{e}fgh{i}',
      'abcdef{g',
      '|{|}',
    ];
    const plain = Array.from({ length: 40 }, (_, i) => 'k\u00ffz|}ey'.repeat(7).slice(0, i));
    for (const [i, text] of [...braces, ...plain].entries()) {
      const around = Buffer.from(`${'?'.repeat(i % 5)}${text}{!}!`, 'latin1');
      const view = new DataView(around.buffer, around.byteOffset, around.length);
      placeKey(view, i % 5, text.length, hashes, slots, 0);
      expect([text, hashes[0]]).toEqual([text, hashKey(around, i % 5, text.length)]);
      expect([text, slots[0]]).toEqual([text, slotOfKey(around, i % 5, text.length)]);
    }
  });

  test('partitions are equal, contiguous ranges of slots', () => {
    for (const partitions of [1, 2, 64, 4_096]) {
      const width = 16_384 / partitions;
      for (const partition of [0, partitions >>> 1, partitions - 1]) {
        expect(partitionOfSlot(partition * width, partitions)).toBe(partition);
        expect(partitionOfSlot(partition * width + width - 1, partitions)).toBe(partition);
      }
    }
  });
});

/** CRC16-XMODEM bit by bit, over the whole key: what a key without a tag gives. */
function crcOfWhole(key: string): number {
  let crc = 0;
  for (const byte of Buffer.from(key)) {
    crc ^= byte << 8;
    for (let bit = 0; bit < 8; bit++) crc = (crc & 0x8000) === 0 ? crc << 1 : (crc << 1) ^ 0x1021;
    crc &= 0xffff;
  }
  return crc & 16_383;
}
