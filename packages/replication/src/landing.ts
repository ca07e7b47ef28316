/** Reads of an accepted socket, landed in a buffer that its owner gives and uses again.
 *
 *  Node's 'data' events allocate 64 KiB per read, whatever arrives: a few thousand small reads a
 *  second keep its garbage collector marking all the time. `onread` avoids that, and is public on
 *  connections that one opens oneself; an accepted handle has to be wrapped anew. `canLandReads` is
 *  the check that Node's inside is as expected; without it use 'data'.
 *  Knows nothing of what the bytes mean. */
import { Socket, type SocketConstructorOpts } from 'node:net';

interface WithHandle {
  _handle: { useUserBuffer?: unknown } | null;
  _server?: unknown;
}

export function canLandReads(accepted: Socket): boolean {
  const handle = (accepted as unknown as WithHandle)._handle;
  return handle !== null && typeof handle?.useUserBuffer === 'function';
}

/** Takes over a socket that was accepted with `pauseOnConnect` and has not been read from.
 *  `landed`: so many bytes lie at the start of `buffer`, until it returns. */
export function landReads(
  accepted: Socket,
  buffer: Buffer,
  landed: (bytes: number) => void,
  allowHalfOpen = false,
): Socket {
  const old = accepted as unknown as WithHandle;
  const handle = old._handle;
  old._handle = null;
  const socket = new Socket({
    handle,
    allowHalfOpen,
    onread: {
      buffer,
      callback: (bytes: number): boolean => {
        landed(bytes);
        return true;
      },
    },
  } as unknown as SocketConstructorOpts);
  // The server counts its open sockets through this.
  (socket as unknown as WithHandle)._server = old._server;
  return socket;
}
