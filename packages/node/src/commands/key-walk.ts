/** Walks over the keys of this node's partitions, for commands that are in no gate when they run.
 *  Every look into a partition is a short stable read of its own, so a long walk holds up no
 *  writer. */

import type { Partition } from '@ingot/store';
import type { WorkerContext } from '../serving/execution.ts';
import type { KeyList } from './key-list.ts';

/** The partitions that this node answers for now, in order of their ids. */
export function partitionsLed(worker: WorkerContext): Partition[] {
  return worker.partitions.filter(
    (partition) => partition !== null && worker.leads(partition.id),
  ) as Partition[];
}

/** Which keys a walk keeps: the key's bytes are in `image` from `start` on. */
export type KeyFilter = (image: Buffer, start: number, bytes: number) => boolean;

export const everyKey: KeyFilter = () => true;

/** Gathers the live keys that `keeps`, bucket by bucket. */
export class KeyWalk {
  /** Live keys seen so far, kept or not. */
  visited = 0;
  private readonly keys: KeyList;
  private readonly nowMs: number;
  private readonly keeps: KeyFilter;

  constructor(keys: KeyList, nowMs: number, keeps: KeyFilter) {
    this.keys = keys;
    this.nowMs = nowMs;
    this.keeps = keeps;
  }

  /** Gathers from one bucket. Returns the next bucket, 0 at the end of the partition. */
  bucket(partition: Partition, bucket: number): number {
    const mark = this.keys.mark();
    const { visited } = this;
    const visit = (ref: number): void => this.visit(partition, ref);
    return partition.readStable(() => {
      this.keys.rewind(mark);
      this.visited = visited;
      return partition.scanBucket(bucket, visit);
    });
  }

  /** Gathers from all buckets of one partition. */
  all(partition: Partition): void {
    let bucket = 0;
    do bucket = this.bucket(partition, bucket);
    while (bucket !== 0);
  }

  private visit(partition: Partition, ref: number): void {
    if (partition.isAbsent(ref, this.nowMs)) return;
    const image = partition.imageBuffer;
    const start = partition.keyOffset(ref);
    const bytes = partition.keyBytes(ref);
    // A torn read may say anything; it is repeated, but must not leave the image.
    if (start + bytes > image.length) return;
    this.visited++;
    if (this.keeps(image, start, bytes)) this.keys.add(image, start, bytes);
  }
}
