import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { addInt64, type Int64, negateInt64, readInteger, writeInteger } from './int64.ts';

const MAX = 2n ** 63n - 1n;
const MIN = -(2n ** 63n);

describe('64-bit integers', () => {
  const int64 = fc.oneof(
    fc.bigInt({ min: MIN, max: MAX }),
    fc.bigInt({ min: -1000n, max: 1000n }),
    fc.constantFrom(MIN, MIN + 1n, MAX, MAX - 1n, 2n ** 53n, -(2n ** 53n), 2n ** 53n - 1n),
  );
  const isSafe = (value: bigint): boolean => Number.isSafeInteger(Number(value));
  const read = (value: bigint): Int64 => {
    const bytes = Buffer.from(value.toString());
    return readInteger(bytes, 0, bytes.length) as Int64;
  };

  test('what is written reads back, and is the decimal text', () => {
    const into = Buffer.alloc(20);
    fc.assert(
      fc.property(int64, (value) => {
        const bytes = writeInteger(into, read(value));
        expect(into.toString('latin1', 0, bytes)).toBe(value.toString());
      }),
    );
  });

  test('sums are those of BigInt, and null beyond 64 bits', () => {
    fc.assert(
      fc.property(int64, int64, (a, b) => {
        const sum = addInt64(read(a), read(b));
        const fits = a + b <= MAX && a + b >= MIN;
        expect(sum === null ? null : BigInt(sum)).toBe(fits ? a + b : null);
        if (fits) expect(typeof sum).toBe(isSafe(a + b) ? 'number' : 'bigint');
      }),
    );
  });

  test('only the smallest value has no opposite', () => {
    expect(negateInt64(read(MIN))).toBeNull();
    expect(negateInt64(0)).toBe(0);
    expect(negateInt64(read(MAX))).toBe(-MAX);
  });

  test.each(['', '-', '+1', ' 1', '1 ', '01', '-0', '1.0', '1e3', '9223372036854775808', 'x'])(
    '%j is no integer',
    (text) => {
      expect(readInteger(Buffer.from(text), 0, text.length)).toBeNull();
    },
  );
});
