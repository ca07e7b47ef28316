import { expect, test } from 'vitest';
import { NO_REPLICATION } from './node-report.ts';
import { statusDigest } from './status-digest.ts';

const seqs = {
  ackedSeq: 4,
  lagSeq: 0,
  lagSeconds: 0,
  sync: null,
  incarnation: 1,
  leaving: false,
  stalled: false,
};
const follower = { node: 'n2', state: 'streaming' as const, ...seqs };
const partition = {
  id: 0,
  role: 1,
  epoch: 1,
  seq: 4,
  consistent: true,
  checked: true,
  followers: [follower],
};

test('status digest: the same status, the same text; any change of state, another', () => {
  const status = { ...NO_REPLICATION, partitions: [partition] };
  const digest = statusDigest(status);
  expect(statusDigest(structuredClone(status))).toBe(digest);
  const changed = [
    { ...status, partitions: [{ ...partition, epoch: 2 }] },
    { ...status, partitions: [{ ...partition, consistent: false }] },
    { ...status, partitions: [{ ...partition, followers: [] }] },
    {
      ...status,
      partitions: [{ ...partition, followers: [{ ...follower, state: 'bulk' as const }] }],
    },
  ].map(statusDigest);
  expect(new Set([digest, ...changed]).size).toBe(1 + changed.length);
  const counted = { ...status, counters: { ...status.counters, bytesSent: 1 } };
  expect(statusDigest(counted)).toBe(digest);
  const written = { ...partition, seq: 5, followers: [{ ...follower, ackedSeq: 5 }] };
  expect(statusDigest({ ...status, partitions: [written] })).toBe(digest);
});
