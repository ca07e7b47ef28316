/** Opens one listener of one worker.
 *  All workers bind the same port (`reusePort`), and the kernel spreads new connections over them.
 *  Where the platform has no such thing, the first worker alone listens and serves: fewer cores for
 *  commands, and nothing else changes. */

import { createServer, type Server, type Socket } from 'node:net';
import { IngotError, portInUse } from '../shared/errors.ts';
import type { ListenerKind } from './session.ts';

const BACKLOG = 1024;
const FLAGS: Readonly<Record<ListenerKind, string>> = {
  client: '--port',
  cluster: '--cluster-port',
  follower: '--follower-port',
};

/** Null when another worker listens for this one. */
export async function listenOn(
  kind: ListenerKind,
  host: string,
  port: number,
  workerIndex: number,
  accept: (socket: Socket) => void,
): Promise<Server | null> {
  try {
    return await open(host, port, true, accept);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EADDRINUSE') throw portInUse(FLAGS[kind], host, port);
    if (code !== 'ENOTSUP' && code !== 'EINVAL')
      throw cannotListen(error as Error, kind, host, port);
  }
  if (workerIndex > 0) return null;
  try {
    return await open(host, port, false, accept);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EADDRINUSE') throw portInUse(FLAGS[kind], host, port);
    throw cannotListen(error as Error, kind, host, port);
  }
}

function open(
  host: string,
  port: number,
  reusePort: boolean,
  accept: (socket: Socket) => void,
): Promise<Server> {
  const { promise, resolve, reject } = Promise.withResolvers<Server>();
  // Paused, so that no byte is read before the connection has its own way of reading.
  const server = createServer({ pauseOnConnect: true, allowHalfOpen: true }, accept);
  server.once('error', reject);
  server.listen({ host, port, backlog: BACKLOG, reusePort }, () => {
    server.removeListener('error', reject);
    resolve(server);
  });
  return promise;
}

function cannotListen(error: Error, kind: ListenerKind, host: string, port: number): IngotError {
  return new IngotError(
    'CANNOT_LISTEN',
    `cannot listen on ${host}:${port} (${error.message}); ` +
      `choose another with ${FLAGS[kind]} or --host`,
    4,
  );
}
