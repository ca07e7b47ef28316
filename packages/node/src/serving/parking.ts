/** Connections that wait because a partition is between two owners (sealed, handed over, led here
 *  by the map before its role word says so, or without an owner that is up). They stop executing, keep their order, and try
 *  again at each change of map, role or attachment.
 *  Bounds: a partition is waited for --failover-wait at most; after that its commands are answered
 *  CLUSTERDOWN at once until something changes. At most PARKED_MAX connections wait. */

export const PARKED_MAX = 10_000;

export interface Parkable {
  /** Executes what it has; parks again if nothing changed for it. */
  unpark(): void;
}

export type ParkAnswer = 'parked' | 'gaveUp' | 'full';

export class Parking {
  private readonly parked: Set<Parkable> = new Set();
  /** Partition -> when its first waiter started to wait. */
  private readonly since: Map<number, number> = new Map();
  private readonly unsettled: (partitionId: number) => boolean;
  private readonly waitMsMax: number;

  /** `unsettled` says whether a partition is still between two owners. */
  constructor(unsettled: (partitionId: number) => boolean, waitMsMax: number) {
    this.unsettled = unsettled;
    this.waitMsMax = waitMsMax;
  }

  get size(): number {
    return this.parked.size;
  }

  park(who: Parkable, partitionId: number, nowMs: number): ParkAnswer {
    const since = this.since.get(partitionId);
    if (since === undefined) this.since.set(partitionId, nowMs);
    else if (nowMs - since >= this.waitMsMax) return 'gaveUp';
    if (this.parked.size >= PARKED_MAX && !this.parked.has(who)) return 'full';
    this.parked.add(who);
    return 'parked';
  }

  forget(who: Parkable): void {
    this.parked.delete(who);
  }

  /** A map, role or attachment changed: everybody tries again. Waits for partitions that are still
   *  unsettled go on counting, so changes elsewhere do not keep a client waiting for ever. */
  changed(): void {
    for (const partitionId of this.since.keys()) {
      if (!this.unsettled(partitionId)) this.since.delete(partitionId);
    }
    this.releaseAll();
  }

  /** Lets go of everybody once a partition's time is over; called a few times per second. A
   *  partition that settled without a change that was told is no old trouble when it moves
   *  again. */
  expire(nowMs: number): void {
    for (const [partitionId, since] of this.since) {
      if (nowMs - since >= this.waitMsMax && !this.unsettled(partitionId))
        this.since.delete(partitionId);
      if (nowMs - since < this.waitMsMax || this.parked.size === 0) continue;
      this.releaseAll();
      return;
    }
  }

  private releaseAll(): void {
    const waiting = [...this.parked];
    this.parked.clear();
    for (const who of waiting) who.unpark();
  }
}
