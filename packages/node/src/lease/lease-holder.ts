/** The node's side of leases: until when this life may serve.
 *  Every beat goes to all acceptors, under a number. The lease counts from when the newest beat was
 *  SENT that enough of them have answered, or have answered a later one: from its answer nobody
 *  could say how long that was on its way. Both clocks count, because a monotonic one stands still
 *  while a machine sleeps, and the other one can be set.
 *  An answer counts for the acceptors that the one who gave it has accepted, by the name of their
 *  set: once others are chosen, no majority of the old ones answers under the old name. A lease that
 *  was had goes on to its end, whatever the set is by then.
 *  Owner: one per life of the node, on the main thread. Deterministic: clocks are passed in. */
import { hasQuorum, membersOf, nameOfSet } from '../register/acceptor-set.ts';
import { refusal } from '../shared/errors.ts';
import type { AcceptorSet } from '../shared/map.ts';
import { leaseMs, servedShare } from './authority.ts';

export interface LeaseClocks {
  /** Monotonic. */
  readonly nowMs: () => number;
  /** Unix ms. */
  readonly wallMs: () => number;
}

/** A moment on both clocks. The lease is over when it has come on either. */
export interface LeaseTime {
  readonly nowMs: number;
  readonly wallMs: number;
}

export const NO_LEASE: LeaseTime = { nowMs: 0, wallMs: 0 };

/** For tests of what is served, where leases are not what they are about. */
export const FOREVER: LeaseTime = {
  nowMs: Number.POSITIVE_INFINITY,
  wallMs: Number.POSITIVE_INFINITY,
};

export function remainingMs({ nowMs, wallMs }: LeaseClocks, end: LeaseTime): number {
  return Math.max(0, Math.min(end.nowMs - nowMs(), end.wallMs - wallMs()));
}

export function isBefore({ nowMs, wallMs }: LeaseClocks, end: LeaseTime): boolean {
  return nowMs() < end.nowMs && wallMs() < end.wallMs;
}

interface Waiter {
  readonly beat: number;
  readonly result: PromiseWithResolvers<void>;
}

export class LeaseHolder {
  readonly #clocks: LeaseClocks;
  /** By number: when it was sent. Those of one lease back. */
  readonly #sent = new Map<number, LeaseTime>();
  /** By acceptor: the newest beat that it has answered, and for which set. */
  readonly #answers = new Map<string, { readonly beat: number; readonly setName: string }>();
  #waiters: Waiter[] = [];
  #set: AcceptorSet | null = null;
  #lastBeat = 0;
  /** The beat that the lease counts from; 0: there was none yet. */
  #heldFrom = 0;
  #until: LeaseTime = NO_LEASE;
  #servedUntil: LeaseTime = NO_LEASE;
  #isOver = false;

  constructor(clocks: LeaseClocks) {
    this.#clocks = clocks;
  }

  /** These acceptors decide from now on, as far as this node knows. */
  follow(set: AcceptorSet): void {
    this.#set = set;
    const members = new Set(membersOf(set).map(({ id }) => id));
    for (const id of this.#answers.keys()) if (!members.has(id)) this.#answers.delete(id);
    this.#renew();
  }

  /** A beat goes out now; answers to it name this number. */
  sent(): number {
    const time = { nowMs: this.#clocks.nowMs(), wallMs: this.#clocks.wallMs() };
    for (const [beat, { nowMs }] of this.#sent) {
      if (nowMs + leaseMs <= time.nowMs) this.#sent.delete(beat);
    }
    this.#sent.set(++this.#lastBeat, time);
    return this.#lastBeat;
  }

  /** Returns whether the lease has become longer by it. */
  answered(acceptor: string, beat: number, setName: string): boolean {
    if (beat > this.#lastBeat || beat <= (this.#answers.get(acceptor)?.beat ?? 0)) return false;
    this.#answers.set(acceptor, { beat, setName });
    return this.#renew();
  }

  /** This life is over: nothing renews it any more. */
  end(): void {
    this.#isOver = true;
    this.#until = NO_LEASE;
    this.#servedUntil = NO_LEASE;
    const waiters = this.#waiters.splice(0);
    for (const { result } of waiters) result.reject(refusal('RETIRED', 'this life is over'));
  }

  /** Resolves once the lease counts from this beat or a later one; rejects with an IngotError
   *  'RETIRED' where the life is over. */
  renewed(beat: number): Promise<void> {
    const result = Promise.withResolvers<void>();
    if (this.#isOver) result.reject(refusal('RETIRED', 'this life is over'));
    else if (this.#heldFrom >= beat) result.resolve();
    else this.#waiters.push({ beat, result });
    return result.promise;
  }

  /** When the lease ends. */
  until(): LeaseTime {
    return this.#until;
  }

  /** When serving ends: before the lease does. */
  servedUntil(): LeaseTime {
    return this.#servedUntil;
  }

  isHeld(): boolean {
    return isBefore(this.#clocks, this.#servedUntil);
  }

  #renew(): boolean {
    const beat = this.#answeredByEnough();
    const sent = this.#sent.get(beat);
    if (this.#isOver || beat <= this.#heldFrom || sent === undefined) return false;
    this.#heldFrom = beat;
    this.#until = after(sent, leaseMs);
    this.#servedUntil = after(sent, servedShare * leaseMs);
    const due = this.#waiters.filter((waiter) => waiter.beat <= beat);
    this.#waiters = this.#waiters.filter((waiter) => waiter.beat > beat);
    for (const { result } of due) result.resolve();
    return true;
  }

  /** The newest beat such that those who have answered it, or a later one, are a quorum; 0: none. */
  #answeredByEnough(): number {
    if (this.#set === null) return 0;
    const name = nameOfSet(this.#set);
    const counting = [...this.#answers]
      .filter(([, { setName }]) => setName === name)
      .sort(([, a], [, b]) => b.beat - a.beat);
    const ids = new Set<string>();
    for (const [id, { beat }] of counting) {
      ids.add(id);
      if (hasQuorum(this.#set, ids)) return beat;
    }
    return 0;
  }
}

function after({ nowMs, wallMs }: LeaseTime, delayMs: number): LeaseTime {
  return { nowMs: nowMs + delayMs, wallMs: wallMs + delayMs };
}
