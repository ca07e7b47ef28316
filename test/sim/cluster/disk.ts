/** A simulated file that holds one value: what is written is there at once, and durable only after a flush.
 *  A crash loses what was not flushed, or keeps a beginning of it. */
import type { Random } from '../../../packages/replication/src/random.fixture.ts';

const flushMsMax = 12;

/** Calls back on the process that writes; a dead one is not called. */
export type Later = (delayMs: number, then: () => void) => () => void;

export class SimDisk<Value> {
  readonly #random: Random;
  #durable: Value | null = null;
  /** Written and not flushed, the oldest first. */
  #pending: Value[] = [];
  flushCount = 0;

  constructor(random: Random) {
    this.#random = random;
  }

  read(): Value | null {
    return this.#pending.at(-1) ?? this.#durable;
  }

  write(value: Value): void {
    this.#pending.push(value);
  }

  /** Resolves once everything written so far is durable. */
  flushed(later: Later): Promise<void> {
    const upTo = this.#pending.at(-1);
    return new Promise((resolve) => {
      later(this.#random.next() * flushMsMax, () => {
        this.#settle(upTo);
        this.flushCount++;
        resolve();
      });
    });
  }

  #settle(upTo: Value | undefined): void {
    const at = upTo === undefined ? -1 : this.#pending.lastIndexOf(upTo);
    if (at < 0) return;
    this.#durable = this.#pending[at];
    this.#pending.splice(0, at + 1);
  }

  /** A process that ends in order leaves nothing behind. */
  close(): void {
    this.#settle(this.#pending.at(-1));
  }

  crash(): void {
    const kept = this.#random.chance(0.3) ? this.#random.below(this.#pending.length + 1) : 0;
    if (kept > 0) this.#durable = this.#pending[kept - 1];
    this.#pending = [];
  }

  /** It holds this from the beginning. */
  found(value: Value): void {
    this.#durable = value;
  }

  wipe(): void {
    this.#durable = null;
    this.#pending = [];
  }
}
