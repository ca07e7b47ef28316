import { describe, expect, test } from 'vitest';
import { BYTE_ORDER_MARK, decodeHello, encodeHello, type Hello } from './hello.ts';
import { Random } from './random.fixture.ts';

const GOLDEN_HELLO = [
  '01000201030000000200000040000000000001008000000000001000040000000300000009000000',
  '050000000001000002000000030000000300000005000000632d31006ec3b6646500000001000000',
  '010000000100000000000000030000000700000000000000000100000900000000000000ffffffff',
].join('');

const hello: Hello = {
  storeFormat: 1,
  byteOrder: BYTE_ORDER_MARK,
  clusterId: 'c-1',
  nodeId: 'nöde',
  incarnation: 4,
  partition: 2,
  partitions: 64,
  chunkBytes: 65_536,
  chunkCount: 128,
  valueMaxBytes: 1_048_576,
  base: { epoch: 3, seq: 2 ** 40 + 5, generation: 9 },
  consistent: true,
  checked: false,
  seedable: false,
  snapshot: false,
  guest: false,
  history: [
    { epoch: 1, generation: 1, startSeq: 1 },
    { epoch: 3, generation: 7, startSeq: 2 ** 40 },
  ],
  stamps: new Uint32Array([9, 0, 0xffff_ffff]),
};

const changed = (change: (bytes: Buffer) => void): Hello | string => {
  const bytes = encodeHello(hello);
  change(bytes);
  return decodeHello(bytes);
};

describe('HELLO', () => {
  test('format 1, golden bytes', () => {
    expect(encodeHello(hello).toString('hex')).toBe(GOLDEN_HELLO);
  });

  test.each<[name: string, hello: Hello]>([
    ['a copy with a base', hello],
    [
      'an empty copy',
      { ...hello, base: null, consistent: false, history: [], stamps: new Uint32Array(0) },
    ],
    [
      'the longest',
      {
        ...hello,
        clusterId: 'c'.repeat(256),
        nodeId: 'n'.repeat(256),
        stamps: new Uint32Array(128),
      },
    ],
  ])('reads back as it was written: %s', (_name, value) => {
    expect(decodeHello(encodeHello(value))).toEqual(value);
  });

  test('a cut HELLO is found at every length', () => {
    const bytes = encodeHello(hello);
    for (let end = 0; end < bytes.length; end++) {
      expect(decodeHello(bytes.subarray(0, end)), `${end} bytes`).toBeTypeOf('string');
    }
  });

  test.each<[rule: string, offset: number, value: number]>([
    ['the cluster id has 1 to 256 bytes', 56, 257],
    ['the node id has 1 to 256 bytes', 60, 0],
    ['a history has at most 64 entries', 48, 65],
    ['an image has at most 32,768 chunks', 20, 32_769],
    ['there is at most one stamp per chunk', 52, 129],
    ['a HELLO is as long as its counts say', 52, 4],
    ['a seq is below 2^53', 44, 0x0020_0000],
    ['a history ascends', 64 + 4 + 8 + 16, 1],
  ])('refused: %s', (rule, offset, value) => {
    expect(changed((bytes) => bytes.writeUInt32LE(value, offset))).toBe(rule);
  });

  test('consistent without a base is refused', () => {
    expect(changed((bytes) => bytes.writeUInt32LE(2, 4))).toBe('a consistent copy has a base');
  });

  test('random bytes never throw', () => {
    const random = new Random(7);
    for (let round = 0; round < 3_000; round++) {
      const bytes = encodeHello(hello);
      for (let i = random.below(6); i >= 0; i--)
        bytes[random.below(bytes.length)] = random.below(256);
      expect(() => decodeHello(bytes)).not.toThrow();
    }
  });
});
