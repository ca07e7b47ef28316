/** How a node that starts gets into the map: what it says of itself, and who is refused. Pure. */
import { refusal } from '../shared/errors.ts';
import {
  addressOf,
  type ClusterMap,
  copiesOn,
  type MapNode,
  type NodeId,
  nodeOf,
} from '../shared/map.ts';

/** Said of a memory that is whole: a process that goes on has lost nothing of it. */
export const ALL_PARTITIONS: readonly number[] = [];

/** What a node says of itself when it joins. */
export interface JoinRequest {
  id: NodeId;
  advertise: string;
  ports: MapNode['ports'];
  /** Empty where its data dir belongs to no cluster yet. */
  clusterId: string;
  /** What its data dir remembers; 0 for nothing. */
  lastIncarnation: number;
  /** Id of the acceptor in its data dir. */
  acceptor: string;
  witness: boolean;
  observer?: boolean;
  /** It has the memory of this life, up to its end: because the process goes on, or because that was saved.
   *  0: its memory is empty, or an older one. */
  memoryOf: number;
  /** Of which partitions. */
  memoryIn: readonly number[];
  /** Somebody has started the process; false: it goes on, and only its former life has ended. */
  started: boolean;
  /** Random, the same as long as nobody has answered: a call that timed out may still be under way,
   *  and one join is to enter one life. */
  joinId: string;
}

/** This life came in by that very join. */
export function isOfJoin(node: MapNode | null, { joinId }: JoinRequest): boolean {
  return joinId !== '' && node?.joinId === joinId;
}

/** The map's entry for a life that begins. `isAlive`: a node of that name is sending heartbeats;
 *  only who holds its data dir may take its place. Throws an IngotError where the node is
 *  refused. */
export function newLife(map: ClusterMap, request: JoinRequest, isAlive: boolean): MapNode {
  const { id, advertise, ports, clusterId, lastIncarnation, acceptor, witness } = request;
  const { observer = false } = request;
  const { joinId } = request;
  if (clusterId !== '' && clusterId !== map.clusterId) {
    throw refusal(
      'OTHER_CLUSTER',
      `the data dir of ${id} belongs to cluster ${clusterId}, not to ${map.clusterId}; ` +
        'choose another --data-dir or --join the right cluster',
    );
  }
  const known = nodeOf(map, id);
  const isOwner = known?.acceptor === acceptor || known?.incarnation === lastIncarnation;
  if (known !== null && isAlive && !isOwner) {
    throw refusal(
      'NODE_ID_IN_USE',
      `a node named ${id} is already up at ${addressOf(known, 'control')}; choose another --id`,
    );
  }
  if (observer && copiesOn(map, id).length > 0) {
    throw refusal(
      'HOLDS_COPIES',
      `${id} holds copies of the cluster's partitions, and --follow-only holds none; ` +
        `choose another --id and --data-dir, or let it go first: ingot leave ${id}`,
    );
  }
  const incarnation = Math.max(known?.incarnation ?? 0, lastIncarnation) + 1;
  const fencedThrough = known?.fencedThrough ?? 0;
  const life = { id, incarnation, fencedThrough, joinId, state: 'up' as const };
  return { ...life, acceptor, witness, observer, advertise, ports };
}
