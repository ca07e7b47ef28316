/** The map that a simulated cluster begins with. */
import { plainMap, plainNode } from '../../../packages/node/src/shared/map.fixture.ts';
import type { AcceptorSet, ClusterMap, MapNode } from '../../../packages/node/src/shared/map.ts';

export function mapNode(id: string, acceptor: string): MapNode {
  return plainNode(id, { acceptor });
}

export function foundingMap(
  nodes: readonly { id: string; acceptor: string }[],
  acceptors: AcceptorSet,
  shape: Partial<ClusterMap> = {},
): ClusterMap {
  return plainMap({
    clusterId: 'simulated',
    partitions: 1,
    capacityMaxBytes: 2 ** 33,
    eviction: 'noeviction',
    acceptors,
    nodes: nodes.map(({ id, acceptor }) => mapNode(id, acceptor)),
    ...shape,
  });
}
