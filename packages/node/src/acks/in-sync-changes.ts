/** Which members the in-sync sets of the partitions led here should gain and lose, and what a map
 *  looks like after that. Pure: a status is a few hundred milliseconds old, so `withMembers` asks
 *  the map it is given once more whether a change still means anything. */
import type { FollowerReplicationStatus, PartitionReplicationStatus } from '@ingot/replication';
import {
  type ClusterMap,
  isSameLife,
  isStopping,
  type Life,
  nodeOf,
  type PlacementEntry,
} from '../shared/map.ts';

export interface MemberChange {
  readonly partition: number;
  readonly epoch: number;
  readonly life: Life;
  readonly kind: 'add' | 'remove';
  /** Gone for a reason that may pass by itself: worth a moment's patience. */
  readonly mayPass: boolean;
  /** Away, behind or about to stop, with all that was acknowledged: worth keeping where the set would fall below
   *  --min-isr without it. Nothing could be acknowledged by the rest, and a failover may need it. */
  readonly isOfUse: boolean;
}

/** Why a life is to be no member any more. */
type Why = 'over' | 'stopping' | 'gone' | 'stalled';

/** A follower that is behind by more is no help to anybody who waits. */
const lagSecondsMax = 0.5;

export function wantedChanges(
  map: ClusterMap,
  self: Life,
  partitions: readonly PartitionReplicationStatus[],
): MemberChange[] {
  const changes: MemberChange[] = [];
  for (const { id, epoch, followers } of partitions) {
    const entry = map.placement[id];
    if (!leadsAt(map, self, entry, epoch)) continue;
    const change = (life: Life, kind: MemberChange['kind'], why: Why | null = null): void => {
      const mayPass = why === 'gone';
      const isOfUse = why !== null && why !== 'over';
      changes.push({ partition: id, epoch, life, kind, mayPass, isOfUse });
    };
    let left = entry.inSync.length;
    for (const life of entry.inSync) {
      if (isSameLife(life, self)) continue;
      const status = followers.find(({ node }) => node === life.node);
      const why = whyNoMember(map, entry, life, status);
      if (why === null || (why !== 'over' && left <= map.minIsr)) continue;
      left--;
      change(life, 'remove', why);
    }
    if (!hasMember(entry, self)) change(self, 'add');
    for (const follower of followers) {
      const { node, incarnation } = follower;
      const life = { node, incarnation };
      if (!hasMember(entry, life) && mayJoin(map, entry, life, follower)) change(life, 'add');
    }
  }
  return changes;
}

/** The same object where nothing is left to be changed. */
export function withMembers(
  map: ClusterMap,
  self: Life,
  changes: readonly MemberChange[],
): ClusterMap {
  let { placement } = map;
  for (const { partition, epoch, life, kind, isOfUse } of changes) {
    const entry = placement[partition];
    if (!leadsAt(map, self, entry, epoch)) continue;
    if (hasMember(entry, life) !== (kind === 'remove')) continue;
    if (kind === 'add' && !isLive(map, entry, life)) continue;
    if (isOfUse && entry.inSync.length <= map.minIsr) continue;
    const others = entry.inSync.filter((other) => other.node !== life.node);
    const inSync = kind === 'add' ? [...others, life] : others;
    placement = placement.with(partition, { ...entry, inSync });
  }
  return placement === map.placement ? map : { ...map, placement };
}

function leadsAt(map: ClusterMap, self: Life, entry: PlacementEntry, epoch: number): boolean {
  const { node, incarnation } = self;
  if (entry?.primary !== node || entry.epoch !== epoch) return false;
  return nodeOf(map, node)?.incarnation === incarnation;
}

function whyNoMember(
  map: ClusterMap,
  entry: PlacementEntry,
  life: Life,
  status: FollowerReplicationStatus | undefined,
): Why | null {
  if (!isLive(map, entry, life) || status?.leaving === true) return 'over';
  if (isStopping(map, life.node)) return 'stopping';
  if (status?.incarnation !== life.incarnation || status.state === 'connecting') return 'gone';
  return status.stalled ? 'stalled' : null;
}

function mayJoin(
  map: ClusterMap,
  entry: PlacementEntry,
  life: Life,
  { state, leaving, stalled, lagSeconds }: FollowerReplicationStatus,
): boolean {
  if (state !== 'streaming' || leaving || stalled || lagSeconds > lagSecondsMax) return false;
  return isLive(map, entry, life) && !isStopping(map, life.node);
}

/** This life of the node holds a copy, and goes on. */
function isLive(map: ClusterMap, entry: PlacementEntry, { node, incarnation }: Life): boolean {
  const known = nodeOf(map, node);
  if (known === null || known.state === 'down' || known.incarnation !== incarnation) return false;
  if (incarnation <= known.fencedThrough) return false;
  return entry.primary === node || entry.followers.includes(node);
}

function hasMember(entry: PlacementEntry, life: Life): boolean {
  return entry.inSync.some((member) => isSameLife(member, life));
}
