/** One partition's redo ring, read once for all of its followers.
 *
 *  Whoever is where another follower has just been gets the same block: copied out of the ring once, scanned once, one
 *  crc32. Whoever is elsewhere gets a block of its own. A block belongs to its holders, each of which waits for
 *  the kernel, and is kept for latecomers until its buffer is needed.
 *  Bounded: a follower holds at most one block of 128 KiB, however slow it is, and holds up nobody else.
 *  Positions in the ring are never used twice, so a block at a position stays right for ever. */
import { InvariantError, type Partition, RING_BUSY, RING_EMPTY } from '@ingot/store';
import { payloadChecksum } from './frame.ts';
import { gateLooksMax } from './gate-look.ts';
import { scanRedo } from './redo-batch.ts';
import type { RedoBuffers } from './redo-buffers.ts';

/** So few bytes are not worth a buffer of the pool: the CHECK markers of 64 partitions would empty it, and an idle
 *  ring needs none at all. */
const smallBytesMax = 512;

/** Whole records, and what a REDO header says of them. */
export interface RedoBlock {
  readonly records: Buffer;
  readonly crc32: number;
  readonly seqBefore: number;
  readonly lastSeq: number;
  readonly lastGeneration: number;
  readonly startsAt: number;
  /** Position in the ring behind it. */
  readonly endsAt: number;
  /** The reader's own: where the records are, and who needs them. */
  readonly buffer: Buffer;
  holders: number;
  /** A holder went away before the kernel was done with it. */
  abandoned: boolean;
}

export class RingReader {
  readonly #partition: Partition;
  readonly #buffers: RedoBuffers;
  /** By position in the ring; in flight, or idle in the pool. */
  readonly #blocks = new Map<number, RedoBlock>();

  constructor(partition: Partition, buffers: RedoBuffers) {
    this.#partition = partition;
    this.#buffers = buffers;
  }

  /** The records at `ringAt`, which follow `seqBefore`; or RING_EMPTY, RING_LAPPED, RING_BUSY. A block is to be given
   *  back by `release` or `abandon`. */
  take(ringAt: number, seqBefore: number): RedoBlock | number {
    const known = this.#blocks.get(ringAt);
    if (known === undefined) return this.#read(ringAt, seqBefore);
    if (known.seqBefore !== seqBefore)
      throw new InvariantError('a position in the ring follows one seq');
    if (known.holders === 0) this.#buffers.reclaim(known.buffer);
    known.holders++;
    return known;
  }

  /** The kernel has accepted the block for this holder. */
  release(block: RedoBlock): void {
    if (--block.holders > 0) return;
    if (block.abandoned || block.buffer.length <= smallBytesMax) this.#forget(block);
    else this.#buffers.give(block.buffer, () => this.#forget(block));
  }

  /** The holder's connection is gone. The kernel may still read the block: its buffer is not used again. */
  abandon(block: RedoBlock): void {
    block.abandoned = true;
    this.release(block);
  }

  #read(ringAt: number, seqBefore: number): RedoBlock | number {
    const waiting = this.#partition.ringWaiting(ringAt);
    if (waiting <= 0) return RING_EMPTY;
    const isSmall = waiting <= smallBytesMax;
    const buffer = isSmall ? Buffer.allocUnsafe(waiting) : this.#buffers.take(waiting);
    let bytes = RING_BUSY;
    for (let looks = 0; bytes === RING_BUSY && looks < gateLooksMax; looks++) {
      bytes = this.#partition.ringCopy(ringAt, buffer.length, buffer);
    }
    if (bytes <= 0) {
      if (!isSmall) this.#buffers.give(buffer);
      return bytes;
    }
    const records = buffer.subarray(0, bytes);
    const batch = scanRedo(records, seqBefore);
    if (typeof batch === 'string')
      throw new InvariantError(`the ring holds redo in order: ${batch}`);
    const { lastSeq, lastGeneration } = batch;
    const block: RedoBlock = {
      records,
      crc32: payloadChecksum(records),
      seqBefore,
      lastSeq,
      lastGeneration,
      startsAt: ringAt,
      endsAt: ringAt + bytes,
      buffer,
      holders: 1,
      abandoned: false,
    };
    this.#blocks.set(ringAt, block);
    return block;
  }

  #forget({ startsAt }: RedoBlock): void {
    this.#blocks.delete(startsAt);
  }
}
