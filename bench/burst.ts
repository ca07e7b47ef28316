/** A connection with its pipelines made beforehand, so that the client costs little: they are sent in turns, one under
 *  way at a time, and replies are counted by their bytes. */

import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

const MINUS = 0x2d;

export interface Pipelines {
  /** Each is one write. */
  readonly commands: readonly Buffer[];
  /** Of all replies to one of them. */
  readonly replyBytes: number;
}

export class Burst {
  readonly #socket: Socket;
  readonly #pipelines: Pipelines;
  readonly #from: number;
  #replyBytes = 0;
  #sent = 0;
  #rounds = 0;
  #done: PromiseWithResolvers<void> = Promise.withResolvers<void>();

  private constructor(socket: Socket, pipelines: Pipelines, from: number) {
    this.#socket = socket;
    this.#pipelines = pipelines;
    this.#from = from;
    this.#done.promise.catch(() => undefined);
    socket.on('data', (bytes) => this.#take(bytes));
    socket.once('close', () => this.#done.reject(new Error('the node closed the connection')));
  }

  /** Begins with pipeline `from` of those. `first` is a command that is answered with +OK. */
  static async open(
    port: number,
    pipelines: Pipelines,
    from: number,
    first?: Buffer,
  ): Promise<Burst> {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    await once(socket, 'connect');
    if (first !== undefined) {
      socket.write(first);
      const [reply] = (await once(socket, 'data')) as [Buffer];
      if (reply.toString() !== '+OK\r\n') throw new Error(`refused: ${reply.toString()}`);
    }
    return new Burst(socket, pipelines, from);
  }

  async run(rounds: number): Promise<void> {
    this.#done = Promise.withResolvers<void>();
    this.#replyBytes = 0;
    this.#sent = 0;
    this.#rounds = rounds;
    this.#next();
    await this.#done.promise;
  }

  close(): void {
    this.#done.promise.catch(() => undefined);
    this.#socket.destroy();
  }

  #next(): void {
    const { commands } = this.#pipelines;
    this.#socket.write(commands[(this.#from + this.#sent++) % commands.length]);
  }

  #take(bytes: Buffer): void {
    if (bytes.includes(MINUS)) this.#done.reject(new Error(`refused: ${bytes.toString()}`));
    this.#replyBytes += bytes.length;
    if (this.#replyBytes < this.#sent * this.#pipelines.replyBytes) return;
    if (this.#sent < this.#rounds) this.#next();
    else this.#done.resolve();
  }
}

/** All connections at once; returns how many pipelines were answered. */
export async function burst(bursts: readonly Burst[], pipelines: number): Promise<number> {
  const rounds = Math.ceil(pipelines / bursts.length);
  await Promise.all(bursts.map((one) => one.run(rounds)));
  return rounds * bursts.length;
}
