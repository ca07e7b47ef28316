/** Replies of one bare connection, in order: simple strings, errors and integers as text, bulk strings as bytes,
 *  null for what is absent. */
import type { Socket } from 'node:net';

export type Reply = Buffer | string | null;

const CRLF = Buffer.from('\r\n');

export class ReplyReader {
  readonly #replies: Reply[] = [];
  #rest: Buffer = Buffer.alloc(0);
  #waiting: { count: number; resolve: (replies: Reply[]) => void } | null = null;
  readonly #closed = Promise.withResolvers<never>();

  constructor(socket: Socket) {
    socket.on('data', (bytes: Buffer) => this.#push(bytes));
    socket.on('error', () => undefined);
    socket.once('close', () => this.#closed.reject(new Error('the node closed the connection')));
    this.#closed.promise.catch(() => undefined);
  }

  /** The next replies; rejects when the connection ends before. */
  take(count: number): Promise<Reply[]> {
    const { promise, resolve } = Promise.withResolvers<Reply[]>();
    this.#waiting = { count, resolve };
    this.#serve();
    return Promise.race([promise, this.#closed.promise]);
  }

  #push(bytes: Buffer): void {
    this.#rest = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    let at = 0;
    for (;;) {
      const end = this.#parse(at);
      if (end === -1) break;
      at = end;
    }
    this.#rest = this.#rest.subarray(at);
    this.#serve();
  }

  /** Where the reply that begins at `at` ends; -1 where it is not whole. */
  #parse(at: number): number {
    const line = this.#rest.indexOf(CRLF, at);
    if (line === -1) return -1;
    const text = this.#rest.toString('latin1', at + 1, line);
    const end = line + 2;
    if (this.#rest[at] !== 0x24) {
      this.#replies.push(text);
      return end;
    }
    const bytes = Number(text);
    if (bytes === -1) {
      this.#replies.push(null);
      return end;
    }
    if (this.#rest.length < end + bytes + 2) return -1;
    this.#replies.push(Buffer.from(this.#rest.subarray(end, end + bytes)));
    return end + bytes + 2;
  }

  #serve(): void {
    if (this.#waiting === null || this.#replies.length < this.#waiting.count) return;
    const { count, resolve } = this.#waiting;
    this.#waiting = null;
    resolve(this.#replies.splice(0, count));
  }
}
