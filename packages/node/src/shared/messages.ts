/** What the threads of a node say to each other by postMessage.
 *
 *  The main thread talks to every worker, workers talk to the main thread only. Messages of one
 *  direction arrive in order; the main thread relies on that: it changes roles first, posts `map`
 *  after, so a worker that reads a map finds the role words at least as new as that map.
 *  Bytes of partitions never travel here: a handle carries shared buffers. */

import type {
  BulkCounts,
  HubCounters,
  PendingMembers,
  PartitionReplicationStatus,
  ScrubStatus,
  SnapshotStatus,
} from '@ingot/replication';
import type { PartitionHandle } from '@ingot/store';
import type { SnapshotReport } from '../control/types.ts';
import type { CounterName } from '../metrics/layout.ts';
import type { LogFigures, LogStart } from '../redo-log/log-writer.ts';
import type { ClusterMap } from './map.ts';
import type { Settings } from './settings.ts';
import type { WorkerQuestion } from './worker-questions.ts';

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

/** workerData of every worker of a node. */
export interface WorkerData {
  readonly settings: Settings;
  readonly nodeId: string;
  readonly incarnation: number;
  /** until when this node may serve, see lease/lease-word.ts */
  readonly lease: SharedArrayBuffer;
  /** 0.. among the data workers; 0 for the replication and the storage worker */
  readonly workerIndex: number;
  readonly map: ClusterMap;
  readonly handles: readonly PartitionHandle[];
  /** nothing of these epochs may get into the copies any more */
  readonly sealed: readonly { readonly id: number; readonly epoch: number }[];
  /** [asleep, generation]: data workers wake the replication worker through it */
  readonly wake: Int32Array;
  /** what followers have acknowledged: an AckBoard */
  readonly acks: SharedArrayBuffer;
  /** what is in the redo log on disk: a LogBoard */
  readonly log: SharedArrayBuffer;
  /** what was found in it */
  readonly logStart: LogStart;
  /** this worker's own block, see metrics/layout.ts */
  readonly counters: SharedArrayBuffer;
  /** of all data workers */
  readonly clientCounters: readonly SharedArrayBuffer[];
  /** With --follow-only: there are no other copies then. */
  readonly snapshots?: SnapshotMemory | null;
}

/** Two images of every partition, by id, and the board that says which is current. */
export interface SnapshotMemory {
  readonly board: SharedArrayBuffer;
  readonly images: readonly (readonly [PartitionHandle, PartitionHandle])[];
}

// ---- main thread -> every worker

export interface MapMessage {
  readonly kind: 'map';
  readonly map: ClusterMap;
}

/** Serve or copy this partition from now on; replaces an older handle of the same partition. */
export interface AttachMessage {
  readonly kind: 'attach';
  readonly handle: PartitionHandle;
}

/** Let go of this partition, so that its memory can be freed. */
export interface DetachMessage {
  readonly kind: 'detach';
  readonly partition: number;
}

/** Role, epoch or seal of this partition changed without a new map: parked work may go on. */
export interface RoleMessage {
  readonly kind: 'role';
  readonly partition: number;
}

/** Finish what is in hand, close listeners and connections, then end the thread. */
export interface StopMessage {
  readonly kind: 'stop';
}

export type CommonMessage = MapMessage | AttachMessage | DetachMessage | RoleMessage | StopMessage;

// ---- main thread -> data worker

/** The answer to an `ask` of this worker. */
export type AnswerMessage =
  | { readonly kind: 'answer'; readonly id: number; readonly result: unknown }
  | { readonly kind: 'answer'; readonly id: number; readonly error: string };

/** A question that every data worker answers for itself, by `reply`. */
export interface WorkerQuestionRequest {
  readonly kind: 'question';
  readonly id: number;
  readonly what: WorkerQuestion;
  readonly asked: unknown;
}

/** There is a lease again: what waited for it may go on. */
export interface LeaseMessage {
  readonly kind: 'lease';
}

export type ToDataWorker = CommonMessage | AnswerMessage | WorkerQuestionRequest | LeaseMessage;

// ---- main thread -> replication worker; each is answered by `reply`

export interface VerifyRequest {
  readonly kind: 'verify';
  readonly id: number;
  readonly partitions: readonly number[];
}

export interface AwaitAckRequest {
  readonly kind: 'awaitAck';
  readonly id: number;
  readonly partition: number;
  readonly node: string;
  readonly seq: number;
  readonly timeoutMs: number;
}

/** Failover: refuse these epochs, then say how far the copies are. */
export interface SealCopiesRequest {
  readonly kind: 'sealCopies';
  readonly id: number;
  readonly partitions: readonly { readonly id: number; readonly epoch: number }[];
}

/** Await these members, see InSyncKeeper; answered with those that have caught up. */
export interface AwaitMembersRequest {
  readonly kind: 'awaitMembers';
  readonly id: number;
  readonly kept: readonly PendingMembers[];
  readonly joining: readonly PendingMembers[];
  readonly timeoutMs: number;
}

/** Answered once all members of the in-sync set have `seq`, or after `timeoutMs`. */
export interface AwaitInSyncRequest {
  readonly kind: 'awaitInSync';
  readonly id: number;
  readonly partition: number;
  readonly seq: number;
  readonly timeoutMs: number;
}

export interface StatusRequest {
  readonly kind: 'status';
  readonly id: number;
}

