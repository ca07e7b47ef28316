/** Every vector is to the parser what the table says, however it is cut, and to the reference as well. */
import { describe, expect, test } from 'vitest';
import { DEFAULT_LIMITS } from '../../packages/node/src/resp/limits.ts';
import { randomFrom } from '../support/random.ts';
import { byteByByte, cutAtRandom, Feeder, whole } from './feeding.ts';
import { differenceOf } from './outcome.ts';
import { referenceOf } from './reference.ts';
import { VALUE_BYTES_MAX, type Vector, VECTORS } from './vectors.ts';

const LIMITS = { ...DEFAULT_LIMITS, valueBytesMax: VALUE_BYTES_MAX };
/** Longer ones only at random cuts. */
const BYTE_BY_BYTE_MAX = 100_000;
/** Of cuts, at most. */
const SEEDS = 30;
const LONG_SEEDS = 3;

const rulesOf = ({ unknown }: Vector): { limits: typeof LIMITS; unknown: boolean } => ({
  limits: LIMITS,
  unknown,
});

describe('parser: every vector, however it is cut', () => {
  test.each(VECTORS)('$name', (vector) => {
    const { bytes } = vector;
    const feeder = new Feeder(rulesOf(vector));
    expect(differenceOf(feeder.feed(bytes, whole(bytes)), vector)).toBeNull();
    const isLong = bytes.length > BYTE_BY_BYTE_MAX;
    if (!isLong) expect(differenceOf(feeder.feed(bytes, byteByByte(bytes)), vector)).toBeNull();
    for (let seed = 1; seed <= (isLong ? LONG_SEEDS : SEEDS); seed++) {
      const cuts = cutAtRandom(bytes, randomFrom(seed), isLong ? 50 : 1_000);
      expect(differenceOf(feeder.feed(bytes, cuts), vector), `seed ${seed}`).toBeNull();
    }
  });
});

describe('the reference: every vector', () => {
  test.each(VECTORS)('$name', (vector) => {
    expect(differenceOf(referenceOf(vector.bytes, rulesOf(vector)), vector)).toBeNull();
  });
});
