/** What the coordinator knows beyond the map: who was heard when, what each node last said of its
 *  copies, and the placement aimed at.
 *  Nothing of it is kept: a coordinator that starts anew learns it again from the next heartbeats.
 *  Invariant: evidence is only ever used for the map it is about. A node's word on a partition
 *  counts once it comes from the node's present life and that life has applied the last change of
 *  the partition's entry, so no word from before a change can be taken for one after it. */
import { type ClusterMap, isUp, type NodeId, nodeOf, type PlacementEntry } from '../shared/map.ts';
import { type PlacementTarget, place } from './placement.ts';
import type { Heartbeat, PartitionReport } from './types.ts';

/** Four heartbeats. */
export const downAfterMs = 1_000;

/** A node that starts may be silent for this long. After its own start a coordinator gives the
 *  others as much to find it again. */
export const startGraceMs = 3_000;

interface Heard {
  incarnation: number;
  mapVersion: number;
  partitions: Map<number, PartitionReport>;
}

export class ClusterView {
  #startedAtMs: number;
  readonly #lastHeardAtMs = new Map<NodeId, number>();
  readonly #heard = new Map<NodeId, Heard>();
  readonly #leaving = new Set<NodeId>();
  /** Index = partition id: the version that last changed the entry, or the first one seen. */
  #changedAt: number[] = [];
  #map: ClusterMap | null = null;
  #target: PlacementTarget[] = [];
  #targetMembers = '';

  constructor(startedAtMs: number) {
    this.#startedAtMs = startedAtMs;
  }

  /** Must be called with each map before questions are asked about it. */
  follow(map: ClusterMap): void {
    if (this.#map === map) return;
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
    this.#heard.set(report.node, {
      incarnation: report.incarnation,
      mapVersion: report.mapVersion,
      partitions: new Map(report.partitions.map((partition) => [partition.id, partition])),
    });
  }

  /** A new life was registered: it leads nothing yet, and may be busy getting its memory. */
  expect(node: NodeId, nowMs: number): void {
    this.#lastHeardAtMs.set(node, nowMs + startGraceMs - downAfterMs);
    this.#heard.delete(node);
    this.#leaving.delete(node);
  }

  /** What the node said no longer counts, until it speaks again. */
  doubt(node: NodeId): void {
    this.#heard.delete(node);
  }

  startLeaving(node: NodeId): void {
    this.#leaving.add(node);
  }

  leaving(): ReadonlySet<NodeId> {
    return this.#leaving;
  }

  forget(node: NodeId): void {
    this.#leaving.delete(node);
    this.#heard.delete(node);
    this.#lastHeardAtMs.delete(node);
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

  /** In sync: the follower says that its copy is consistent and checked, and the primary of the
   *  present epoch says that it streams to it. Of the primary itself: it says that it leads this
   *  epoch. */
  isInSync(map: ClusterMap, partition: number, node: NodeId): boolean {
    const { primary, epoch } = map.placement[partition];
    if (primary === null || !isUp(map, primary) || !isUp(map, node)) return false;
    const leader = this.copyReport(map, partition, primary);
    if (leader === null || leader === 'none') return false;
    if (leader.role !== 'primary' || leader.epoch !== epoch) return false;
    if (node === primary) return true;
    const copy = this.copyReport(map, partition, node);
    if (copy === null || copy === 'none' || !copy.consistent || !copy.checked) return false;
    return leader.followers.some(
      (follower) => follower.node === node && follower.state === 'streaming',
    );
  }

  /** The placement aimed at. Worked out once per membership, from where the copies are then, so
   *  that half-finished moves do not change where they are going. */
  target(map: ClusterMap): PlacementTarget[] {
    const members = map.nodes.map((node) => node.id).filter((node) => !this.#leaving.has(node));
    const key = members.join(' ');
    if (key !== this.#targetMembers) {
      this.#targetMembers = key;
      this.#target = place(members, map.placement, map.copies);
    }
    return this.#target;
  }
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
