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

  /** What became of the acceptor here where its file is a copy of the one it had. */
  opened(copied: 'begins anew' | 'goes on' | null): void {
    if (copied === null) return;
    const what =
      copied === 'begins anew'
        ? 'its voice may have forgotten what it promised, and is replaced'
        : 'its voice decides alone, and what it has decided since is forgotten';
    this.#log.warn({ event: 'acceptor.copied' }, `the data dir is a copy: ${what}`);
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
