/** Peers that were refused on control connections, or refused us: counted each time, logged once
 *  per peer, reason and `quietMs`, because whoever is refused comes again. */
import { createRefusalCounts, type PeerRefusal, type PeerRefusalReason } from '@ingot/replication';
import type { ControlLog } from './types.ts';

const quietMs = 10_000;
/** Peers told apart; strangers beyond share one line. */
const peersMax = 256;

export class RefusalLog {
  readonly counts: Record<PeerRefusalReason, number> = createRefusalCounts();
  readonly #log: ControlLog;
  readonly #quiet = new Set<string>();

  constructor(log: ControlLog) {
    this.#log = log;
  }

  /** A peer connected to us. */
  accepted(host: string, refusal: PeerRefusal): void {
    this.#add('peer.refused', host, refusal);
  }

  /** We connected to a peer. */
  connected(address: string, refusal: PeerRefusal): void {
    this.#add('peer.notBelieved', address, refusal);
  }

  #add(event: string, peer: string, { reason, text }: PeerRefusal): void {
    this.counts[reason]++;
    const key = this.#quiet.size < peersMax ? `${event} ${peer} ${reason}` : event;
    if (this.#quiet.has(key)) return;
    this.#quiet.add(key);
    setTimeout(() => this.#quiet.delete(key), quietMs).unref();
    this.#log.warn({ event, peer, reason }, text);
  }
}
