/** Where one follower is in its primary's redo ring.
 *
 *  Copies whole records out of the ring into a buffer that it holds until the kernel has accepted them. Never waits for
 *  a writer. Owner: one sender. `seq` and `generation` are those of the last record taken: what a further
 *  bulk has to send if the ring laps us. */
import { InvariantError, type Partition, REDO_RECORD_BYTES_MAX, RING_BUSY } from '@ingot/store';
import { gateLooksMax } from './gate-look.ts';
import { scanRedo } from './redo-batch.ts';
import type { RedoBuffers } from './redo-buffers.ts';

export class RedoStream {
  readonly #partition: Partition;
  readonly #buffers: RedoBuffers;
  #ringAt = 0;
  #inFlight: Buffer | null = null;
  seq = 0;
  generation = 0;

  constructor(partition: Partition, buffers: RedoBuffers) {
    this.#partition = partition;
    this.#buffers = buffers;
  }

  /** Goes on behind `seq`, which is followed in the ring by the record at `ringAt`. */
  continueFrom(seq: number, generation: number, ringAt: number): void {
    this.seq = seq;
    this.generation = generation;
    this.#ringAt = ringAt;
  }

  /** The records that follow; or RING_EMPTY, RING_LAPPED, RING_BUSY. */
  take(): Buffer | number {
    const buffer = this.#buffers.take();
    let bytes = RING_BUSY;
    for (let looks = 0; bytes === RING_BUSY && looks < gateLooksMax; looks++) {
      bytes = this.#partition.ringCopy(this.#ringAt, REDO_RECORD_BYTES_MAX, buffer);
    }
    if (bytes <= 0) {
      this.#buffers.give(buffer);
      return bytes;
    }
    const records = buffer.subarray(0, bytes);
    const batch = scanRedo(records, this.seq);
    if (typeof batch === 'string')
      throw new InvariantError(`the ring holds redo in order: ${batch}`);
    this.continueFrom(batch.lastSeq, batch.lastGeneration, this.#ringAt + bytes);
    this.#inFlight = buffer;
    return records;
  }

  /** The kernel has what was taken last. */
  release(): void {
    if (this.#inFlight !== null) this.#buffers.give(this.#inFlight);
    this.#inFlight = null;
  }
}
