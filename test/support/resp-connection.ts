/** A bare TCP connection to a RESP port: sends the bytes it is given and keeps the bytes it gets. For
 *  input that no client library would send, and for filling a node faster than one would. */
import { connect, type Socket } from 'node:net';
import { eventually, within } from './eventually.ts';

const ANSWER_WITHIN_MS = 10_000;

export class RespConnection {
  readonly closed: Promise<void>;
  #received: Buffer = Buffer.alloc(0);
  #isClosed = false;
  readonly #socket: Socket;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (bytes) => {
      this.#received = Buffer.concat([this.#received, bytes]);
    });
    // A node that closes while bytes are still on their way resets the connection.
    socket.on('error', () => undefined);
    this.closed = new Promise((resolve) => {
      socket.once('close', () => {
        this.#isClosed = true;
        resolve();
      });
    });
  }

  static open(port: number, host = '127.0.0.1'): Promise<RespConnection> {
    return new Promise((resolve, reject) => {
      const socket = connect({ port, host, noDelay: true });
      socket.once('error', reject);
      socket.once('connect', () => resolve(new RespConnection(socket)));
    });
  }

  get received(): string {
    return this.#received.toString('latin1');
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Resolves when the kernel has taken the bytes, or the connection is gone. */
  send(bytes: string | Buffer): Promise<void> {
    return new Promise((resolve) => {
      if (this.#isClosed) resolve();
      else this.#socket.write(bytes, () => resolve());
    });
  }

  /** No more from this side; the other may go on. */
  finish(): void {
    this.#socket.end();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  /** Sends a command and waits until `text` has come back. */
  async ask(command: string, text: string): Promise<void> {
    const from = this.#received.length;
    await this.send(command);
    await eventually(
      `"${text}" comes back, after ${JSON.stringify(this.received.slice(0, 200))}`,
      () => this.#received.includes(text, from),
      { withinMs: ANSWER_WITHIN_MS, everyMs: 2 },
    );
  }

  /** All that came until the other side closed. */
  async untilClosed(): Promise<string> {
    await within('the node closes the connection', ANSWER_WITHIN_MS, this.closed);
    return this.received;
  }
}

/** `*n` form of a command. */
export function encode(...words: (string | Buffer)[]): Buffer {
  const parts: Buffer[] = [Buffer.from(`*${words.length}\r\n`)];
  for (const word of words) {
    const bytes = Buffer.from(word);
    parts.push(Buffer.from(`$${bytes.length}\r\n`), bytes, Buffer.from('\r\n'));
  }
  return Buffer.concat(parts);
}

/** Writes `count` keys through one connection, as many bytes under way as the socket takes. Every
 *  reply must be +OK. */
export async function fill(
  port: number,
  count: number,
  entry: (i: number) => readonly [key: string | Buffer, value: string | Buffer],
): Promise<void> {
  const socket = connect({ port, host: '127.0.0.1' });
  const done = Promise.withResolvers<void>();
  let replies = 0;
  let rest = '';
  socket.on('error', done.reject);
  socket.on('close', () => done.reject(new Error(`closed after ${replies} of ${count} replies`)));
  socket.on('data', (bytes) => {
    const lines = (rest + bytes.toString('latin1')).split('\r\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      if (line !== '+OK') done.reject(new Error(`reply ${replies}: ${line}`));
      replies++;
    }
    if (replies === count) done.resolve();
  });
  const writing = (async () => {
    for (let i = 0; i < count && !socket.destroyed; i++) {
      const [key, value] = entry(i);
      if (!socket.write(encode('SET', key, value))) await drained(socket);
    }
  })();
  try {
    await Promise.all([writing, done.promise]);
  } finally {
    socket.destroy();
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
