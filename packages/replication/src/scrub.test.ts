import { describe, expect, test } from 'vitest';
import { Scrub, type ScrubMark, scrubBytesPerSecondMax, type ScrubTarget } from './scrub.ts';

const HOUR = 3_600_000;

interface Timed extends ScrubMark {
  readonly atMs: number;
}

/** Steps the scrub every `tickMs`, as often as it has something to do, for so long. */
function run(
  scrub: Scrub,
  { fromMs = 0, forMs, tickMs = 200 }: { fromMs?: number; forMs: number; tickMs?: number },
): Timed[] {
  const marks: Timed[] = [];
  for (let atMs = fromMs; atMs < fromMs + forMs; atMs += tickMs) {
    for (let mark = scrub.step(atMs); mark !== null; mark = scrub.step(atMs)) {
      marks.push({ ...mark, atMs });
    }
  }
  return marks;
}

function scrubOf(
  targets: readonly ScrubTarget[] | (() => readonly ScrubTarget[]),
  everyMs: number = HOUR,
): Scrub {
  const options = { everyMs, bytesPerSecondMax: scrubBytesPerSecondMax };
  return new Scrub(options, typeof targets === 'function' ? targets : () => targets);
}

describe('scrub', () => {
  test('every chunk is marked once per round, in order, evenly over the round', () => {
    const scrub = scrubOf([
      { partition: 2, chunkCount: 3 },
      { partition: 7, chunkCount: 2 },
    ]);
    const marks = run(scrub, { forMs: HOUR });
    expect(marks.map(({ partition, chunk }) => `${partition}/${chunk}`)).toEqual([
      ...['2/0', '2/1', '2/2'],
      ...['7/0', '7/1'],
    ]);
    expect(marks.map(({ atMs }) => Math.round(atMs / (HOUR / 5)))).toEqual([0, 1, 2, 3, 4]);
    expect(run(scrub, { fromMs: HOUR, forMs: HOUR })).toHaveLength(5);
    expect(scrub.progress).toMatchObject({ rounds: 1, chunksDone: 5, chunksTotal: 5 });
    expect(scrub.progress.lastRoundMs).toBeCloseTo(HOUR, -3);
  });

  test('a small cluster at the default rate costs a few marks a second at most', () => {
    const targets = Array.from({ length: 64 }, (_, partition) => ({ partition, chunkCount: 250 }));
    const marks = run(scrubOf(targets), { forMs: 60_000 });
    expect(marks.length / 60).toBeGreaterThan(4);
    expect(marks.length / 60).toBeLessThan(5);
  });

  test('however short the round, no more than the bound is read in a second', () => {
    const scrub = scrubOf([{ partition: 0, chunkCount: 20_000 }], 1_000);
    const marks = run(scrub, { forMs: 10_000, tickMs: 1 });
    expect(marks.length * 65_536).toBeLessThanOrEqual(10 * scrubBytesPerSecondMax + 65_536);
    expect(marks.length * 65_536).toBeGreaterThan(9.9 * scrubBytesPerSecondMax);
    run(scrub, { fromMs: 10_000, forMs: 10_000, tickMs: 1 });
    expect(scrub.progress.rounds).toBe(1);
    expect(scrub.progress.lastRoundMs).toBeGreaterThan(19_000);
  });

  test('after a pause it does not hurry by more than a second is worth', () => {
    const scrub = scrubOf([{ partition: 0, chunkCount: 3_600 }]);
    run(scrub, { forMs: 1_000 });
    expect(run(scrub, { fromMs: 600_000, forMs: 1 }).length).toBeLessThanOrEqual(3);
  });

  test('partitions that come, go, grow and shrink are taken as they are when it is their turn', () => {
    let targets: ScrubTarget[] = [{ partition: 1, chunkCount: 2 }];
    const scrub = scrubOf(() => targets, 10_000);
    const first = scrub.step(0);
    targets = [
      { partition: 0, chunkCount: 2 },
      { partition: 1, chunkCount: 3 },
      { partition: 3, chunkCount: 1 },
    ];
    const rest = run(scrub, { forMs: 10_000 });
    expect([first, ...rest].map((mark) => `${mark?.partition}/${mark?.chunk}`)).toEqual([
      ...['1/0', '1/1', '1/2'],
      ...['0/0', '0/1', '3/0'],
    ]);
    targets = [{ partition: 3, chunkCount: 1 }];
    expect(run(scrub, { fromMs: 10_000, forMs: 10_000 })).toMatchObject([
      { partition: 3, chunk: 0 },
    ]);
  });

  test('with nobody to compare with there is no round, and one begins when somebody comes', () => {
    let waits = true;
    const scrub = scrubOf(() => [{ partition: 5, chunkCount: 1, waits }], 10_000);
    expect(run(scrub, { forMs: 60_000 })).toEqual([]);
    expect(scrub.progress).toMatchObject({ rounds: 0, chunksDone: 0, chunksTotal: 0 });
    waits = false;
    expect(run(scrub, { fromMs: 60_000, forMs: 1_000 })).toHaveLength(1);
  });

  test('a partition whose followers are away is put off, and goes on where it was', () => {
    let away = new Set<number>();
    const scrub = scrubOf(
      () => [0, 1].map((id) => ({ partition: id, chunkCount: 3, waits: away.has(id) })),
      6_000,
    );
    const shown = (marks: readonly ScrubMark[]): string[] =>
      marks.map(({ partition, chunk }) => `${partition}/${chunk}`);
    expect(shown(run(scrub, { forMs: 1_800 }))).toEqual(['0/0', '0/1']);
    away = new Set([0]);
    expect(shown(run(scrub, { fromMs: 1_800, forMs: 2_000 }))).toEqual(['1/0', '1/1']);
    away = new Set([0, 1]);
    expect(run(scrub, { fromMs: 3_800, forMs: 1_000 })).toEqual([]);
    expect(scrub.progress).toMatchObject({ rounds: 0, chunksDone: 4, chunksTotal: 6 });
    away = new Set([1]);
    expect(shown(run(scrub, { fromMs: 4_800, forMs: 1_400 }))).toEqual(['0/2']);
    expect(scrub.progress).toMatchObject({ rounds: 1, lastRoundSkipped: 1 });
    away = new Set();
    expect(shown(run(scrub, { fromMs: 6_200, forMs: 6_000 }))).toHaveLength(6);
  });

  test('says how far the round is', () => {
    const scrub = scrubOf([{ partition: 0, chunkCount: 10 }], 10_000);
    run(scrub, { forMs: 4_900 });
    expect(scrub.progress).toEqual({
      rounds: 0,
      chunksDone: 5,
      chunksTotal: 10,
      lastRoundMs: 0,
      lastRoundSkipped: 0,
    });
  });
});
