/** A connection that is told bytes, in pieces, and hears what comes of them. */
import { Buffer } from 'node:buffer';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { within } from '../support/eventually.ts';
import type { Cuts } from './feeding.ts';

/** The other side hangs that has not closed by then. */
export const CLOSED_WITHIN_MS = 30_000;

export interface Exchange {
  /** All that came back. */
  readonly bytes: Buffer;
  /** The connection broke: not all of it may have come. */
  readonly reset: boolean;
}

/** `ends`: how the client ends it, once all is sent: says that it sends nothing more and hears what is due; waits for
 *  the other side to end it; or breaks it off. */
export type Ends = 'half' | 'waits' | 'breaks';

export async function exchange(
  port: number,
  bytes: Buffer,
  cuts: Cuts,
  ends: Ends = 'half',
  withinMs = CLOSED_WITHIN_MS,
): Promise<Exchange> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  const received: Buffer[] = [];
  let reset = false;
  socket.on('data', (data: Buffer) => received.push(data));
  // From the beginning: it may break as soon as it is there.
  socket.on('error', () => {
    reset = true;
  });
  await once(socket, 'connect');
  const closed = new Promise<void>((resolve) => void socket.once('close', () => resolve()));
  await tell(socket, bytes, cuts);
  if (ends === 'half') socket.end();
  if (ends === 'breaks') socket.resetAndDestroy();
  try {
    await within(
      `the node closes the connection after ${bytes.length} bytes in ${cuts.length} pieces`,
      withinMs,
      closed,
    );
  } finally {
    socket.destroy();
  }
  return { bytes: Buffer.concat(received), reset };
}

/** Each piece in a turn of its own of the event loop, and no faster than they are taken. */
async function tell(socket: Socket, bytes: Buffer, cuts: Cuts): Promise<void> {
  let from = 0;
  for (const end of cuts) {
    if (socket.destroyed || socket.closed) return;
    const taken = socket.write(bytes.subarray(from, end));
    if (taken) await nextTurn();
    else await drained(socket);
    from = end;
  }
}

function drained(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    const go = (): void => {
      socket.off('drain', go).off('close', go);
      resolve();
    };
    socket.on('drain', go).on('close', go);
  });
}
