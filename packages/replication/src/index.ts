/** @ingot/replication: copies of partitions over TCP, as raw chunks and exact redo. */
export { createHubCounters, type HubCounters } from './counters.ts';
export type { ReplicationEvent, ReplicationEventName } from './events.ts';
export { type HubOptions, ReplicationHub } from './hub.ts';
export type { FollowerState } from './sender-steps.ts';
export type { VerifyReport } from './verify.ts';
export type {
  FollowerReplicationStatus,
  PartitionReplicationStatus,
  PartitionView,
  ReplicationView,
} from './view.ts';
