/** The map that a simulated cluster begins with. */
import type { AcceptorSet, ClusterMap, MapNode } from '../../../packages/node/src/shared/map.ts';

const ports: MapNode['ports'] = {
  client: 7401,
  replication: 7501,
  control: 7601,
  http: 7701,
  cluster: 7801,
  follower: 7901,
};

export function mapNode(id: string, acceptor: string): MapNode {
  const life = { incarnation: 1, fencedThrough: 0, joinId: '', state: 'up' as const };
  return { id, ...life, acceptor, witness: false, advertise: '127.0.0.1', ports };
}

export function foundingMap(
  nodes: readonly { id: string; acceptor: string }[],
  acceptors: AcceptorSet,
  shape: Partial<ClusterMap> = {},
): ClusterMap {
  return {
    version: 1,
    clusterId: 'simulated',
    partitions: 1,
    copies: 2,
    capacityBytes: 2 ** 30,
    capacityMaxBytes: 2 ** 33,
    valueMaxBytes: 2 ** 20,
    eviction: 'noeviction',
    minIsr: 1,
    uncleanFailover: true,
    acceptors,
    nodes: nodes.map(({ id, acceptor }) => mapNode(id, acceptor)),
    placement: [],
    operations: {},
    wishes: { leaving: [], stopping: [], pins: [] },
    ...shape,
  };
}
