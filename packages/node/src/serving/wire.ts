/** Bytes in and out of one accepted socket: the only file that knows how Node's sockets work
 *  inside.
 *
 *  Reading: Node's 'data' events allocate a 64 KiB buffer per read and walk the stream machinery, 1
 *  to 2 us that a GET does not otherwise cost. Where the runtime allows it, the accepted handle is
 *  wrapped anew with `onread`, and every connection of a worker reads into the same buffer: a batch
 *  is done before the next read can start. `canLandReads` is the check; 'data' is the fallback.
 *  Where the handle also shows its own callback, bytes are taken there.
 *
 *  Writing: one write per batch, from a buffer that is used again at once when the kernel took all
 *  of it, which is nearly always. When it did not, the buffer is the socket's until `onDrain`, and
 *  `write` says so. socket.write costs about 1 us of stream bookkeeping that a batch has no use
 *  for, so the handle is asked directly where its interface is as expected (see
 *  direct-write.ts). */

import type { Buffer } from 'node:buffer';
import type { Socket } from 'node:net';
import {
  canLandReads,
  DirectWriter,
  landReads,
  STREAM_STATE,
  type WritableHandle,
} from '@ingot/replication';

export interface WireEvents {
  /** `buffer[0 .. bytes)` arrived; valid during the call only. */
  onBytes(buffer: Buffer, bytes: number): void;
  /** Nothing that was written is needed any more: the kernel has it or, where the socket is gone, nobody will. */
  onDrain(): void;
  /** The other side will send nothing more. */
  onEnd(): void;
  onClose(): void;
}

/** What is relied on of a handle beyond Node's documented interface. */
interface Handle extends WritableHandle {
  /** Called with each read; how much it was is in internal state (`STREAM_STATE`), and in the growth of
   *  bytesRead. */
  onread?: (this: Handle, data: unknown) => unknown;
  readonly bytesRead?: number;
}

interface WithHandle {
  _handle: Handle | null;
}

const KEEP_ALIVE_MS = 300_000;

export class Wire {
  private readonly socket: Socket;
  private readonly direct: DirectWriter | null;
  private readonly events: WireEvents;
  /** Writes that were not taken at once. */
  private due = 0;
  private paused = false;

  /** Takes over a socket that was accepted with `pauseOnConnect`. */
  constructor(accepted: Socket, receiveBuffer: Buffer, events: WireEvents) {
    const socket = canLandReads(accepted)
      ? rewrap(accepted, receiveBuffer, events)
      : receiveByEvents(accepted, events);
    socket.setNoDelay(true);
    socket.setKeepAlive(true, KEEP_ALIVE_MS);
    socket.on('end', () => events.onEnd());
    socket.on('close', () => events.onClose());
    // A broken connection is the client's business: 'close' follows and cleans up.
    socket.on('error', () => socket.destroy());
    this.socket = socket;
    this.events = events;
    this.direct = DirectWriter.forSocket(socket, (status) => {
      if (status < 0) socket.destroy();
      this.wrote();
    });
  }

  /** Nothing more can leave. */
  get gone(): boolean {
    return this.socket.destroyed;
  }

  /** False when the kernel did not take all: the view's memory then belongs to the socket until
   *  `onDrain`. */
  write(view: Buffer): boolean {
    const { socket, direct } = this;
    if (socket.destroyed) return true;
    if (direct?.ready !== true) return this.writeToStream([view]);
    return this.outcome(direct.write(view));
  }

  /** As `write`, of several pieces at once. */
  writePieces(pieces: readonly Buffer[]): boolean {
    const { socket, direct } = this;
    if (socket.destroyed) return true;
    if (direct?.ready !== true) return this.writeToStream(pieces);
    return this.outcome(direct.writePieces(pieces));
  }

  private outcome(taken: boolean | null): boolean {
    if (taken === null) this.socket.destroy();
    if (taken !== false) return true;
    this.due++;
    return false;
  }

  private writeToStream(pieces: readonly Buffer[]): boolean {
    const { socket } = this;
    let left = pieces.length;
    let taken = false;
    const wrote = (): void => {
      left--;
      if (left === 0 && !taken) this.wrote();
    };
    socket.cork();
    for (const piece of pieces) socket.write(piece, wrote);
    socket.uncork();
    taken = socket.writableLength === 0;
    if (!taken) this.due++;
    return taken;
  }

  private wrote(): void {
    this.due--;
    if (this.due === 0) this.events.onDrain();
  }

  /** Of what was written, what the kernel has not taken. */
  get unsentBytes(): number {
    const { direct, socket } = this;
    return direct?.ready === true ? direct.unsentBytes : socket.writableLength;
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

function rewrap(accepted: Socket, receiveBuffer: Buffer, events: WireEvents): Socket {
  const landed = (bytes: number): void => events.onBytes(receiveBuffer, bytes);
  const socket = landReads(accepted, receiveBuffer, landed, true);
  const handle = (socket as unknown as WithHandle)._handle;
  if (handle !== null) interceptReads(handle, receiveBuffer, events);
  return socket;
}

/** Takes bytes where the handle delivers them, without the stream's timers and state in between
 *  (0.3 us per read). A call that brought no bytes is an end or an error: the stream's business. */
function interceptReads(handle: Handle, receiveBuffer: Buffer, events: WireEvents): void {
  const streamOnRead = handle.onread;
  if (typeof streamOnRead !== 'function' || handle.bytesRead !== 0) return;
  let seen = 0;
  handle.onread = function onread(this: Handle, data: unknown): unknown {
    let bytes: number;
    if (STREAM_STATE !== null) {
      bytes = STREAM_STATE.words[STREAM_STATE.readBytes];
    } else {
      const total = this.bytesRead as number;
      bytes = total - seen;
      seen = total;
    }
    if (bytes <= 0) return streamOnRead.call(this, data);
    events.onBytes(receiveBuffer, bytes);
    return undefined;
  };
}

function receiveByEvents(accepted: Socket, events: WireEvents): Socket {
  accepted.on('data', (data: Buffer) => events.onBytes(data, data.length));
  accepted.resume();
  return accepted;
}