/** The node goes on as this life of it. Data workers read it beside the lease. */
export interface LifeMessage {
  readonly kind: 'life';
  readonly incarnation: number;
}

export type ToReplicationWorker =
  | LifeMessage
  | CommonMessage
  | VerifyRequest
  | AwaitAckRequest
  | AwaitMembersRequest
  | AwaitInSyncRequest
  | SealCopiesRequest
  | StatusRequest;

/** As `stop`, after a last checkpoint: nobody writes any more. */
export interface EndMessage {
  readonly kind: 'end';
  /** This life of the node is over; 0: it never was in the map. */
  readonly endedLife: number;
}

/** The log needs checkpoints of these at once. */
export interface SaveMessage {
  readonly kind: 'save';
  readonly partitions: readonly number[];
}

export type ToStorageWorker = CommonMessage | EndMessage | SaveMessage;

/** A checkpoint of the copy that a worker was given as the `copy`-th of its partition is on disk, or was so already. */
export interface SavedCopy {
  readonly partition: number;
  readonly copy: number;
  readonly landings: number;
  readonly seq: number;
}

export interface SavedMessage {
  readonly kind: 'saved';
  readonly saves: readonly SavedCopy[];
}

// ---- the log worker

export type ToLogWorker = CommonMessage | LifeMessage | SavedMessage;

export interface RedoLogStatus extends LogFigures {
  /** Of all groups that are kept. */
  readonly keptBytes: number;
  /** Copies that wait for a checkpoint before their log counts. */
  readonly unbased: number;
  /** Why it is not written; null: it is. */
  readonly failing: string | null;
}

export interface RedoLogMessage {
  readonly kind: 'redoLog';
  readonly status: RedoLogStatus;
}

export type FromLogWorker = FromWorker | SaveMessage | RedoLogMessage;

/** Checkpoints of this process, counted since its start. */
export interface CheckpointStatus {
  readonly saves: number;
  readonly failures: number;
  readonly chunks: number;
  readonly bytes: number;
  readonly seconds: number;
  /** Partitions whose last save has failed. */
  readonly failing: number;
  /** Copies that are to be saved. */
  readonly partitions: number;
  /** Unix ms of the oldest checkpoint; 0: of some copy there is none. */
  readonly oldestSavedAtMs: number;
}

export interface CheckpointStatusMessage {
  readonly kind: 'checkpoints';
  readonly status: CheckpointStatus;
}

export type FromStorageWorker = FromWorker | CheckpointStatusMessage | SavedMessage;

/** What the replication worker answers to `status`, and pushes when a copy or follower changes. */
export interface ReplicationStatus {
  readonly partitions: readonly PartitionReplicationStatus[];
  readonly counters: HubCounters;
  readonly bulks: BulkCounts;
  readonly scrub: ScrubStatus;
  /** Of a node that takes snapshots. */
  readonly snapshots?: SnapshotStatus | null;
}

// ---- worker -> main thread

export interface ReadyMessage {
  readonly kind: 'ready';
}

export interface LogMessage {
  readonly kind: 'log';
  readonly level: LogLevel;
  /** dotted name of what happened, such as `replication.synced` */
  readonly event: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

export type ReplyMessage =
  | { readonly kind: 'reply'; readonly id: number; readonly result: unknown }
  | { readonly kind: 'reply'; readonly id: number; readonly error: string };

/** The worker cannot do its work (a port in use, say). The node ends with this sentence. */
export interface FailedMessage {
  readonly kind: 'failed';
  readonly code: string;
  readonly text: string;
}

export type FromWorker = ReadyMessage | LogMessage | ReplyMessage | FailedMessage;

/** Questions a data worker may put to the main thread: name -> type of the answer. */
export interface Questions {
  readonly nodeStats: NodeStats;
  /** CONFIG RESETSTAT: NodeStats count from now. */
  readonly resetStats: null;
  /** As SIGTERM does it. */
  readonly stopNode: null;
}

export type Question = keyof Questions;

export interface AskMessage {
  readonly kind: 'ask';
  readonly id: number;
  /** One that every worker answers is answered with the list of their answers. */
  readonly what: Question | WorkerQuestion;
  readonly asked: unknown;
}

export type FromDataWorker = FromWorker | AskMessage;

export interface ReplicationStatusMessage {
  readonly kind: 'replicationStatus';
  readonly status: ReplicationStatus;
}

export type FromReplicationWorker = FromWorker | ReplicationStatusMessage;

/** Calls of one command. */
export interface CommandFigures {
  readonly name: string;
  readonly calls: number;
  readonly errors: number;
  readonly seconds: number;
  /** See LATENCY_BOUNDS_SECONDS. */
  readonly buckets: readonly number[];
}

/** Sums over all workers of this node, since its start or CONFIG RESETSTAT, for INFO. */
export interface NodeStats {
  readonly startedAtMs: number;
  readonly dataWorkers: number;
  /** commands executed here, of all kinds */
  readonly commands: number;
  /** in the latest second or so that was looked at */
  readonly commandsPerSecond: number;
  /** of those that were called */
  readonly calls: readonly CommandFigures[];
  readonly counters: Readonly<Record<CounterName, number>>;
  readonly replication: ReplicationStatus;
  /** Of a node that takes snapshots. */
  readonly snapshots?: SnapshotReport | null;
}
