/** The ports for clients while a node reads its checkpoints: whoever comes is told so, once, and sent away to come again.
 *
 *  Over HTTP the node is alive, and not ready: whoever watches it does not end a long load.
 *  Owner: the main thread, before there are workers. A port that cannot be opened is left to the workers, which say so.
 *  Invariant: all of it is closed before the workers listen on the same ports. */
import type { Server as HttpServer } from 'node:http';
import { createServer, type Server, type Socket } from 'node:net';
import { listenHttp } from '../metrics/http.ts';

/** What a client sends before it reads goes on for a moment: an early end would take the reply with it. */
const LINGER_MS = 200;

export class LoadingDoors {
  readonly #servers: Server[] = [];
  readonly #sockets = new Set<Socket>();
  #http: HttpServer | null = null;
  #percent = 0;

  /** Resolves when those that can be opened are. */
  async open(host: string, ports: readonly number[]): Promise<void> {
    await Promise.all(ports.map((port) => this.#listen(host, port)));
  }

  /** As `open`, for /healthz and /readyz. */
  async openHttp(host: string, port: number): Promise<void> {
    const routes = {
      contentType: 'text/plain; charset=utf-8',
      metrics: () => Promise.reject(new Error('the node is loading')),
      notReady: () => [`loading ${this.#percent} %`],
      flip: null,
    };
    this.#http ??= await listenHttp(routes, host, port).catch(() => null);
  }

  /** The port is free when it resolves. */
  async closeHttp(): Promise<void> {
    const http = this.#http;
    if (http === null) return;
    this.#http = null;
    const { promise, resolve } = Promise.withResolvers<void>();
    http.close(() => resolve());
    http.closeAllConnections();
    await promise;
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
