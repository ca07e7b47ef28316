import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { copiesOf, ledBy } from '../shared/map.ts';
import { SimulatedCluster } from './simulated-cluster.fixture.ts';

const partitions = 6;
const copies = 2;
const nodeIds = ['n1', 'n2', 'n3', 'n4'];

/** What may happen next. `exchange` is a round of replication and heartbeats, `beat` heartbeats
 *  alone, `hear` the arrival of the map at one node only. */
interface Event {
  kind: 'start' | 'kill' | 'write' | 'hear' | EventForAll;
  /** Whom it happens to; of no matter where it happens to all. */
  node: string;
}
type EventForAll = 'exchange' | 'beat' | 'step' | 'loseAnswer' | 'loseProposal';

const node = fc.constantFrom(...nodeIds);
const eventOf = (...kinds: Event['kind'][]): fc.Arbitrary<Event> =>
  fc.record({ kind: fc.constantFrom(...kinds), node });

const events: fc.Arbitrary<Event[]> = fc.array(
  fc.oneof(
    { weight: 6, arbitrary: eventOf('exchange', 'step', 'step', 'beat') },
    { weight: 4, arbitrary: eventOf('start', 'kill', 'write', 'hear') },
    { weight: 1, arbitrary: eventOf('loseAnswer', 'loseProposal') },
  ),
  { minLength: 20, maxLength: 80 },
);

async function happen(cluster: SimulatedCluster, event: Event): Promise<void> {
  cluster.nowMs += 100;
  switch (event.kind) {
    case 'start':
      // Only the map host registers nodes.
      if (cluster.nodes.has(event.node)) return;
      if (event.node === 'n1' || cluster.nodes.has('n1')) await cluster.start(event.node);
      return;
    case 'kill':
      return cluster.kill(event.node);
    case 'write':
      for (const partition of ledBy(cluster.map, event.node)) {
        cluster.nodes.get(event.node)?.write(partition);
      }
      return;
    case 'hear':
      return cluster.nodes.get(event.node)?.apply(cluster.map);
    case 'exchange':
      return cluster.exchange();
    case 'beat':
      return cluster.beat();
    case 'step':
      return cluster.step();
    case 'loseAnswer':
      cluster.store.loseNext = 'answer';
      return;
    case 'loseProposal':
      cluster.store.loseNext = 'proposal';
  }
}

/** Per partition: how many copies have data, and the newest seq among them. */
function standing(cluster: SimulatedCluster): { count: number; seq: number }[] {
  return cluster.map.placement.map((_, partition) => {
    const seqs = cluster.holdersOf(partition).map(({ seq }) => seq);
    return { count: seqs.length, seq: Math.max(-1, ...seqs) };
  });
}

describe('coordinator: any order of events', () => {
  test('only a kill takes data away: no move, no return and no lost answer does', async () => {
    await fc.assert(
      fc.asyncProperty(events, async (history) => {
        const cluster = new SimulatedCluster({ partitions, copies });
        for (const event of history) {
          const before = standing(cluster);
          await happen(cluster, event);
          if (event.kind === 'kill') continue;
          for (const [partition, after] of standing(cluster).entries()) {
            expect(after.count).toBeGreaterThanOrEqual(Math.min(before[partition].count, copies));
            expect(after.seq).toBeGreaterThanOrEqual(before[partition].seq);
          }
        }
      }),
      { numRuns: 300 },
    );
  });

  test('at no moment do two nodes take writes for one partition at one epoch', async () => {
    await fc.assert(
      fc.asyncProperty(events, async (history) => {
        const cluster = new SimulatedCluster({ partitions, copies });
        for (const event of history) {
          await happen(cluster, event);
          const leaders = [...cluster.nodes.values()].flatMap(({ copies: held }) =>
            [...held].flatMap(([id, { role, epoch, sealed }]) =>
              role === 'primary' && !sealed ? [`${id} at epoch ${epoch}`] : [],
            ),
          );
          expect(new Set(leaders).size).toBe(leaders.length);
        }
      }),
      { numRuns: 300 },
    );
  });

  test('once everybody is back the cluster settles: all led, all copied, balanced', async () => {
    await fc.assert(
      fc.asyncProperty(events, async (history) => {
        const cluster = new SimulatedCluster({ partitions, copies });
        for (const event of history) await happen(cluster, event);
        for (const id of nodeIds) await happen(cluster, { kind: 'start', node: id });
        await cluster.settle(300);
        for (const [partition, entry] of cluster.map.placement.entries()) {
          expect(copiesOf(entry)).toHaveLength(copies);
          expect(cluster.holdersOf(partition)).toHaveLength(copies);
        }
        const leads = nodeIds.map((id) => ledBy(cluster.map, id).length);
        expect(Math.max(...leads) - Math.min(...leads)).toBeLessThanOrEqual(1);
      }),
      { numRuns: 200 },
    );
  });
});
