/** What the coordinator does next: a pure function of the map and the view, asked again and again
 *  until nothing is left to do. No step depends on remembering an earlier one, so a coordinator
 *  that begins in the middle of a move just carries on. What a dead node led is not settled here but
 *  in failover.ts.
 *
 *  A copy moves from A to B in steps that each leave the partition whole:
 *  add B as a follower -> B is in sync -> where A leads, hand over (handOvers) -> drop A.
 *  A node takes part in one move at a time; a partition that was hardly written costs nothing and is
 *  not counted. Copies that are missing are made at once.
 *  Invariant: a copy is dropped only while every copy that is to stay is in sync, or once its node is
 *  gone for good. */
import {
  type ClusterMap,
  copiesOf,
  copiesOn,
  holdsCopy,
  isStopping,
  isUp,
  type MapNode,
  type NodeId,
  nodeOf,
} from '../shared/map.ts';
import type { ClusterView } from './cluster-view.ts';
import { withFollowerAdded, withFollowerDropped, withNodeRemoved } from './map-changes.ts';

/** At most so many partitions that are not small are handed over by one node at a time, where there is no
 *  hurry; clients of each wait meanwhile. */
const balanceHandOversMax = 4;

export type StepKind = 'nodeRemoved' | 'followerAdded' | 'followerDropped';

export interface Step {
  kind: StepKind;
  node: NodeId;
  /** -1 for steps about a node. */
  partition: number;
}

/** A primary that is to be sealed, so that `to` can take over. */
export interface HandOver {
  partition: number;
  epoch: number;
  from: NodeId;
  to: NodeId;
  /** The life of `to` that is in sync; a later one holds nothing. */
  toIncarnation: number;
}

export function planSteps(map: ClusterMap, view: ClusterView, nowMs: number): Step[] {
  const steps = removals(map, view, nowMs);
  const busy = busyNodes(map, view, nowMs);
  for (const partition of map.placement.keys()) {
    steps.push(...moveSteps(map, view, partition, nowMs, busy));
  }
  return steps;
}

export function applyStep(map: ClusterMap, step: Step): ClusterMap {
  switch (step.kind) {
    case 'nodeRemoved':
      return withNodeRemoved(map, step.node);
    case 'followerAdded':
      return withFollowerAdded(map, step.partition, step.node);
    case 'followerDropped':
      return withFollowerDropped(map, step.partition, step.node);
  }
}

/** The primaries that should hand over now. A node that is to lead nothing hands over at once, to
 *  whoever is in sync. Otherwise a handover waits until every copy that is to stay, and whose node
 *  is up, is in sync: a change of primary would make a bulk in progress start over. */
export function planHandOvers(map: ClusterMap, view: ClusterView, nowMs: number): HandOver[] {
  const handOvers: HandOver[] = [];
  const leads = leadCounts(map);
  const balancing = new Map<NodeId, number>();
  for (const [partition, { primary: from, epoch }] of map.placement.entries()) {
    if (from === null || !isUp(map, from)) continue;
    const isToldToStop = isStopping(map, from);
    const to = isToldToStop
      ? heirOf(map, view, partition, leads)
      : balancedHeir(map, view, partition, nowMs);
    if (to === null || to === from) continue;
    if (!isToldToStop && !view.isSmall(map, partition)) {
      const count = (balancing.get(from) ?? 0) + 1;
      if (count > balanceHandOversMax) continue;
      balancing.set(from, count);
    }
    leads.set(to, (leads.get(to) ?? 0) + 1);
    const { incarnation: toIncarnation } = nodeOf(map, to) as MapNode;
    handOvers.push({ partition, epoch, from, to, toIncarnation });
  }
  return handOvers;
}

/** Whether a node that shall lead nothing has somebody to hand over to. */
export function canHandOver(map: ClusterMap, node: NodeId): boolean {
  return map.placement.some(
    ({ primary, followers }) =>
      primary === node &&
      followers.some((follower) => isUp(map, follower) && !isStopping(map, follower)),
  );
}

function heirOf(
  map: ClusterMap,
  view: ClusterView,
  partition: number,
  leads: ReadonlyMap<NodeId, number>,
): NodeId | null {
  const heirs = map.placement[partition].followers.filter(
    (node) => !isStopping(map, node) && view.isInSync(map, partition, node),
  );
  const weightOf = (node: NodeId): number => leads.get(node) ?? 0;
  return heirs.toSorted((a, b) => weightOf(a) - weightOf(b))[0] ?? null;
}

