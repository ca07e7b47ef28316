/** The redo that a save takes along, from where it began up to the point at which its chunks are exact.
 *
 *  Read out of the ring while chunks are copied, in pieces that go into the file one behind the other. Ends with a
 *  whole transaction. Never waits for a writer. Owner: one pass of a save. */
import { crc32 } from 'node:zlib';
import { scanRedo } from '@ingot/replication';
import {
  type Partition,
  REDO_RECORD_BYTES_MAX,
  RING_BUSY,
  RING_LAPPED,
  type StableView,
} from '@ingot/store';

const PIECE_BYTES = 65_536;
const looksMax = 16;

export class RedoTail {
  /** Up to the last whole transaction. */
  wholeSeq: number;
  wholeGeneration: number;
  /** The writers were faster, or the redo is of another history by now: the pass ends without it. */
  isLost = false;
  readonly #partition: Partition;
  readonly #put: (piece: number, bytes: Buffer) => void;
  readonly #bytesMax: number;
  readonly #buffer: Buffer = Buffer.allocUnsafeSlow(REDO_RECORD_BYTES_MAX);
  #ringAt: number;
  #seq: number;
  #waiting: Buffer[] = [];
  #waitingBytes = 0;
  #pieces = 0;
  #bytes = 0;
  #crc32 = 0;

  constructor(
    partition: Partition,
    from: StableView,
    bytesMax: number,
    put: (piece: number, bytes: Buffer) => void,
  ) {
    this.#partition = partition;
    this.#put = put;
    this.#bytesMax = bytesMax;
    this.#ringAt = from.ringHead;
    this.#seq = from.seq;
    this.wholeSeq = from.seq;
    this.wholeGeneration = from.generation;
  }

  get written(): { redoPieces: number; redoBytes: number; redoCrc32: number } {
    return { redoPieces: this.#pieces, redoBytes: this.#bytes, redoCrc32: this.#crc32 };
  }

  /** Takes what the ring has. */
  drain(): void {
    for (let looks = 0; !this.isLost && looks < looksMax; ) {
      const bytes = this.#partition.ringCopy(this.#ringAt, this.#buffer.length, this.#buffer);
      if (bytes === RING_BUSY) {
        looks++;
        continue;
      }
      if (bytes === RING_LAPPED) this.#lose();
      if (bytes <= 0) return;
      this.#take(Buffer.from(this.#buffer.subarray(0, bytes)));
    }
  }

  /** Puts what has not been put. */
  end(): void {
    if (this.#waitingBytes > 0) this.#putPiece();
  }

  #take(records: Buffer): void {
    const batch = scanRedo(records, this.#seq);
    if (typeof batch === 'string') return this.#lose();
    this.#ringAt += records.length;
    this.#seq = batch.lastSeq;
    if (batch.wholeEnd > 0) {
      this.wholeSeq = batch.wholeSeq;
      this.wholeGeneration = batch.wholeGeneration;
    }
    this.#waiting.push(records);
    this.#waitingBytes += records.length;
    if (this.#waitingBytes >= PIECE_BYTES) this.#putPiece();
    if (this.#bytes > this.#bytesMax) this.#lose();
  }

  #putPiece(): void {
    const piece = this.#waiting.length === 1 ? this.#waiting[0] : Buffer.concat(this.#waiting);
    this.#put(this.#pieces++, piece);
    this.#bytes += piece.length;
    this.#crc32 = crc32(piece, this.#crc32);
    this.#waiting = [];
    this.#waitingBytes = 0;
  }

  #lose(): void {
    this.isLost = true;
    this.#waiting = [];
    this.#waitingBytes = 0;
  }
}
