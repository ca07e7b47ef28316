import { describe, expect, test } from 'vitest';
import { decideRepair } from './repair-decision.ts';

const sound = (): string | null => null;
const broken = (): string | null => 'record 7: a lookup of its key leads elsewhere';
const unasked = (): string | null => {
  throw new Error('the structure was asked for');
};

const byThird = { repair: true, because: 'a third copy' };
const byStructure = { repair: true, because: 'its structure' };
const outvoted = (followers: number) => ({
  repair: false,
  why: `${followers} followers agree with each other against the primary`,
});
const ownDamage = {
  repair: false,
  why: "the primary's own chunk is broken: record 7: a lookup of its key leads elsewhere",
};

describe('the decision whether a chunk is repaired', () => {
  test.each([
    ['two copies, the primary sound', 0, [1], sound, byStructure],
    ['two copies, the primary broken', 0, [1], broken, ownDamage],
    ['three copies, one like the primary', 1, [1], unasked, byThird],
    ['three copies, both differ and agree', 0, [1, 1], unasked, outvoted(2)],
    [
      'three copies, both differ in their own ways, the primary sound',
      0,
      [1, 2],
      sound,
      byStructure,
    ],
    [
      'three copies, both differ in their own ways, the primary broken',
      0,
      [1, 2],
      broken,
      ownDamage,
    ],
    ['four copies, one like the primary, two agree against it', 1, [1, 1], unasked, outvoted(2)],
    [
      'five copies, two like the primary, two differ in their own ways',
      2,
      [1, 2],
      unasked,
      byThird,
    ],
    [
      'five copies, three agree against it, one differs alone',
      0,
      [1, 2, 1, 1],
      unasked,
      outvoted(3),
    ],
  ])('%s', (_, equal, different, brokenRule, decision) => {
    expect(decideRepair({ equal, different, brokenRule })).toEqual(decision);
  });
});
