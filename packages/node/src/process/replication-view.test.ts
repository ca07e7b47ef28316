import { expect, test } from 'vitest';
import type { ClusterMap, MapNode } from '../shared/map.ts';
import { replicationView } from './replication-view.ts';

function node(id: string, incarnation: number): MapNode {
  const ports = { client: 1, replication: 7_500, control: 3, http: 4, cluster: 5, follower: 6 };
  return {
    id,
    incarnation,
    state: 'up',
    fencedThrough: 0,
    acceptor: 'a1',
    witness: false,
    advertise: `${id}.test`,
    ports,
  };
}

const map: ClusterMap = {
  version: 9,
  clusterId: 'c',
  acceptors: { current: [{ id: 'a1', node: 'n1' }], next: null },
  partitions: 3,
  copies: 2,
  capacityBytes: 1,
  capacityMaxBytes: 1,
  valueMaxBytes: 1,
  eviction: 'sieve',
  minIsr: 1,
  uncleanFailover: true,
  nodes: [node('n1', 4), node('n2', 1)],
  placement: [
    { epoch: 2, primary: 'n1', followers: ['n2'], lost: false, inSync: [], lossy: false },
    { epoch: 3, primary: 'n2', followers: [], lost: false, inSync: [], lossy: false },
    { epoch: 5, primary: null, followers: ['n2'], lost: false, inSync: [], lossy: false },
  ],
  operations: {},
  wishes: { leaving: [], stopping: [], pins: [] },
};

test('replication view: partitions with a copy here, and where their primaries listen', () => {
  const { mapVersion, partitions } = replicationView(map, 'n2');
  expect(mapVersion).toBe(9);
  expect(partitions).toEqual([
    {
      id: 0,
      epoch: 2,
      primary: 'n1',
      followers: ['n2'],
      inSync: [],
      primaryAddress: { host: 'n1.test', port: 7_500 },
    },
    {
      id: 1,
      epoch: 3,
      primary: 'n2',
      followers: [],
      inSync: [],
      primaryAddress: { host: 'n2.test', port: 7_500 },
    },
    { id: 2, epoch: 5, primary: null, followers: ['n2'], inSync: [], primaryAddress: null },
  ]);
});

test('replication view: partitions of others are left out, incarnations are of all nodes', () => {
  const { partitions, incarnations } = replicationView(map, 'n1');
  expect(partitions.map(({ id }) => id)).toEqual([0]);
  expect(incarnations).toEqual({ n1: 4, n2: 1 });
});
