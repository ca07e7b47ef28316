/** One connection that sends batches of commands and cuts the replies apart, undecoded: for comparing
 *  two servers byte by byte. */
import { connect, type Socket } from 'node:net';
import { once } from 'node:events';
import { ReplyScanner } from '../../packages/node/src/resp/reply-scanner.ts';
import { encode } from '../support/resp-connection.ts';
import type { Words } from './words.ts';

export class Conversation {
  readonly #socket: Socket;

  private constructor(socket: Socket) {
    this.#socket = socket;
  }

  static async open(port: number): Promise<Conversation> {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    await once(socket, 'connect');
    // Whoever asks hears that it is closed.
    socket.on('error', () => socket.destroy());
    return new Conversation(socket);
  }

  /** Sends all commands at once; resolves with one encoded reply each, in order. */
  async ask(commands: readonly Words[]): Promise<Buffer[]> {
    const replies: Buffer[] = [];
    const scanner = new ReplyScanner();
    const done = Promise.withResolvers<void>();
    const receive = (bytes: Buffer): void => {
      scanner.push(bytes);
      while (scanner.next()) {
        replies.push(Buffer.from(scanner.buffer.subarray(scanner.start, scanner.end)));
      }
      if (scanner.invalid) done.reject(new Error(`no reply: ${bytes.toString('latin1')}`));
      if (replies.length >= commands.length) done.resolve();
    };
    const closed = (): void => done.reject(new Error(`closed after ${replies.length} replies`));
    this.#socket.on('data', receive).once('close', closed);
    this.#socket.write(Buffer.concat(commands.map((words) => encode(...words))));
    await done.promise.finally(() => this.#socket.off('data', receive).off('close', closed));
    return replies;
  }

  close(): void {
    this.#socket.destroy();
  }
}
