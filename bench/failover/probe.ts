/** One write after the other on one key, over a connection of its own to a client port: each with the time it took
 *  and how it was answered. A connection that is lost is opened again. */

import { connect } from 'node:net';
import { encode } from '../../packages/node/src/serving/peer-link.ts';

export interface Answer {
  /** performance.now() */
  readonly sentMs: number;
  readonly answeredMs: number;
  /** `+OK`, an error with its dash, or `closed`. */
  readonly reply: string;
}

const AGAIN_MS = 2;

export class Probe {
  readonly #port: number;
  readonly #command: Buffer;
  readonly #pauseMs: number;
  readonly #onAnswer: (answer: Answer) => void;
  readonly #ended = Promise.withResolvers<void>();
  #stopped = false;

  /** `pauseMs` between an answer and the next write. */
  constructor(port: number, key: string, pauseMs: number, onAnswer: (answer: Answer) => void) {
    this.#port = port;
    this.#command = encode(['SET', key, 'x'.repeat(64)]);
    this.#pauseMs = pauseMs;
    this.#onAnswer = onAnswer;
    this.#open();
  }

  /** Resolves when the write that is under way is answered. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#ended.promise;
  }

  #open(): void {
    let sentMs: number | null = null;
    const socket = connect({ port: this.#port, host: '127.0.0.1', noDelay: true });
    const next = (): void => {
      if (this.#stopped) {
        socket.destroy();
        return;
      }
      sentMs = performance.now();
      socket.write(this.#command);
    };
    socket.on('connect', next);
    socket.on('data', (bytes) => {
      if (sentMs === null) return;
      this.#onAnswer({ sentMs, answeredMs: performance.now(), reply: bytes.toString().trimEnd() });
      sentMs = null;
      if (this.#pauseMs === 0) next();
      else setTimeout(next, this.#pauseMs);
    });
    socket.on('error', () => undefined);
    socket.once('close', () => {
      if (sentMs !== null) {
        this.#onAnswer({ sentMs, answeredMs: performance.now(), reply: 'closed' });
      }
      if (this.#stopped) this.#ended.resolve();
      else setTimeout(() => this.#open(), AGAIN_MS);
    });
  }
}
