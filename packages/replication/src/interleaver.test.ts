import { describe, expect, test } from 'vitest';
import { runInterleaved } from './interleaver.fixture.ts';

const seeds = Array.from({ length: 40 }, (_, i) => i + 1);

describe('replication: random interleavings of writer, sender and follower', () => {
  const seen = new Map<string, number>();

  test.each(seeds)('seed %i: equal at every consistent point', (seed) => {
    const run = runInterleaved({ seed, writes: 400 });
    expect(run.consistentPoints).toBeGreaterThan(0);
    for (const [event, count] of run.events) seen.set(event, (seen.get(event) ?? 0) + count);
    seen.set('consistent point', (seen.get('consistent point') ?? 0) + run.consistentPoints);
  });

  test.each([
    ['syncFinished: full, the copy is empty', 30],
    ['syncStarted: stream, the copy is current and the ring holds what follows', 100],
    ['syncFinished: catch-up, the ring has moved past the copy', 15],
    ['syncFinished: catch-up, the copy was interrupted in the middle of a bulk', 12],
    ['syncFinished: catch-up, the ring lapped the follower', 10],
    ['consistent point', 3_000],
  ])('the seeds together saw enough of: %s', (event, count) => {
    expect(seen.get(event)).toBeGreaterThanOrEqual(count);
  });
});
