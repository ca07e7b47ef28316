import { describe, expect, test } from 'vitest';
import { withFollowerAdded } from '../control/map-changes.ts';
import type { ClusterMap, NodeId } from '../shared/map.ts';
import { attemptsMax, MapProposer } from './map-proposer.ts';
import type { ClusterMapStore } from './map-store.ts';
import { MemoryMapStore } from './memory-map-store.ts';
import { mapFoundedBy } from '../control/simulated-cluster.fixture.ts';

function proposers(count: number): { store: MemoryMapStore; proposers: MapProposer[] } {
  const store = new MemoryMapStore(mapFoundedBy('n1', { partitions: 2, copies: 2 }));
  let operations = 0;
  const newOperationId = () => `operation-${++operations}`;
  return {
    store,
    proposers: Array.from(
      { length: count },
      (_, index) => new MapProposer(store, `p${index}`, newOperationId),
    ),
  };
}

function withNodeState(map: ClusterMap, id: NodeId, state: 'up' | 'down'): ClusterMap {
  return { ...map, nodes: map.nodes.map((node) => (node.id === id ? { ...node, state } : node)) };
}

describe('map proposer', () => {
  test('changes by several proposers all get in, each on top of the other', async () => {
    const { store, proposers: all } = proposers(3);
    await Promise.all(
      all.map((proposer, index) =>
        proposer.propose((map) => withFollowerAdded(map, 0, `f${index}`)),
      ),
    );
    const { map } = await store.read();
    expect(map.version).toBe(4);
    expect(map.placement[0].followers.toSorted()).toEqual(['f0', 'f1', 'f2']);
  });

  test('nothing to change means no new version', async () => {
    const {
      proposers: [proposer],
    } = proposers(1);
    expect((await proposer.propose((map) => map)).version).toBe(1);
  });

  test('what is known of the map is tried first, and checked where it is old', async () => {
    const { store } = proposers(0);
    let reads = 0;
    const counted: ClusterMapStore = {
      read: () => {
        reads++;
        return store.read();
      },
      compareAndSet: (...request) => store.compareAndSet(...request),
      watch: (...request) => store.watch(...request),
    };
    const { map: first } = await store.read();
    let operations = 0;
    const proposer = new MapProposer(
      counted,
      'p',
      () => `operation-${++operations}`,
      () => first,
    );
    const second = await proposer.propose((map) => withFollowerAdded(map, 0, 'f1'));
    expect({ version: second.version, reads }).toEqual({ version: 2, reads: 0 });
    const third = await proposer.propose((map) => withFollowerAdded(map, 0, 'f2'));
    expect({ version: third.version, reads }).toEqual({ version: 3, reads: 1 });
    expect(third.placement[0].followers).toEqual(['f1', 'f2']);
    expect((await proposer.propose((map) => map)).version).toBe(3);
    const fourth = await proposer.propose((map) => {
      if (map.version < 3) throw new Error('not on an old map');
      return withFollowerAdded(map, 1, 'f3');
    });
    expect(fourth.version).toBe(4);
  });

  test('a lost answer is settled by the operation id: the change is made once', async () => {
    const {
      store,
      proposers: [proposer],
    } = proposers(1);
    store.loseNext = 'answer';
    let calls = 0;
    const map = await proposer.propose((current) => {
      calls++;
      return withNodeState(current, 'n1', 'down');
    });
    expect({ version: map.version, calls }).toEqual({ version: 2, calls: 1 });
  });

  test('a lost proposal is made again', async () => {
    const {
      store,
      proposers: [proposer],
    } = proposers(1);
    store.loseNext = 'proposal';
    const map = await proposer.propose((current) => withNodeState(current, 'n1', 'down'));
    expect(map).toMatchObject({ version: 2, nodes: [{ state: 'down' }] });
  });

  test('a change that throws harms nobody behind it', async () => {
    const {
      proposers: [proposer],
    } = proposers(1);
    const refused = proposer.propose(() => {
      throw new Error('refused');
    });
    const next = proposer.propose((map) => withNodeState(map, 'n1', 'down'));
    await expect(refused).rejects.toThrow('refused');
    expect((await next).version).toBe(2);
  });

  test('conflicts without end are a fault', async () => {
    const {
      store,
      proposers: [proposer, other],
    } = proposers(2);
    let calls = 0;
    const proposal = proposer.propose((map) => {
      calls++;
      void other.propose((current) => withNodeState(current, 'n1', calls % 2 ? 'down' : 'up'));
      return withFollowerAdded(map, 0, 'f');
    });
    store.compareAndSet = async () => 'conflict';
    await expect(proposal).rejects.toThrow(/kept changing/);
    expect(calls).toBe(attemptsMax);
  });
});
