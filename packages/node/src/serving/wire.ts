/** Bytes in and out of one accepted socket: the only file that knows how Node's sockets work inside.
 *
 *  Reading: Node's 'data' events allocate a 64 KiB buffer per read and walk the stream machinery,
 *  1 to 2 us that a GET does not otherwise cost. Where the runtime allows it, the accepted handle is
 *  wrapped anew with `onread`, and every connection of a worker reads into the same buffer: a batch
 *  is done before the next read can start. `canLandReads` is the check; 'data' is the fallback.
 *
 *  Writing: one socket.write per batch, from a buffer that is used again at once when the kernel
 *  took all of it, which is nearly always. When it did not, the buffer is the socket's until
 *  `onDrain`, and `write` says so. */

import type { Buffer } from 'node:buffer';
import { Socket, type SocketConstructorOpts } from 'node:net';

export interface WireEvents {
  /** `buffer[0 .. bytes)` arrived; valid during the call only. */
  onBytes(buffer: Buffer, bytes: number): void;
  /** Everything written has been taken by the kernel. */
  onDrain(): void;
  /** The other side will send nothing more. */
  onEnd(): void;
  onClose(): void;
}

/** What is relied on of a handle beyond Node's documented interface. */
interface Handle {
  useUserBuffer?: (buffer: Uint8Array) => void;
  reading?: boolean;
}

interface WithHandle {
  _handle: Handle | null;
  _server?: unknown;
}

const KEEP_ALIVE_MS = 300_000;

export class Wire {
  private readonly socket: Socket;
  private paused = false;

  /** Takes over a socket that was accepted with `pauseOnConnect`. */
  constructor(accepted: Socket, receiveBuffer: Buffer, events: WireEvents) {
    const socket = canLandReads(accepted)
      ? rewrap(accepted, receiveBuffer, events)
      : receiveByEvents(accepted, events);
    socket.setNoDelay(true);
    socket.setKeepAlive(true, KEEP_ALIVE_MS);
    socket.on('drain', () => events.onDrain());
    socket.on('end', () => events.onEnd());
    socket.on('close', () => events.onClose());
    // A broken connection is the client's business: 'close' follows and cleans up.
    socket.on('error', () => socket.destroy());
    this.socket = socket;
  }

  /** False when the kernel did not take all: `buffer` then belongs to the socket, for good, and
   *  `onDrain` follows. */
  write(buffer: Buffer, bytes: number): boolean {
    const socket = this.socket;
    if (socket.destroyed) return true;
    socket.write(buffer.subarray(0, bytes));
    return socket.writableLength === 0;
  }

  pause(): void {
    if (this.paused) return;
    this.paused = true;
    this.socket.pause();
  }

  resume(): void {
    if (!this.paused) return;
    this.paused = false;
    this.socket.resume();
  }

  /** Closes once everything written has left. */
  end(): void {
    this.socket.end(() => this.socket.destroy());
  }

  destroy(): void {
    this.socket.destroy();
  }
}

/** `host:port` of both ends, as CLIENT LIST shows them. */
export function addressesOf(socket: Socket): { remote: string; local: string } {
  return {
    remote: hostPort(socket.remoteAddress, socket.remotePort),
    local: hostPort(socket.localAddress, socket.localPort),
  };
}

function hostPort(host: string | undefined, port: number | undefined): string {
  if (host === undefined || port === undefined) return '?:0';
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

function canLandReads(socket: Socket): boolean {
  const handle = (socket as unknown as WithHandle)._handle;
  return handle !== null && typeof handle?.useUserBuffer === 'function';
}

function rewrap(accepted: Socket, receiveBuffer: Buffer, events: WireEvents): Socket {
  const old = accepted as unknown as WithHandle;
  const handle = old._handle;
  old._handle = null;
  const socket = new Socket({
    handle,
    allowHalfOpen: true,
    onread: {
      buffer: receiveBuffer,
      callback: (bytes: number, buffer: Uint8Array): boolean => {
        events.onBytes(buffer as Buffer, bytes);
        return true;
      },
    },
  } as unknown as SocketConstructorOpts);
  // The server counts its open sockets through this.
  (socket as unknown as WithHandle)._server = old._server;
  return socket;
}

function receiveByEvents(accepted: Socket, events: WireEvents): Socket {
  accepted.on('data', (data: Buffer) => events.onBytes(data, data.length));
  accepted.resume();
  return accepted;
}
