/** An acceptor's memory without a disk: for tests and simulations. What is put is durable at once,
 *  or, with a `flush` of the caller's, when that resolves; `crash` loses what is not. */
import type { Life, NodeId } from '../shared/map.ts';
import type { AcceptorState, AcceptorStorage } from './acceptor.ts';
import type { AcceptedMap, Ballot } from './acceptor-calls.ts';
import { noBallot } from './ballots.ts';

interface Contents extends AcceptorState {
  /** Grows with each put. */
  readonly order: number;
}

export class MemoryAcceptorStorage implements AcceptorStorage {
  readonly id: string;
  readonly #flush: (() => Promise<void>) | null;
  #written: Contents = { order: 0, promised: noBallot, accepted: null, fences: new Map() };
  #durable: Contents = this.#written;
  #crashes = 0;

  constructor(id: string, flush: (() => Promise<void>) | null = null) {
    this.id = id;
    this.#flush = flush;
  }

  load(): AcceptorState {
    return this.#durable;
  }

  putPromised(ballot: Ballot): void {
    this.#put({ promised: ballot });
  }

  putAccepted(accepted: AcceptedMap): void {
    this.#put({ promised: accepted.ballot, accepted });
  }

  putFence({ node, incarnation }: Life): void {
    const fences = new Map<NodeId, number>(this.#written.fences);
    this.#put({ fences: fences.set(node, incarnation) });
  }

  async flushed(): Promise<void> {
    const written = this.#written;
    const crashes = this.#crashes;
    await this.#flush?.();
    if (crashes === this.#crashes && written.order > this.#durable.order) this.#durable = written;
  }

  /** What a process that starts now finds. A flush under way comes to nothing. */
  crash(): void {
    this.#crashes++;
    this.#written = this.#durable;
  }

  #put(change: Partial<AcceptorState>): void {
    this.#written = { ...this.#written, ...change, order: this.#written.order + 1 };
    if (this.#flush === null) this.#durable = this.#written;
  }
}
