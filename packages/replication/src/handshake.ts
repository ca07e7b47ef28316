/** An accepted connection whose peer has not been let in: one HELLO, answered by a session or a REFUSE.
 *
 *  Owner: `Leading`. The peer is nobody yet: it gets `helloTimeoutMs` and the bytes of one HELLO; anything else ends the
 *  connection, and the reason is logged. Once admitted, everything the link brings goes to the session. */
import type { Partition } from '@ingot/store';
import { type FrameHeader, HELLO, payloadChecksum, REFUSE } from './frame.ts';
import { decodeHello, type Hello } from './hello.ts';
import type { Link, LinkOwner } from './link.ts';
import type { NodeState } from './node-state.ts';
import { peerRefusal } from './peer-refusals.ts';
import type { SenderSession } from './sender-session.ts';
import { encodeRefuse, type Refusal } from './welcome.ts';

const helloTimeoutMs = 5_000;

export interface HandshakeHost {
  readonly state: NodeState;
  /** Which copy the follower may have, or why not. */
  admit(hello: Hello, epoch: number): Pick<Admitted, 'partition' | 'relay'> | Refusal;
  /** Starts the session of an admitted follower, in place of an older one. */
  begin(handshake: Handshake, admitted: Admitted): SenderSession;
  failed(handshake: Handshake): void;
}

export interface Admitted {
  readonly link: Link;
  readonly partition: Partition;
  readonly epoch: number;
  readonly hello: Hello;
  /** The copy here follows, too. */
  readonly relay: boolean;
}

export class Handshake implements LinkOwner {
  readonly #host: HandshakeHost;
  readonly #link: Link;
  readonly #remote: string;
  readonly #openedMs: number;
  #session: SenderSession | null = null;
  #refused = false;

  constructor(host: HandshakeHost, link: Link) {
    this.#host = host;
    this.#link = link;
    this.#remote = link.remote;
    this.#openedMs = host.state.identity.nowMs();
  }

  opened(): void {}

  place(header: FrameHeader): Buffer | string {
    if (this.#session !== null) return this.#session.place(header);
    if (header.type !== HELLO) return 'a connection opens with HELLO';
    return Buffer.allocUnsafe(header.payloadBytes);
  }

  frame(header: FrameHeader, payload: Buffer): string | null {
    if (this.#session !== null) return this.#session.frame(header, payload);
    if (header.type !== HELLO) return 'a connection opens with HELLO';
    const hello = decodeHello(payload);
    if (typeof hello === 'string') return hello;
    const { epoch } = header;
    const admitted = this.#impostor(hello) ?? this.#host.admit(hello, epoch);
    if ('code' in admitted) this.#refuse(hello, epoch, admitted);
    else {
      const link = this.#link;
      this.#session = this.#host.begin(this, { link, epoch, hello, ...admitted });
      this.#session.step({ kind: 'continue' });
    }
    return null;
  }

  closed(reason: string): void {
    if (this.#session !== null) return this.#session.closed(reason);
    const { counters, identity } = this.#host.state;
    this.#host.failed(this);
    this.#link.moveCounts(counters);
    counters.refusals++;
    if (this.#refused || !this.#host.state.isNews(this.#remote, reason)) return;
    identity.log({ level: 'warn', event: 'handshakeFailed', remote: this.#remote, reason });
  }

  tick(nowMs: number): void {
    if (nowMs - this.#openedMs > helloTimeoutMs) this.close('no HELLO in time');
  }

  close(reason: string): void {
    this.#link.close(reason);
  }

  /** Who proved by a certificate to be one node may not speak for another. */
  #impostor({ nodeId, guest }: Hello): Refusal | null {
    if (guest || this.#link.names(nodeId)) return null;
    this.#host.state.counters.peersRefused.certificateName++;
    const { text } = peerRefusal('certificateName', `it says it is ${nodeId}`);
    return { code: 'certificate', text };
  }

  #refuse(hello: Hello, epoch: number, refusal: Refusal): void {
    this.#refused = true;
    const { log, nowMs } = this.#host.state.identity;
    const { partition, nodeId } = hello;
    const who = { partition, node: nodeId, remote: this.#remote };
    const isUsual = refusal.code === 'noSlots' || refusal.code === 'noSource';
    const level = isUsual ? 'info' : 'warn';
    log({ level, event: 'refused', ...who, code: refusal.code, reason: refusal.text });
    const payload = encodeRefuse(refusal);
    const header = {
      type: REFUSE,
      flags: 0,
      payloadBytes: payload.length,
      epoch,
      seq: 0,
      generation: 0,
      chunk: 0,
      clockMs: nowMs(),
      payloadCrc32: payloadChecksum(payload),
    };
    this.#link.send([{ header, payload }]);
    this.#link.close(`refused: ${refusal.code}`, true);
  }
}
