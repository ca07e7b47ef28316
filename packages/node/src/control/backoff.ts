/** How long to wait before the next attempt: doubles from one failure to the next, up to a
 *  bound. */
export class Backoff {
  readonly #firstMs: number;
  readonly #lastMs: number;
  #nextMs: number;

  constructor(firstMs: number, lastMs: number) {
    this.#firstMs = firstMs;
    this.#lastMs = lastMs;
    this.#nextMs = firstMs;
  }

  failed(): number {
    const waitMs = this.#nextMs;
    this.#nextMs = Math.min(2 * waitMs, this.#lastMs);
    return waitMs;
  }

  succeeded(): void {
    this.#nextMs = this.#firstMs;
  }
}
