/** The scrub: every chunk in use of every partition that is led here is compared with its followers once per round.
 *
 *  A pure machine: it says which chunk is to be marked next, and when. A round walks the partitions by id, each from its
 *  first chunk to the last, evenly over `everyMs`, but never faster than `bytesPerSecondMax`; where that takes longer the
 *  next round begins at once. A partition without anybody to compare with is put off, at last to the next round.
 *  After a pause (a busy node, a stopped clock) it does not hurry by more than a second's worth.
 *  Owner: the hub. Knows nothing of markers and answers: see `Inspection`. */
import { CHUNK_BYTES } from '@ingot/store';

export interface ScrubOptions {
  /** One round takes so long. */
  readonly everyMs: number;
  readonly bytesPerSecondMax: number;
}

/** A partition that is led here and has followers. */
export interface ScrubTarget {
  readonly partition: number;
  /** Chunks in use. */
  readonly chunkCount: number;
  /** None of the followers can answer now. */
  readonly waits?: boolean;
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
  /** Chunks of the last round that nobody could be asked about. */
  readonly lastRoundSkipped: number;
}

export const scrubBytesPerSecondMax: number = 64 * 1_048_576;
const hurryMaxMs = 1_000;

export class Scrub {
  readonly #everyMs: number;
  readonly #intervalMinMs: number;
  readonly #targets: () => readonly ScrubTarget[];
  /** The next chunk of each partition, in this round. */
  readonly #nextChunk = new Map<number, number>();
  /** The one that is walked. */
  #partition = -1;
  #roundStartMs = Number.NEGATIVE_INFINITY;
  #walking = false;
  #nextMs = Number.NEGATIVE_INFINITY;
  #rounds = 0;
  #chunksDone = 0;
  #chunksLeft = 0;
  #lastRoundMs = 0;
  #lastRoundSkipped = 0;

  /** `targets` is asked anew for every chunk; by id. */
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
      lastRoundSkipped: this.#lastRoundSkipped,
    };
  }

  /** The chunk to mark now, or null: not yet. */
  step(nowMs: number): ScrubMark | null {
    if (nowMs < this.#nextMs) return null;
    const targets = this.#targets();
    if (!this.#walking && !this.#beginRound(targets, nowMs)) return null;
    const due = targets.filter((target) => this.#positionOf(target) < target.chunkCount);
    const ready = due.filter(({ waits }) => waits !== true);
    this.#chunksLeft = due.reduce((sum, target) => sum + this.#leftOf(target), 0);
    const target = ready.find(({ partition }) => partition === this.#partition) ?? ready[0];
    if (target !== undefined) return this.#mark(target, nowMs);
    if (due.length === 0 || nowMs >= this.#roundStartMs + this.#everyMs) this.#endRound(nowMs);
    return null;
  }

  #mark(target: ScrubTarget, nowMs: number): ScrubMark {
    const { partition } = target;
    const chunk = this.#positionOf(target);
    this.#partition = partition;
    this.#nextChunk.set(partition, chunk + 1);
    this.#chunksDone++;
    this.#chunksLeft--;
    const leftMs = this.#roundStartMs + this.#everyMs - this.#nextMs;
    const intervalMs = Math.max(leftMs / (this.#chunksLeft + 1), this.#intervalMinMs);
    this.#nextMs = Math.max(this.#nextMs + intervalMs, nowMs - hurryMaxMs);
    return { partition, chunk };
  }

  /** False: there is nothing to compare, or nobody to compare with. */
  #beginRound(targets: readonly ScrubTarget[], nowMs: number): boolean {
    if (!targets.some(({ waits }) => waits !== true)) return false;
    this.#walking = true;
    this.#roundStartMs = nowMs;
    this.#nextMs = nowMs;
    this.#nextChunk.clear();
    this.#partition = -1;
    this.#chunksDone = 0;
    return true;
  }

  #endRound(nowMs: number): void {
    this.#walking = false;
    this.#rounds++;
    this.#lastRoundMs = nowMs - this.#roundStartMs;
    this.#lastRoundSkipped = this.#chunksLeft;
    this.#chunksLeft = 0;
    this.#nextMs = Math.max(nowMs, this.#roundStartMs + this.#everyMs);
  }

  #positionOf({ partition }: ScrubTarget): number {
    return this.#nextChunk.get(partition) ?? 0;
  }

  #leftOf(target: ScrubTarget): number {
    return target.chunkCount - this.#positionOf(target);
  }
}
