/** Writes to a TCP handle without the stream around it.
 *
 *  The handle's own `writeBuffer(request, bytes)` and `writev(request, pieces, true)` try a plain
 *  write(2) or writev(2) first, and only what the kernel did not take becomes an asynchronous request. Requests are objects of a class that Node
 *  does not export; it is learned from the first ordinary socket.write of the process. Nothing here
 *  is documented by Node, so each piece is checked, and without it `ready` stays false and callers
 *  write through the socket.
 *  Invariant: a request that went asynchronous is never used again, and holds its bytes; whether it
 *  did is what Node's own state says (stream-state.ts), else the request itself. */

import { STREAM_STATE, type StreamState } from './stream-state.ts';

interface WriteRequest {
  handle: unknown;
  buffer: Uint8Array | readonly Uint8Array[] | null;
  oncomplete: (status: number) => void;
  /** Below zero until the request is under way. */
  getAsyncId(): number;
}

export interface WritableHandle {
  writeBuffer?: (request: WriteRequest, bytes: Uint8Array) => number;
  /** `areBuffers`: no piece is text. */
  writev?: (request: WriteRequest, pieces: readonly Uint8Array[], areBuffers: true) => number;
  readonly writeQueueSize?: number;
}

type WriteRequestClass = new () => WriteRequest;

let requestClass: WriteRequestClass | null = null;

export class DirectWriter {
  private readonly handle: Required<WritableHandle>;
  private readonly onComplete: (status: number) => void;
  private readonly state: StreamState | null;
  private request: WriteRequest | null = null;

  private constructor(
    handle: Required<WritableHandle>,
    onComplete: (status: number) => void,
    state: StreamState | null,
  ) {
    this.handle = handle;
    this.onComplete = onComplete;
    this.state = state;
  }

  /** Null where the socket's handle does not look as expected. `onComplete` gets the status of a
   *  write that the kernel did not take at once: below zero it failed. */
  static forSocket(
    socket: object,
    onComplete: (status: number) => void,
    state: StreamState | null = STREAM_STATE,
  ): DirectWriter | null {
    const { _handle: handle = null } = socket as { _handle?: WritableHandle | null };
    if (handle === null || typeof handle.writeBuffer !== 'function') return null;
    if (typeof handle.writev !== 'function') return null;
    if (typeof handle.writeQueueSize !== 'number') return null;
    if (requestClass === null) learnFrom(handle as Required<WritableHandle>);
    return new DirectWriter(handle as Required<WritableHandle>, onComplete, state);
  }

  get ready(): boolean {
    return requestClass !== null;
  }

  /** Of all writes on the handle, what the kernel has not taken. */
  get unsentBytes(): number {
    return this.handle.writeQueueSize;
  }

  /** True: the kernel took all. False: the rest leaves later, then `onComplete`. Null: it
   *  failed. */
  write(bytes: Uint8Array): boolean | null {
    const { handle } = this;
    this.request ??= this.newRequest();
    const { request } = this;
    return this.outcome(request, handle.writeBuffer(request, bytes), bytes);
  }

  /** As `write`, of several pieces, in order. */
  writePieces(pieces: readonly Uint8Array[]): boolean | null {
    const { handle } = this;
    this.request ??= this.newRequest();
    const { request } = this;
    return this.outcome(request, handle.writev(request, pieces, true), pieces);
  }

  private outcome(
    request: WriteRequest,
    error: number,
    bytes: Uint8Array | readonly Uint8Array[],
  ): boolean | null {
    if (error !== 0) return null;
    if (this.tookAll(request)) return true;
    request.buffer = bytes;
    this.request = null;
    return false;
  }

  private tookAll(request: WriteRequest): boolean {
    const { state } = this;
    if (state !== null) return state.words[state.lastWriteWasAsync] === 0;
    // The queue may be empty again, because the kernel took the rest a moment later: the request is
    // under way all the same, until it completes. Node ends the process where one is used twice.
    return this.handle.writeQueueSize === 0 && request.getAsyncId() < 0;
  }

  private newRequest(): WriteRequest {
    const request = new (requestClass as WriteRequestClass)();
    request.handle = this.handle;
    request.oncomplete = this.onComplete;
    return request;
  }
}

/** Looks at the request of the next ordinary write on this handle, once. */
function learnFrom(handle: Required<WritableHandle>): void {
  const own = handle as { writeBuffer?: Required<WritableHandle>['writeBuffer'] };
  const original = handle.writeBuffer;
  own.writeBuffer = (request, bytes) => {
    delete own.writeBuffer;
    const { constructor } = request as { constructor: unknown };
    const isKnown = (constructor as { name?: string }).name === 'WriteWrap';
    if (isKnown && typeof request.getAsyncId === 'function') {
      requestClass = constructor as WriteRequestClass;
    }
    return original.call(handle, request, bytes);
  };
}
