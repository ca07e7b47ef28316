/** kill -9 in the middle of saves; `npm run crash` does it for long. */
import { expect, test } from 'vitest';
import { killSaves } from './kills.ts';

const KILLS = 8;

test('kill -9 in the middle of a save leaves a copy that is whole, and no older than the last one that was saved', async () => {
  const { kills, inSaves, seq } = await killSaves(KILLS, 24_001);
  expect(kills).toBe(KILLS);
  expect(inSaves).toBeGreaterThanOrEqual(KILLS / 4);
  expect(seq).toBeGreaterThan(0);
}, 120_000);
