/** What a scrape reads: live objects of the main thread, asked once per scrape.
 *  process/node.ts provides it; tests provide their own. */

import type { PeerRefusalReason } from '@ingot/replication';
import type { Budget } from '@ingot/store';
import type { FailoverFigures } from '../control/failover-log.ts';
import type { SnapshotReport } from '../control/types.ts';
import type { ClusterMap } from '../shared/map.ts';
import type { CheckpointStatus, RedoLogStatus, ReplicationStatus } from '../shared/messages.ts';
import type { WorkerCounters } from './layout.ts';

export interface PartitionSample {
  readonly role: 'none' | 'primary' | 'follower';
  readonly consistent: boolean;
  readonly checked: boolean;
  readonly keys: number;
  readonly usedBytes: number;
  readonly capacityBytes: number;
  readonly evictions: number;
  readonly expiries: number;
  readonly moves: number;
  readonly drains: number;
  /** values that somebody holds where they lie, and since when the oldest */
  readonly pins: number;
  readonly oldestPinMs: number;
}

/** Of copies that were here and are gone. */
export interface GoneCounts {
  readonly evictions: number;
  readonly expiries: number;
  readonly moves: number;
  readonly drains: number;
}

export interface ThreadUse {
  readonly worker: string;
  /** 0..1, since the last time it was asked */
  readonly utilization: number;
}

export interface MetricSources {
  /** lower-case names by command index */
  readonly commands: readonly string[];
  /** one block per data worker */
  readonly counters: readonly WorkerCounters[];
  readonly map: () => ClusterMap;
  readonly partitions: () => readonly PartitionSample[];
  /** so that counters never fall */
  readonly gone: () => GoneCounts;
  /** of all copies held here */
  readonly budget: () => Budget;
  /** this node, and how many members it took into in-sync sets and out of them */
  readonly inSync: () => {
    readonly node: string;
    readonly changes: { readonly added: number; readonly removed: number };
  };
  readonly replication: () => ReplicationStatus;
  /** of control connections; those of replication connections are in `replication` */
  readonly controlRefusals: () => Readonly<Record<PeerRefusalReason, number>>;
  /** that this node has led */
  readonly failovers: () => FailoverFigures;
  readonly lease: () => {
    /** 0: there is none, and nothing that this node leads is answered for */
    readonly remainingMs: number;
    /** that the acceptor here has agreed to */
    readonly fences: number;
    /** of this node, begun in this process */
    readonly lives: number;
  };
  /** null: nothing has been said of them yet */
  readonly checkpoints: () => CheckpointStatus | null;
  /** null: this node keeps no redo log. */
  readonly redoLog: () => RedoLogStatus | null;
  /** of a node that takes snapshots */
  readonly snapshots?: () => SnapshotReport | null;
  readonly threads: () => readonly ThreadUse[];
}
