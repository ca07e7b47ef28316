import { describe, expect, it } from 'vitest';
import { SingleNode } from './single-node.fixture.ts';
import { hashShort, LongHash, SHORT_BYTES_MAX, STRIPE_BYTES } from './xxh3.ts';

/** Of xxHash's own table (XSUM_XXH3_testdata, seed 0): the hash of so many bytes of its test buffer. */
const VECTORS: readonly (readonly [bytes: number, hash: string])[] = [
  [0, '2d06800538d394c2'],
  [1, 'c44bdff4074eecdb'],
  [2, '7a9978044cb8a8bb'],
  [3, '54247382a8d6b94d'],
  [4, 'e5dc74bc51848a51'],
  [6, '27b56a84cd2d7325'],
  [8, '24ccc9acaa9f65e4'],
  [9, '14d5001c15dd3f2b'],
  [12, 'a713daf0dfbb77e7'],
  [16, '981b17d36c7498c9'],
  [17, '796f5acd3a60f862'],
  [24, 'a3fe70bf9d3510eb'],
  [33, 'abfb2d081b400a10'],
  [64, '9cb48487720ec49d'],
  [80, 'bcdefbbb2c47c90a'],
  [128, 'fcff24126754d861'],
  [129, '98f1b0a679a2ca29'],
  [195, 'cd94217ee362ec3a'],
  [240, '81c3c2b67f568ccf'],
  [241, 'c5a639ecd2030e5e'],
  [403, 'cdeb804d65c6dea4'],
  [512, '617e49599013cb6b'],
  [2048, 'dd59e2c3a5f038e0'],
  [4160, '4f323b15321e94e1'],
];

const testBuffer: Buffer = Buffer.alloc(4_200);
let generated = 2_654_435_761n;
for (let i = 0; i < testBuffer.length; i++) {
  testBuffer[i] = Number(generated >> 56n);
  generated = BigInt.asUintN(64, generated * 11_400_714_785_074_694_797n);
}

function wordsOf(bytes: Buffer): Int32Array {
  return Int32Array.from({ length: bytes.length >> 2 }, (_, i) => bytes.readInt32LE(4 * i));
}

/** Given in pieces of so many stripes. */
function hashed(bytes: number, stripes: number): string {
  const value = testBuffer.subarray(0, bytes);
  if (bytes <= SHORT_BYTES_MAX) return hex(hashShort(testBuffer, 0, bytes));
  const hash = new LongHash(bytes);
  for (let at = 0; at < bytes; at += stripes * STRIPE_BYTES) {
    const part = value.subarray(at, at + stripes * STRIPE_BYTES);
    hash.add(wordsOf(part), part.length);
  }
  return hex(hash.end(wordsOf(value.subarray(bytes - STRIPE_BYTES))));
}

const hex = (hash: bigint): string => hash.toString(16).padStart(16, '0');

describe('XXH3', () => {
  it.each(VECTORS)('the official hash of %i bytes', (bytes, hash) => {
    for (const stripes of [1, 3, 16, 100]) expect(hashed(bytes, stripes)).toBe(hash);
  });
});

/** Vectors of https://redis.io/docs/latest/commands/digest/ and of others that have the command. */
describe('DIGEST', () => {
  const node = new SingleNode();

  it.each([
    ['Hello world', 'b6acb9d84a38ff74'],
    ['Hello, Dragonfly!', '063b4909128e92b7'],
    ['test', '9ec9f7918d7dfc40'],
    ['hello', '9555e8555c62dcfd'],
  ])('of %s', (value, digest) => {
    node.ask('SET', 'key1', value);
    expect(node.ask('DIGEST', 'key1')).toBe(digest);
  });

  it('of no value', () => {
    expect(node.ask('DIGEST', 'nosuch')).toBeNull();
  });
});
