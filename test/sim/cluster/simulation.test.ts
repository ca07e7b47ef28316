/** The bounded part of the simulation of clusters; `npm run sim -- --cluster` is the long form. */
import { describe, expect, test } from 'vitest';
import { type Part, simulateCluster } from './simulation.ts';

/** By part: how long a seed runs, and what the seeds together must have seen enough of. */
const parts: readonly {
  part: Part;
  seeds: number;
  simulatedMs: number;
  seen: [string, number][];
}[] = [
  {
    part: 'all',
    seeds: 8,
    simulatedMs: 30_000,
    // About half of what they see: every change of the product changes what happens.
    seen: [
      ['healings after which all was settled', 8],
      ['operations judged', 1_500],
      ['writes with acks=isr: ok', 800],
      ['event: primary.named', 15],
      ['event: partition.handedOver', 10],
      ['lives that were ended by others', 3],
      ['lives that ended in order', 1],
      ['drains after which a node led nothing', 2],
      ['fault: pause', 5],
      ['fault: node isolated', 2],
      ['fault: one-way cut', 2],
      ['fault: process dies', 4],
      ['fault: primary dies with a write of its own', 3],
      ['fault: primary dies while its in-sync set grows', 4],
      ['fault: primary dies after a follower was late to join', 3],
      ['replication: full syncs', 80],
      ['replication: rewind syncs', 1],
      ['events right before a gate', 150],
    ],
  },
  {
    part: 'seeds',
    seeds: 6,
    simulatedMs: 20_000,
    seen: [
      ['calm rounds', 8],
      ['rounds of trouble', 10],
      ['crowds that have their copies', 25],
      ['copies made by a follower', 150],
      ['sources that failed', 30],
      ['fault: a source dies', 20],
      ['fault: connections of a source break', 30],
      ['fault: every connection ends, an epoch begins', 8],
      ['sync: catch-up, the copy was interrupted in the middle of a bulk', 30],
    ],
  },
  {
    part: 'leases',
    seeds: 12,
    simulatedMs: 72_000,
    seen: [
      ['failovers', 25],
      ['fences', 50],
      ['fault: pause', 40],
      ['fault: a monotonic clock stood still', 10],
      ['fault: one-way cut', 50],
      ['fault: crash', 30],
      ['fault: disk wiped', 4],
      ['fault: leader isolated', 15],
      ['fault: most acceptors crash', 10],
      ['fault: wall clock set', 2],
      ['acceptor sets: joint', 50],
      ['acceptor sets: final', 50],
      ['map proposals: unknown', 10],
      ['healings after which somebody leads', 40],
    ],
  },
  {
    part: 'log',
    seeds: 12,
    simulatedMs: 108_000,
    seen: [
      ['crashes', 200],
      ['told', 3_000],
      ['bulks', 120],
      ['checkpoints', 300],
      ['changes of state', 120],
      ['copies that began anew', 25],
      ['groups torn', 15],
      ['logs damaged', 10],
      ['gaps', 150],
    ],
  },
  {
    part: 'snapshots',
    seeds: 6,
    simulatedMs: 12_000,
    seen: [
      ['healings', 15],
      ['reads', 20_000],
      ['primaries lost, with writes', 12],
      ['rounds ended, full, the copy is empty', 6],
      ['rounds ended, catch-up, the ring has moved past the copy', 15],
      ['rounds ended, catch-up, the copy was interrupted in the middle of a bulk', 3],
      ['rounds ended, rewind, the copy has changes of a lost primary', 6],
      ['rounds ended, stream, the copy is current and the ring holds what follows', 80],
      ['rounds interrupted, catch-up, the ring has moved past the copy', 3],
      ['rounds interrupted, stream, the copy is current and the ring holds what follows', 8],
    ],
  },
];

describe.each(parts)('cluster simulation: $part', ({ part, seeds, simulatedMs, seen }) => {
  const counts = new Map<string, number>();
  const all = Array.from({ length: seeds }, (_, i) => i + 1);

  test.each(all)('seed %i: every claim holds, and after each healing it settles', async (seed) => {
    const report = await simulateCluster({ part, seed, simulatedMs });
    for (const [what, times] of report.counts) counts.set(what, (counts.get(what) ?? 0) + times);
  });

  test('the same seed gives the same trace, another one another', async () => {
    const run = async (seed: number): Promise<string> =>
      (await simulateCluster({ part, seed, simulatedMs: 20_000 })).hash;
    const hash = await run(3);
    expect(await run(3)).toBe(hash);
    expect(await run(4)).not.toBe(hash);
  });

  test.each(seen)('the seeds together saw enough of: %s', (what, times) => {
    expect(counts.get(what) ?? 0).toBeGreaterThanOrEqual(times);
  });
});