function balancedHeir(
  map: ClusterMap,
  view: ClusterView,
  partition: number,
  nowMs: number,
): NodeId | null {
  const to = view.wantedPrimary(map, partition, nowMs);
  if (to === null || isStopping(map, to)) return null;
  const expected = wantedCopies(map, view, partition, nowMs).filter((node) => isUp(map, node));
  return [to, ...expected].every((node) => view.isInSync(map, partition, node)) ? to : null;
}

function leadCounts(map: ClusterMap): Map<NodeId, number> {
  const leads = new Map<NodeId, number>();
  for (const { primary } of map.placement) {
    if (primary !== null) leads.set(primary, (leads.get(primary) ?? 0) + 1);
  }
  return leads;
}

/** A node is out once it holds no copy and has no say in the map. */
function removals(map: ClusterMap, view: ClusterView, nowMs: number): Step[] {
  const { current, next } = map.acceptors;
  const isAcceptor = (node: NodeId): boolean =>
    [...current, ...(next ?? [])].some((acceptor) => acceptor.node === node);
  return view
    .going(map, nowMs)
    .filter((node) => !isAcceptor(node) && copiesOn(map, node).length === 0)
    .map((node) => ({ kind: 'nodeRemoved', node, partition: -1 }));
}

function wantedCopies(
  map: ClusterMap,
  view: ClusterView,
  partition: number,
  nowMs: number,
): NodeId[] {
  const target = view.target(map, nowMs)[partition];
  return target === undefined ? [] : [target.primary, ...target.followers];
}

/** Those that take part in a move: a copy too many is there until the new one is in sync. */
function busyNodes(map: ClusterMap, view: ClusterView, nowMs: number): Set<NodeId> {
  const busy = new Set<NodeId>();
  for (const [partition, entry] of map.placement.entries()) {
    if (entry.primary === null || view.isSmall(map, partition)) continue;
    const wanted = wantedCopies(map, view, partition, nowMs);
    const surplus = copiesOf(entry).filter((node) => !wanted.includes(node) && isUp(map, node));
    if (surplus.length === 0) continue;
    const arriving = wanted.filter((node) => isUp(map, node));
    if (!arriving.every((node) => holdsCopy(entry, node))) continue;
    const isUnderWay = arriving.some((node) => !view.isInSync(map, partition, node));
    // What only waits for a node that is down holds nobody up.
    if (!isUnderWay && !wanted.every((node) => isUp(map, node))) continue;
    for (const node of surplus) busy.add(node);
    for (const node of arriving) if (node !== entry.primary) busy.add(node);
  }
  return busy;
}

function moveSteps(
  map: ClusterMap,
  view: ClusterView,
  partition: number,
  nowMs: number,
  busy: Set<NodeId>,
): Step[] {
  const entry = map.placement[partition];
  const wanted = wantedCopies(map, view, partition, nowMs);
  if (wanted.length === 0) return [];
  const surplus = copiesOf(entry).filter(
    (node) => node !== entry.primary && !wanted.includes(node),
  );
  const drop = (node: NodeId): Step => ({ kind: 'followerDropped', node, partition });
  const isGone = (node: NodeId): boolean => !isUp(map, node) && view.isGoing(map, node, nowMs);
  if (entry.primary === null) return surplus.filter(isGone).map(drop);
  if (!isUp(map, entry.primary)) return [];
  const missing = wanted.filter((node) => !holdsCopy(entry, node) && isUp(map, node));
  if (missing.length > 0) {
    const givers = copiesOf(entry).filter((node) => !wanted.includes(node));
    if (!mayAdd(map, view, partition, wanted.length, [...missing, ...givers], busy)) return [];
    return missing.map((node) => ({ kind: 'followerAdded', node, partition }));
  }
  if (surplus.length === 0) return [];
  const isWhole = wanted.every((node) => view.isInSync(map, partition, node));
  return isWhole ? surplus.map(drop) : surplus.filter(isGone).map(drop);
}

/** Copies that are missing are made at once; a move waits for its turn, and takes it. */
function mayAdd(
  map: ClusterMap,
  view: ClusterView,
  partition: number,
  wantedCount: number,
  involved: readonly NodeId[],
  busy: Set<NodeId>,
): boolean {
  const living = copiesOf(map.placement[partition]).filter((node) => isUp(map, node));
  if (living.length < wantedCount || view.isSmall(map, partition)) return true;
  if (involved.some((node) => busy.has(node))) return false;
  for (const node of involved) busy.add(node);
  return true;
}
