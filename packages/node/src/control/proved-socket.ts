/** Runs the preamble on a socket that is up, so that the peer has proved itself before a byte of
 *  HTTP/2 is read. Reads exactly what belongs to the preamble; the rest stays in the socket's
 *  buffer, from which Node's HTTP/2 takes it.
 *  Bounded: `openTimeoutMs` for all of it, one message of memory. */
import { randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import {
  type AcceptingPreamble,
  type ConnectingPreamble,
  NONCE_BYTES,
  type PeerRefusal,
  peerRefusal,
  type PreambleOptions,
  type PreambleStep,
} from '@ingot/replication';
import type { Credentials } from '../shared/credentials.ts';

const openTimeoutMs = 1_500;
/** A refused peer gets so long to read why. */
const lingerMs = 1_000;

/** The peer and this side parted in the preamble. */
export class PeerRefused extends Error {
  readonly refusal: PeerRefusal;

  constructor(refusal: PeerRefusal) {
    super(refusal.text);
    this.refusal = refusal;
  }
}

/** `node`: who is sought, or who this is; see `PreambleOptions`. */
export function controlPreamble(
  { secret, otherSecret = null }: Credentials,
  node: string | null,
): PreambleOptions {
  return { purpose: 'control', secret, otherSecret, nonce: randomBytes(NONCE_BYTES), node };
}

/** Resolves once the peer has proved itself. Rejects with PeerRefused, or with what the network
 *  said; the socket is then on its way to its end. `doubt`: the peer is refused for it at once. */
export async function passPreamble(
  socket: Socket,
  preamble: AcceptingPreamble | ConnectingPreamble,
  doubt: PeerRefusal | null = null,
): Promise<void> {
  const run = new PreambleRun(socket, preamble);
  if (doubt !== null) run.refuseFor(doubt);
  try {
    await run.passed;
  } finally {
    run.letGo();
  }
}

class PreambleRun {
  readonly passed: Promise<void>;
  readonly #socket: Socket;
  readonly #preamble: AcceptingPreamble | ConnectingPreamble;
  readonly #timer: NodeJS.Timeout;
  readonly #pass: () => void;
  #unwritten = 0;
  #hasPassed = false;
  readonly #fail: (error: Error) => void;

  constructor(socket: Socket, preamble: AcceptingPreamble | ConnectingPreamble) {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.passed = promise;
    this.#socket = socket;
    this.#preamble = preamble;
    this.#pass = resolve;
    this.#fail = reject;
    this.#timer = setTimeout(() => this.#refuse(peerRefusal('timeout')), openTimeoutMs);
    socket.on('readable', this.#read);
    socket.on('error', reject);
    socket.on('end', this.#ended);
    socket.on('close', this.#ended);
    if ('start' in preamble) this.#perform(preamble.start());
  }

  refuseFor(doubt: PeerRefusal): void {
    if ('refuseFor' in this.#preamble) this.#perform(this.#preamble.refuseFor(doubt));
    else this.#refuse(doubt);
  }

  letGo(): void {
    clearTimeout(this.#timer);
    this.#socket.off('readable', this.#read);
    this.#socket.off('error', this.#fail);
    this.#socket.off('end', this.#ended);
    this.#socket.off('close', this.#ended);
  }

  readonly #ended = (): void => this.#fail(new Error('the peer ended the connection unproved'));

  readonly #read = (): void => {
    while (this.#preamble.wants && this.#socket.readableLength > 0) {
      const target = this.#preamble.target();
      const bytes = this.#socket.read(
        Math.min(target.length, this.#socket.readableLength),
      ) as Buffer;
      this.#perform(this.#preamble.advance(bytes.copy(target)));
    }
  };

  #perform({ send, outcome }: PreambleStep): void {
    if (send !== null) {
      this.#unwritten++;
      this.#socket.write(send, this.#written);
    }
    if (outcome === 'more') return;
    if (outcome !== 'passed') return this.#refuse(outcome);
    const leftOver = this.#preamble.leftOver();
    if (leftOver.length > 0) this.#socket.unshift(leftOver);
    this.#hasPassed = true;
    this.#passWhenWritten();
  }

  readonly #written = (error?: Error | null): void => {
    if (error) return this.#fail(error);
    this.#unwritten--;
    this.#passWhenWritten();
  };

  /** Node's HTTP/2 takes the end of any write for one of its own, and aborts the process. */
  #passWhenWritten(): void {
    if (this.#hasPassed && this.#unwritten === 0) this.#pass();
  }

  /** Reads on for a while, unheard: closing a socket with unread bytes would take our last words
   *  away from the peer. */
  #refuse(refusal: PeerRefusal): void {
    const socket = this.#socket;
    this.letGo();
    socket.on('error', () => undefined);
    socket.resume();
    socket.end();
    setTimeout(() => socket.destroy(), lingerMs).unref();
    this.#fail(new PeerRefused(refusal));
  }
}
