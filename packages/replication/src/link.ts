/** TCP: the one file that touches it. A link is a socket that speaks frames.
 *
 *  Before the first frame both ends prove that they hold the cluster's secret (`preamble.ts`);
 *  until then the owner hears nothing of what arrives.
 *  Sending: the frames of one batch leave in one gathered write, payloads as they are; a CHUNK's
 *  payload is a view of the live image, which only the kernel reads. Small batches, which are most
 *  of them, bypass the stream (`direct-write.ts`).
 *  Receiving: the connecting side uses the public `onread` option with a function that returns the
 *  view where the next bytes belong, so chunks land in the image without a copy in user space. The
 *  accepting side only gets small frames, and copies them (`landing.ts`).
 *  Bounded: a peer that does not read is cut off once `writeQueueBytesMax` wait for it.
 *  Knows frames, not what they mean. */
import { randomBytes } from 'node:crypto';
import { connect, createServer, type Socket } from 'node:net';
import { connect as connectTls, createServer as createTlsServer, TLSSocket } from 'node:tls';
import {
  type Certificates,
  certificateRefusal,
  divideByTls,
  isNamed,
  tlsOptions,
  tlsRefusal,
} from './certificates.ts';
import { encodeHeader, FRAME_HEADER_BYTES, type FrameHeader, writeHeader } from './frame.ts';
import { DirectWriter } from './direct-write.ts';
import { FrameReader, type FrameSink } from './frame-reader.ts';
import { canLandReads, landReads } from './landing.ts';
import { type PeerRefusal, type PeerRefusalReason, peerRefusal } from './peer-refusals.ts';
import {
  AcceptingPreamble,
  ConnectingPreamble,
  NONCE_BYTES,
  type PreambleOptions,
  type PreambleStep,
} from './preamble.ts';

/** One batch of a sender, and room for small frames. */
const writeQueueBytesMax = 524_288;
/** For the connection and the preamble together. */
const openTimeoutMs = 3_000;
/** A refused peer gets so long to read why. */
const lingerMs = 1_000;
const keepAliveMs = 10_000;
/** A batch up to this size is worth a copy. */
const directBytesMax = 16_384;
/** Batches are put together here; replaced where the kernel did not take all at once. */
let departing = Buffer.allocUnsafeSlow(directBytesMax);
/** What accepted links read is taken before the next read: one buffer is enough for all. */
const landing = Buffer.allocUnsafeSlow(65_536);

/** What a node's links need to know of who it is. */
export interface LinkSecurity {
  readonly nodeId: string;
  /** null: whoever connects is believed. */
  readonly secret: Uint8Array | null;
  /** See `PreambleOptions`. */
  readonly otherSecret?: Uint8Array | null;
  /** null: no TLS. */
  readonly certificates: Certificates | null;
  /** A peer and this node parted before a frame was read, on either side. */
  readonly refused: (reason: PeerRefusalReason) => void;
  /** The same, before there was a link whose owner could be told: a TLS handshake failed. */
  readonly refusedHandshake: (remote: string, refusal: PeerRefusal) => void;
}

export interface LinkAddress {
  readonly host: string;
  readonly port: number;
  /** Id of the node that must be there. */
  readonly node: string;
}

export interface LinkOwner extends FrameSink {
  /** The connection is up and the peer has proved itself. Only on the connecting side. */
  opened(): void;
  /** Called once; `reason` says which rule was broken, or what the network said. */
  closed(reason: string): void;
}

export interface OutgoingFrame {
  readonly header: FrameHeader;
  readonly payload: Buffer;
}

