/** Who waits until a follower holds a consistent copy up to some seq. */
import type { Timers } from './timers.ts';

interface Waiter {
  readonly seq: number;
  readonly resolve: (reached: boolean) => void;
}

export class AckWaiters {
  readonly #timers: Timers;
  readonly #acked = new Map<string, number>();
  readonly #waiting = new Map<string, Set<Waiter>>();

  constructor(timers: Timers) {
    this.#timers = timers;
  }

  /** Resolves true once acknowledged, false after `timeoutMs`. */
  async wait(key: string, seq: number, timeoutMs: number): Promise<boolean> {
    if ((this.#acked.get(key) ?? -1) >= seq) return true;
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const waiter = { seq, resolve };
    const waiting = this.#waiting.get(key) ?? new Set();
    this.#waiting.set(key, waiting.add(waiter));
    const callOff = this.#timers.later(timeoutMs, () => resolve(false));
    const reached = await promise;
    callOff();
    waiting.delete(waiter);
    return reached;
  }

  acknowledged(key: string, seq: number): void {
    this.#acked.set(key, seq);
    for (const waiter of this.#waiting.get(key) ?? []) {
      if (waiter.seq <= seq) waiter.resolve(true);
    }
  }

  /** The follower's connection is gone: what it had acknowledged no longer counts. */
  forget(key: string): void {
    this.#acked.delete(key);
  }

  close(): void {
    for (const waiting of this.#waiting.values()) {
      for (const waiter of waiting) waiter.resolve(false);
    }
  }
}
