/** The bounded part of the simulation; `npm run sim` is the long form. */
import { describe, expect, test } from 'vitest';
import { simulate } from './simulation.ts';

const simulatedMs = 57_600;
const seeds = Array.from({ length: 12 }, (_, i) => i + 1);

describe('simulation: real machines and a real store under every kind of trouble', () => {
  const seen = new Map<string, number>();

  test.each(seeds)('seed %i: every claim holds, and after each healing all is equal', (seed) => {
    const { counts } = simulate({ seed, simulatedMs });
    for (const [what, times] of counts) seen.set(what, (seen.get(what) ?? 0) + times);
  });

  test('the same seed gives the same trace, another one another', () => {
    const hashes = [3, 3, 4].map((seed) => simulate({ seed, simulatedMs: 20_000 }).hash);
    expect(hashes[0]).toBe(hashes[1]);
    expect(hashes[0]).not.toBe(hashes[2]);
  });

  test.each([
    ['healings after which all was equal', 50],
    ['leaves cut off before a bulk', 10],
    ['fault: bulk cut, a copy behind promoted', 10],
    ['flipped frames refused', 15],
    ['consistent points', 20_000],
    ['reads', 3_500],
    ['large values published', 30],
    ['large values given up', 5],
    ['reads that a passage disturbed', 10_000],
    ['events in the middle of a passage', 100_000],
    ['pieces taken in the middle of a passage', 20_000],
    ['crashes', 5],
    ['crashes in the middle of a passage', 2],
    ['connections that ended in the middle of a payload', 20],
    ['fault: process paused', 12],
    ['fault: reader stalls', 30],
    ['fault: long absence', 2],
    ['bit flipped: header', 8],
    ['bit flipped: redo', 8],
    ['bit flipped: chunk', 4],
    ['bits in memory that the scrub repaired', 4],
    ['chunks repaired after a bulk', 2],
    ['promotions', 20],
    ['promotions of a copy that was behind', 3],
    ['sync: full, the copy is empty', 40],
    ['sync: stream, the copy is current and the ring holds what follows', 80],
    ['sync: catch-up, the ring has moved past the copy', 15],
    ['sync: catch-up, the copy was interrupted in the middle of a bulk', 2],
    ['sync: rewind, the copy has changes of a lost primary', 10],
    ['primary syncFinished: catch-up, the ring lapped the follower', 20],
  ])('the seeds together saw enough of: %s', (what, times) => {
    expect(seen.get(what)).toBeGreaterThanOrEqual(times);
  });
});
