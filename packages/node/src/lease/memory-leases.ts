/** Leases in memory, of which one object knows everything: what tests and simulations use where the
 *  acceptors are not what they are about. */
import { refusal } from '../shared/errors.ts';
import { type AcceptorSet, type Life, nameOfLife } from '../shared/map.ts';
import { type LeaseAuthority, leaseMs, NotDeadYet } from './authority.ts';
import { fenceWaitMs } from './lease-keeper.ts';

export class MemoryLeases implements LeaseAuthority {
  readonly #nowMs: () => number;
  readonly #acceptors: AcceptorSet;
  readonly #renewedMs = new Map<string, number>();
  readonly #fencedThrough = new Map<string, number>();

  constructor(acceptors: AcceptorSet, nowMs: () => number) {
    this.#acceptors = acceptors;
    this.#nowMs = nowMs;
  }

  async renew(life: Life): Promise<{ untilMs: number }> {
    if (this.#isFenced(life)) throw refusal('RETIRED', 'this life is over');
    const nowMs = this.#nowMs();
    this.#renewedMs.set(nameOfLife(life), nowMs);
    return { untilMs: nowMs + leaseMs };
  }

  async fence(life: Life, byOwner = false): Promise<AcceptorSet> {
    const renewedMs = this.#renewedMs.get(nameOfLife(life)) ?? Number.NEGATIVE_INFINITY;
    const waitMs = byOwner ? 0 : renewedMs + fenceWaitMs - this.#nowMs();
    if (waitMs > 0 && !this.#isFenced(life)) throw new NotDeadYet(life, waitMs);
    const before = this.#fencedThrough.get(life.node) ?? 0;
    this.#fencedThrough.set(life.node, Math.max(before, life.incarnation));
    return this.#acceptors;
  }

  #isFenced({ node, incarnation }: Life): boolean {
    return (this.#fencedThrough.get(node) ?? 0) >= incarnation;
  }
}
