import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { after, type Call, MISFIT, type Operation, type State } from './calls.ts';
import { historyBroken } from './one-by-one.ts';

/** A call of a client, from start to end, on one key unless another is said. */
const call = (
  client: number,
  start: number,
  end: number,
  operation: Operation,
  key = 'k',
): Call => ({ client, start, end, operation, key });

const get = (result: State): Operation => ({ kind: 'get', result });
const set = (value: string): Operation => ({ kind: 'set', value, result: true });
const add = (result: number): Operation => ({ kind: 'add', at: 0, by: 1, result });
const remove = (result: boolean): Operation => ({ kind: 'delete', result });
const swap = (expected: State, value: string, result: boolean): Operation => ({
  ...{ kind: 'compareAndSet', expected, value, result },
});
const unanswered = Infinity;

describe('threads: one by one: histories that are', () => {
  test.each<[string, Call[]]>([
    ['nothing', []],
    ['a read of what is absent', [call(0, 0, 1, get(null))]],
    ['a read beside its write', [call(0, 0, 9, set('a')), call(1, 2, 3, get('a'))]],
    [
      'an old value, then a new one, beside a write',
      [call(0, 0, 9, set('a')), call(1, 2, 3, get(null)), call(1, 4, 5, get('a'))],
    ],
    [
      'two counts at once, in the order of their sums',
      [call(0, 0, 9, add(2)), call(1, 0, 9, add(1)), call(0, 10, 11, get('2'))],
    ],
    [
      'a deletion between two writes of one value',
      [
        call(0, 0, 1, set('a')),
        call(1, 2, 9, remove(true)),
        call(0, 3, 8, { kind: 'set', value: 'b', when: 'absent', result: true }),
        call(0, 10, 11, get('b')),
      ],
    ],
    [
      'one of two swaps at once',
      [call(0, 0, 9, swap(null, 'a', true)), call(1, 0, 9, swap(null, 'b', false))],
    ],
    [
      'a swap that fails because of a deletion that is under way',
      [call(0, 0, 1, set('a')), call(1, 2, 9, remove(true)), call(0, 3, 4, swap('a', 'b', false))],
    ],
    [
      'parts of a value, and what was added to it',
      [
        call(0, 0, 1, set('1,2')),
        call(0, 2, 3, { kind: 'append', item: '3', result: 3 }),
        call(1, 2, 9, { kind: 'put', at: 5, item: '6', result: 6 }),
        call(0, 10, 11, { kind: 'get', from: 1, to: 4, result: '2,3,0' }),
        call(0, 12, 13, { kind: 'exchange', value: '9', result: '1,2,3,0,0,6' }),
      ],
    ],
    [
      'a field of a record that is absent',
      [
        call(0, 0, 1, { kind: 'put', at: 1, item: '5', ifThere: true, result: 0 }),
        call(0, 2, 3, { kind: 'add', at: 1, by: 2, ifThere: true, result: null }),
        call(0, 4, 5, set('1,2')),
        call(0, 6, 7, { kind: 'add', at: 1, by: 2, ifThere: true, result: 4 }),
        call(0, 8, 9, { kind: 'put', at: 0, item: '5', ifThere: true, result: 2 }),
        call(0, 10, 11, get('5,4')),
      ],
    ],
    [
      'a write without an answer that came late',
      [call(0, 0, unanswered, set('a')), call(1, 1, 2, get(null)), call(1, 3, 4, get('a'))],
    ],
    ['a write without an answer that never came', [call(0, 0, unanswered, set('a'))]],
    ['times that touch', [call(0, 0, 1, set('a')), call(1, 1, 2, get(null))]],
    ['keys for themselves', [call(0, 0, 1, set('a'), 'one'), call(0, 2, 3, get(null), 'two')]],
  ])('%s', (_, history) => {
    expect(historyBroken(history)).toBeNull();
  });
});

