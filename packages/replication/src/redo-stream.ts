/** Where one follower is in its primary's redo ring.
 *
 *  Takes whole records, in blocks shared with the partition's other followers, and holds one until the kernel has
 *  accepted it. Never waits for a writer. Owner: one sender. `seq` and `generation` are those of the last record taken:
 *  what a further bulk has to send if the ring laps us. */
import type { RedoBlock, RingReader } from './ring-reader.ts';

export class RedoStream {
  readonly #ring: RingReader;
  #ringAt = 0;
  #inFlight: RedoBlock | null = null;
  seq = 0;
  generation = 0;

  constructor(ring: RingReader) {
    this.#ring = ring;
  }

  /** Goes on behind `seq`, which is followed in the ring by the record at `ringAt`. */
  continueFrom(seq: number, generation: number, ringAt: number): void {
    this.seq = seq;
    this.generation = generation;
    this.#ringAt = ringAt;
  }

  /** The records that follow; or RING_EMPTY, RING_LAPPED, RING_BUSY. */
  take(): RedoBlock | number {
    const block = this.#ring.take(this.#ringAt, this.seq);
    if (typeof block === 'number') return block;
    this.continueFrom(block.lastSeq, block.lastGeneration, block.endsAt);
    this.#inFlight = block;
    return block;
  }

  /** The kernel has what was taken last. */
  release(): void {
    if (this.#inFlight !== null) this.#ring.release(this.#inFlight);
    this.#inFlight = null;
  }

  /** The connection is gone. */
  abandon(): void {
    if (this.#inFlight !== null) this.#ring.abandon(this.#inFlight);
    this.#inFlight = null;
  }
}
