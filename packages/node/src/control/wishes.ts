/** What operators ask of a cluster, as changes of the map. Kept there, so that it does not matter who
 *  coordinates, nor whether that changes meanwhile. Pure.
 *  Invariant: a wish is about a node, a life or a copy that the map lists. */
import {
  type ClusterMap,
  isLeaving,
  type Life,
  type NodeId,
  nodeOf,
  type Wishes,
} from '../shared/map.ts';

export const NO_WISHES: Wishes = { leaving: [], stopping: [], pins: [] };

/** The balance is worked out anew without the node, and all pins end. */
export function withLeaving(map: ClusterMap, node: NodeId): ClusterMap {
  if (isLeaving(map, node)) return map;
  const { wishes } = map;
  return { ...map, wishes: { ...wishes, leaving: [...wishes.leaving, node], pins: [] } };
}

/** The same map where another life of the node goes on by now. */
export function withStopping(
  map: ClusterMap,
  { node, incarnation }: Life,
  sinceMs: number,
): ClusterMap {
  const { wishes } = map;
  if (nodeOf(map, node)?.incarnation !== incarnation) return map;
  if (wishes.stopping.some((life) => life.node === node)) return map;
  const stopping = [...wishes.stopping, { node, incarnation, sinceMs }];
  return { ...map, wishes: { ...wishes, stopping } };
}

export function withPin(map: ClusterMap, partition: number, node: NodeId): ClusterMap {
  const { wishes } = map;
  const others = wishes.pins.filter((pin) => pin.partition !== partition);
  return { ...map, wishes: { ...wishes, pins: [...others, { partition, node }] } };
}

/** A life begins. Whoever starts a node wants it to stay; a life that goes on in the same process
 *  (`isSameProcess`) was started by nobody. A node that is new to the cluster ends all pins. */
export function wishesAtNewLife(map: ClusterMap, node: NodeId, isSameProcess: boolean): Wishes {
  const { leaving, stopping, pins } = map.wishes;
  return {
    leaving: isSameProcess ? leaving : leaving.filter((other) => other !== node),
    stopping: stopping.filter((life) => life.node !== node),
    pins: nodeOf(map, node) === null ? [] : pins,
  };
}

/** Where the node was forgotten, and did not leave, the balance changes only now. */
export function wishesWithoutNode(map: ClusterMap, node: NodeId): Wishes {
  const { leaving, stopping, pins } = map.wishes;
  return {
    leaving: leaving.filter((other) => other !== node),
    stopping: stopping.filter((life) => life.node !== node),
    pins: isLeaving(map, node) ? pins : [],
  };
}

export function wishesWithoutCopy(
  { pins, ...others }: Wishes,
  partition: number,
  node: NodeId,
): Wishes {
  const kept = pins.filter((pin) => pin.partition !== partition || pin.node !== node);
  return { ...others, pins: kept };
}

export function pinnedTo({ wishes }: ClusterMap, partition: number): NodeId | null {
  return wishes.pins.find((pin) => pin.partition === partition)?.node ?? null;
}
