import { describe, expect, test } from 'vitest';
import { plainNode } from '../shared/map.fixture.ts';
import type { ClusterMap } from '../shared/map.ts';
import {
  withCapacityLimit,
  withFollowerAdded,
  withFollowerDropped,
  withLifeEnded,
  withNewLife,
  withNodeRemoved,
  withNodeState,
  withPartitionLossy,
  withPartitionLost,
  withPrimary,
  withSuccessor,
} from './map-changes.ts';
import { mapFoundedBy } from './simulated-cluster.fixture.ts';

const founded = mapFoundedBy('n1', { partitions: 3, copies: 2 });
const n2 = plainNode('n2');
const joined = withFollowerAdded(withNewLife(founded, n2), 1, 'n2');

describe('map changes', () => {
  test('the founder decides alone and leads everything at epoch 1', () => {
    expect(founded.placement).toEqual(
      [0, 1, 2].map(() => ({
        epoch: 1,
        primary: 'n1',
        followers: [],
        lost: false,
        inSync: [{ node: 'n1', incarnation: 1 }],
        lossy: false,
      })),
    );
  });

  test('a follower is added once and only where it is asked for', () => {
    expect(joined.placement.map(({ followers }) => followers)).toEqual([[], ['n2'], []]);
    expect(withFollowerAdded(joined, 1, 'n2').placement[1]).toBe(joined.placement[1]);
    expect(withFollowerAdded(joined, 1, 'n1').placement[1]).toBe(joined.placement[1]);
  });

  test('a new primary is an epoch more, and the former one follows', () => {
    expect(withPrimary(joined, 1, 'n2').placement[1]).toEqual({
      epoch: 2,
      primary: 'n2',
      followers: ['n1'],
      lost: false,
      inSync: [
        { node: 'n1', incarnation: 1 },
        { node: 'n2', incarnation: 1 },
      ],
      lossy: false,
    });
  });

  test('a new life leads nothing: its epochs stay until a copy is named', () => {
    const returned = withNewLife(joined, { ...founded.nodes[0], incarnation: 2 });
    expect(returned.nodes.map(({ id, incarnation }) => [id, incarnation])).toEqual([
      ['n1', 2],
      ['n2', 1],
    ]);
    expect(returned.placement[1]).toEqual({
      epoch: 1,
      primary: null,
      followers: ['n2', 'n1'],
      lost: false,
      inSync: [],
      lossy: false,
    });
  });

  test('a lost partition starts again at the next epoch and stays marked', () => {
    const returned = withNewLife(joined, { ...founded.nodes[0], incarnation: 2 });
    const lost = withPartitionLost(returned, 0, 'n1');
    expect(lost.placement[0]).toEqual({
      epoch: 2,
      primary: 'n1',
      followers: [],
      lost: true,
      inSync: [{ node: 'n1', incarnation: 2 }],
      lossy: false,
    });
    const moved = withPrimary(withFollowerAdded(lost, 0, 'n2'), 0, 'n2');
    expect(moved.placement[0].lost).toBe(true);
  });

  test('a lossy epoch is marked, through planned changes of primary, until the next clean failover', () => {
    const inSync = [{ node: 'n2', incarnation: 1 }];
    const lossy = withPartitionLossy(joined, 1, 'n2');
    expect(lossy.placement[1]).toMatchObject({ epoch: 2, primary: 'n2', inSync, lossy: true });
    const moved = withPrimary(lossy, 1, 'n1');
    expect(moved.placement[1]).toMatchObject({ epoch: 3, lossy: true });
    const clean = withSuccessor(moved, 1, 'n2', inSync);
    expect(clean.placement[1]).toMatchObject({ epoch: 4, primary: 'n2', inSync, lossy: false });
  });

  test('an ended life is down, fenced, leads nothing and is in sync with nobody; its copies stay', () => {
    const ended = withLifeEnded(withPrimary(joined, 1, 'n2'), { node: 'n1', incarnation: 1 });
    expect(ended.nodes[0]).toMatchObject({ id: 'n1', state: 'down', fencedThrough: 1 });
    expect(ended.nodes[1]).toEqual(joined.nodes[1]);
    expect(ended.placement[0]).toMatchObject({ primary: null, followers: ['n1'] });
    expect(ended.placement[1]).toMatchObject({ primary: 'n2', followers: ['n1'] });
    expect(ended.placement[1].inSync).toEqual([{ node: 'n2', incarnation: 1 }]);
  });

  test('all lives in sync stay listed where nobody leads: whoever keeps its memory may lead', () => {
    const [other, entry, another] = joined.placement;
    const inSync = [{ node: 'n2', incarnation: 1 }, ...entry.inSync];
    const two = { ...joined, placement: [other, { ...entry, inSync }, another] };
    const first = withLifeEnded(two, { node: 'n1', incarnation: 1 });
    const both = withLifeEnded(first, { node: 'n2', incarnation: 1 });
    expect(both.placement[1]).toMatchObject({ primary: null, inSync });
    const reborn = { ...both.nodes[0], incarnation: 2, state: 'up' as const };
    expect(
      withNewLife(both, reborn, { memoryOf: 1, memoryIn: [], started: false }).placement[1].inSync,
    ).toEqual([
      { node: 'n2', incarnation: 1 },
      { node: 'n1', incarnation: 2 },
    ]);
    expect(
      withNewLife(both, reborn, { memoryOf: 0, memoryIn: [], started: true }).placement[1].inSync,
    ).toEqual([{ node: 'n2', incarnation: 1 }]);
  });

  test('the last life in sync stays listed where nobody leads, for a life with its memory', () => {
    const ended = withLifeEnded(joined, { node: 'n1', incarnation: 1 });
    expect(ended.placement[1].inSync).toEqual([{ node: 'n1', incarnation: 1 }]);
    const reborn = { ...ended.nodes[0], incarnation: 2, state: 'up' as const };
    const inSyncAfter = (map: ClusterMap, memoryOf: number, memoryIn: number[] = []) =>
      withNewLife(map, reborn, { memoryOf, memoryIn, started: memoryOf === 0 }).placement[1].inSync;
    expect(inSyncAfter(ended, 1)).toEqual([{ node: 'n1', incarnation: 2 }]);
    expect(inSyncAfter(ended, 0)).toEqual([]);
    // Of a file that was refused nothing came back.
    expect(inSyncAfter(ended, 1, [0, 2])).toEqual([]);
    expect(inSyncAfter(ended, 1, [0, 1])).toEqual([{ node: 'n1', incarnation: 2 }]);
    expect(inSyncAfter(withPrimary(ended, 1, 'n2'), 1)).toEqual([{ node: 'n2', incarnation: 1 }]);
  });

  test('dropping, marking and removing leave the rest as it is', () => {
    expect(withFollowerDropped(joined, 1, 'n2').placement).toEqual(founded.placement);
    expect(withNodeState(joined, 'n2', 'down').nodes.map(({ state }) => state)).toEqual([
      'up',
      'down',
    ]);
    const operations = { n1: 'a', n2: 'b' };
    const removed = withNodeRemoved({ ...joined, operations }, 'n2');
    expect(removed.nodes).toEqual(founded.nodes);
    expect(removed.operations).toEqual({ n1: 'a' });
  });

  test('a limit of the capacity is a change only where it is another one', () => {
    expect(founded.capacityLimitBytes).toBe(null);
    expect(withCapacityLimit(founded, founded.capacityBytes)).toBe(founded);
    const raised = withCapacityLimit(founded, 2 * founded.capacityBytes);
    expect(raised).toEqual({ ...founded, capacityLimitBytes: 2 * founded.capacityBytes });
    expect(withCapacityLimit(raised, 2 * founded.capacityBytes)).toBe(raised);
  });

  test('no change touches the map it starts from', () => {
    const before = structuredClone(joined);
    withNodeRemoved(withPartitionLost(withPrimary(joined, 1, 'n2'), 0, 'n1'), 'n2');
    expect(joined).toEqual(before);
  });
});
