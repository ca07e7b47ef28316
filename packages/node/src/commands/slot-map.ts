/** The cluster map as Redis Cluster clients read it: slots instead of partitions, node ids of 40
 *  hex digits, neighbouring ranges merged. Pure; computed once per map.
 *
 *  A node shows up at two ports: at its cluster port where it leads, at its follower port where it
 *  follows. Nodes that are down are left out as followers, as Redis leaves failed replicas out. */

import { createHash } from 'node:crypto';
import { HASH_SLOTS } from '@ingot/store';
import { type ClusterMap, type MapNode, nodeOf } from '../shared/map.ts';

/** Slots `from`..`to`, both inclusive. */
export interface SlotRange {
  readonly from: number;
  readonly to: number;
}

/** Ranges that have the same copies. */
export interface Shard {
  readonly primary: MapNode;
  readonly followers: readonly MapNode[];
  readonly ranges: readonly SlotRange[];
}

export interface SlotMap {
  readonly shards: readonly Shard[];
  /** Ranges by the id of the node that leads them. */
  readonly rangesLed: ReadonlyMap<string, readonly SlotRange[]>;
  /** Slots that have a primary, and those whose primary is up. */
  readonly slotsAssigned: number;
  readonly slotsServed: number;
  readonly epochMax: number;
}

const slotMaps = new WeakMap<ClusterMap, SlotMap>();

export function slotMapOf(map: ClusterMap): SlotMap {
  let slotMap = slotMaps.get(map);
  if (slotMap === undefined) {
    slotMap = readSlots(map);
    slotMaps.set(map, slotMap);
  }
  return slotMap;
}

/** Redis' node ids are 40 hex digits; ours are names, so theirs are derived. */
export function redisNodeId(map: ClusterMap, nodeId: string): string {
  return createHash('sha1').update(`${map.clusterId}/${nodeId}`).digest('hex');
}

/** The slots of one partition. */
export function slotsOfPartition(partitionId: number, partitions: number): SlotRange {
  const slots = HASH_SLOTS / partitions;
  return { from: partitionId * slots, to: (partitionId + 1) * slots - 1 };
}

interface PlacedRange extends SlotRange {
  readonly primary: MapNode;
  readonly followers: readonly MapNode[];
}

function readSlots(map: ClusterMap): SlotMap {
  const placed = placedRanges(map);
  const served = placed.filter(({ primary }) => primary.state === 'up');
  return {
    shards: shardsOf(placed),
    rangesLed: rangesLed(placed),
    slotsAssigned: slotCount(placed),
    slotsServed: slotCount(served),
    epochMax: Math.max(0, ...map.placement.map(({ epoch }) => epoch)),
  };
}

/** One range per partition that has a primary, in slot order. */
function placedRanges(map: ClusterMap): PlacedRange[] {
  const placed: PlacedRange[] = [];
  for (const [id, entry] of map.placement.entries()) {
    const primary = entry.primary === null ? null : nodeOf(map, entry.primary);
    if (primary === null) continue;
    const followers = entry.followers
      .map((follower) => nodeOf(map, follower))
      .filter((node) => node?.state === 'up') as MapNode[];
    placed.push({ ...slotsOfPartition(id, map.partitions), primary, followers });
  }
  return placed;
}

/** Groups ranges by their copies, in order of the first range of each group. */
function shardsOf(placed: readonly PlacedRange[]): Shard[] {
  const groups = Map.groupBy(placed, ({ primary, followers }) =>
    [primary, ...followers].map(({ id }) => id).join(),
  );
  return [...groups.values()].map((ranges) => ({
    primary: ranges[0].primary,
    followers: ranges[0].followers,
    ranges: merged(ranges),
  }));
}

function rangesLed(placed: readonly PlacedRange[]): Map<string, SlotRange[]> {
  const groups = Map.groupBy(placed, ({ primary }) => primary.id);
  return new Map([...groups].map(([nodeId, ranges]) => [nodeId, merged(ranges)]));
}

/** Joins ranges that touch. `ranges` are in slot order. */
function merged(ranges: readonly SlotRange[]): SlotRange[] {
  const joined: SlotRange[] = [];
  for (const { from, to } of ranges) {
    const last = joined.at(-1);
    if (last !== undefined && last.to + 1 === from) joined[joined.length - 1] = { ...last, to };
    else joined.push({ from, to });
  }
  return joined;
}

function slotCount(ranges: readonly SlotRange[]): number {
  return ranges.reduce((slots, { from, to }) => slots + to - from + 1, 0);
}
