/** What a control node knows beyond the map: who was heard when, what each node last said of its
 *  copies, and the placement aimed at.
 *  Nothing of it is kept: a coordinator that starts anew learns it again from the next heartbeats.
 *  Invariant: evidence is only ever used for the map it is about. A node's word on a partition
 *  counts once it comes from the node's present life and that life has applied the last change of
 *  the partition's entry, so no word from before a change can be taken for one after it. */
import {
  type ClusterMap,
  isLeaving,
  isUp,
  type Life,
  type NodeId,
  nodeOf,
  type PlacementEntry,
} from '../shared/map.ts';
import { type PlacementTarget, place } from './placement.ts';
import { isInTheSameState } from './report-changes.ts';
import type { Heartbeat, PartitionReport } from './types.ts';
import { pinnedTo } from './wishes.ts';

/** Four heartbeats. */
export const downAfterMs = 1_000;

/** A node that starts may be silent for this long. After its own start a coordinator gives the
 *  others as much to find it again. */
export const startGraceMs = 3_000;

/** A partition that has seen no more mutations than these is small, whatever they were. */
export const smallSeqMax = 256;

interface Heard {
  incarnation: number;
  mapVersion: number;
  /** As it came, to see at once that nothing is new. */
  said: readonly PartitionReport[];
  partitions: Map<number, PartitionReport>;
}

export class ClusterView {
  #startedAtMs: number;
  readonly #lastHeardAtMs = new Map<NodeId, number>();
  readonly #heard = new Map<NodeId, Heard>();
  readonly #downSinceMs = new Map<NodeId, number>();
  readonly #forgetAfterMs: number;
  /** Index = partition id: the version that last changed the entry, or the first one seen. */
  #changedAt: number[] = [];
  #map: ClusterMap | null = null;
  #target: readonly PlacementTarget[] = [];
  #targetMembers = '';
  #revision = 0;

  /** `forgetAfterMs`: a node that is down for so long is as good as gone; 0: never. */
  constructor(startedAtMs: number, forgetAfterMs: number) {
    this.#startedAtMs = startedAtMs;
    this.#forgetAfterMs = forgetAfterMs;
  }

  /** Must be called with each map before questions are asked about it. */
  follow(map: ClusterMap, nowMs: number): void {
    if (this.#map === map) return;
    this.#followNodes(map, nowMs);
    const before = this.#map?.placement ?? [];
    this.#changedAt = map.placement.map((entry, partition) =>
      before[partition] !== undefined && sameEntry(before[partition], entry)
        ? this.#changedAt[partition]
        : map.version,
    );
    this.#map = map;
  }

  hear(report: Heartbeat, nowMs: number): void {
    const lastHeardAtMs = this.#lastHeardAtMs.get(report.node) ?? nowMs;
    this.#lastHeardAtMs.set(report.node, Math.max(lastHeardAtMs, nowMs));
    if (report.partitionsAsBefore === true) return;
    const { node, incarnation, mapVersion, partitions: said } = report;
    const before = this.#heard.get(node);
    const goesOn = before?.incarnation === incarnation && before.mapVersion === mapVersion;
    if (goesOn && before.said === said) return;
    if (!goesOn || !meansTheSame(before.said, said)) this.#revision++;
    const partitions = new Map(said.map((partition) => [partition.id, partition]));
    this.#heard.set(node, { incarnation, mapVersion, said, partitions });
  }

  /** Another one says that something has changed of what plans are made from, besides the map and
   *  who is going. */
  get revision(): number {
    return this.#revision;
  }

  /** Lives that are new in the map lead nothing yet, and may be busy getting their memory. */
  #followNodes(map: ClusterMap, nowMs: number): void {
    for (const { id, incarnation, state } of map.nodes) {
      const before = this.#map === null ? null : nodeOf(this.#map, id);
      if (this.#map !== null && (before?.incarnation ?? 0) < incarnation) {
        this.#lastHeardAtMs.set(id, nowMs + startGraceMs - downAfterMs);
        // Its first report may have been here before the map.
        if (this.#heard.get(id)?.incarnation !== incarnation) this.#heard.delete(id);
      }
      if (state === 'up') this.#downSinceMs.delete(id);
      else if (!this.#downSinceMs.has(id)) this.#downSinceMs.set(id, nowMs);
    }
    for (const { id } of this.#map?.nodes ?? []) if (nodeOf(map, id) === null) this.#forget(id);
  }

  /** What the node said no longer counts, until it speaks again. */
  doubt(node: NodeId): void {
    this.#revision++;
    this.#heard.delete(node);
  }

  /** Leaves, or is down for so long that it is not expected back. */
  isGoing(map: ClusterMap, node: NodeId, nowMs: number): boolean {
    return isLeaving(map, node) || this.#isForgotten(node, nowMs);
  }

  going(map: ClusterMap, nowMs: number): NodeId[] {
    return map.nodes.map(({ id }) => id).filter((node) => this.isGoing(map, node, nowMs));
  }

  /** Up by the map, and silent. */
  suspects(map: ClusterMap, nowMs: number): Life[] {
    return map.nodes
      .filter(({ id, state }) => state === 'up' && !this.isHeard(id, nowMs))
      .map(({ id: node, incarnation }) => ({ node, incarnation }));
  }

  isHeard(node: NodeId, nowMs: number): boolean {
    return this.silentMs(node, nowMs) <= downAfterMs;
  }

  #isForgotten(node: NodeId, nowMs: number): boolean {
    const downSinceMs = this.#downSinceMs.get(node);
    return (
      this.#forgetAfterMs > 0 &&
      downSinceMs !== undefined &&
      nowMs - downSinceMs >= this.#forgetAfterMs
    );
  }

  #forget(node: NodeId): void {
    this.#heard.delete(node);
    this.#lastHeardAtMs.delete(node);
    this.#downSinceMs.delete(node);
  }

