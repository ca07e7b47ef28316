/** What a data worker reads on a node that takes snapshots: of each partition the image that is current.
 *
 *  Looked at before every batch, and now and then where there is none: then the worker's own table of partitions
 *  changes, and with that it holds on to nothing of what was current before. So within a batch, and within any command, a
 *  partition is as it was at one moment of its primary's past.
 *  Owner: one per worker. */
import { SnapshotBoard } from '@ingot/replication';
import { attachPartition, type Partition } from '@ingot/store';
import type { SnapshotMemory } from '../shared/messages.ts';

export class SnapshotView {
  private readonly board: SnapshotBoard;
  private readonly images: readonly (readonly [Partition, Partition])[];
  private readonly worker: number;
  private readonly partitions: (Partition | null)[];
  private seen = 0;

  /** `partitions` is the worker's table: entries change when it looks. */
  constructor(memory: SnapshotMemory, worker: number, partitions: (Partition | null)[]) {
    this.board = new SnapshotBoard(memory.board, partitions.length);
    this.images = memory.images.map(([a, b]) => [attachPartition(a), attachPartition(b)]);
    this.worker = worker;
    this.partitions = partitions;
    this.look();
  }

  look(): void {
    const version = this.board.version();
    if (version === this.seen) return;
    for (let id = 0; id < this.partitions.length; id++) {
      const image = this.board.current(id);
      this.partitions[id] = image < 0 ? null : this.images[id][image as 0 | 1];
    }
    this.seen = version;
    this.board.saw(this.worker, version);
  }
}
