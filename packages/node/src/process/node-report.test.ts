import { attachPartition, createPartition, planGeometry, ROLE_FOLLOWER } from '@ingot/store';
import { expect, test } from 'vitest';
import { HeartbeatCopies, NO_REPLICATION, partitionStatuses, scrubStatus } from './node-report.ts';
import { flipFollowerByte } from './test-door.ts';

const geometry = planGeometry({
  partitions: 2,
  capacityBytes: 16 << 20,
  capacityMaxBytes: 16 << 20,
});

function copies() {
  const [led, followed] = [0, 1].map((id) => attachPartition(createPartition(geometry, id)));
  led.promote(3, 1_800_000_000_000);
  followed.setRole(ROLE_FOLLOWER, 5);
  return { led, followed };
}

test('node report: role, epoch, seq and state come from the copies themselves', () => {
  const { led, followed } = copies();
  expect(partitionStatuses([followed, led], NO_REPLICATION)).toMatchObject([
    { id: 0, role: 'primary', epoch: 3, seq: 1, consistent: true, checked: true, followers: [] },
    { id: 1, role: 'follower', epoch: 5, seq: 0, consistent: false, checked: false, followers: [] },
  ]);
});

test('heartbeat copies: made anew for a change of state at once, for seqs in time', () => {
  const { led, followed } = copies();
  const reported = new HeartbeatCopies(700);
  let nowMs = 1_000;
  let replication = NO_REPLICATION;
  let held = [led, followed];
  const of = () => reported.of(held, replication, nowMs);
  let told = of();
  const expectNew = (): void => {
    expect(of()).not.toBe(told);
    told = of();
    expect(told).toEqual(partitionStatuses(held, replication));
  };
  followed.setRole(ROLE_FOLLOWER, 6);
  expectNew();
  led.seal(true);
  led.setRole(ROLE_FOLLOWER, 3);
  expectNew();
  replication = { ...NO_REPLICATION };
  expectNew();
  led.promote(7, 1_800_000_000_000);
  expectNew();
  held = [led];
  expectNew();
  nowMs += 699;
  expect(of()).toBe(told);
  nowMs += 1;
  expectNew();
});

test('node report: only a primary speaks of followers; one that streams has been checked', () => {
  const { led, followed } = copies();
  const place = { role: 1, epoch: 3, seq: 9, consistent: true, checked: true };
  const at = {
    ackedSeq: 7,
    lagSeq: 2,
    lagSeconds: 0.5,
    sync: null,
    source: null,
    incarnation: 1,
    leaving: false,
    stalled: false,
  };
  const followers = [
    { node: 'n2', state: 'streaming' as const, ...at },
    { node: 'n3', state: 'checking' as const, ...at },
  ];
  const partitions = [0, 1].map((id) => ({ id, ...place, followers, feeds: [] }));
  const [first, second] = partitionStatuses([led, followed], { ...NO_REPLICATION, partitions });
  expect(first.followers).toEqual([
    { node: 'n2', state: 'streaming', ...at, checked: true },
    { node: 'n3', state: 'checking', ...at, checked: false },
  ]);
  expect(second.followers).toEqual([]);
});

test('the test door damages one bit of a follower, and nothing else', () => {
  const { led, followed } = copies();
  const before = followed.chunkCrc32(3);
  expect(flipFollowerByte(followed, 3, 100)).toBe('flipped a bit of partition 1 chunk 3 byte 100');
  expect(followed.chunkCrc32(3)).not.toBe(before);
  expect(() => flipFollowerByte(led, 3, 100)).toThrow('no follower copy');
  expect(() => flipFollowerByte(undefined, 3, 100)).toThrow('no follower copy');
  expect(() => flipFollowerByte(followed, 3_000, 0)).toThrow('no such byte');
  expect(() => flipFollowerByte(followed, Number.NaN, 0)).toThrow('no such byte');
});

test('node report: the scrub in seconds, with what comparing copies has come to', () => {
  const scrub = {
    everyMs: 60_000,
    rounds: 1,
    chunksDone: 2,
    chunksTotal: 3,
    lastRoundMs: 59_500,
    lastRoundSkipped: 0,
  };
  const counters = { ...NO_REPLICATION.counters, checksFailed: 4, repairs: 3, repairsRefused: 1 };
  expect(scrubStatus({ ...NO_REPLICATION, scrub, counters })).toEqual({
    everySeconds: 60,
    rounds: 1,
    chunksDone: 2,
    chunksTotal: 3,
    lastRoundSeconds: 59.5,
    differences: 4,
    repairs: 3,
    repairsRefused: 1,
  });
});
