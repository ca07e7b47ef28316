import { expect, test } from 'vitest';
import { Random } from '../../packages/replication/src/random.fixture.ts';
import { numbers } from '../support/dataset.ts';
import { describeIll, ILL_KINDS, Ills } from './ills.ts';

test.each([3, 5])(
  'ills of %i nodes: every kind comes in its turn, and nobody is its own peer',
  (nodes) => {
    const ills = new Ills(new Random(9), nodes);
    for (const _ of numbers(200)) {
      const turn = ILL_KINDS.map(() => ills.next());
      expect(new Set(turn.map(({ kind }) => kind)).size).toBe(ILL_KINDS.length);
      for (const { node, peer } of turn) {
        expect(node).toBeGreaterThanOrEqual(1);
        expect(Math.max(node, peer ?? 1)).toBeLessThanOrEqual(nodes);
        expect(peer).not.toBe(node);
      }
    }
  },
);

test('the same seed, the same ills', () => {
  const told = (seed: number): string[] => {
    const ills = new Ills(new Random(seed), 5);
    return numbers(50).map(() => describeIll(ills.next()));
  };
  expect(told(7)).toEqual(told(7));
  expect(told(7)).not.toEqual(told(8));
});
