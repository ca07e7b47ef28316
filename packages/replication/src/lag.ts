/** How far behind a follower is, in seconds: the age of the oldest redo that it has not acknowledged.
 *
 *  Remembers when which seq was sent, in at most `samplesMax` samples; with more in flight the newest are left out,
 *  which keeps the oldest, the one that counts. */

const samplesMax = 64;

export class LagClock {
  readonly #seqs: number[] = [];
  readonly #sentMs: number[] = [];

  sent(seq: number, nowMs: number): void {
    if (this.#seqs.length === samplesMax) return;
    this.#seqs.push(seq);
    this.#sentMs.push(nowMs);
  }

  acknowledged(seq: number): void {
    while (this.#seqs.length > 0 && this.#seqs[0] <= seq) {
      this.#seqs.shift();
      this.#sentMs.shift();
    }
  }

  get isBehind(): boolean {
    return this.#seqs.length > 0;
  }

  seconds(nowMs: number): number {
    return this.#sentMs.length === 0 ? 0 : Math.max(0, nowMs - this.#sentMs[0]) / 1_000;
  }
}
