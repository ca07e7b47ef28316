/** Which image of each partition is current on a node that takes snapshots, in shared memory.
 *
 *  Words: a version, which rises with every swap; per partition the image that is current; per data worker the version
 *  up to which it has looked. Writer of the first two: the replication worker. Writer of a worker's word: that worker,
 *  which stores the version it has read once it holds on to nothing of what was current before.
 *  So a swap is one store, and the image that was swapped out is nobody's once every worker has looked since: that is
 *  when the next round may write to it. A worker that looks while a swap is stored may see the new image with the old
 *  version; it is then waited for once more.
 *  Per partition an f64 says when it was consistent last, in monotonic ms. */
import { type ImageIndex, NO_IMAGE } from './snapshot-rounds.ts';

const VERSION = 0;
const HEAD_WORDS = 2;

export class SnapshotBoard {
  readonly buffer: SharedArrayBuffer;
  readonly partitions: number;
  readonly #consistentAtMs: Float64Array;
  readonly #words: Int32Array;
  readonly #current: Int32Array;
  readonly #seen: Int32Array;

  constructor(buffer: SharedArrayBuffer, partitions: number) {
    this.buffer = buffer;
    this.partitions = partitions;
    this.#consistentAtMs = new Float64Array(buffer, 0, partitions);
    this.#words = new Int32Array(buffer, partitions * 8, HEAD_WORDS);
    this.#current = new Int32Array(buffer, partitions * 8 + HEAD_WORDS * 4, partitions);
    this.#seen = new Int32Array(buffer, partitions * 12 + HEAD_WORDS * 4);
  }

  static create(partitions: number, workers: number): SnapshotBoard {
    const buffer = new SharedArrayBuffer(partitions * 12 + (HEAD_WORDS + workers) * 4);
    const board = new SnapshotBoard(buffer, partitions);
    board.#current.fill(NO_IMAGE);
    return board;
  }

  // ------------------------------------------------------------ the replication worker

  /** Readers go on with `image`. Returns the version by which they have looked since. */
  publish(partition: number, image: ImageIndex, consistentAtMs: number): number {
    this.#consistentAtMs[partition] = consistentAtMs;
    Atomics.store(this.#current, partition, image);
    return Atomics.add(this.#words, VERSION, 1) + 1;
  }

  /** Every worker has looked since the swap that returned `version`. */
  allHaveSeen(version: number): boolean {
    for (let worker = 0; worker < this.#seen.length; worker++) {
      if (((Atomics.load(this.#seen, worker) - version) | 0) < 0) return false;
    }
    return true;
  }

  // ------------------------------------------------------------ data workers

  version(): number {
    return Atomics.load(this.#words, VERSION);
  }

  /** 0, 1, or NO_IMAGE. */
  current(partition: number): number {
    return Atomics.load(this.#current, partition);
  }

  /** This worker holds on to nothing that was current before `version`. */
  saw(worker: number, version: number): void {
    Atomics.store(this.#seen, worker, version);
  }

  // ------------------------------------------------------------ whoever tells people

  /** How old what readers see of a partition is; null before its first round has ended. */
  ageMs(partition: number, nowMs: number): number | null {
    if (this.current(partition) === NO_IMAGE) return null;
    return Math.max(0, nowMs - this.#consistentAtMs[partition]);
  }

  /** Partitions of which a round has ended. */
  get readable(): number {
    let count = 0;
    for (let id = 0; id < this.partitions; id++) if (this.current(id) !== NO_IMAGE) count++;
    return count;
  }

  /** Of the oldest partition; null while one is missing. */
  oldestMs(nowMs: number): number | null {
    let oldest = 0;
    for (let id = 0; id < this.partitions; id++) {
      const ageMs = this.ageMs(id, nowMs);
      if (ageMs === null) return null;
      oldest = Math.max(oldest, ageMs);
    }
    return oldest;
  }
}
