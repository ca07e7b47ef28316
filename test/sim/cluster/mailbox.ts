/** Messages to another thread of the same process: they arrive in order, each a moment later. */
import type { SimProcess } from './host.ts';

const underWayMsMax = 3;

export class Mailbox {
  readonly #process: SimProcess;
  #lastMs = 0;

  constructor(process: SimProcess) {
    this.#process = process;
  }

  post(message: () => void): void {
    const { random } = this.#process.host.world;
    const nowMs = this.#process.nowMs();
    this.#lastMs = Math.max(this.#lastMs + 0.002, nowMs + random.next() * underWayMsMax);
    this.#process.later(this.#lastMs - nowMs, message);
  }

  /** The answer comes by `back`. */
  ask<Answer>(back: Mailbox, question: () => Answer | Promise<Answer>): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const answer = async (): Promise<void> => {
        try {
          const given = await question();
          back.post(() => resolve(given));
        } catch (error) {
          back.post(() => reject(error));
        }
      };
      this.post(() => void answer());
    });
  }
}
