/** The cluster map as Redis Cluster clients read it: slots instead of partitions, node ids of 40
 *  hex digits, neighbouring ranges merged. Pure; computed once per map.
 *
 *  A node shows up at two ports: at its cluster port where it leads, at its follower port where it
 *  follows. Every copy of a range is there, with its health in Redis' words: SHARDS tells all of
 *  them, SLOTS only whom a client may ask, as Redis leaves out replicas that failed or are still
 *  loading. */

import { createHash } from 'node:crypto';
import { HASH_SLOTS } from '@ingot/store';
import { type ClusterMap, type MapNode, nodeOf, type PlacementEntry } from '../shared/map.ts';

/** Slots `from`..`to`, both inclusive. */
export interface SlotRange {
  readonly from: number;
  readonly to: number;
}

/** loading: a follower that is not in sync, for it is being filled, or far behind. */
export type Health = 'online' | 'loading' | 'fail';

export interface Copy {
  readonly node: MapNode;
  readonly health: Health;
}

/** Ranges that have the same copies, in the same health. */
export interface Shard {
  /** null while nobody leads them. */
  readonly primary: Copy | null;
  readonly followers: readonly Copy[];
  readonly ranges: readonly SlotRange[];
}

/** A range that is led, and whom a client may ask about it. */
export interface ServedRange extends SlotRange {
  readonly primary: MapNode;
  readonly followers: readonly MapNode[];
}

export interface SlotMap {
  /** In slot order. */
  readonly served: readonly ServedRange[];
  readonly shards: readonly Shard[];
  /** Ranges by the id of the node that leads them. */
  readonly rangesLed: ReadonlyMap<string, readonly SlotRange[]>;
  /** Those whose primary is up. */
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
  readonly primary: Copy | null;
  readonly followers: readonly Copy[];
}

function readSlots(map: ClusterMap): SlotMap {
  const placed = placedRanges(map);
  return {
    served: servedRanges(placed),
    shards: shardsOf(placed),
    rangesLed: rangesLed(placed),
    slotsServed: slotCount(placed.filter(({ primary }) => primary?.health === 'online')),
    epochMax: Math.max(0, ...map.placement.map(({ epoch }) => epoch)),
  };
}

/** One range per partition, in slot order. */
function placedRanges(map: ClusterMap): PlacedRange[] {
  return map.placement.map((entry, id) => {
    const primary = entry.primary === null ? null : nodeOf(map, entry.primary);
    const followers = entry.followers.map((follower) => nodeOf(map, follower) as MapNode);
    return {
      ...slotsOfPartition(id, map.partitions),
      primary: primary === null ? null : { node: primary, health: healthOf(primary, true) },
      followers: followers.map((node) => ({ node, health: healthOf(node, isInSync(entry, node)) })),
    };
  });
}

function healthOf(node: MapNode, inSync: boolean): Health {
  if (node.state !== 'up') return 'fail';
  return inSync ? 'online' : 'loading';
}

function isInSync({ inSync }: PlacementEntry, { id, incarnation }: MapNode): boolean {
  return inSync.some((life) => life.node === id && life.incarnation === incarnation);
}

function servedRanges(placed: readonly PlacedRange[]): ServedRange[] {
  const served = placed.flatMap(({ from, to, primary, followers }) => {
    if (primary === null) return [];
    const readable = followers.filter(({ health }) => health === 'online');
    return [{ from, to, primary: primary.node, followers: readable.map(({ node }) => node) }];
  });
  const groups = Map.groupBy(served, ({ primary, followers }) =>
    [primary, ...followers].map(({ id }) => id).join(),
  );
  return [...groups.values()]
    .flatMap((ranges) => merged(ranges).map((range) => ({ ...ranges[0], ...range })))
    .toSorted((a, b) => a.from - b.from);
}

/** Groups ranges by their copies, in order of the first range of each group. */
function shardsOf(placed: readonly PlacedRange[]): Shard[] {
  const groups = Map.groupBy(placed, ({ primary, followers }) =>
    [primary, ...followers].map((copy) => `${copy?.node.id}/${copy?.health}`).join(),
  );
  return [...groups.values()].map((ranges) => ({
    primary: ranges[0].primary,
    followers: ranges[0].followers,
    ranges: merged(ranges),
  }));
}

function rangesLed(placed: readonly PlacedRange[]): Map<string, SlotRange[]> {
  const led = placed.filter(({ primary }) => primary !== null);
  const groups = Map.groupBy(led, ({ primary }) => (primary as Copy).node.id);
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

export function slotCount(ranges: readonly SlotRange[]): number {
  return ranges.reduce((slots, { from, to }) => slots + to - from + 1, 0);
}
