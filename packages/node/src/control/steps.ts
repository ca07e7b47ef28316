/** What the coordinator does next: a pure function of the map and the view, asked again and again
 *  until nothing is left to do. No step depends on remembering an earlier one, so a coordinator
 *  that restarts in the middle of a move just carries on.
 *
 *  A copy moves from A to B in steps that each leave the partition whole:
 *  add B as a follower -> B is in sync -> where A leads, hand over (handOvers) -> drop A.
 *  Invariants: a copy is dropped only while every copy that is to stay is in sync; nobody is made
 *  primary but a consistent copy, except where all copies are known to be gone. */
import {
  type ClusterMap,
  copiesOf,
  copiesOn,
  holdsCopy,
  isUp,
  type MapNode,
  type NodeId,
  nodeOf,
} from '../shared/map.ts';
import { type ClusterView, downAfterMs } from './cluster-view.ts';
import {
  withFollowerAdded,
  withFollowerDropped,
  withNodeRemoved,
  withNodeState,
  withPartitionLost,
  withPrimary,
} from './map-changes.ts';
import type { PartitionReport } from './types.ts';

/** A partition without a primary waits this long for copies on nodes that are not heard from; then
 *  the others decide, because a cache that is stuck serves nobody. */
export const silentCopyWaitMs = 30_000;

export type StepKind =
  | 'nodeDown'
  | 'nodeUp'
  | 'nodeRemoved'
  | 'followerAdded'
  | 'followerDropped'
  | 'primaryNamed'
  | 'partitionLost';

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
  const steps = nodeSteps(map, view, nowMs);
  for (const [partition, entry] of map.placement.entries()) {
    if (entry.primary === null) steps.push(...vacancySteps(map, view, partition, nowMs));
    else if (isUp(map, entry.primary)) steps.push(...moveSteps(map, view, partition));
  }
  return steps;
}

export function applyStep(map: ClusterMap, step: Step): ClusterMap {
  switch (step.kind) {
    case 'nodeDown':
      return withNodeState(map, step.node, 'down');
    case 'nodeUp':
      return withNodeState(map, step.node, 'up');
    case 'nodeRemoved':
      return withNodeRemoved(map, step.node);
    case 'followerAdded':
      return withFollowerAdded(map, step.partition, step.node);
    case 'followerDropped':
      return withFollowerDropped(map, step.partition, step.node);
    case 'primaryNamed':
      return withPrimary(map, step.partition, step.node);
    case 'partitionLost':
      return withPartitionLost(map, step.partition, step.node);
  }
}

/** The primaries that should hand over now. A handover waits until every copy that is to stay, and
 *  whose node is up, is in sync: a change of primary would make a bulk in progress start over. */
export function planHandOvers(map: ClusterMap, view: ClusterView): HandOver[] {
  const target = view.target(map);
  const handOvers: HandOver[] = [];
  for (const [partition, { primary: from, epoch }] of map.placement.entries()) {
    const to = target[partition].primary;
    if (from === null || from === to) continue;
    const expected = [to, ...target[partition].followers.filter((node) => isUp(map, node))];
    if (expected.every((node) => view.isInSync(map, partition, node))) {
      const { incarnation: toIncarnation } = nodeOf(map, to) as MapNode;
      handOvers.push({ partition, epoch, from, to, toIncarnation });
    }
  }
  return handOvers;
}

function nodeSteps(map: ClusterMap, view: ClusterView, nowMs: number): Step[] {
  const steps: Step[] = [];
  for (const { id: node, state } of map.nodes) {
    const silent = view.silentMs(node, nowMs) > downAfterMs;
    if (silent && state === 'up') steps.push({ kind: 'nodeDown', node, partition: -1 });
    if (!silent && state === 'down' && view.hasHeard(map, node)) {
      steps.push({ kind: 'nodeUp', node, partition: -1 });
    }
  }
  for (const node of view.leaving()) {
    if (copiesOn(map, node).length === 0) steps.push({ kind: 'nodeRemoved', node, partition: -1 });
  }
  return steps;
}

/** A partition whose primary came back without its memory: the most advanced consistent copy
 *  leads. */
function vacancySteps(
  map: ClusterMap,
  view: ClusterView,
  partition: number,
  nowMs: number,
): Step[] {
  const candidates: { node: NodeId; copy: PartitionReport }[] = [];
  const { followers } = map.placement[partition];
  for (const node of followers) {
    const copy = view.copyReport(map, partition, node);
    const givenUp = !isUp(map, node) && view.silentMs(node, nowMs) > silentCopyWaitMs;
    if (givenUp) continue;
    if (copy === null) return [];
    if (copy !== 'none' && copy.consistent) candidates.push({ node, copy });
  }
  if (candidates.length > 0) {
    const best = candidates.reduce((a, b) => (isMoreAdvanced(b.copy, a.copy) ? b : a));
    return [{ kind: 'primaryNamed', node: best.node, partition }];
  }
  const preferred = view.target(map)[partition].primary;
  const node = [preferred, ...followers].find((id) => followers.includes(id) && isUp(map, id));
  return node === undefined ? [] : [{ kind: 'partitionLost', node, partition }];
}

/** A copy whose CHECK pass is done goes before one that merely got further. */
function isMoreAdvanced(a: PartitionReport, b: PartitionReport): boolean {
  if (a.checked !== b.checked) return a.checked;
  return a.epoch === b.epoch ? a.seq > b.seq : a.epoch > b.epoch;
}

function moveSteps(map: ClusterMap, view: ClusterView, partition: number): Step[] {
  const { primary, followers } = view.target(map)[partition];
  const wanted = [primary, ...followers];
  const entry = map.placement[partition];
  const missing = wanted.filter((node) => !holdsCopy(entry, node) && isUp(map, node));
  if (missing.length > 0) {
    return missing.map((node) => ({ kind: 'followerAdded', node, partition }));
  }
  const surplus = copiesOf(entry).filter(
    (node) => node !== entry.primary && !wanted.includes(node),
  );
  if (surplus.length === 0) return [];
  if (!wanted.every((node) => view.isInSync(map, partition, node))) return [];
  return surplus.map((node) => ({ kind: 'followerDropped', node, partition }));
}
