/** Who may say that a life of a node is over. Drivers: caspaxos (the acceptors of the cluster, by
 *  heartbeats) and memory (tests, simulator); one on etcd would hold the same contract:
 *  a lease key per life, a fence as one transaction that finds it absent. */
import type { AcceptorSet, Life } from '../shared/map.ts';

/** How long a lease lasts on the clock of who grants it, from when its renewal was SENT. */
export const leaseMs = 2_000;
/** A holder serves for this share of it: its clock may run slow by 1 %, and replies take time. */
export const servedShare = 0.9;
/** A life is fenced no earlier than this many leases after it was last heard: clocks drift. */
export const fenceWaitShare = 1.03;

export interface LeaseAuthority {
  /** Resolves once a majority has answered a heartbeat of this life: it may serve until `untilMs`, on
   *  its own monotonic clock. Rejects with an IngotError 'RETIRED' where the life is over. */
  renew(life: Life): Promise<{ untilMs: number }>;
  /** Resolves once the life is dead for ever, with the acceptors that know it durably: whoever moves
   *  what it led does so in a change of a map that names the very same ones, and enters the fence
   *  into that map (`fencedThrough`), where acceptors of later sets find it. Rejects with NotDeadYet
   *  while it may be alive, and with anything else where nobody can be asked; then it may be asked
   *  again. `byOwner`: whoever holds the lock of that life's data dir has asked for it, so it is
   *  dead, whatever was heard of it. */
  fence(life: Life, byOwner?: boolean): Promise<AcceptorSet>;
}

/** A majority does not agree to a fence before so many ms have passed without a heartbeat. */
export class NotDeadYet extends Error {
  readonly waitMs: number;

  constructor({ node, incarnation }: Life, waitMs: number) {
    super(`life ${incarnation} of ${node} may be alive for another ${Math.ceil(waitMs)} ms`);
    this.waitMs = waitMs;
  }
}