/** A connection that speaks frames. */
export interface Link {
  /** `host:port` of the peer. */
  readonly remote: string;
  /** Whether the peer has proved to be this node, as far as that is asked for. */
  names(node: string): boolean;
  /** Hands a batch over. True: all of it was accepted at once. Otherwise `written` runs when it is, never before this
   *  returns. */
  send(frames: readonly OutgoingFrame[], written?: () => void): boolean;
  /** Ends the connection now: what came on it breaks this rule. */
  closeBroken(rule: string): void;
  /** Ends the connection now; what is queued is still tried when `flush` is set. */
  close(reason: string, flush?: boolean): void;
  /** Adds what was counted since the last call to the node's counters. */
  moveCounts(counters: { bytesSent: number; bytesReceived: number; brokenFrames: number }): void;
}

/** How links come about; a simulation has its own. */
export interface LinkNetwork {
  /** `owner` is told once the link is open, or has failed. */
  connect(address: LinkAddress, security: LinkSecurity, owner: LinkOwner): Link;
  /** Rejects with the error of the bind. */
  listen(
    host: string,
    port: number,
    security: LinkSecurity,
    createOwner: (link: Link) => LinkOwner,
  ): Promise<Listener>;
}

export class TcpLink implements Link {
  readonly #socket: Socket;
  readonly #owner: LinkOwner;
  readonly #security: LinkSecurity;
  readonly #openTimer: NodeJS.Timeout;
  #closed = false;
  #bytesSent = 0;
  #bytesReceived = 0;
  #brokenFrames = 0;
  #direct: DirectWriter | null = null;
  /** A direct write is under way. */
  #afterDirect: (() => void) | null = null;

