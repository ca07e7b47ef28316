/** What the control plane and the node process tell each other, and what `ingot status` and
 *  `ingot verify` get to see. Types only. */
import type { LeaseTime } from '../lease/lease-holder.ts';
import type { MapChange } from '../register/map-proposer.ts';
import type { ClusterMap, NodeId } from '../shared/map.ts';
import type { Settings } from '../shared/settings.ts';

export type CopyRole = 'none' | 'primary' | 'follower';

export type FollowerState = 'connecting' | 'bulk' | 'catchup' | 'checking' | 'streaming';

/** A follower as its primary sees it. */
export interface FollowerReport {
  node: NodeId;
  state: FollowerState;
  ackedSeq: number;
  checked: boolean;
}

/** One copy that a node holds. `followers` is filled in by the primary only. */
export interface PartitionReport {
  id: number;
  role: CopyRole;
  epoch: number;
  /** Committed seq of a primary, applied seq of a follower. */
  seq: number;
  consistent: boolean;
  /** The CHECK pass after the last bulk is done; always true of a primary. */
  checked: boolean;
  followers: FollowerReport[];
}

/** What a heartbeat carries. */
export interface NodeReport {
  node: NodeId;
  incarnation: number;
  /** The map that this node has applied to its copies, not merely received. */
  mapVersion: number;
  partitions: PartitionReport[];
}

/** A heartbeat: a report, or the word that the copies are as the last full one said. */
export interface Heartbeat extends NodeReport {
  partitionsAsBefore?: boolean;
}

export interface FollowerStatus extends FollowerReport {
  lagSeq: number;
  lagSeconds: number;
  /** What brings the copy into step; null where it is. */
  sync: SyncStatus | null;
}

/** As `SyncProgress` of @ingot/replication; kind and reason may come from another version. */
export interface SyncStatus {
  readonly kind: string;
  readonly reason: string;
  readonly pass: number;
  readonly chunksDone: number;
  /** 0: waits for its turn. */
  readonly chunksTotal: number;
  readonly bytes: number;
  readonly startedMs: number;
}

export interface PartitionStatus extends PartitionReport {
  keys: number;
  usedBytes: number;
  followers: FollowerStatus[];
}

/** One node's account of itself. */
export interface NodeStatus {
  node: NodeId;
  incarnation: number;
  mapVersion: number;
  partitions: PartitionStatus[];
  scrub: ScrubStatus;
  checkpoints: CheckpointSummary;
  /** Of a node that takes snapshots. */
  snapshots?: SnapshotReport | null;
}

/** The rounds of a node that takes snapshots, since it started. */
export interface SnapshotReport {
  readonly everySeconds: number;
  readonly partitions: number;
  /** Partitions of which a round has ended. */
  readonly readable: number;
  /** How old what readers see of the oldest partition is; null while one cannot be read yet. */
  readonly ageSeconds: number | null;
  /** Rounds of single partitions: those that have ended, and those that have not come to an end. */
  readonly rounds: number;
  readonly interrupted: number;
  readonly chunkBytes: number;
  readonly redoBytes: number;
  /** Of the last round of all partitions. */
  readonly lastRoundSeconds: number;
}

/** What a node has saved of its copies. */
export interface CheckpointSummary {
  /** 0: it saves nothing. */
  readonly everySeconds: number;
  /** Copies that are to be saved. */
  readonly partitions: number;
  /** Those that the disk refuses. */
  readonly failing: number;
  /** How old the oldest is; -1: of one copy there is none yet. */
  readonly oldestAgeSeconds: number;
}

export const NO_CHECKPOINTS: CheckpointSummary = {
  ...{ everySeconds: 0, partitions: 0, failing: 0, oldestAgeSeconds: -1 },
};

/** How far the scrub of the partitions led by a node is, and what comparing copies, by whomever, has
 *  come to since the node started. */
export interface ScrubStatus {
  /** 0: there is no scrub. */
  readonly everySeconds: number;
  readonly rounds: number;
  readonly chunksDone: number;
  readonly chunksTotal: number;
  /** 0: no round has ended. */
  readonly lastRoundSeconds: number;
  readonly differences: number;
  readonly repairs: number;
  readonly repairsRefused: number;
}

export const NO_SCRUB: ScrubStatus = {
  everySeconds: 0,
  rounds: 0,
  chunksDone: 0,
  chunksTotal: 0,
  lastRoundSeconds: 0,
  differences: 0,
  repairs: 0,
  repairsRefused: 0,
};

/** What `ingot status` shows: the map of the asked node, and what each node says of itself. */
export interface ClusterStatus {
  map: ClusterMap;
  nodes: NodeAnswer[];
}

export interface NodeAnswer {
  node: NodeId;
  status: NodeStatus | null;
  /** Why there is no status; empty when there is one. */
  why: string;
}

export interface VerifyReport {
  chunksChecked: number;
  differences: VerifyDifference[];
  notChecked: { partition: number; node: NodeId; why: string }[];
}

export interface VerifyDifference {
  partition: number;
  chunk: number;
  node: NodeId;
  seq: number;
  /** Made equal, and found equal afterwards; `why` says why not. */
  repaired: boolean;
  why: string;
}

