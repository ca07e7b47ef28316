/** Which nodes have a voice in the cluster map: one of one or two, three of three or four, five of
 *  more. Voices stay where they are as long as they can; a change goes through a joint set, one at a
 *  time. Observers have none. Pure; the coordinator applies it. */
import {
  type AcceptorRef,
  type AcceptorSet,
  type ClusterMap,
  isUp,
  type MapNode,
  type NodeId,
  nodeOf,
} from '../shared/map.ts';
import { isSameSet } from './acceptor-set.ts';

/** The set that the map should name next: the same object where nothing is to be changed.
 *  `isGone`: away for so long that it is not waited for, or about to leave. Of a joint set the
 *  answer is its new half: propose that only on a map that was read, and so is chosen. */
export function nextAcceptors(map: ClusterMap, isGone: (node: NodeId) => boolean): AcceptorSet {
  const { current, next } = map.acceptors;
  if (next !== null) return { current: next, next: null };
  const present = map.nodes.filter(({ id, observer }) => !observer && !isGone(id));
  const kept = current.filter((ref) => isHeldBy(present, ref));
  const others = present.filter(
    ({ id, state }) => state === 'up' && !kept.some(({ node }) => node === id),
  );
  const wanted = voicesOf(Math.min(present.length, kept.length + others.length));
  const chosen = kept.length > wanted ? upFirst(map, kept).slice(0, wanted) : kept;
  while (chosen.length < wanted) chosen.push(refOf(bestOf(others, chosen, map)));
  // Without a majority that answers, the new half would keep everybody from agreeing to anything.
  const up = chosen.filter(({ node }) => isUp(map, node)).length;
  if (2 * up <= chosen.length) return map.acceptors;
  const changed = { current: chosen, next: null };
  return isSameSet(changed, map.acceptors) ? map.acceptors : { current, next: chosen };
}

function voicesOf(nodes: number): number {
  if (nodes >= 5) return 5;
  if (nodes >= 3) return 3;
  return Math.min(nodes, 1);
}

/** A node whose disk was wiped has another acceptor than the one that is meant. */
function isHeldBy(nodes: readonly MapNode[], { id, node }: AcceptorRef): boolean {
  return nodes.some((other) => other.id === node && other.acceptor === id);
}

function upFirst(map: ClusterMap, refs: readonly AcceptorRef[]): AcceptorRef[] {
  const rank = ({ node }: AcceptorRef): number => (isUp(map, node) ? 0 : 1);
  return refs.toSorted((a, b) => rank(a) - rank(b));
}

/** Takes the first node on a host that has no voice yet, else the first. */
function bestOf(others: MapNode[], chosen: readonly AcceptorRef[], map: ClusterMap): MapNode {
  const hosts = new Set(chosen.map(({ node }) => nodeOf(map, node)?.advertise));
  const index = others.findIndex(({ advertise }) => !hosts.has(advertise));
  return others.splice(Math.max(index, 0), 1)[0];
}

function refOf({ id, acceptor }: MapNode): AcceptorRef {
  return { id: acceptor, node: id };
}
