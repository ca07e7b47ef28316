/** The parser's part of the fuzz, so many cases of one seed. */
import { expect, test } from 'vitest';
import { fuzzParser } from './parser-part.ts';

const SEED = 20_261_123;
const CASES = 2_500;
/** At least so many of each, about half of what comes. */
const SEEN: Readonly<Record<string, number>> = {
  whole: 300,
};

test('damaged streams are what the reference says they are, however they are cut', async () => {
  const { broken, tally } = await fuzzParser({ seed: SEED, goesOn: ({ cases }) => cases < CASES });
  expect(broken).toBeNull();
  expect(tally.missing).toEqual([]);
  for (const [name, least] of Object.entries(SEEN)) {
    expect(tally.get(name), name).toBeGreaterThanOrEqual(least);
  }
});
