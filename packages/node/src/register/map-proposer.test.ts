import { describe, expect, test } from 'vitest';
import { withFollowerAdded, withNodeState } from '../control/map-changes.ts';
import { attemptsMax, MapProposer } from './map-proposer.ts';
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
