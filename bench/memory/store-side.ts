/** A store of so many partitions, filled in this process: its gates, its sweeper, and no sockets. */

import {
  attachPartition,
  type Budget,
  createPartition,
  hashKey,
  type Partition,
  partitionOfSlot,
  planGeometry,
  SET_OK,
  slotOfKey,
  sumOfBudgets,
} from '../../packages/store/src/index.ts';

const NOW_MS = 1_800_000_000_000;

export class StoreSide {
  readonly partitions: Partition[];
  hits = 0;
  misses = 0;

  constructor(partitions: number, capacityBytes: number, capacityMaxBytes?: number) {
    const geometry = planGeometry({ partitions, capacityBytes, capacityMaxBytes });
    this.partitions = Array.from({ length: partitions }, (_, id) => {
      const partition = attachPartition(createPartition(geometry, id));
      partition.promote(1, NOW_MS);
      return partition;
    });
  }

  #partitionOf(key: Buffer): Partition {
    return this.partitions[partitionOfSlot(slotOfKey(key, 0, key.length), this.partitions.length)];
  }

  set(key: Buffer, value: Buffer, valueBytes: number): void {
    const partition = this.#partitionOf(key);
    const hash = hashKey(key, 0, key.length);
    partition.enter();
    const outcome = partition.set(hash, key, 0, key.length, value, 0, valueBytes, 0, NOW_MS);
    partition.leave();
    if (outcome !== SET_OK) throw new Error(`a set was refused: ${outcome}`);
  }

  /** Whether the key is there; counts hits and misses. */
  get(key: Buffer): boolean {
    const partition = this.#partitionOf(key);
    const ref = partition.find(hashKey(key, 0, key.length), key, 0, key.length, NOW_MS);
    if (ref !== 0) partition.mark(ref);
    if (ref === 0) this.misses++;
    else this.hits++;
    return ref !== 0;
  }

  sweepAll(): void {
    for (const partition of this.partitions) {
      for (let cursor = 0; ; ) {
        cursor = partition.sweep(cursor, 64, NOW_MS);
        if (cursor === 0) break;
      }
    }
  }

  budget(): Budget {
    return sumOfBudgets(this.partitions.map((partition) => partition.budget()));
  }
}
