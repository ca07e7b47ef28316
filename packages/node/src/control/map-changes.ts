/** The ways a cluster map changes, each as a pure function from a map to the next one.
 *  Invariants kept here: a change of primary is an epoch more, a copy is listed once, a node that
 *  starts a new life leads nothing. Versions and operation ids belong to the proposer. */
import {
  type ClusterMap,
  copiesOf,
  holdsCopy,
  type MapNode,
  type NodeId,
  type PlacementEntry,
} from '../shared/map.ts';

export type ClusterShape = Pick<
  ClusterMap,
  | 'clusterId'
  | 'partitions'
  | 'copies'
  | 'capacityBytes'
  | 'capacityMaxBytes'
  | 'valueMaxBytes'
  | 'eviction'
>;

/** The first map of a cluster: the founder keeps the map and leads every partition. */
export function foundingMap(shape: ClusterShape, founder: MapNode): ClusterMap {
  return {
    ...shape,
    version: 1,
    mapHost: founder.id,
    nodes: [founder],
    placement: Array.from({ length: shape.partitions }, () => ({
      epoch: 1,
      primary: founder.id,
      followers: [],
      lost: false,
    })),
    operations: {},
  };
}

/** A node's process has started: it is listed as `node` says, and since its memory is empty it no
 *  longer leads anything. What it led has no primary until one of the copies is named. */
export function withNewLife(map: ClusterMap, node: MapNode): ClusterMap {
  const known = map.nodes.some((other) => other.id === node.id);
  return {
    ...map,
    nodes: known
      ? map.nodes.map((other) => (other.id === node.id ? node : other))
      : [...map.nodes, node],
    placement: map.placement.map((entry) =>
      entry.primary === node.id
        ? { ...entry, primary: null, followers: [...entry.followers, node.id] }
        : entry,
    ),
  };
}

export function withNodeState(map: ClusterMap, node: NodeId, state: MapNode['state']): ClusterMap {
  return {
    ...map,
    nodes: map.nodes.map((other) => (other.id === node ? { ...other, state } : other)),
  };
}

/** Takes a node that holds no copy any more out of the map. */
export function withNodeRemoved(map: ClusterMap, node: NodeId): ClusterMap {
  const { [node]: _, ...operations } = map.operations;
  return { ...map, nodes: map.nodes.filter((other) => other.id !== node), operations };
}

export function withFollowerAdded(map: ClusterMap, partition: number, node: NodeId): ClusterMap {
  return withEntry(map, partition, (entry) =>
    holdsCopy(entry, node) ? entry : { ...entry, followers: [...entry.followers, node] },
  );
}

/** Drops a follower; a primary is never dropped, it hands over first. */
export function withFollowerDropped(map: ClusterMap, partition: number, node: NodeId): ClusterMap {
  return withEntry(map, partition, (entry) => ({
    ...entry,
    followers: entry.followers.filter((follower) => follower !== node),
  }));
}

/** Names a new primary among the copies; the former one stays as a follower. */
export function withPrimary(map: ClusterMap, partition: number, node: NodeId): ClusterMap {
  return withEntry(map, partition, (entry) => ({
    ...entry,
    epoch: entry.epoch + 1,
    primary: node,
    followers: copiesOf(entry).filter((copy) => copy !== node),
  }));
}

/** No copy of the partition is left: it starts again, empty, on `node`. */
export function withPartitionLost(map: ClusterMap, partition: number, node: NodeId): ClusterMap {
  return withEntry(withPrimary(map, partition, node), partition, (entry) => ({
    ...entry,
    lost: true,
  }));
}

function withEntry(
  map: ClusterMap,
  partition: number,
  change: (entry: PlacementEntry) => PlacementEntry,
): ClusterMap {
  return { ...map, placement: map.placement.with(partition, change(map.placement[partition])) };
}
