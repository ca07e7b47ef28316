/** The ways a cluster map changes, each as a pure function from a map to the next one.
 *  Invariants kept here: a change of primary is an epoch more, a copy is listed once, a node that
 *  starts a new life leads nothing. Versions and operation ids belong to the proposer. */
import { capacityOf } from '../shared/capacity.ts';
import {
  type ClusterMap,
  copiesOf,
  holdsCopy,
  isSameLife,
  type Life,
  type MapNode,
  type NodeId,
  nodeOf,
  type PlacementEntry,
} from '../shared/map.ts';
import { ALL_PARTITIONS, type JoinRequest } from './registration.ts';
import { NO_WISHES, wishesAtNewLife, wishesWithoutCopy, wishesWithoutNode } from './wishes.ts';

export type ClusterShape = Pick<
  ClusterMap,
  | 'clusterId'
  | 'partitions'
  | 'copies'
  | 'capacityBytes'
  | 'capacityMaxBytes'
  | 'valueMaxBytes'
  | 'eviction'
  | 'minIsr'
  | 'uncleanFailover'
>;

/** The first map of a cluster: the founder alone decides about it, and leads every partition. */
export function foundingMap(shape: ClusterShape, founder: MapNode): ClusterMap {
  return {
    ...shape,
    capacityLimitBytes: null,
    version: 1,
    acceptors: { current: [{ id: founder.acceptor, node: founder.id }], next: null },
    nodes: [founder],
    placement: Array.from({ length: shape.partitions }, () => ({
      epoch: 1,
      primary: founder.id,
      followers: [],
      inSync: [{ node: founder.id, incarnation: founder.incarnation }],
      lost: false,
      lossy: false,
    })),
    wishes: NO_WISHES,
    operations: {},
  };
}

/** Another limit for all partitions. */
export function withCapacityLimit(map: ClusterMap, capacityBytes: number): ClusterMap {
  if (capacityBytes === capacityOf(map)) return map;
  return { ...map, capacityLimitBytes: capacityBytes };
}

type Beginning = Pick<JoinRequest, 'memoryOf' | 'memoryIn' | 'started'>;

const AS_NEW: Beginning = { memoryOf: 0, memoryIn: ALL_PARTITIONS, started: true };

/** A life begins: it is listed as `node` says, leads nothing and is in sync with nobody. But where a
 *  partition has no primary, and waits for a life whose memory the node has (`memoryOf`; 0 for none, `memoryIn`),
 *  the new one is waited for instead. */
export function withNewLife(
  map: ClusterMap,
  node: MapNode,
  { memoryOf, memoryIn, started }: Beginning = AS_NEW,
): ClusterMap {
  const known = map.nodes.some((other) => other.id === node.id);
  const remembered = new Set(memoryIn);
  return {
    ...map,
    nodes: known
      ? map.nodes.map((other) => (other.id === node.id ? node : other))
      : [...map.nodes, node],
    wishes: wishesAtNewLife(map, node.id, !started),
    placement: map.placement.map((entry, partition) => {
      const next = withoutLead(withoutLife(entry, node.id), node.id);
      if (remembered.size > 0 && !remembered.has(partition)) return next;
      const former = { node: node.id, incarnation: memoryOf };
      if (entry.primary !== null || !entry.inSync.some((life) => isSameLife(life, former))) {
        return next;
      }
      const life = { node: node.id, incarnation: node.incarnation };
      return { ...next, inSync: [...next.inSync, life] };
    }),
  };
}

export function withNodeState(map: ClusterMap, node: NodeId, state: MapNode['state']): ClusterMap {
  return {
    ...map,
    nodes: map.nodes.map((other) => (other.id === node ? { ...other, state } : other)),
  };
}

/** A life is fenced: it is down, in sync with nobody, and leads nothing any more. Its copies stay
 *  listed; its memory may come back. That is why lives in sync stay listed where nobody leads: they
 *  are over, but each has all that was answered, and whichever comes back first may lead. */
