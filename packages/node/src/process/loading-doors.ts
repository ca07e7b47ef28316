/** The ports for clients while a node reads its checkpoints: whoever comes is told so, once, and sent away to come again.
 *
 *  Owner: the main thread, before there are workers. A port that cannot be opened is left to the workers, which say so.
 *  Invariant: all of it is closed before the workers listen on the same ports. */
import { createServer, type Server, type Socket } from 'node:net';

/** What a client sends before it reads goes on for a moment: an early end would take the reply with it. */
const LINGER_MS = 200;

export class LoadingDoors {
  readonly #servers: Server[] = [];
  readonly #sockets = new Set<Socket>();
  #percent = 0;

  /** Resolves when those that can be opened are. */
  async open(host: string, ports: readonly number[]): Promise<void> {
    await Promise.all(ports.map((port) => this.#listen(host, port)));
  }

  /** From 0 to 1. */
  progressed(share: number): void {
    this.#percent = Math.floor(share * 100);
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    const closed = this.#servers.splice(0).map((server) => {
      const { promise, resolve } = Promise.withResolvers<void>();
      server.close(() => resolve());
      return promise;
    });
    await Promise.all(closed);
  }

  #listen(host: string, port: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const server = createServer((socket) => this.#answer(socket));
    server.once('error', () => resolve());
    server.listen({ host, port }, () => {
      this.#servers.push(server);
      resolve();
    });
    return promise;
  }

  #answer(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('close', () => this.#sockets.delete(socket));
    socket.on('error', () => socket.destroy());
    socket.once('data', () => {
      socket.resume();
      socket.end(
        `-LOADING this node reads its checkpoints (${this.#percent} %): try again soon\r\n`,
      );
      setTimeout(() => socket.destroy(), LINGER_MS).unref();
    });
  }
}
