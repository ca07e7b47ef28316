/** Passages of a batch: a partition's gate, entered once for consecutive writes to it.
 *  Two atomic operations per write are a third of its cost, so writes that follow each other on the
 *  same partition share one passage, WRITES_MAX at most (readers wait meanwhile).
 *  Role, epoch and seal are read inside: sealing and demotion are passages themselves, so what is
 *  seen here holds until `close`. The lease is read before the batch, and again before its replies
 *  leave (see lease/lease-word.ts).
 *  Invariant: closed before anything but a command of the same partition runs. */

import type { Partition } from '@ingot/store';
import type { LeaseWatch } from '../lease/lease-word.ts';

const WRITES_MAX = 16;

export class Passage {
  /** Something was written since this was last set to false: replication wants to know. */
  wrote = false;
  /** The partition whose gate is held, or null. */
  inside: Partition | null = null;
  private readonly lease: Pick<LeaseWatch, 'holds'>;
  private writes = 0;

  constructor(lease: Pick<LeaseWatch, 'holds'>) {
    this.lease = lease;
  }

  /** Enters for one write. False, and outside, when this node does not serve the partition. */
  open(partition: Partition): boolean {
    if (this.inside === partition && this.writes < WRITES_MAX) {
      this.writes++;
      return true;
    }
    this.close();
    if (!this.lease.holds) return false;
    partition.enter();
    if (!partition.mayWrite()) {
      partition.leave();
      return false;
    }
    this.inside = partition;
    this.writes = 1;
    this.wrote = true;
    return true;
  }

  close(): void {
    if (this.inside === null) return;
    this.inside.leave();
    this.inside = null;
  }
}