  /** The coordinator itself heard nothing for so long: that silence is nobody's. */
  excuse(awayMs: number, nowMs: number): void {
    this.#startedAtMs += awayMs;
    for (const [node, atMs] of this.#lastHeardAtMs) {
      this.#lastHeardAtMs.set(node, Math.max(atMs, Math.min(atMs + awayMs, nowMs)));
    }
  }

  silentMs(node: NodeId, nowMs: number): number {
    const lastHeardAtMs = this.#lastHeardAtMs.get(node);
    return nowMs - (lastHeardAtMs ?? this.#startedAtMs + startGraceMs - downAfterMs);
  }

  /** The present life of the node has sent a heartbeat. */
  hasHeard(map: ClusterMap, node: NodeId): boolean {
    return this.#heard.get(node)?.incarnation === nodeOf(map, node)?.incarnation;
  }

  /** What the node says of its copy under the present map: 'none' when it holds none, null when it
   *  has not been heard since the entry changed. */
  copyReport(map: ClusterMap, partition: number, node: NodeId): PartitionReport | 'none' | null {
    const heard = this.#heard.get(node);
    if (heard === undefined || !this.hasHeard(map, node)) return null;
    if (heard.mapVersion < this.#changedAt[partition]) return null;
    return heard.partitions.get(partition) ?? 'none';
  }

  /** In sync: the map lists the life among those that acks=isr waits for, the follower says that its
   *  copy is consistent and checked, and the primary of the present epoch says that it streams to
   *  it. Of the primary itself: it says that it leads this epoch. */
  isInSync(map: ClusterMap, partition: number, node: NodeId): boolean {
    const { primary, epoch } = map.placement[partition];
    if (primary === null || !isUp(map, primary) || !isUp(map, node)) return false;
    const leader = this.copyReport(map, partition, primary);
    if (leader === null || leader === 'none') return false;
    if (leader.role !== 'primary' || leader.epoch !== epoch) return false;
    if (node === primary) return true;
    if (!isListedInSync(map, partition, node)) return false;
    const copy = this.copyReport(map, partition, node);
    if (copy === null || copy === 'none' || !copy.consistent || !copy.checked) return false;
    return leader.followers.some(
      (follower) => follower.node === node && follower.state === 'streaming',
    );
  }

  /** Whether moving the partition costs next to nothing: it was hardly ever written. */
  isSmall(map: ClusterMap, partition: number): boolean {
    const { primary } = map.placement[partition];
    const leader = primary === null ? null : this.copyReport(map, partition, primary);
    return leader !== null && leader !== 'none' && leader.seq <= smallSeqMax;
  }

  /** The placement aimed at. Worked out once per membership, from where the copies are then, so
   *  that half-finished moves do not change where they are going. Empty where nobody may hold
   *  copies. */
  target(map: ClusterMap, nowMs: number): readonly PlacementTarget[] {
    const members = map.nodes.filter(
      ({ id, witness, observer }) => !witness && !observer && !this.isGoing(map, id, nowMs),
    );
    const key = members.map(({ id, advertise }) => `${id}@${advertise}`).join(' ');
    if (key !== this.#targetMembers) {
      this.#targetMembers = key;
      const ids = members.map(({ id }) => id);
      const hosts = members.map(({ advertise }) => advertise);
      const pins = new Map(map.wishes.pins.map(({ partition, node }) => [partition, node]));
      this.#target = ids.length === 0 ? [] : place(ids, map.placement, map.copies, hosts, pins);
    }
    return this.#target;
  }

  /** Whom the target, or somebody by hand, names as primary. */
  wantedPrimary(map: ClusterMap, partition: number, nowMs: number): NodeId | null {
    const target = this.target(map, nowMs)[partition];
    if (target === undefined) return null;
    const pinned = pinnedTo(map, partition);
    return pinned !== null && [target.primary, ...target.followers].includes(pinned)
      ? pinned
      : target.primary;
  }
}

/** Whether writes with acks=isr wait for the present life of the node. */
export function isListedInSync(map: ClusterMap, partition: number, node: NodeId): boolean {
  const incarnation = nodeOf(map, node)?.incarnation;
  return map.placement[partition].inSync.some(
    (life) => life.node === node && life.incarnation === incarnation,
  );
}

/** For plans: seqs count only where they tell what is small. */
function meansTheSame(
  before: readonly PartitionReport[],
  now: readonly PartitionReport[],
): boolean {
  if (before.length !== now.length) return false;
  return now.every((copy, i) => {
    const isAsSmall = copy.seq <= smallSeqMax === before[i].seq <= smallSeqMax;
    return isAsSmall && isInTheSameState(before[i], copy);
  });
}

function sameEntry(a: PlacementEntry, b: PlacementEntry): boolean {
  if (a === b) return true;
  return (
    a.epoch === b.epoch &&
    a.primary === b.primary &&
    a.followers.length === b.followers.length &&
    a.followers.every((follower) => b.followers.includes(follower))
  );
}
