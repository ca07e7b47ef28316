/** What a node tells of acceptors, its own and those that it beats to. What goes on is said once. */
import type { IngotError } from '../shared/errors.ts';
import type { NodeId } from '../shared/map.ts';
import type { ControlLog } from './types.ts';

export class AcceptorLog {
  readonly #log: ControlLog;
  /** By node: why it refused this life last. */
  readonly #refusedBy = new Map<NodeId, string>();
  #canWrite = true;

  constructor(log: ControlLog) {
    this.#log = log;
  }

  /** Another life of this node begins: nobody has refused it yet. */
  lifeBegan(): void {
    this.#refusedBy.clear();
  }

  /** The acceptor here has written, or could not. */
  wrote(failure: Error | null): void {
    if (failure !== null && this.#canWrite) {
      const text = 'the acceptor of this node has no say while it cannot write';
      this.#log.error({ event: 'map.notWritten', why: failure.message }, text);
    }
    this.#canWrite = failure === null;
  }

  /** Whoever is refused asks again and again. */
  refused(peer: NodeId, { code, message }: IngotError): void {
    if (this.#refusedBy.get(peer) === code) return;
    this.#refusedBy.set(peer, code);
    this.#log.warn({ event: 'acceptor.refused', peer, code }, message);
  }

  connected(peer: NodeId, isConnected: boolean): void {
    if (isConnected) this.#log.info({ event: 'acceptor.connected', peer });
    else this.#log.warn({ event: 'acceptor.away', peer }, `${peer} does not answer heartbeats`);
  }
}
