/** What a copy that is being made from nothing has got so far: enough to go on from there, elsewhere.
 *
 *  Owner: the follower's side, one per copy. Begins with a full bulk and is over once the copy is consistent; lost with the process.
 *  Why it holds: R0 was read before the first chunk. A chunk that landed whole, and has not changed in or after the
 *  generation of R0, was not written to while it was sent: it is what it is at any source of the same epoch that is as
 *  far as the copy's sources were. All others are sent again: those that changed since, by the source's stamps or the
 *  copy's own, and those that did not land, which offer LANDED_SINCE_BASE.
 *  Never more than an offer: the copy stays without a base, and nobody may read or promote it.
 *  At another epoch it says nothing: what landed may hold changes that are lost, and under no stamp. */
import { LANDED_SINCE_BASE, type Partition } from '@ingot/store';
import type { Hello } from './hello.ts';

export class Resumption {
  readonly epoch: number;
  /** R0, and its generation. */
  readonly seq: number;
  readonly generation: number;
  readonly #landed: Uint8Array;

  constructor(epoch: number, seq: number, generation: number, chunkCount: number) {
    this.epoch = epoch;
    this.seq = seq;
    this.generation = generation;
    this.#landed = new Uint8Array(chunkCount);
  }

  /** Bytes of the chunk are about to land, or all of them have. */
  note(chunk: number, whole: boolean): void {
    if (chunk < this.#landed.length) this.#landed[chunk] = whole ? 1 : 0;
  }

  /** What the copy may offer at this epoch, to a source that is at `atLeastSeq` or further; null: nothing. The primary had
   *  committed `atLeastSeq` after the last byte had landed, so no byte is of a later change. */
  offer(
    partition: Partition,
    epoch: number,
    atLeastSeq: number,
  ): Pick<Hello, 'base' | 'history' | 'stamps'> | null {
    // The history is in the first chunk.
    if (this.#landed[0] !== 1) return null;
    const history = partition.history();
    if (epoch !== this.epoch || history.at(-1)?.epoch !== epoch) return null;
    const stamps = Uint32Array.from(partition.stamps);
    for (const [chunk, whole] of this.#landed.entries()) {
      if (whole === 0) stamps[chunk] = LANDED_SINCE_BASE;
    }
    const seq = Math.max(this.seq, atLeastSeq);
    return { base: { epoch, seq, generation: this.generation }, history, stamps };
  }
}

/** Where a copy's resumption is kept between its connections. */
export interface ResumptionPlace {
  current: Resumption | null;
}
