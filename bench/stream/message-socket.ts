/** Messages over one TCP connection, the same for every format: eight bytes of header (payload
 *  bytes, number), then the payload. The receiver connects, lands payloads where its decoder
 *  says (`onread`, no copy on the way) and answers each message with its number once it has
 *  summed it. */
import { connect, createServer, type Socket } from 'node:net';
import type { Decoder } from './codecs/codec.ts';

const HEADER_BYTES = 8;
const ACK_BYTES = 4;
const HOST = '127.0.0.1';

export class MessageSender {
  readonly #socket: Socket;
  #closed = false;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.once('close', () => {
      if (!this.#closed) throw new Error('the receiver has gone');
    });
  }

  /** `port` as soon as it listens, `sender` once the receiver is there. */
  static listen(): Promise<{ port: number; sender: Promise<MessageSender> }> {
    const listening = Promise.withResolvers<{ port: number; sender: Promise<MessageSender> }>();
    const connected = Promise.withResolvers<MessageSender>();
    const server = createServer({ noDelay: true }, (socket) => {
      server.close();
      connected.resolve(new MessageSender(socket));
    });
    server.listen(0, HOST, () => {
      const { port } = server.address() as { port: number };
      listening.resolve({ port, sender: connected.promise });
    });
    return listening.promise;
  }

  onAcknowledged(acknowledged: () => void): void {
    let bytes = 0;
    this.#socket.on('data', (data: Buffer) => {
      for (bytes += data.length; bytes >= ACK_BYTES; bytes -= ACK_BYTES) acknowledged();
    });
  }

  /** `accepted` runs once the kernel has taken all of it: only then may the pieces change. */
  send(message: number, pieces: readonly Uint8Array[], accepted: () => void): number {
    const payloadBytes = pieces.reduce((sum, piece) => sum + piece.length, 0);
    const header = Buffer.allocUnsafe(HEADER_BYTES);
    header.writeUInt32LE(payloadBytes, 0);
    header.writeUInt32LE(message, 4);
    const socket = this.#socket;
    socket.cork();
    socket.write(header);
    pieces.forEach((piece, i) => {
      socket.write(piece, i === pieces.length - 1 ? accepted : undefined);
    });
    socket.uncork();
    return payloadBytes;
  }

  close(): void {
    this.#closed = true;
    this.#socket.destroy();
  }
}

/** Resolves once connected, with what ends the connection; `summed` sees every message, whole. */
export function receiveMessages(
  port: number,
  decoder: Decoder,
  summed: (message: number, payloadBytes: number) => void,
): Promise<() => void> {
  const { promise, resolve, reject } = Promise.withResolvers<() => void>();
  const header = Buffer.alloc(HEADER_BYTES);
  let inHeader = true;
  let filled = 0;
  const advance = (bytes: number): void => {
    filled += bytes;
    if (inHeader) {
      if (filled < HEADER_BYTES) return;
      inHeader = false;
      filled = 0;
      return;
    }
    const payloadBytes = header.readUInt32LE(0);
    if (filled < payloadBytes) return;
    summed(header.readUInt32LE(4), payloadBytes);
    inHeader = true;
    filled = 0;
    socket.write(Buffer.from(header.subarray(4, 4 + ACK_BYTES)));
  };
  const socket = connect({
    port,
    host: HOST,
    noDelay: true,
    onread: {
      buffer: () =>
        inHeader ? header.subarray(filled) : decoder.target(filled, header.readUInt32LE(0)),
      callback: (bytes) => {
        advance(bytes);
        return true;
      },
    },
  });
  socket.once('connect', () => resolve(() => socket.destroy()));
  socket.once('error', reject);
  return promise;
}
