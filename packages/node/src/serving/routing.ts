/** Who answers for a partition, and what to say when it is not this node.
 *
 *  Order of the questions matters. The role word in the partition's own memory comes first: it is
 *  never behind the map that this worker has read, and it is the only thing the fast paths look at.
 *  The map comes second, for keys that live elsewhere, and the listener decides the wording:
 *  the client port forwards, the cluster port redirects, the follower port also reads local copies.
 *
 *  Pure: decides from what it is given, changes nothing. */

import { type Partition, ROLE_FOLLOWER } from '@ingot/store';
import type { ClusterMap, MapNode } from '../shared/map.ts';
import type { ListenerKind } from './session.ts';

export type Route =
  /** This node leads it: enter and execute. */
  | { readonly to: 'here' }
  /** A consistent copy here may answer this read. */
  | { readonly to: 'copy' }
  /** Between two owners: wait for the next change, then ask again. */
  | { readonly to: 'park' }
  /** Earlier commands of the connection went to a former owner: wait for their replies. */
  | { readonly to: 'behind' }
  /** The owner must be asked, through its cluster port. */
  | { readonly to: 'peer'; readonly node: MapNode }
  /** Answer this line. */
  | { readonly to: 'refuse'; readonly text: string };

export interface RouteQuestion {
  readonly map: ClusterMap;
  readonly nodeId: string;
  readonly partition: Partition | null;
  readonly partitionId: number;
  /** Without one nothing that is led here is answered for. */
  readonly hasLease: boolean;
  /** The slot of the key: MOVED names it. */
  readonly slot: number;
  readonly listener: ListenerKind;
  /** A read on a READONLY connection of the follower port. */
  readonly copyWillDo: boolean;
  /** The primary of the copy here has been heard within --stale-max. */
  readonly isFresh: boolean;
}

export const BEHIND: Route = { to: 'behind' };
const HERE: Route = { to: 'here' };
const COPY: Route = { to: 'copy' };
const PARK: Route = { to: 'park' };

const NO_OWNER_TEXT = 'CLUSTERDOWN no copy of this key has a node to serve it';
/** Clients that know READONLY look for the primary: there is none behind this port. */
export const READ_ONLY_TEXT =
  'READONLY this node is an edge copy and takes no writes: write to a node of the cluster';
export const NO_SNAPSHOT_TEXT =
  'LOADING the first snapshot of the partition of this key has not arrived yet';
export const DOWN_TEXT = 'CLUSTERDOWN the node that owns this key is down';

export function route(question: RouteQuestion): Route {
  const { map, partition, partitionId } = question;
  // Without a lease somebody else may lead it by now: the next map says who does.
  if (partition?.mayWrite() === true) return question.hasLease ? HERE : PARK;
  const entry = map.placement[partitionId];
  // Sealed, or named by the map before the role word says so: one of the two moves soon.
  if (partition?.sealed() === true || entry?.primary === question.nodeId) return PARK;
  if (question.copyWillDo && partition !== null && question.isFresh && readableCopy(partition)) {
    return COPY;
  }
  const owner = map.nodes.find((node) => node.id === entry?.primary);
  if (owner === undefined || owner.state === 'down') {
    // Nothing was sent to anybody: a plain client waits until another copy leads.
    if (question.listener === 'client') return PARK;
    return refuse(owner === undefined ? NO_OWNER_TEXT : DOWN_TEXT);
  }
  if (question.listener === 'client') return { to: 'peer', node: owner };
  return refuse(`MOVED ${question.slot} ${owner.advertise}:${owner.ports.cluster}`);
}

export interface SnapshotQuestion {
  readonly map: ClusterMap;
  readonly partitionId: number;
  readonly slot: number;
  readonly listener: ListenerKind;
  readonly read: boolean;
  /** A round of the partition has ended. */
  readonly isReadable: boolean;
}

/** Of a node that takes snapshots: reads are answered from them, on every port; nothing is sent on for a client. */
export function routeOnSnapshot(question: SnapshotQuestion): Route {
  const { map, partitionId, slot, listener, read, isReadable } = question;
  if (read && isReadable) return COPY;
  if (listener === 'client') return refuse(read ? NO_SNAPSHOT_TEXT : READ_ONLY_TEXT);
  const primary = map.placement[partitionId]?.primary;
  const owner = map.nodes.find(({ id }) => id === primary);
  if (owner === undefined) return refuse(NO_OWNER_TEXT);
  return refuse(`MOVED ${slot} ${owner.advertise}:${owner.ports.cluster}`);
}

/** Consistent: every key is as it was at one moment of the primary's past, and complete. */
export function readableCopy(partition: Partition): boolean {
  return partition.role() === ROLE_FOLLOWER && partition.consistent();
}

function refuse(text: string): Route {
  return { to: 'refuse', text };
}
