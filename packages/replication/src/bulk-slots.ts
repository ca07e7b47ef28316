/** At most `bulksMax` bulks at once per node: a waiting line with a fixed number of places. */

export const bulksMax = 4;

/** Bulks of one node, at this moment. */
export interface BulkCounts {
  readonly running: number;
  readonly waiting: number;
}

export class BulkSlots<T> {
  readonly #running = new Set<T>();
  readonly #waiting: T[] = [];
  readonly #grant: (holder: T) => void;

  /** `grant` runs inside `request` or `release`, once per request. */
  constructor(grant: (holder: T) => void) {
    this.#grant = grant;
  }

  get running(): number {
    return this.#running.size;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  request(holder: T): void {
    if (this.#running.has(holder)) this.#grant(holder);
    else if (this.#running.size < bulksMax) {
      this.#running.add(holder);
      this.#grant(holder);
    } else this.#waiting.push(holder);
  }

  /** The bulk is over, or its connection is. */
  release(holder: T): void {
    const waiting = this.#waiting.indexOf(holder);
    if (waiting !== -1) this.#waiting.splice(waiting, 1);
    if (!this.#running.delete(holder)) return;
    const next = this.#waiting.shift();
    if (next !== undefined) this.request(next);
  }
}
