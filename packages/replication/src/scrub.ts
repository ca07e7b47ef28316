/** The scrub: every chunk in use of every partition that is led here is compared with its followers once per round.
 *
 *  A pure machine: it says which chunk is to be marked next, and when. A round walks the partitions by id, each from its
 *  first chunk to the last, evenly over `everyMs`, but never faster than `bytesPerSecondMax`; where that takes longer the
 *  next round begins at once. After a pause (a busy node, a stopped clock) it does not hurry by more than a second's worth.
 *  Owner: the hub. Knows nothing of markers and answers: see `Inspection`. */
import { CHUNK_BYTES } from '@ingot/store';

export interface ScrubOptions {
  /** One round takes so long. */
  readonly everyMs: number;
  readonly bytesPerSecondMax: number;
}

/** A partition that is led here and has somebody to compare with. */
export interface ScrubTarget {
  readonly partition: number;
  /** Chunks in use. */
  readonly chunkCount: number;
}

export interface ScrubMark {
  readonly partition: number;
  readonly chunk: number;
}

export interface ScrubProgress {
  /** Rounds that have ended. */
  readonly rounds: number;
  /** Of the round under way; chunks that were looked at, and all of them. */
  readonly chunksDone: number;
  readonly chunksTotal: number;
  /** 0: no round has ended. */
  readonly lastRoundMs: number;
}

export const scrubBytesPerSecondMax: number = 64 * 1_048_576;
const hurryMaxMs = 1_000;

export class Scrub {
  readonly #everyMs: number;
  readonly #intervalMinMs: number;
  readonly #targets: () => readonly ScrubTarget[];
  /** Where the walk is: nothing below has to be looked at in this round. */
  #partition = -1;
  #chunk = 0;
  #roundStartMs = Number.NEGATIVE_INFINITY;
  #walking = false;
  #nextMs = Number.NEGATIVE_INFINITY;
  #rounds = 0;
  #chunksDone = 0;
  #chunksLeft = 0;
  #lastRoundMs = 0;

  /** `targets` is asked anew whenever the walk comes to another partition. */
  constructor(options: ScrubOptions, targets: () => readonly ScrubTarget[]) {
    this.#everyMs = options.everyMs;
    this.#intervalMinMs = (CHUNK_BYTES * 1_000) / options.bytesPerSecondMax;
    this.#targets = targets;
  }

  get progress(): ScrubProgress {
    return {
      rounds: this.#rounds,
      chunksDone: this.#chunksDone,
      chunksTotal: this.#chunksDone + this.#chunksLeft,
      lastRoundMs: this.#lastRoundMs,
    };
  }

  /** The chunk to mark now, or null: not yet. */
  step(nowMs: number): ScrubMark | null {
    if (nowMs < this.#nextMs) return null;
    const targets = this.#targets();
    if (!this.#walking && !this.#beginRound(targets, nowMs)) return null;
    const target = targets.find(({ partition, chunkCount }) =>
      partition === this.#partition ? this.#chunk < chunkCount : partition > this.#partition,
    );
    if (target === undefined) {
      this.#endRound(nowMs);
      return null;
    }
    if (target.partition !== this.#partition) this.#chunk = 0;
    this.#partition = target.partition;
    const mark = { partition: target.partition, chunk: this.#chunk++ };
    this.#chunksDone++;
    this.#chunksLeft = this.#leftOf(targets);
    const leftMs = this.#roundStartMs + this.#everyMs - this.#nextMs;
    const intervalMs = Math.max(leftMs / (this.#chunksLeft + 1), this.#intervalMinMs);
    this.#nextMs = Math.max(this.#nextMs + intervalMs, nowMs - hurryMaxMs);
    return mark;
  }

  /** False: there is nothing to compare. */
  #beginRound(targets: readonly ScrubTarget[], nowMs: number): boolean {
    if (targets.length === 0) return false;
    this.#walking = true;
    this.#roundStartMs = nowMs;
    this.#nextMs = nowMs;
    this.#partition = -1;
    this.#chunk = 0;
    this.#chunksDone = 0;
    return true;
  }

  #endRound(nowMs: number): void {
    this.#walking = false;
    this.#rounds++;
    this.#chunksLeft = 0;
    this.#lastRoundMs = nowMs - this.#roundStartMs;
    this.#nextMs = Math.max(nowMs, this.#roundStartMs + this.#everyMs);
  }

  #leftOf(targets: readonly ScrubTarget[]): number {
    let left = 0;
    for (const { partition, chunkCount } of targets) {
      if (partition > this.#partition) left += chunkCount;
      else if (partition === this.#partition) left += Math.max(0, chunkCount - this.#chunk);
    }
    return left;
  }
}
