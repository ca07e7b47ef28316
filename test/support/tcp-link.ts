/** A TCP proxy between two nodes that can be cut and healed: one port of a node, reachable at another
 *  loopback address. Bytes pass unchanged; a cut resets what is open and refuses what is new. */
import { connect, createServer, type Server, type Socket } from 'node:net';

export class TcpLink {
  readonly #server: Server;
  readonly #pairs = new Set<Socket>();
  #isCut: boolean;

  private constructor(server: Server, isCut: boolean) {
    this.#server = server;
    this.#isCut = isCut;
  }

  /** Listens on `from` and passes to `to`, at once or not before `heal`. */
  static async open(
    from: { host: string; port: number },
    to: { host: string; port: number },
    { cut = false } = {},
  ): Promise<TcpLink> {
    const server = createServer({ allowHalfOpen: true });
    const link = new TcpLink(server, cut);
    server.on('connection', (socket) => link.#accept(socket, to));
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(from.port, from.host, resolve);
    });
    return link;
  }

  cut(): void {
    this.#isCut = true;
    for (const socket of this.#pairs) socket.resetAndDestroy();
  }

  heal(): void {
    this.#isCut = false;
  }

  close(): void {
    this.cut();
    this.#server.close();
  }

  #accept(incoming: Socket, to: { host: string; port: number }): void {
    if (this.#isCut) {
      incoming.resetAndDestroy();
      return;
    }
    const outgoing = connect({ ...to, allowHalfOpen: true });
    for (const [socket, other] of [
      [incoming, outgoing],
      [outgoing, incoming],
    ]) {
      this.#pairs.add(socket);
      socket.on('error', () => other.destroy());
      socket.once('close', () => {
        this.#pairs.delete(socket);
        other.destroy();
      });
      socket.setNoDelay(true);
      socket.pipe(other);
    }
  }
}