describe('threads: one by one: histories that are not', () => {
  test.each<[string, Call[]]>([
    ['a write is lost', [call(0, 0, 1, set('a')), call(1, 2, 3, get(null))]],
    [
      'a value comes back',
      [
        call(0, 0, 1, set('a')),
        call(0, 2, 3, set('b')),
        call(1, 4, 5, get('b')),
        call(1, 6, 7, get('a')),
      ],
    ],
    [
      'two readers see two writes in different orders',
      [
        call(0, 0, 9, set('a')),
        call(1, 0, 9, set('b')),
        call(2, 1, 2, get('a')),
        call(2, 3, 4, get('b')),
        call(2, 5, 6, get('a')),
      ],
    ],
    ['a count is lost', [call(0, 0, 9, add(1)), call(1, 0, 9, add(1))]],
    ['a count is seen before it was asked for', [call(0, 0, 1, get('1')), call(1, 2, 3, add(1))]],
    [
      'both of two swaps at once',
      [call(0, 0, 9, swap(null, 'a', true)), call(1, 0, 9, swap(null, 'b', true))],
    ],
    [
      'a swap that saw what was gone before it began',
      [call(0, 0, 1, set('a')), call(0, 2, 3, set('b')), call(1, 4, 5, swap('a', 'c', true))],
    ],
    [
      'a key that is deleted twice',
      [call(0, 0, 1, set('a')), call(0, 2, 9, remove(true)), call(1, 2, 9, remove(true))],
    ],
    ['a deletion of what was never there', [call(0, 0, 1, remove(true))]],
    [
      'a deletion that missed what was there all the while',
      [call(0, 0, 1, set('a')), call(1, 2, 3, remove(false))],
    ],
    [
      'a part that changed without the rest',
      [
        call(0, 0, 1, set('1,2')),
        call(0, 2, 3, set('3,4')),
        call(1, 4, 5, { kind: 'get', from: 0, to: 1, result: '1' }),
      ],
    ],
    [
      'a write without an answer is seen, and lost',
      [call(0, 0, unanswered, set('a')), call(1, 1, 2, get('a')), call(1, 3, 4, get(null))],
    ],
    ['one key of several', [call(0, 0, 1, set('a'), 'one'), call(0, 2, 3, get('a'), 'two')]],
  ])('%s', (_, history) => {
    expect(historyBroken(history)).not.toBeNull();
  });

  test('says which call, what was there, and what was under way', () => {
    const history = [call(0, 0, 1, set('a')), call(2, 2, 9, set('b')), call(1, 3, 4, get(null))];
    expect(historyBroken(history)).toBe(
      'key k: no order explains get -> null (thread 1, 3 to 4): before it the key was a, ' +
        'and under way were set value b -> true (thread 2, 2 to 9)',
    );
  });
});

/** Tries every order. */
function explains(left: readonly Call[], state: State): boolean {
  if (left.every(({ end }) => end === unanswered)) return true;
  return left.some((first) => {
    const rest = left.filter((other) => other !== first);
    if (rest.some(({ end }) => end < first.start)) return false;
    const next = after(state, first.operation, first.end !== unanswered);
    return next !== MISFIT && explains(rest, next);
  });
}

test('threads: one by one: says what trying every order says', () => {
  const state = fc.constantFrom<State>(null, '1', '2');
  const operation: fc.Arbitrary<Operation> = fc.oneof(
    fc.record({ kind: fc.constant('get' as const), result: state }),
    fc.record({
      kind: fc.constant('set' as const),
      value: fc.constantFrom('1', '2'),
      result: fc.constant(true),
    }),
    fc.record({ kind: fc.constant('delete' as const), result: fc.boolean() }),
    fc.record({
      ...{ kind: fc.constant('add' as const), at: fc.constant(0), by: fc.constant(1) },
      result: fc.constantFrom(1, 2, 3),
    }),
    fc.record({
      ...{ kind: fc.constant('compareAndSet' as const), expected: state },
      ...{ value: fc.constantFrom('1', '2'), result: fc.boolean() },
    }),
  );
  const step = fc.record({
    client: fc.nat(2),
    waits: fc.nat(3),
    lasts: fc.nat(6),
    operation,
    isAnswered: fc.nat(9).map((n) => n > 0),
  });
  const counts = { broken: 0, whole: 0 };
  fc.assert(
    fc.property(fc.array(step, { minLength: 2, maxLength: 7 }), (steps) => {
      const freeAt = [0, 0, 0];
      const history: Call[] = [];
      for (const { client, waits, lasts, operation: asked, isAnswered } of steps) {
        if (freeAt[client] === unanswered) continue;
        const start = freeAt[client] + waits;
        const end = isAnswered ? start + lasts : unanswered;
        history.push(call(client, start, end, asked));
        freeAt[client] = end + 1;
      }
      const isBroken = historyBroken(history) !== null;
      counts[isBroken ? 'broken' : 'whole']++;
      expect(isBroken).toBe(!explains(history, null));
    }),
    { numRuns: 4_000, seed: 5 },
  );
  expect(Math.min(counts.broken, counts.whole)).toBeGreaterThan(500);
});
