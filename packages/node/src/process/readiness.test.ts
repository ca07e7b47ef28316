import { describe, expect, test } from 'vitest';
import type { PartitionStatus } from '../control/types.ts';
import { plainEntry, plainMap } from '../shared/map.fixture.ts';
import type { ClusterMap } from '../shared/map.ts';
import { reasonsNotReady } from './readiness.ts';

function mapLedBy(...primaries: (string | null)[]): ClusterMap {
  return plainMap({ placement: primaries.map((primary) => plainEntry(primary)) });
}

function copy(id: number, role: 'primary' | 'follower', consistent: boolean): PartitionStatus {
  const place = { id, role, epoch: 1, seq: 0, followers: [] };
  return { ...place, consistent, checked: consistent, keys: 0, usedBytes: 0 };
}

describe('readiness', () => {
  test('without a map a node is not ready', () => {
    expect(reasonsNotReady(null, 'n1', [], null, true)).toEqual(['no cluster map yet']);
  });

  test('without a lease a node is not ready', () => {
    expect(reasonsNotReady(mapLedBy('n2'), 'n1', [], null, false)).toEqual([
      'no lease: too few acceptors have answered its heartbeats',
    ]);
  });

  test('a node without copies is ready: it forwards', () => {
    expect(reasonsNotReady(mapLedBy('n2'), 'n1', [], null, true)).toEqual([]);
  });

  test('every partition that the map gives it must be led', () => {
    const map = mapLedBy('n1', 'n1', 'n2');
    const copies = [copy(0, 'primary', true), copy(1, 'follower', true)];
    expect(reasonsNotReady(map, 'n1', copies, null, true)).toEqual([
      'not leading partition 1, as the cluster map asks',
    ]);
  });

  test('every copy must be consistent; the first few that are not are named', () => {
    const copies = [0, 1, 2, 3, 4, 5, 6].map((id) => copy(id, 'follower', id === 0));
    expect(reasonsNotReady(mapLedBy('n2'), 'n1', copies, null, true)).toEqual([
      'still syncing partitions 1, 2, 3, 4, 5 and 1 more',
    ]);
  });

  test('copies that do not fit in memory are a reason', () => {
    expect(reasonsNotReady(mapLedBy('n2'), 'n1', [], 'too large', true)).toEqual(['too large']);
  });
});
