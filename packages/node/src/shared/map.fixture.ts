/** Cluster maps for tests, as plain as they can be: each test names what it is about. */
import type { ClusterMap, MapNode, PlacementEntry } from './map.ts';
import type { Ports } from './settings.ts';

/** Those of the first node of `ingot up`. */
export const firstPorts: Ports = {
  client: 7401,
  replication: 7501,
  control: 7601,
  http: 7701,
  cluster: 7801,
  follower: 7901,
};

/** In its first life, and up. */
export function plainNode(id: string, change: Partial<MapNode> = {}): MapNode {
  const life = { incarnation: 1, fencedThrough: 0, joinId: '', state: 'up' as const };
  const place = { acceptor: `acceptor-${id}`, advertise: '127.0.0.1', ports: firstPorts };
  return { id, ...life, witness: false, observer: false, ...place, ...change };
}

/** At its first epoch, with nobody in sync. */
export function plainEntry(
  primary: string | null,
  followers: string[] = [],
  change: Partial<PlacementEntry> = {},
): PlacementEntry {
  return { epoch: 1, primary, followers, inSync: [], lost: false, lossy: false, ...change };
}

export function plainMap(change: Partial<ClusterMap> = {}): ClusterMap {
  return {
    version: 1,
    clusterId: 'test',
    partitions: change.placement?.length ?? 0,
    copies: 2,
    capacityBytes: 2 ** 30,
    capacityLimitBytes: null,
    capacityMaxBytes: 2 ** 30,
    valueMaxBytes: 2 ** 20,
    eviction: 'sieve',
    minIsr: 1,
    uncleanFailover: true,
    acceptors: { current: [{ id: 'acceptor-n1', node: 'n1' }], next: null },
    nodes: [],
    placement: [],
    wishes: { leaving: [], stopping: [], pins: [] },
    operations: {},
    ...change,
  };
}
