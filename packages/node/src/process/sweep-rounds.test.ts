import {
  attachPartition,
  CHUNK_BYTES,
  createPartition,
  hashKey,
  type Partition,
  planGeometry,
  ROLE_FOLLOWER,
} from '@ingot/store';
import { describe, expect, test } from 'vitest';
import {
  IDLE_ROUND_INTERVAL_MS,
  LOOK_INTERVAL_MS,
  ROUND_INTERVAL_MS,
  STEP_INTERVAL_MS,
  SweepRounds,
  RECORDS_PER_SECOND_MAX,
} from './sweep-rounds.ts';

const NOW_MS = 1_800_000_000_000;
const geometry = planGeometry({ partitions: 1, capacityBytes: 8 << 20, capacityMaxBytes: 8 << 20 });

function led(id = 0): Partition {
  const partition = attachPartition(createPartition(geometry, id));
  partition.promote(1, NOW_MS);
  return partition;
}

/** Keys of about 1 KiB, so that a few hundred of them fill several chunks. */
function fill(partition: Partition, count: number, expiresAtMs: number): void {
  const value = Buffer.alloc(1_000);
  for (let i = 0; i < count; i++) {
    const key = Buffer.from(`key-${expiresAtMs}-${i}`);
    const hash = hashKey(key, 0, key.length);
    partition.enter();
    partition.set(hash, key, 0, key.length, value, 0, value.length, expiresAtMs, NOW_MS);
    partition.leave();
  }
}

function roundsOver(...partitions: Partition[]): SweepRounds {
  const rounds = new SweepRounds();
  for (const partition of partitions) rounds.attach(partition);
  return rounds;
}

/** Steps with a clock that moves as asked, until a whole round has passed. Returns the steps
 *  taken. */
function runOneRound(rounds: SweepRounds, fromMs: number): number {
  let steps = 0;
  for (let nowMs = fromMs; nowMs < fromMs + 2 * ROUND_INTERVAL_MS; steps++) {
    nowMs += Math.max(rounds.step(nowMs), 1);
  }
  return steps;
}

describe('sweep rounds', () => {
  test('expired records go, live ones stay', () => {
    const partition = led();
    fill(partition, 500, NOW_MS + 10);
    fill(partition, 500, 0);
    runOneRound(roundsOver(partition), NOW_MS + 20);
    expect(partition.stats()).toMatchObject({ keys: 500, records: 500, expiries: 500 });
    expect(partition.verify()).toBeNull();
  });

  test('flushed records go at once, without pauses, and give their memory back', () => {
    const partition = led();
    const emptyBytes = partition.stats().usedBytes;
    fill(partition, 3_000, 0);
    partition.enter();
    partition.flush(NOW_MS);
    partition.leave();
    expect(partition.stats()).toMatchObject({ keys: 0, records: 3_000 });
    const rounds = roundsOver(partition);
    while (rounds.step(NOW_MS) === 0);
    expect(partition.stats()).toMatchObject({ keys: 0, records: 0 });
    runOneRound(rounds, NOW_MS);
    // The index may keep a chunk of overflow buckets.
    expect(partition.stats().usedBytes).toBeLessThanOrEqual(emptyBytes + CHUNK_BYTES);
  });

  test('what expires all at once goes at a bounded rate', () => {
    const partition = led();
    fill(partition, 5_000, NOW_MS + 10);
    const rounds = roundsOver(partition);
    let nowMs = NOW_MS + 20;
    for (let steps = 0; partition.stats().records > 0 && steps < 1_000; steps++) {
      const { expiries } = partition.stats();
      const waitMs = rounds.step(nowMs);
      const removed = partition.stats().expiries - expiries;
      expect(waitMs).toBeGreaterThanOrEqual((removed * 1_000) / RECORDS_PER_SECOND_MAX);
      nowMs += waitMs;
    }
    expect(partition.stats()).toMatchObject({ records: 0, expiries: 5_000 });
    expect(nowMs).toBeLessThan(NOW_MS + 2_000);
  });

  test('a follower is left alone: it removes what its primary removes', () => {
    const partition = led();
    fill(partition, 100, NOW_MS + 10);
    partition.setRole(ROLE_FOLLOWER, 2);
    runOneRound(roundsOver(partition), NOW_MS + 20);
    expect(partition.stats().records).toBe(100);
  });

  test('a sealed partition does not make it spin', () => {
    const partition = led();
    fill(partition, 100, 0);
    partition.enter();
    partition.flush(NOW_MS);
    partition.leave();
    partition.seal(true);
    expect(roundsOver(partition).step(NOW_MS)).toBe(STEP_INTERVAL_MS);
  });

  test('an idle node steps a few times per second, however many partitions it leads', () => {
    const rounds = roundsOver(...Array.from({ length: 64 }, (_, id) => led(id)));
    let steps = 0;
    for (let atMs = 0; atMs < 4 * IDLE_ROUND_INTERVAL_MS; steps++)
      atMs += rounds.step(NOW_MS + atMs);
    expect(steps / ((4 * IDLE_ROUND_INTERVAL_MS) / 1_000)).toBeLessThan(6);
  });

  test('between rounds a flush is found soon, and after work the next round comes sooner', () => {
    const partition = led();
    const rounds = roundsOver(partition);
    expect(rounds.step(NOW_MS)).toBe(STEP_INTERVAL_MS);
    expect(rounds.step(NOW_MS + STEP_INTERVAL_MS)).toBe(LOOK_INTERVAL_MS);
    fill(partition, 100, NOW_MS + 10);
    // Idle until its time is over; then what it removes brings the next one forward.
    let atMs = STEP_INTERVAL_MS;
    while (partition.stats().records > 0) atMs += rounds.step(NOW_MS + atMs);
    expect(atMs).toBeGreaterThanOrEqual(IDLE_ROUND_INTERVAL_MS);
    fill(partition, 100, NOW_MS + atMs + 10);
    const begunMs = atMs;
    while (partition.stats().records > 0) atMs += rounds.step(NOW_MS + atMs);
    expect(atMs - begunMs).toBeLessThanOrEqual(ROUND_INTERVAL_MS + LOOK_INTERVAL_MS);
  });

  test('a partition that is taken away in the middle of a round is passed over', () => {
    const rounds = roundsOver(led(0), led(1));
    rounds.detach(0);
    expect(rounds.step(NOW_MS)).toBe(STEP_INTERVAL_MS);
  });
});
