import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type ClusterMap, copiesOf, ledBy, nodeOf } from '../shared/map.ts';
import { vacancyPatienceMs } from './succession.ts';
import { SimulatedCluster } from './simulated-cluster.fixture.ts';

const partitions = 6;
const copies = 2;
const nodeIds = ['n1', 'n2', 'n3', 'n4'];

/** What may happen next. `exchange` is a round of replication and heartbeats, `beat` heartbeats
 *  alone, `hear` the arrival of the map at one node only, `tend` a primary that brings its in-sync
 *  sets up to date, `mute` a node that the control nodes hear no more, though it goes on. */
interface Event {
  kind: 'start' | 'kill' | 'write' | 'hear' | 'tend' | 'mute' | 'unmute' | EventForAll;
  /** Whom it happens to; of no matter where it happens to all. */
  node: string;
}
type EventForAll = 'exchange' | 'beat' | 'step' | 'wait' | 'loseAnswer' | 'loseProposal';

const node = fc.constantFrom(...nodeIds);
const eventOf = (...kinds: Event['kind'][]): fc.Arbitrary<Event> =>
  fc.record({ kind: fc.constantFrom(...kinds), node });

const events: fc.Arbitrary<Event[]> = fc.array(
  fc.oneof(
    { weight: 6, arbitrary: eventOf('exchange', 'step', 'step', 'beat') },
    { weight: 4, arbitrary: eventOf('start', 'write', 'hear', 'tend', 'tend', 'unmute') },
    { weight: 2, arbitrary: eventOf('kill', 'mute', 'wait', 'loseAnswer', 'loseProposal') },
  ),
  { minLength: 20, maxLength: 80 },
);

async function happen(cluster: SimulatedCluster, event: Event): Promise<void> {
  cluster.nowMs += event.kind === 'wait' ? 900 : 100;
  switch (event.kind) {
    case 'start':
      if (!cluster.nodes.has(event.node)) await cluster.start(event.node);
      return;
    case 'kill':
      return cluster.kill(event.node);
    case 'write':
      for (const partition of cluster.nodes.get(event.node)?.copies.keys() ?? []) {
        cluster.nodes.get(event.node)?.write(partition, cluster.nowMs);
      }
      return cluster.noteAnswers();
    case 'hear':
      if (!cluster.muted.has(event.node)) cluster.nodes.get(event.node)?.apply(cluster.map);
      return;
    case 'tend':
      return cluster.tend(event.node);
    case 'mute':
      return cluster.mute(event.node);
    case 'unmute':
      return cluster.unmute(event.node);
    case 'exchange':
      return cluster.exchange();
    case 'beat':
      return cluster.beat();
    case 'wait':
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

/** Four nodes, settled, with a write in each partition. */
async function settledCluster(uncleanFailover: boolean): Promise<SimulatedCluster> {
  const cluster = new SimulatedCluster({ partitions, copies, uncleanFailover });
  for (const id of nodeIds.slice(1)) await cluster.start(id);
  await cluster.settle(200);
  for (const id of nodeIds) await happen(cluster, { kind: 'write', node: id });
  cluster.exchange();
  cluster.tendsByHand = true;
  return cluster;
}

/** Whoever leads by the map, and runs, has every write that acks=isr has answered. */
function lackingPrimaries(cluster: SimulatedCluster): string[] {
  return cluster.map.placement.flatMap(({ primary, epoch, lossy, lost }, partition) => {
    const copy = cluster.nodes.get(primary ?? '')?.copies.get(partition);
    if (copy === undefined || lossy || lost || copy.seq >= cluster.answered[partition]) return [];
    return [`${primary} leads ${partition} at epoch ${epoch} with ${copy.seq} writes`];
  });
}

/** Lives that were in sync, and neither over nor unheard, when a partition was given to somebody who
 *  was not. */
function livesPassedOver(cluster: SimulatedCluster, before: ClusterMap): string[] {
  return before.placement.flatMap(({ inSync, lossy, lost }, partition) => {
    const entry = cluster.map.placement[partition];
    if (entry.lossy === lossy && entry.lost === lost) return [];
    return inSync
      .filter((life) => nodeOf(cluster.map, life.node)?.incarnation === life.incarnation)
      .filter((life) => nodeOf(cluster.map, life.node)?.state === 'up')
      .map((life) => `${life.node} for partition ${partition}`);
  });
}

describe('coordinator: any order of events', () => {
  test('where no loss is allowed, none of what acks=isr has answered is lost, ever', async () => {
    await fc.assert(
      fc.asyncProperty(events, async (history) => {
        const cluster = await settledCluster(false);
        for (const event of history) {
          await happen(cluster, event);
          expect(lackingPrimaries(cluster)).toEqual([]);
          expect(cluster.map.placement.some(({ lossy, lost }) => lossy || lost)).toBe(false);
        }
      }),
      { numRuns: 150 },
    );
  });

  test('where it is allowed, a partition is marked, and no life in sync was passed over', async () => {
    await fc.assert(
      fc.asyncProperty(events, async (history) => {
        const cluster = await settledCluster(true);
        const beganMs = cluster.nowMs;
        for (const event of history) {
          const before = cluster.map;
          await happen(cluster, event);
          expect(lackingPrimaries(cluster)).toEqual([]);
          if (cluster.nowMs - beganMs > vacancyPatienceMs) continue;
          expect(livesPassedOver(cluster, before)).toEqual([]);
        }
      }),
      { numRuns: 150 },
    );
  });

  test('at no moment do two nodes take writes for one partition, sealed ones aside', async () => {
    await fc.assert(
      fc.asyncProperty(events, async (history) => {
        const cluster = await settledCluster(true);
        for (const event of history) {
          await happen(cluster, event);
          const leaders = [...cluster.nodes.values()].flatMap(({ copies: held, servesUntilMs }) =>
            [...held].flatMap(([id, { role, sealed }]) =>
              role === 'primary' && !sealed && cluster.nowMs < servesUntilMs ? [id] : [],
            ),
          );
          expect(new Set(leaders).size).toBe(leaders.length);
        }
      }),
      { numRuns: 150 },
    );
  });

  test('once everybody is back the cluster settles: all led, all copied, balanced', async () => {
    await fc.assert(
      fc.asyncProperty(events, async (history) => {
        const cluster = await settledCluster(true);
        for (const event of history) await happen(cluster, event);
        // Lives that are over show only when they report.
        for (let round = 0; round < 4; round++) {
          for (const id of nodeIds) {
            await happen(cluster, { kind: 'unmute', node: id });
            await happen(cluster, { kind: 'start', node: id });
          }
          await happen(cluster, { kind: 'exchange', node: '' });
          await happen(cluster, { kind: 'step', node: '' });
        }
        await cluster.settle(300);
        for (const [partition, entry] of cluster.map.placement.entries()) {
          expect(copiesOf(entry)).toHaveLength(copies);
          expect(cluster.holdersOf(partition)).toHaveLength(copies);
          expect(entry.inSync).toHaveLength(copies);
        }
        const leads = nodeIds.map((id) => ledBy(cluster.map, id).length);
        expect(Math.max(...leads) - Math.min(...leads)).toBeLessThanOrEqual(1);
      }),
      { numRuns: 150 },
    );
  });
});
