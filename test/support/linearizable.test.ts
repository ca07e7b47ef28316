import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { linearizabilityBroken, type Operation } from './linearizable.ts';

const write = (value: string, start: number, end: number): Operation => ({
  kind: 'write',
  key: 'k',
  value,
  start,
  end,
});
const read = (value: string | null, start: number, end: number): Operation => ({
  kind: 'read',
  key: 'k',
  value,
  start,
  end,
});
const unanswered = Infinity;

describe('linearizable: histories that are', () => {
  test.each<[string, Operation[]]>([
    ['nothing', []],
    ['a read of what is absent', [read(null, 0, 1)]],
    ['a write, then its read', [write('a', 0, 1), read('a', 2, 3)]],
    ['a read beside its write', [write('a', 0, 9), read('a', 2, 3)]],
    ['an old value beside a write', [write('a', 0, 9), read(null, 2, 3), read('a', 4, 5)]],
    [
      'two writes at once, in either order',
      [write('a', 0, 9), write('b', 0, 9), read('a', 10, 11)],
    ],
    ['a write without an answer that came', [write('a', 0, unanswered), read('a', 5, 6)]],
    ['a write without an answer that never came', [write('a', 0, unanswered), read(null, 5, 6)]],
    [
      'a write without an answer that came late',
      [write('a', 0, unanswered), write('b', 1, 2), read('b', 3, 4), read('a', 5, 6)],
    ],
    ['times that touch', [write('a', 0, 1), read(null, 1, 2), read('a', 2, 3)]],
  ])('%s', (_, history) => {
    expect(linearizabilityBroken(history)).toBeNull();
  });
});

describe('linearizable: histories that are not', () => {
  test.each<[string, Operation[]]>([
    ['a write is lost', [write('a', 0, 1), read(null, 2, 3)]],
    ['a write is lost after it was seen', [write('a', 0, 9), read('a', 1, 2), read(null, 3, 4)]],
    [
      'a value is older than one that was written after it',
      [write('a', 0, 1), write('b', 2, 3), read('a', 4, 5)],
    ],
    ['a value comes back', [write('a', 0, 1), write('b', 2, 3), read('b', 4, 5), read('a', 6, 7)]],
    [
      'a write without an answer is seen, and lost',
      [write('a', 0, unanswered), read('a', 1, 2), read(null, 3, 4)],
    ],
    ['a read comes before its write', [read('a', 0, 1), write('a', 2, 3)]],
    ['a value nobody wrote', [read('x', 0, 1)]],
    [
      'two readers see two writes in different orders',
      [write('a', 0, 20), write('b', 0, 20), read('a', 1, 2), read('b', 3, 4), read('a', 5, 6)],
    ],
    ['one value written twice', [write('a', 0, 1), write('a', 2, 3)]],
    [
      'one key of several',
      [
        write('a', 0, 1),
        read('a', 2, 3),
        { ...write('b', 0, 1), key: 'other' },
        { ...read(null, 2, 3), key: 'other' },
      ],
    ],
  ])('%s', (_, history) => {
    expect(linearizabilityBroken(history)).not.toBeNull();
  });
});

/** Tries every order. */
function isLinearizable(left: readonly Operation[], value: string | null): boolean {
  if (left.every(({ end }) => end === unanswered)) return true;
  return left.some((first) => {
    const rest = left.filter((other) => other !== first);
    if (rest.some(({ end }) => end < first.start)) return false;
    if (first.kind === 'read' && first.value !== value) return false;
    return isLinearizable(rest, first.kind === 'write' ? first.value : value);
  });
}

test('linearizable: says what trying every order says', () => {
  const operation = fc.record({
    isWrite: fc.boolean(),
    value: fc.constantFrom('a', 'b', 'c', null),
    start: fc.integer({ min: 0, max: 12 }),
    lasts: fc.integer({ min: 0, max: 6 }),
    isAnswered: fc.boolean(),
  });
  let brokenCount = 0;
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 7 }), (drawn) => {
      const written = new Set<string | null>([null]);
      const history = drawn.flatMap(({ isWrite, value, start, lasts, isAnswered }) => {
        if (!isWrite || written.has(value) || value === null) {
          return [read(value, start, start + lasts)];
        }
        written.add(value);
        return [write(value, start, isAnswered ? start + lasts : unanswered)];
      });
      const isBroken = linearizabilityBroken(history) !== null;
      if (isBroken) brokenCount++;
      expect(isBroken).toBe(!isLinearizable(history, null));
    }),
    { numRuns: 3_000, seed: 4 },
  );
  expect(brokenCount).toBeGreaterThan(500);
});
