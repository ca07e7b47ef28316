/** What the cluster map means for replication on one node, and what replication reports back. */
import type { FollowerState } from './sender-steps.ts';
import type { SyncProgress } from './sync-progress.ts';

export interface ReplicationView {
  readonly mapVersion: number;
  /** Partitions with a copy on this node. */
  readonly partitions: readonly PartitionView[];
  readonly incarnations: Readonly<Record<string, number>>;
  /** Where nodes listen for followers: a follower may feed another. Nowhere unless given. */
  readonly addresses?: Readonly<Record<string, NodeAddress>>;
  /** Nodes that hold no copies and may have snapshots of all partitions. Nobody unless given. */
  readonly observers?: readonly string[];
}

/** One life of a node: who starts again is somebody else. */
export interface MemberLife {
  readonly node: string;
  readonly incarnation: number;
}

export interface NodeAddress {
  readonly host: string;
  readonly port: number;
}

export interface PartitionView {
  readonly id: number;
  readonly epoch: number;
  readonly primary: string | null;
  readonly followers: readonly string[];
  /** Whom a reply with acks=isr waits for; the primary itself may be among them. Nobody unless given. */
  readonly inSync?: readonly MemberLife[];
  readonly primaryAddress: NodeAddress | null;
}

export interface FollowerReplicationStatus {
  readonly node: string;
  /** Of the life that is connected; 0 where none is. */
  readonly incarnation: number;
  readonly state: FollowerState;
  /** It needs a bulk, and gets none while it counts as in sync. */
  readonly leaving: boolean;
  /** It has been sent redo and has acknowledged none of it for a while. */
  readonly stalled: boolean;
  readonly ackedSeq: number;
  readonly lagSeq: number;
  /** Age of the oldest redo sent and not acknowledged. */
  readonly lagSeconds: number;
  /** What brings the copy into step; null where it is. */
  readonly sync: SyncProgress | null;
  /** The follower that makes its copy now; null: none does. */
  readonly source: string | null;
}

export interface PartitionReplicationStatus {
  readonly id: number;
  readonly role: number;
  readonly epoch: number;
  readonly seq: number;
  readonly consistent: boolean;
  readonly checked: boolean;
  /** Of a primary: the followers that the map names. */
  readonly followers: readonly FollowerReplicationStatus[];
  /** Of a follower: whose copies it makes now. */
  readonly feeds: readonly string[];
}
