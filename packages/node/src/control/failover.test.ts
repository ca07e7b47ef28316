import { expect, describe, test } from 'vitest';
import { NotDeadYet } from '../lease/authority.ts';
import { MapProposer } from '../register/map-proposer.ts';
import { MemoryMapStore } from '../register/memory-map-store.ts';
import {
  type AcceptorSet,
  type ClusterMap,
  type Life,
  type MapNode,
  type NodeId,
  nodeOf,
  type PlacementEntry,
} from '../shared/map.ts';
import { Failover, type FailoverOptions, sealWaitMs } from './failover.ts';
import { FailoverLog } from './failover-log.ts';
import { mapFoundedBy } from './simulated-cluster.fixture.ts';
import type { LogFields, PartitionEpoch, SealedCopy } from './types.ts';

const n1: Life = { node: 'n1', incarnation: 1 };
const lives = (...nodes: NodeId[]): Life[] => nodes.map((node) => ({ node, incarnation: 1 }));

function mapOf(entries: Partial<PlacementEntry>[], uncleanFailover = true): ClusterMap {
  const founded = mapFoundedBy('n1', { partitions: entries.length, copies: 3, uncleanFailover });
  const nodes = ['n1', 'n2', 'n3'].map((id) => ({ ...founded.nodes[0], id, acceptor: `a-${id}` }));
  const acceptors = {
    current: nodes.map(({ id, acceptor }) => ({ id: acceptor, node: id })),
    next: null,
  };
  const standard = { epoch: 4, followers: ['n2', 'n3'], inSync: lives('n1', 'n2', 'n3') };
  const placement = founded.placement.map((entry, partition) => ({
    ...entry,
    ...standard,
    ...entries[partition],
  }));
  return { ...founded, nodes, acceptors, placement };
}

/** A failover with everything around it in the hands of the test. */
class Scene {
  readonly store: MemoryMapStore;
  readonly events: LogFields[] = [];
  readonly fences: string[] = [];
  readonly seals: { node: NodeId; incarnation: number; partitions: readonly PartitionEpoch[] }[] =
    [];
  readonly timers: { delayMs: number; ring: () => void }[] = [];
  readonly failover: Failover;
  map: ClusterMap;
  /** What each node says of all its copies; null: it does not answer. */
  copies: Record<NodeId, Omit<SealedCopy, 'id'> | null> = {
    n2: { epoch: 4, applied: 10, consistent: true, recovered: false },
    n3: { epoch: 4, applied: 9, consistent: true, recovered: false },
  };
  fence: () => Promise<AcceptorSet> = async () => this.map.acceptors;
  /** Happens while the copies are asked. */
  meanwhile: () => Promise<unknown> = async () => undefined;
  isWanted = true;

  constructor(map: ClusterMap) {
    this.map = map;
    this.store = new MemoryMapStore(map);
    this.store.watch(0n, (newer) => {
      this.map = newer;
    });
    const keep = (fields: LogFields): void => void this.events.push(fields);
    const options: FailoverOptions = {
      proposer: this.#proposer('coordinator'),
      leases: {
        fence: ({ node, incarnation }, byOwner = false) => {
          this.fences.push(`${node}:${incarnation}${byOwner ? ' by its owner' : ''}`);
          return this.fence();
        },
      },
      copies: { sealCopies: (node, partitions) => this.#sealCopies(node, partitions) },
      log: new FailoverLog({ info: keep, warn: keep, error: keep }),
      nowMs: () => 0,
      later: (delayMs, ring) => {
        const timer = { delayMs, ring };
        this.timers.push(timer);
        return () => void this.timers.splice(this.timers.indexOf(timer), 1);
      },
      isHeard: () => true,
      preferred: () => 'n3',
    };
    this.failover = new Failover(options);
  }

  endLife(life: Life = n1, byOwner = false): Promise<ClusterMap | null> {
    const isStillWanted = (): boolean => this.isWanted;
    const cause = byOwner ? 'restarted' : 'silent';
    return this.failover.endLife(this.map, { life, cause, isStillWanted });
  }

  change(change: (map: ClusterMap) => ClusterMap): Promise<ClusterMap> {
    return this.#proposer('somebody').propose(change);
  }

  changeEntry(partition: number, change: Partial<PlacementEntry>): Promise<ClusterMap> {
    return this.change((map) => ({
      ...map,
      placement: map.placement.with(partition, { ...map.placement[partition], ...change }),
    }));
  }

  /** The timer that was set first. */
  ring(): number {
    const [timer] = this.timers.splice(0, 1);
    timer.ring();
    return timer.delayMs;
  }

  #operations = 0;
  #proposer(name: string): MapProposer {
    return new MapProposer(this.store, name, () => `${name}-${++this.#operations}`);
  }