export interface VerifyProgress {
  partitionsDone: number;
  partitionsTotal: number;
}

export interface SealOutcome {
  ok: boolean;
  /** The committed seq at which the partition was sealed; 0 when it was not. */
  seq: number;
  why?: string;
}

/** Of a partition: this epoch, and those before it. */
export interface PartitionEpoch {
  id: number;
  epoch: number;
}

/** A follower's copy, after it has refused an epoch: nothing more of that epoch gets into it. */
export interface SealedCopy {
  id: number;
  /** The epoch of the last redo applied, and its seq. */
  epoch: number;
  applied: number;
  /** May lead: consistent, and checked since its last bulk. */
  consistent: boolean;
  /** It was read from the node's disk, and nobody has vouched for it since: others may have more. */
  recovered: boolean;
}

/** What a node brings back from its disk: of these partitions the memory of a former life, up to its end. */
export interface SavedMemory {
  /** 0: of none. */
  readonly memoryOf: number;
  readonly partitions: readonly number[];
}

export const NO_MEMORY: SavedMemory = { memoryOf: 0, partitions: [] };

/** Implemented by the node process; the control plane calls nothing else of it. */
export interface NodeCallbacks {
  /** Before the first life of this process joins, and only where its data dir knows the cluster, by that map: brings back
   *  what the node held. Rejects where `signal` ends the start. */
  recover(map: ClusterMap, signal: AbortSignal): Promise<SavedMemory>;
  /** The payload of a heartbeat: cheap, synchronous, several times a second. */
  report(): NodeReport;
  /** Seals a partition led here and waits (1 s at most) until `to` has acknowledged the sealed seq.
   *  Not ok: the partition is unsealed again. Ok: it stays sealed until a map with another epoch is
   *  applied, or until `unseal`. */
  seal(partition: number, to: NodeId): Promise<SealOutcome>;
  /** The handover did not come about: this node goes on leading the partition. */
  unseal(partition: number): void;
  /** Failover: refuses whatever comes of these epochs from now on, then says how far the copies
   *  are. Partitions of which no copy is here are left out. */
  sealCopies(partitions: readonly PartitionEpoch[]): Promise<SealedCopy[]>;
  /** Until when this node may serve: what it leads is not answered for any longer without news. */
  leaseRenewed(servedUntil: LeaseTime): void;
  /** The others have ended this life: serves nothing from here on, applies no map, and keeps its
   *  memory, which is rewound. The next life begins in the same process. */
  lifeEnded(): void;
  /** From now on the node is this life, in the map that it is told next, or has been told already. */
  lifeBegan(incarnation: number): void;
  verify(partitions: number[]): Promise<VerifyReport>;
  status(): Promise<NodeStatus>;
  /** This life of the node is over for the cluster, and not by its wish: stop serving. */
  retired(reason: string): void;
  /** Somebody has asked the node to leave; it is out of the map now, and ends. */
  left(): void;
}

/** Where the control plane logs: the node's logger fits. Every line carries an `event` field. */
export interface ControlLog {
  info(fields: LogFields, text?: string): void;
  warn(fields: LogFields, text?: string): void;
  error(fields: LogFields, text?: string): void;
}

export interface LogFields {
  event: string;
  [field: string]: unknown;
}

/** What the control plane needs of the node's settings. */
export type ControlSettings = Pick<
  Settings,
  | 'id'
  | 'host'
  | 'advertise'
  | 'ports'
  | 'found'
  | 'join'
  | 'partitions'
  | 'copies'
  | 'capacityBytes'
  | 'capacityMaxBytes'
  | 'valueMaxBytes'
  | 'eviction'
  | 'minIsr'
  | 'uncleanFailover'
  | 'witness'
  | 'followOnly'
  | 'forgetAfterMs'
  | 'checkpointEveryMs'
>;

export interface ControlStart {
  map: ClusterMap;
  incarnation: number;
}

/** The membership side of one node. Implemented by `ControlPlane` in control-plane.ts:
 *  `new ControlPlane({ settings, credentials, identity, log, node })`. */
export interface ControlPlaneApi {
  /** Listens on the control port and founds, joins or rejoins. Resolves once this life of the node
   *  is in the map; rejects with an IngotError that says what to do, or where `signal` ends the start before it may
   *  be in the map. */
  start(signal: AbortSignal): Promise<ControlStart>;
  /** Called with each newer map, in order; some versions may be skipped. */
  onMap(listener: (map: ClusterMap) => void): void;
  map(): ClusterMap;
  /** Changes the map: `change` answers the next one, or the same object where there is nothing to do,
   *  and may be called again. Resolves with the map that holds the change, which is told to
   *  `onMap` listeners before. */
  propose(change: MapChange): Promise<ClusterMap>;
  /** Before the process ends: hands over all that this node leads, to whoever can take it within the
   *  time. Never rejects. */
  drain(timeoutMs: number): Promise<void>;
  /** Hands over what this node leads, gives up its copies and leaves the map. */
  leave(): Promise<void>;
  stop(): Promise<void>;
}
