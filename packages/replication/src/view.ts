/** What the cluster map means for replication on one node, and what replication reports back. */
import type { FollowerState } from './sender-steps.ts';
import type { SyncProgress } from './sync-progress.ts';

export interface ReplicationView {
  readonly mapVersion: number;
  /** Partitions with a copy on this node. */
  readonly partitions: readonly PartitionView[];
  readonly incarnations: Readonly<Record<string, number>>;
}

export interface PartitionView {
  readonly id: number;
  readonly epoch: number;
  readonly primary: string | null;
  readonly followers: readonly string[];
  readonly primaryAddress: { readonly host: string; readonly port: number } | null;
}

export interface FollowerReplicationStatus {
  readonly node: string;
  readonly state: FollowerState;
  readonly ackedSeq: number;
  readonly lagSeq: number;
  /** Age of the oldest redo sent and not acknowledged. */
  readonly lagSeconds: number;
  /** What brings the copy into step; null where it is. */
  readonly sync: SyncProgress | null;
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
}
