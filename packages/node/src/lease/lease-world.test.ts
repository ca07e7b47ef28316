import { describe, expect, test } from 'vitest';
import { LeaseWorld, type Shortcut } from './lease-world.fixture.ts';

const runs = 40;
const runMs = 30_000;

const shortcuts: readonly Shortcut[] = ['shortWait', 'noGrace', 'volatileFences', 'fromAnswer'];
/** One run in a hundred or so shows it; the first that does ends the search. */
const shortcutRuns = 600;

async function firstSplit(shortcut: Shortcut): Promise<string | null> {
  for (let seed = 1; seed <= shortcutRuns; seed++) {
    const { split } = await new LeaseWorld(seed, shortcut).run(runMs);
    if (split !== null) return `seed ${seed}: ${split}`;
  }
  return null;
}

describe('leases: a world that goes wrong', () => {
  test('never do two lives serve, and mostly one does', async () => {
    let failovers = 0;
    let servedShare = 0;
    for (let seed = 1; seed <= runs; seed++) {
      const figures = await new LeaseWorld(seed, 'none').run(runMs);
      expect(figures.split, `seed ${seed}`).toBe(null);
      failovers += figures.failovers;
      servedShare += figures.servedShare / runs;
    }
    expect(failovers).toBeGreaterThan(runs);
    expect(servedShare).toBeGreaterThan(0.3);
  });

  test.each(shortcuts)('with the shortcut %s two lives serve', async (shortcut) => {
    expect(await firstSplit(shortcut)).not.toBe(null);
  });
});
