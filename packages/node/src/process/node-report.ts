/** What a node says of its copies: the heartbeat's report and `ingot status`. Pure, but for reading
 *  the copies' words in shared memory; what the followers are at comes from the replication
 *  worker. */

import { createHubCounters, type PartitionReplicationStatus } from '@ingot/replication';
import type { Partition } from '@ingot/store';
import {
  type CheckpointSummary,
  type FollowerStatus,
  NO_CHECKPOINTS,
  type PartitionStatus,
  type ScrubStatus,
} from '../control/types.ts';
import type { CheckpointStatus, ReplicationStatus } from '../shared/messages.ts';
import type { Settings } from '../shared/settings.ts';
import { roleName } from './local-partitions.ts';

export const NO_REPLICATION: ReplicationStatus = {
  partitions: [],
  counters: createHubCounters(),
  bulks: { running: 0, waiting: 0 },
  scrub: {
    ...{ everyMs: 0, rounds: 0, chunksDone: 0, chunksTotal: 0 },
    ...{ lastRoundMs: 0, lastRoundSkipped: 0 },
  },
};

export function checkpointSummary(
  { checkpointEveryMs }: Pick<Settings, 'checkpointEveryMs'>,
  status: CheckpointStatus | null,
  nowMs: number,
): CheckpointSummary {
  const everySeconds = Math.ceil(checkpointEveryMs / 1_000);
  if (everySeconds === 0 || status === null) return { ...NO_CHECKPOINTS, everySeconds };
  const { partitions, failing, oldestSavedAtMs } = status;
  const ageSeconds = Math.max(0, Math.round((nowMs - oldestSavedAtMs) / 1_000));
  const oldestAgeSeconds = oldestSavedAtMs === 0 ? -1 : ageSeconds;
  return { everySeconds, partitions, failing, oldestAgeSeconds };
}

export function scrubStatus({ scrub, counters }: ReplicationStatus): ScrubStatus {
  const { everyMs, rounds, chunksDone, chunksTotal, lastRoundMs } = scrub;
  return {
    everySeconds: everyMs / 1_000,
    rounds,
    chunksDone,
    chunksTotal,
    lastRoundSeconds: lastRoundMs / 1_000,
    differences: counters.checksFailed,
    repairs: counters.repairs,
    repairsRefused: counters.repairsRefused,
  };
}

/** One entry per copy held, in the order of their ids. */
export function partitionStatuses(
  partitions: readonly Partition[],
  replication: ReplicationStatus,
): PartitionStatus[] {
  const known = new Map(replication.partitions.map((status) => [status.id, status]));
  return partitions
    .map((partition) => statusOf(partition, known.get(partition.id)))
    .sort((a, b) => a.id - b.id);
}

/** What heartbeats say: made anew where a copy's state, or what is known of followers, has changed;
 *  for what counts up, after `keptMs`. Owner: the main thread, four times a second. */
export class HeartbeatCopies {
  readonly #keptMs: number;
  #replication: ReplicationStatus | null = null;
  #madeAtMs = 0;
  /** STATE_WORDS per copy. */
  readonly #states: number[] = [];
  #copies: PartitionStatus[] = [];

  constructor(keptMs: number) {
    this.#keptMs = keptMs;
  }

  /** The same array as before says that nothing is new. */
  of(
    partitions: readonly Partition[],
    replication: ReplicationStatus,
    nowMs: number,
  ): PartitionStatus[] {
    const isKept = this.#replication === replication && nowMs - this.#madeAtMs < this.#keptMs;
    if (!this.#noteStates(partitions) && isKept) return this.#copies;
    this.#replication = replication;
    this.#madeAtMs = nowMs;
    this.#copies = partitionStatuses(partitions, replication);
    return this.#copies;
  }

  /** Whether one of them is new. */
  #noteStates(partitions: readonly Partition[]): boolean {
    const states = this.#states;
    let isNew = states.length !== partitions.length * STATE_WORDS;
    states.length = partitions.length * STATE_WORDS;
    let at = 0;
    const note = (word: number): void => {
      isNew ||= states[at] !== word;
      states[at++] = word;
    };
    for (const partition of partitions) {
      note(partition.id);
      note(partition.role());
      note(partition.epoch());
      note((partition.consistent() ? 1 : 0) + (partition.checked() ? 2 : 0));
    }
    return isNew;
  }
}

const STATE_WORDS = 4;

function statusOf(
  partition: Partition,
  known: PartitionReplicationStatus | undefined,
): PartitionStatus {
  const role = roleName(partition);
  const { seq, keys, usedBytes } = partition.stats();
  return {
    id: partition.id,
    role,
    epoch: partition.epoch(),
    seq,
    consistent: partition.consistent(),
    checked: partition.checked(),
    keys,
    usedBytes,
    followers: role === 'primary' ? (known?.followers ?? []).map(followerStatus) : [],
  };
}

function followerStatus(follower: PartitionReplicationStatus['followers'][number]): FollowerStatus {
  return { ...follower, checked: follower.state === 'streaming' };
}
