import { describe, expect, test } from 'vitest';
import { NO_IMAGE, type RoundAction, SnapshotRounds } from './snapshot-rounds.ts';

const EVERY_MS = 10_000;

/** What a tick does, as `begin 0`; empty where it does nothing. */
const tick = (rounds: SnapshotRounds, nowMs: number, isSpare = true, isReachable = true): string =>
  shown(rounds.step({ kind: 'tick', isReachable, isSpare }, nowMs));
const shown = (actions: readonly RoundAction[]): string =>
  actions.map(({ kind, image }) => `${kind} ${image}`).join(', ');
const end = (rounds: SnapshotRounds, nowMs: number): string =>
  shown(rounds.step({ kind: 'ended' }, nowMs));
const interrupt = (rounds: SnapshotRounds, nowMs: number): string =>
  shown(rounds.step({ kind: 'interrupted' }, nowMs));

describe('rounds of snapshots', () => {
  test('the images take turns, a round every so often', () => {
    const rounds = new SnapshotRounds(EVERY_MS);
    expect(rounds.current).toBe(NO_IMAGE);
    expect(tick(rounds, 0)).toBe('begin 0');
    expect(tick(rounds, 200)).toBe('');
    expect(end(rounds, 400)).toBe('publish 0');
    expect(tick(rounds, EVERY_MS - 1)).toBe('');
    expect(tick(rounds, EVERY_MS)).toBe('begin 1');
    expect(end(rounds, EVERY_MS + 10)).toBe('publish 1');
    expect(tick(rounds, 2 * EVERY_MS)).toBe('begin 0');
  });

  test('a round waits until nobody reads the image that it writes to', () => {
    const rounds = new SnapshotRounds(EVERY_MS);
    tick(rounds, 0);
    end(rounds, 1);
    expect(tick(rounds, EVERY_MS, false)).toBe('');
    expect(rounds.phase).toBe('parting');
    expect(tick(rounds, EVERY_MS + 1, true)).toBe('begin 1');
  });

  test('a round that is interrupted changes nothing for readers, and is tried again soon', () => {
    const rounds = new SnapshotRounds(EVERY_MS);
    tick(rounds, 0);
    end(rounds, 1);
    tick(rounds, EVERY_MS);
    expect(interrupt(rounds, EVERY_MS + 50)).toBe('');
    expect(rounds.current).toBe(0);
    expect(tick(rounds, EVERY_MS + 149)).toBe('');
    expect(tick(rounds, EVERY_MS + 150)).toBe('begin 1');
  });

  test('a primary that keeps failing is asked less and less often, but at least once in 5 s', () => {
    const rounds = new SnapshotRounds(60_000);
    let nowMs = 0;
    const waits = Array.from({ length: 9 }, () => {
      const sinceMs = nowMs;
      while (tick(rounds, nowMs) === '') nowMs++;
      interrupt(rounds, nowMs);
      return nowMs - sinceMs;
    });
    expect(waits).toEqual([0, 100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
  });

  test('without a primary nothing begins, and nothing that ends late counts', () => {
    const rounds = new SnapshotRounds(EVERY_MS);
    expect(tick(rounds, 0, true, false)).toBe('');
    expect(end(rounds, 1)).toBe('');
    expect(rounds.current).toBe(NO_IMAGE);
    tick(rounds, 2);
    interrupt(rounds, 3);
    expect(end(rounds, 4)).toBe('');
  });

  test('a round that takes longer than the time between two is followed by the next at once', () => {
    const rounds = new SnapshotRounds(EVERY_MS);
    tick(rounds, 0);
    end(rounds, 3 * EVERY_MS);
    expect(tick(rounds, 3 * EVERY_MS)).toBe('begin 1');
  });
});
