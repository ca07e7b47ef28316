/** What a node that only follows holds: two images of every partition, and which of them readers see.
 *  Owner: the main thread, which makes them once, before the workers start, and looks at them for people. The
 *  replication worker writes to them, data workers read them (see `SnapshotBoard`).
 *  Invariant: a copy here is a follower's, whatever the map says: it is in no set, and nobody is sent from it. */
import { NO_IMAGE, SnapshotBoard, type SnapshotStatus } from '@ingot/replication';
import {
  attachPartition,
  type Budget,
  createPartition,
  type Partition,
  type PartitionHandle,
  ROLE_FOLLOWER,
  sumOfBudgets,
} from '@ingot/store';
import type { SnapshotReport } from '../control/types.ts';
import { geometryOf } from '../shared/capacity.ts';
import type { ClusterMap } from '../shared/map.ts';
import type { SnapshotMemory } from '../shared/messages.ts';
import type { NodeLog } from './log.ts';
import { type MemoryLimit, snapshotMemoryRefusal } from './memory.ts';

type Images = readonly [Partition, Partition];

export class SnapshotCopies {
  /** For the workers. */
  readonly memory: SnapshotMemory;
  readonly #board: SnapshotBoard;
  readonly #images: readonly Images[];
  readonly #limit: MemoryLimit;
  readonly #log: NodeLog;

  /** @throws IngotError where two images of every partition do not fit. */
  constructor(map: ClusterMap, workers: number, limit: MemoryLimit, log: NodeLog) {
    const geometry = geometryOf(map);
    const refusal = snapshotMemoryRefusal(geometry, map.partitions, limit);
    if (refusal !== null) throw refusal;
    const created = (id: number): PartitionHandle =>
      createPartition(geometry, id, { eviction: map.eviction });
    const images = Array.from(
      { length: map.partitions },
      (_, id) => [created(id), created(id)] as const,
    );
    this.#board = SnapshotBoard.create(map.partitions, workers);
    this.memory = { board: this.#board.buffer, images };
    this.#images = images.map(([a, b]) => [attached(a), attached(b)]);
    this.#limit = limit;
    this.#log = log;
  }

  /** The capacity of the cluster may have changed. */
  follow(map: ClusterMap): void {
    const geometry = geometryOf(map);
    for (const partition of this.#images.flat()) {
      partition.setCapacityChunks(geometry.capacityChunks);
    }
    const short = snapshotMemoryRefusal(geometry, map.partitions, this.#limit);
    if (short !== null) this.#log('warn', 'memory.short', { text: short.message });
  }

  /** What readers see, of the partitions that have any. */
  current(): Partition[] {
    return this.#images.flatMap((images, id) => {
      const image = this.#board.current(id);
      return image === NO_IMAGE ? [] : [images[image]];
    });
  }

  /** Of both images. */
  budget(): Budget {
    return sumOfBudgets(this.#images.flat().map((partition) => partition.budget()));
  }

  /** Null once every partition can be read. */
  whyNotReady(): string | null {
    const { partitions, readable } = this.#board;
    if (readable === partitions) return null;
    return `the first snapshot of ${partitions - readable} of ${partitions} partitions has not arrived`;
  }

  report(status: SnapshotStatus | null, nowMs: number): SnapshotReport | null {
    if (status === null) return null;
    const { partitions, rounds, interrupted, chunkBytes, redoBytes } = status;
    const oldestMs = this.#board.oldestMs(nowMs);
    return {
      ...{ partitions, rounds, interrupted, chunkBytes, redoBytes },
      readable: this.#board.readable,
      everySeconds: status.everyMs / 1_000,
      ageSeconds: oldestMs === null ? null : oldestMs / 1_000,
      lastRoundSeconds: status.lastRoundMs / 1_000,
    };
  }
}

function attached(handle: PartitionHandle): Partition {
  const partition = attachPartition(handle);
  partition.setRole(ROLE_FOLLOWER, 0);
  return partition;
}
