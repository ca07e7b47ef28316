/** The clocks of one simulated machine: a monotonic one that runs fast or slow by up to 1 %, and a wall clock.
 *
 *  A machine that is suspended may find that its monotonic clock stood still meanwhile; its wall clock never does. A
 *  wall clock may be set, forward or back, but only on machines that are never suspended: whoever counts by both
 *  is safe while one of them is right. */
import type { Random } from '../../../packages/replication/src/random.fixture.ts';

/** A little under what leases allow for. */
const driftMax = 0.0099;
/** Clocks that nobody may rely on: only what does not rest on clocks holds then. */
const wildDriftMax = 0.35;
const wallJumpMsMax = 20_000;

export class SimClock {
  /** Seconds of this clock per true second. */
  readonly rate: number;
  readonly wallRate: number;
  /** Such a machine is suspended rather than stopped. */
  readonly maySuspend: boolean;
  #monotonicAheadMs: number;
  #wallAheadMs: number;

  constructor(random: Random, isWild: boolean) {
    const max = isWild ? wildDriftMax : driftMax;
    const drift = (): number => 1 + (random.next() * 2 - 1) * max;
    this.rate = drift();
    this.wallRate = drift();
    this.maySuspend = random.chance(0.5);
    this.#monotonicAheadMs = random.below(1_000_000);
    this.#wallAheadMs = 1_700_000_000_000 + random.below(10_000);
  }

  monotonicMs(trueMs: number): number {
    return trueMs * this.rate + this.#monotonicAheadMs;
  }

  wallMs(trueMs: number): number {
    return trueMs * this.wallRate + this.#wallAheadMs;
  }

  /** The monotonic clock did not see this time pass. */
  stoodStill(trueMs: number): void {
    this.#monotonicAheadMs -= trueMs * this.rate;
  }

  jumpWall(random: Random): void {
    this.#wallAheadMs += (random.next() * 2 - 1) * wallJumpMsMax;
  }
}
