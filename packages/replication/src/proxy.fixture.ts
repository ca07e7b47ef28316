/** A TCP proxy for tests: passes bytes to a primary and can cut or stall the link at a given byte. */
import { connect, createServer, type Server, type Socket } from 'node:net';

export class TestProxy {
  readonly #targetPort: number;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  /** Bytes from the primary after which connections are cut; for one connection. */
  cutAfterBytes: number = Number.POSITIVE_INFINITY;
  /** While set, nothing is read from the primary. */
  stalled = false;
  /** While set, new connections are ended at once. */
  down = false;
  bytesFromPrimary = 0;
  cuts = 0;

  constructor(targetPort: number) {
    this.#targetPort = targetPort;
    this.#server = createServer((follower) => this.#pass(follower));
  }

  async listen(): Promise<number> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    const address = this.#server.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  }

  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  resume(): void {
    this.stalled = false;
    for (const socket of this.#sockets) socket.resume();
  }

  async close(): Promise<void> {
    this.cut();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  #pass(follower: Socket): void {
    if (this.down) return void follower.destroy();
    const primary = connect(this.#targetPort, '127.0.0.1');
    const both = [follower, primary];
    for (const socket of both) {
      this.#sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => {
        this.#sockets.delete(socket);
        for (const other of both) other.destroy();
      });
    }
    follower.on('data', (bytes: Buffer) => primary.write(bytes));
    primary.on('data', (bytes: Buffer) => {
      this.bytesFromPrimary += bytes.length;
      follower.write(bytes);
      if (this.stalled) primary.pause();
      if (this.bytesFromPrimary < this.cutAfterBytes) return;
      this.cutAfterBytes = Number.POSITIVE_INFINITY;
      this.cuts++;
      follower.destroySoon();
      primary.destroy();
    });
  }
}