  private constructor(
    socket: Socket,
    security: LinkSecurity,
    createOwner: (link: Link) => LinkOwner,
  ) {
    this.#socket = socket;
    this.#security = security;
    this.#owner = createOwner(this);
    this.#openTimer = setTimeout(() => this.#openedTooLate(), openTimeoutMs);
    socket.setNoDelay(true);
    socket.setKeepAlive(true, keepAliveMs);
    socket.on('error', (error) => this.#failed(error));
    socket.on('end', () => this.close('the peer ended the connection'));
    socket.on('close', () => this.close('the connection was closed'));
  }

  /** The accepting side. */
  static accept(
    accepted: Socket,
    security: LinkSecurity,
    createOwner: (link: Link) => LinkOwner,
  ): void {
    const lands = security.certificates === null && canLandReads(accepted);
    const socket = lands
      ? landReads(accepted, landing, (bytes) => take(landing.subarray(0, bytes)))
      : accepted;
    const link = new TcpLink(socket, security, createOwner);
    const reader = new FrameReader(link.#owner);
    const preamble = new AcceptingPreamble(preambleOptions(security, security.nodeId));
    const passed = (): void => {
      clearTimeout(link.#openTimer);
      link.#received(0, reader.push(preamble.leftOver()));
    };
    if (security.secret === null) clearTimeout(link.#openTimer); // it need not say anything yet
    const doubt = doubtOf(socket, security);
    if (doubt !== null) link.#perform(preamble.refuseFor(doubt), passed);
    const take = (bytes: Buffer): void => {
      let at = 0;
      while (preamble.wants && at < bytes.length) {
        const { used, step } = preamble.push(bytes.subarray(at));
        at += used;
        link.#perform(step, passed);
      }
      if (!link.#closed) link.#received(bytes.length, reader.push(bytes.subarray(at)));
    };
    if (!lands) socket.on('data', take).resume();
  }

  /** The connecting side. */
  static connect(address: LinkAddress, security: LinkSecurity, owner: LinkOwner): TcpLink {
    const reader = new FrameReader(owner);
    const preamble = new ConnectingPreamble(preambleOptions(security, address.node), false);
    const { certificates } = security;
    const options = {
      host: address.host,
      port: address.port,
      onread: {
        buffer: (): Buffer => (preamble.wants ? preamble.target() : reader.target()),
        callback: (bytes: number): boolean => {
          if (preamble.wants) link.#perform(preamble.advance(bytes), passed);
          else link.#received(bytes, reader.advance(bytes));
          return !link.#closed;
        },
      },
    };
    const socket =
      certificates === null
        ? connect(options)
        : connectTls({ ...options, ...tlsOptions(certificates) });
    const link = new TcpLink(socket, security, () => owner);
    let isOpen = false;
    const passed = (): void => {
      clearTimeout(link.#openTimer);
      if (!isOpen) owner.opened();
      isOpen = true;
      if (!link.#closed) link.#received(0, reader.push(preamble.leftOver()));
    };
    const start = (): void => link.#perform(preamble.start(), passed);
    if (!(socket instanceof TLSSocket)) socket.on('connect', start);
    else {
      socket.on('secureConnect', () => {
        const doubt = certificateRefusal(socket, address.node);
        if (doubt === null) start();
        else link.#refuse(doubt);
      });
    }
    return link;
  }

  get remote(): string {
    return `${this.#socket.remoteAddress ?? 'unknown'}:${this.#socket.remotePort ?? 0}`;
  }

  /** Whether the peer's certificate names this node. Without TLS nobody can say. */
  names(node: string): boolean {
    return !(this.#socket instanceof TLSSocket) || isNamed(this.#socket, node);
  }

  send(frames: readonly OutgoingFrame[], written: () => void = (): void => {}): boolean {
    if (this.#closed) return false;
    const bytes = frames.reduce((sum, { payload }) => sum + FRAME_HEADER_BYTES + payload.length, 0);
    this.#bytesSent += bytes;
    if (bytes > directBytesMax || !this.#mayWriteDirectly()) this.#sendByStream(frames, written);
    else if (this.#sendDirectly(frames, bytes, written)) return true;
    return false;
  }

  /** Nothing is queued that had to leave first. */
  #mayWriteDirectly(): boolean {
    const socket = this.#socket;
    if (socket instanceof TLSSocket || socket.connecting || this.#afterDirect !== null)
      return false;
    this.#direct ??= DirectWriter.forSocket(socket, (status) => this.#directWritten(status));
    return this.#direct?.ready === true && socket.writableLength === 0;
  }

  /** Small batches are copied together and given to the kernel without the stream around the socket, which costs more
   *  than the system call. True: it took all. */
  #sendDirectly(frames: readonly OutgoingFrame[], bytes: number, written: () => void): boolean {
    const batch = departing.subarray(0, bytes);
    let at = 0;
    for (const { header, payload } of frames) {
      writeHeader(header, at === 0 ? batch : batch.subarray(at));
      at += FRAME_HEADER_BYTES;
      at += payload.copy(batch, at);
    }
    const taken = this.#direct?.write(batch) ?? null;
    if (taken === null) setImmediate(() => this.close('the connection is broken'));
    if (taken !== false) return taken === true;
    departing = Buffer.allocUnsafeSlow(directBytesMax);
    this.#afterDirect = written;
    return false;
  }

  #directWritten(status: number): void {
    const written = this.#afterDirect;
    this.#afterDirect = null;
    if (status < 0) this.close('the connection is broken');
    else written?.();
  }

  #sendByStream(frames: readonly OutgoingFrame[], written: () => void): void {
    const socket = this.#socket;
    socket.cork();
    frames.forEach(({ header, payload }, i) => {
      // The kernel often accepts at once; setImmediate lets other connections have their turn.
      const done = i < frames.length - 1 ? undefined : (): unknown => setImmediate(written);
      if (payload.length > 0) socket.write(encodeHeader(header));
      socket.write(payload.length > 0 ? payload : encodeHeader(header), done);
    });
    socket.uncork();
    if (socket.writableLength > writeQueueBytesMax) this.close('the peer does not read');
  }

  closeBroken(rule: string): void {
    if (this.#closed) return;
    this.#brokenFrames++;
    this.close(`broken rule: ${rule}`);
  }

  close(reason: string, flush = false): void {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#openTimer);
    if (flush) this.#socket.destroySoon();
    else this.#socket.destroy();
    this.#owner.closed(reason);
  }

  moveCounts(counters: { bytesSent: number; bytesReceived: number; brokenFrames: number }): void {
    counters.bytesSent += this.#bytesSent;
    counters.bytesReceived += this.#bytesReceived;
    counters.brokenFrames += this.#brokenFrames;
    this.#bytesSent = 0;
    this.#bytesReceived = 0;
    this.#brokenFrames = 0;
  }

  #perform({ send, outcome }: PreambleStep, passed: () => void): void {
    if (this.#closed) return;
    if (send !== null) {
      this.#bytesSent += send.length;
      this.#socket.write(send);
    }
    if (outcome === 'passed') passed();
    else if (outcome !== 'more') this.#refuse(outcome);
  }

  /** Reads on for a while, unheard: closing a socket with unread bytes would take our last words
   *  away from the peer. */
  #refuse({ reason, text }: PeerRefusal): void {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#openTimer);
    this.#security.refused(reason);
    this.#socket.end();
    setTimeout(() => this.#socket.destroy(), lingerMs).unref();
    this.#owner.closed(text);
  }

  #failed(error: Error): void {
    const refusal = this.#socket instanceof TLSSocket ? tlsRefusal(error) : null;
    if (refusal === null) this.close(error.message);
    else this.#refuse(refusal);
  }

  #openedTooLate(): void {
    if (this.#socket.connecting) this.close('the connection was not accepted in time');
    else this.#refuse(peerRefusal('timeout'));
  }

  #received(bytes: number, broken: string | null): void {
    this.#bytesReceived += bytes;
    if (broken !== null) this.closeBroken(broken);
  }
}

export interface Listener {
  readonly port: number;
  close(): Promise<void>;
}

/** Listens for links. Rejects with the error of the bind. */
export function listenForLinks(
  host: string,
  port: number,
  security: LinkSecurity,
  createOwner: (link: Link) => LinkOwner,
): Promise<Listener> {
  const { promise, resolve, reject } = Promise.withResolvers<Listener>();
  const accept = (socket: Socket): void => TcpLink.accept(socket, security, createOwner);
  const server = createServer(
    { pauseOnConnect: security.certificates === null },
    security.certificates === null ? accept : throughTls(security.certificates, security, accept),
  );
  server.once('error', reject);
  server.listen(port, host, () => {
    server.off('error', reject);
    server.on('error', () => {}); // a connection that failed to be accepted is the peer's to retry
    const address = server.address();
    resolve({
      port: typeof address === 'object' && address !== null ? address.port : port,
      close: () => new Promise<void>((closed) => server.close(() => closed())),
    });
  });
  return promise;
}

export const tcp: LinkNetwork = {
  connect: (address, security, owner) => TcpLink.connect(address, security, owner),
  listen: listenForLinks,
};

/** Why an accepted peer is not even asked for a proof. */
function doubtOf(socket: Socket, { certificates }: LinkSecurity): PeerRefusal | null {
  if (socket instanceof TLSSocket) return certificateRefusal(socket, null);
  return certificates === null ? null : peerRefusal('noTls');
}

/** Turns accepted connections into TLS ones; the server inside never listens itself. */
function throughTls(
  certificates: Certificates,
  security: LinkSecurity,
  accept: (socket: Socket) => void,
): (socket: Socket) => void {
  const server = createTlsServer(tlsOptions(certificates), accept);
  server.on('tlsClientError', (error, socket) => {
    const remote = `${socket.remoteAddress ?? 'unknown'}:${socket.remotePort ?? 0}`;
    security.refusedHandshake(remote, tlsRefusal(error) ?? peerRefusal('stranger', error.message));
  });
  const tls = (socket: Socket): void => void server.emit('connection', socket);
  return (socket) => divideByTls(socket, { tls, plain: accept });
}

function preambleOptions(
  { secret, otherSecret = null }: LinkSecurity,
  node: string,
): PreambleOptions {
  return { purpose: 'replication', secret, otherSecret, nonce: randomBytes(NONCE_BYTES), node };
}