  async #sealCopies(
    { id: node, incarnation }: MapNode,
    partitions: readonly PartitionEpoch[],
  ): Promise<SealedCopy[]> {
    this.seals.push({ node, incarnation, partitions });
    const copy = this.copies[node];
    await this.meanwhile();
    if (copy === null) return new Promise(() => undefined);
    return partitions.map(({ id }) => ({ id, ...copy }));
  }
}

const flush = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('failover', () => {
  test('one change: down, fenced, out of all sets, and its partitions led by who got furthest', async () => {
    const followed = { primary: 'n2', followers: ['n1', 'n3'] };
    const scene = new Scene(mapOf([{}, followed, {}]));
    const map = await scene.endLife();
    expect(map?.version).toBe(2);
    expect(nodeOf(map as ClusterMap, 'n1')).toMatchObject({ state: 'down', fencedThrough: 1 });
    const led = { primary: 'n2', epoch: 5, followers: ['n1', 'n3'], inSync: lives('n2', 'n3') };
    expect(map?.placement).toMatchObject([
      led,
      { ...followed, epoch: 4, inSync: lives('n2', 'n3') },
      led,
    ]);
    expect(map?.placement.some(({ lossy, lost }) => lossy || lost)).toBe(false);
  });

  test('all partitions of a node are sealed by one call, which names its life', async () => {
    const scene = new Scene(mapOf([{}, { primary: 'n2', followers: ['n1'] }, { epoch: 9 }]));
    await scene.endLife();
    const partitions = [
      { id: 0, epoch: 4 },
      { id: 2, epoch: 9 },
    ];
    expect(scene.seals).toEqual([
      { node: 'n2', incarnation: 1, partitions },
      { node: 'n3', incarnation: 1, partitions },
    ]);
  });

  test('a life that leads nothing is ended too', async () => {
    const scene = new Scene(mapOf([{ primary: 'n2', followers: ['n1', 'n3'] }]));
    const map = await scene.endLife();
    expect(nodeOf(map as ClusterMap, 'n1')?.state).toBe('down');
    expect(map?.placement[0]).toMatchObject({ primary: 'n2', epoch: 4 });
    expect(scene.seals).toEqual([]);
  });

  test('nothing is sealed or changed before the life is fenced; it is asked again when it can be', async () => {
    const scene = new Scene(mapOf([{}]));
    scene.fence = () => Promise.reject(new NotDeadYet(n1, 700));
    const ended = scene.endLife();
    await flush();
    expect(scene.seals).toEqual([]);
    scene.fence = () => Promise.reject(new Error('no majority answers'));
    expect(scene.ring()).toBe(700);
    await flush();
    scene.fence = async () => scene.map.acceptors;
    expect(scene.ring()).toBeLessThan(700);
    await ended;
    expect(scene.fences).toEqual(['n1:1', 'n1:1', 'n1:1']);
    expect(scene.map.placement[0].primary).toBe('n2');
  });

  test('a node that is heard again before it is fenced is left alone', async () => {
    const scene = new Scene(mapOf([{}]));
    scene.fence = () => Promise.reject(new NotDeadYet(n1, 700));
    const ended = scene.endLife();
    await flush();
    scene.isWanted = false;
    scene.ring();
    expect(await ended).toBe(null);
    expect(scene.map.version).toBe(1);
  });

  test('who holds its data dir says so to those that fence', async () => {
    const scene = new Scene(mapOf([{}]));
    await scene.endLife(n1, true);
    expect(scene.fences).toEqual(['n1:1 by its owner']);
  });

  test('acceptors that changed after the fence have to know of it: it fences again', async () => {
    const scene = new Scene(mapOf([{}]));
    scene.meanwhile = () => {
      scene.meanwhile = async () => undefined;
      const { current } = scene.map.acceptors;
      const next = [...current.slice(0, 2), { id: 'a-n4', node: 'n4' }];
      return scene.change((map) => ({ ...map, acceptors: { current, next } }));
    };
    await scene.endLife();
    expect(scene.fences).toHaveLength(2);
    expect(scene.map.placement[0].primary).toBe('n2');
  });

  test.each<[string, Partial<PlacementEntry>]>([
    ['a copy was added', { followers: ['n2', 'n3', 'n4'] }],
    ['the in-sync set changed', { inSync: lives('n1', 'n3') }],
    ['somebody else leads it', { primary: 'n3', followers: ['n1', 'n2'], epoch: 5 }],
  ])('where %s after the seal, it seals again', async (_, change) => {
    const scene = new Scene(mapOf([{}, {}]));
    scene.meanwhile = () => {
      scene.meanwhile = async () => undefined;
      return scene.changeEntry(0, change);
    };
    await scene.endLife();
    expect(scene.seals.filter(({ node }) => node === 'n2')).toHaveLength(2);
    expect(scene.fences).toHaveLength(1);
    const [entry, other] = scene.map.placement;
    expect(entry.primary).toBe(change.inSync === undefined ? (change.primary ?? 'n2') : 'n3');
    expect(entry.inSync.map(({ node }) => node)).not.toContain('n1');
    expect(other).toMatchObject({ primary: 'n2', epoch: 5 });
  });

  test('another change of the map is no reason to seal again', async () => {
    const scene = new Scene(mapOf([{}]));
    scene.meanwhile = () => scene.change((map) => ({ ...map, copies: map.copies + 1 }));
    await scene.endLife();
    expect(scene.seals).toHaveLength(2);
    expect(scene.map.placement[0].primary).toBe('n2');
  });

  test('an answer that is lost is found in the map, and the work is not done twice', async () => {
    const scene = new Scene(mapOf([{}]));
    scene.store.loseNext = 'answer';
    await scene.endLife();
    expect(scene.map).toMatchObject({ version: 2, placement: [{ epoch: 5 }] });
  });

  test('who does not answer is waited for 300 ms, and is not in sync after', async () => {
    const scene = new Scene(mapOf([{}]));
    scene.copies['n2'] = null;
    const ended = scene.endLife();
    await flush();
    expect(scene.map.version).toBe(1);
    expect(scene.ring()).toBe(sealWaitMs);
    await ended;
    expect(scene.map.placement[0]).toMatchObject({ primary: 'n3', inSync: lives('n3') });
  });

  test('who is not in sync is asked, and not waited for', async () => {
    const scene = new Scene(mapOf([{ inSync: lives('n1', 'n2') }]));
    scene.copies['n3'] = null;
    await scene.endLife();
    expect(scene.seals.map(({ node }) => node)).toEqual(['n2', 'n3']);
    expect(scene.map.placement[0]).toMatchObject({ primary: 'n2', inSync: lives('n2') });
  });

  test('without a copy in sync the best other leads, and that is marked and told', async () => {
    const scene = new Scene(mapOf([{ inSync: lives('n1') }]));
    await scene.endLife();
    expect(scene.map.placement[0]).toMatchObject({
      ...{ primary: 'n2', lossy: true, inSync: lives('n2') },
    });
    expect(scene.events.map(({ event }) => event)).toContain('partition.lossy');
  });

  test('... or nobody, where loss is not allowed; a copy in sync that comes later is found', async () => {
    const scene = new Scene(mapOf([{ inSync: lives('n1', 'n2') }], false));
    scene.copies['n2'] = null;
    const ended = scene.endLife();
    await flush();
    scene.ring();
    await ended;
    expect(scene.map.placement[0]).toMatchObject({
      ...{ primary: null, epoch: 4, inSync: lives('n1', 'n2'), lossy: false },
    });
    const vacancy = { partition: 0, patience: 'none' as const };
    scene.copies['n2'] = { epoch: 4, applied: 10, consistent: true, recovered: false };
    await scene.failover.settle(scene.map, [vacancy]);
    expect(scene.map.placement[0]).toMatchObject({
      ...{ primary: 'n2', epoch: 5, inSync: lives('n2'), lossy: false },
    });
  });

  test('a vacancy that somebody else has filled after the seal stays as it is', async () => {
    const scene = new Scene(mapOf([{ primary: null, followers: ['n1', 'n2', 'n3'] }]));
    scene.meanwhile = () => {
      scene.meanwhile = async () => undefined;
      const filled = { primary: 'n3', followers: ['n1', 'n2'], epoch: 5 };
      return scene.changeEntry(0, filled);
    };
    await scene.failover.settle(scene.map, [{ partition: 0, patience: 'none' as const }]);
    expect(scene.map.placement[0]).toMatchObject({ primary: 'n3', epoch: 5 });
  });

  describe('by hand', () => {
    const vacant = { primary: null, followers: ['n1', 'n2', 'n3'], inSync: [] };

    test('the named copy leads, marked lossy, however far others got', async () => {
      const scene = new Scene(mapOf([vacant], false));
      await scene.failover.promoteAnyway(scene.map, 0, 'n3');
      expect(scene.map.placement[0]).toMatchObject({ primary: 'n3', epoch: 5, lossy: true });
    });

    test('... not marked where it was in sync', async () => {
      const scene = new Scene(mapOf([{ ...vacant, inSync: lives('n3') }], false));
      await scene.failover.promoteAnyway(scene.map, 0, 'n3');
      expect(scene.map.placement[0]).toMatchObject({ lossy: false, inSync: lives('n3') });
    });

    test('a copy without its data leads only where nobody has any', async () => {
      const scene = new Scene(mapOf([vacant], false));
      scene.copies['n3'] = { epoch: 4, applied: 0, consistent: false, recovered: false };
      const promoted = scene.failover.promoteAnyway(scene.map, 0, 'n3');
      await expect(promoted).rejects.toMatchObject({ code: 'COPY_NOT_CONSISTENT' });
      scene.copies['n1'] = scene.copies['n3'];
      scene.copies['n2'] = scene.copies['n3'];
      await scene.failover.promoteAnyway(scene.map, 0, 'n3');
      expect(scene.map.placement[0]).toMatchObject({ primary: 'n3', lost: true });
    });
  });
});