export function withLifeEnded(map: ClusterMap, life: Life): ClusterMap {
  const { node: id, incarnation } = life;
  const down = withNodeState(map, id, 'down');
  return {
    ...down,
    nodes: down.nodes.map((node) => {
      if (node.id !== id) return node;
      return { ...node, fencedThrough: Math.max(node.fencedThrough, incarnation) };
    }),
    placement: down.placement.map((entry) => {
      const next = withoutLead(withoutLife(entry, id), id);
      return next.primary === null ? { ...next, inSync: entry.inSync } : next;
    }),
  };
}

/** Takes a node that holds no copy any more out of the map. */
export function withNodeRemoved(map: ClusterMap, node: NodeId): ClusterMap {
  const { [node]: _, ...operations } = map.operations;
  const nodes = map.nodes.filter((other) => other.id !== node);
  return { ...map, nodes, wishes: wishesWithoutNode(map, node), operations };
}

export function withFollowerAdded(map: ClusterMap, partition: number, node: NodeId): ClusterMap {
  return withEntry(map, partition, (entry) =>
    holdsCopy(entry, node) ? entry : { ...entry, followers: [...entry.followers, node] },
  );
}

/** Drops a follower; a primary is never dropped, it hands over first. */
export function withFollowerDropped(map: ClusterMap, partition: number, node: NodeId): ClusterMap {
  const wishes = wishesWithoutCopy(map.wishes, partition, node);
  return withEntry({ ...map, wishes }, partition, (entry) => ({
    ...withoutLife(entry, node),
    followers: entry.followers.filter((follower) => follower !== node),
  }));
}

/** Names a primary among the copies, at another epoch; a former one stays as a follower. */
export function withPrimary(map: ClusterMap, partition: number, node: NodeId): ClusterMap {
  return withEntry(map, partition, (entry) => ({
    ...entry,
    epoch: entry.epoch + 1,
    primary: node,
    followers: copiesOf(entry).filter((copy) => copy !== node),
    inSync: isInSync(entry, node) ? entry.inSync : [...entry.inSync, lifeOf(map, node)],
  }));
}

/** After a failover: who answered is in sync, and nobody else. */
export function withSuccessor(
  map: ClusterMap,
  partition: number,
  node: NodeId,
  inSync: Life[],
): ClusterMap {
  return withEntry(withPrimary(map, partition, node), partition, (entry) => ({
    ...entry,
    inSync,
    lossy: false,
  }));
}

/** The copy that leads was not in sync. */
export function withPartitionLossy(map: ClusterMap, partition: number, node: NodeId): ClusterMap {
  return withEntry(withPrimary(map, partition, node), partition, (entry) => ({
    ...entry,
    inSync: [lifeOf(map, node)],
    lossy: true,
  }));
}

/** No copy of the partition is left: it starts again, empty, on `node`. */
export function withPartitionLost(map: ClusterMap, partition: number, node: NodeId): ClusterMap {
  return withEntry(withPrimary(map, partition, node), partition, (entry) => ({
    ...entry,
    inSync: [lifeOf(map, node)],
    lost: true,
  }));
}

function withoutLife(entry: PlacementEntry, node: NodeId): PlacementEntry {
  if (!isInSync(entry, node)) return entry;
  return { ...entry, inSync: entry.inSync.filter((life) => life.node !== node) };
}

function withoutLead(entry: PlacementEntry, node: NodeId): PlacementEntry {
  if (entry.primary !== node) return entry;
  return { ...entry, primary: null, followers: [...entry.followers, node] };
}

function isInSync(entry: PlacementEntry, node: NodeId): boolean {
  return entry.inSync.some((life) => life.node === node);
}

function lifeOf(map: ClusterMap, node: NodeId): Life {
  return { node, incarnation: (nodeOf(map, node) as MapNode).incarnation };
}

function withEntry(
  map: ClusterMap,
  partition: number,
  change: (entry: PlacementEntry) => PlacementEntry,
): ClusterMap {
  return { ...map, placement: map.placement.with(partition, change(map.placement[partition])) };
}
