import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  chooseSeed,
  feedsMax,
  type SeedCandidate,
  type SeedQuestion,
  slowMs,
} from './seed-choice.ts';

const candidate = (node: string, change: Partial<SeedCandidate> = {}): SeedCandidate => ({
  ...{ node, ready: true, checked: true, feeds: 0, avoided: false },
  ...change,
});

const question = (change: Partial<SeedQuestion> = {}): SeedQuestion => ({
  ...{ partition: 0, joiner: 'j', candidates: [], own: 0, ownMs: 0, elsewhere: 0 },
  ...{ given: 0, waitedMs: 0, ...change },
});

describe('who feeds a new copy', () => {
  const b = candidate('b');
  const c = candidate('c');
  test.each<[claim: string, SeedQuestion, choice: string]>([
    ['nobody else has the partition: the primary', question(), 'primary'],
    ['a follower has it', question({ candidates: [b] }), 'b'],
    ['the one that feeds fewer', question({ candidates: [candidate('b', { feeds: 1 }), c] }), 'c'],
    [
      'one that has been compared',
      question({ candidates: [candidate('b', { checked: false }), c] }),
      'c',
    ],
    ['partitions begin at different ones', question({ candidates: [b, c], partition: 1 }), 'c'],
    ['never the joiner itself', question({ candidates: [candidate('j')] }), 'primary'],
    [
      'one whose copy is not made yet',
      question({ candidates: [candidate('b', { ready: false })] }),
      'primary',
    ],
    ['the first copy is in the making', question({ own: 1, given: 1 }), 'wait'],
    ['it has been for long', question({ own: 1, ownMs: slowMs, given: 1 }), 'primary'],
    ['two of them have been', question({ own: 2, ownMs: slowMs, given: 2 }), 'wait'],
    ['followers make copies', question({ elsewhere: 3, given: 1 }), 'wait'],
    [
      'all that could have no room: the primary, once',
      question({ candidates: [candidate('b', { feeds: feedsMax })], elsewhere: feedsMax }),
      'primary',
    ],
    [
      'and then those that come wait',
      question({
        candidates: [candidate('b', { feeds: feedsMax })],
        elsewhere: feedsMax,
        given: 1,
      }),
      'wait',
    ],
    [
      'the only source has just failed this joiner',
      question({ candidates: [candidate('b', { avoided: true })], given: 1 }),
      'primary',
    ],
    [
      'it fails for ever',
      question({ candidates: [candidate('b', { avoided: true })], given: 2, waitedMs: 5_000 }),
      'primary',
    ],
  ])('%s', (_, asked, choice) => {
    const chosen = chooseSeed(asked);
    expect(chosen.kind === 'follower' ? chosen.node : chosen.kind).toBe(choice);
  });
});

describe('whatever is asked', () => {
  const names = ['b', 'c', 'd', 'j'];
  const candidates = fc.uniqueArray(fc.constantFrom(...names), { maxLength: 4 }).chain((nodes) =>
    fc.tuple(
      ...nodes.map((node) =>
        fc.record({
          node: fc.constant(node),
          ready: fc.boolean(),
          checked: fc.boolean(),
          feeds: fc.integer({ min: 0, max: feedsMax + 1 }),
          avoided: fc.boolean(),
        }),
      ),
    ),
  );
  const asked: fc.Arbitrary<SeedQuestion> = fc.record({
    partition: fc.integer({ min: 0, max: 4_095 }),
    joiner: fc.constant('j'),
    candidates,
    own: fc.integer({ min: 0, max: 3 }),
    ownMs: fc.integer({ min: 0, max: 2 * slowMs }),
    elsewhere: fc.integer({ min: 0, max: 8 }),
    given: fc.integer({ min: 0, max: 4 }),
    waitedMs: fc.integer({ min: 0, max: 20_000 }),
  });

  test('a source is ready, has room, has not just failed, and is not the joiner', () => {
    fc.assert(
      fc.property(asked, (each) => {
        const choice = chooseSeed(each);
        if (choice.kind !== 'follower') return;
        const source = each.candidates.find(({ node }) => node === choice.node);
        expect(source).toMatchObject({ ready: true, avoided: false });
        expect(source?.feeds).toBeLessThan(feedsMax);
        expect(choice.node).not.toBe('j');
      }),
    );
  });

  test('nobody waits for a copy that nobody makes, for longer than a while', () => {
    fc.assert(
      fc.property(asked, (each) => {
        const choice = chooseSeed({ ...each, own: 0, elsewhere: 0, waitedMs: 5_000 });
        expect(choice.kind).not.toBe('wait');
      }),
    );
  });

  test('while a copy is made, or could be made by others, the primary sends two images at most', () => {
    fc.assert(
      fc.property(asked, (each) => {
        const isMade = each.own + each.elsewhere > 0;
        if (isMade && each.given >= 2) expect(chooseSeed(each).kind).not.toBe('primary');
      }),
    );
  });
});
