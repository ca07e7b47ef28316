/** TCP: the one file that touches it. A link is a socket that speaks frames.
 *
 *  Sending: the frames of one batch leave in one gathered write, payloads as they are; a CHUNK's payload is a view of
 *  the live image, which only the kernel reads.
 *  Receiving: the connecting side uses the public `onread` option with a function that returns the view where the
 *  next bytes belong, so chunks land in the image without a copy in user space. The accepting side only gets small
 *  frames and takes `data` events.
 *  Bounded: a peer that does not read is cut off once `writeQueueBytesMax` wait for it.
 *  Knows frames, not what they mean. */
import { connect, createServer, type Server, type Socket } from 'node:net';
import { encodeHeader, FRAME_HEADER_BYTES, type FrameHeader } from './frame.ts';
import { FrameReader, type FrameSink } from './frame-reader.ts';

/** One batch of a sender, and room for small frames. */
const writeQueueBytesMax = 524_288;
const connectTimeoutMs = 3_000;
const keepAliveMs = 10_000;

export interface LinkOwner extends FrameSink {
  /** The connection is up. Only on the connecting side. */
  opened(): void;
  /** Called once; `reason` says which rule was broken, or what the network said. */
  closed(reason: string): void;
}

export interface OutgoingFrame {
  readonly header: FrameHeader;
  readonly payload: Buffer;
}

export class Link {
  readonly #socket: Socket;
  readonly #owner: LinkOwner;
  #closed = false;
  #bytesSent = 0;
  #bytesReceived = 0;
  #brokenFrames = 0;

  private constructor(socket: Socket, createOwner: (link: Link) => LinkOwner) {
    this.#socket = socket;
    this.#owner = createOwner(this);
    socket.setNoDelay(true);
    socket.setKeepAlive(true, keepAliveMs);
    socket.on('error', (error) => this.close(error.message));
    socket.on('end', () => this.close('the peer ended the connection'));
    socket.on('close', () => this.close('the connection was closed'));
  }

  /** The accepting side. */
  static accept(socket: Socket, createOwner: (link: Link) => LinkOwner): void {
    const link = new Link(socket, createOwner);
    const reader = new FrameReader(link.#owner);
    socket.on('data', (bytes: Buffer) => link.#received(bytes.length, reader.push(bytes)));
  }

  /** The connecting side. */
  static connect(address: { host: string; port: number }, owner: LinkOwner): Link {
    const reader = new FrameReader(owner);
    const socket = connect({
      host: address.host,
      port: address.port,
      onread: {
        buffer: () => reader.target(),
        callback: (bytes) => {
          link.#received(bytes, reader.advance(bytes));
          return !link.#closed;
        },
      },
    });
    const link = new Link(socket, () => owner);
    const timer = setTimeout(
      () => link.close('the connection was not accepted in time'),
      connectTimeoutMs,
    );
    socket.on('close', () => clearTimeout(timer));
    socket.on('connect', () => {
      clearTimeout(timer);
      owner.opened();
    });
    return link;
  }

  /** `host:port` of the peer. */
  get remote(): string {
    return `${this.#socket.remoteAddress ?? 'unknown'}:${this.#socket.remotePort ?? 0}`;
  }

  /** Hands a batch to the kernel. `written` runs once all of it was accepted, never before this returns. */
  send(frames: readonly OutgoingFrame[], written: () => void = (): void => {}): void {
    if (this.#closed) return;
    const socket = this.#socket;
    socket.cork();
    frames.forEach(({ header, payload }, i) => {
      this.#bytesSent += FRAME_HEADER_BYTES + payload.length;
      // The kernel often accepts at once; setImmediate lets other connections have their turn.
      const done = i < frames.length - 1 ? undefined : (): unknown => setImmediate(written);
      if (payload.length > 0) socket.write(encodeHeader(header));
      socket.write(payload.length > 0 ? payload : encodeHeader(header), done);
    });
    socket.uncork();
    if (socket.writableLength > writeQueueBytesMax) this.close('the peer does not read');
  }

  /** Ends the connection now: what came on it breaks this rule. */
  closeBroken(rule: string): void {
    if (this.#closed) return;
    this.#brokenFrames++;
    this.close(`broken rule: ${rule}`);
  }

  /** Ends the connection now; what is queued is still tried when `flush` is set. */
  close(reason: string, flush = false): void {
    if (this.#closed) return;
    this.#closed = true;
    if (flush) this.#socket.destroySoon();
    else this.#socket.destroy();
    this.#owner.closed(reason);
  }

  /** Adds what was counted since the last call to the node's counters. */
  moveCounts(counters: { bytesSent: number; bytesReceived: number; brokenFrames: number }): void {
    counters.bytesSent += this.#bytesSent;
    counters.bytesReceived += this.#bytesReceived;
    counters.brokenFrames += this.#brokenFrames;
    this.#bytesSent = 0;
    this.#bytesReceived = 0;
    this.#brokenFrames = 0;
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
  createOwner: (link: Link) => LinkOwner,
): Promise<Listener> {
  const { promise, resolve, reject } = Promise.withResolvers<Listener>();
  const server: Server = createServer((socket) => Link.accept(socket, createOwner));
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
