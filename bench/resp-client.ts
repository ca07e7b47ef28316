/** A client for the benchmark's own needs: preloading and INFO. Measured load comes from
 *  redis-benchmark. */

import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { ReplyScanner } from '../packages/node/src/resp/reply-scanner.ts';
import { encode } from '../packages/node/src/serving/peer-link.ts';

export class RespClient {
  private readonly socket: Socket;
  private readonly scanner: ReplyScanner = new ReplyScanner();
  private readonly replies: string[] = [];
  private wanted = 0;
  private onEnough: () => void = () => {};

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (data: Buffer) => {
      const { scanner } = this;
      scanner.push(data);
      while (scanner.next()) {
        this.replies.push(scanner.buffer.toString('latin1', scanner.start, scanner.end));
      }
      if (this.replies.length >= this.wanted) this.onEnough();
    });
  }

  static async connect(port: number): Promise<RespClient> {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    await once(socket, 'connect');
    return new RespClient(socket);
  }

  /** Sends the commands in one go and resolves with their encoded replies. */
  async send(commands: readonly (readonly string[])[]): Promise<string[]> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.wanted = commands.length;
    this.onEnough = resolve;
    this.socket.write(Buffer.concat(commands.map((command) => encode(command))));
    await promise;
    return this.replies.splice(0);
  }

  close(): void {
    this.socket.destroy();
  }
}
