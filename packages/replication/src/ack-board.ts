/** What followers have acknowledged, in shared memory: so that a thread which holds replies back
 *  knows when they may leave, without asking anybody.
 *
 *  One row per partition, and one word per data worker.
 *  Writer of rows: the replication worker. Readers: data workers, the main thread.
 *  Wake words: a data worker that holds replies stores HOLDING, looks at the rows once more and
 *  waits; the replication worker stores IDLE and notifies after it has changed a row. With many
 *  replies it stores HOLDING_MANY, and is woken once all that is on its way has been answered.
 *  Invariants: within an epoch `seq` only grows; the epoch word is 0 while a row is made anew, and
 *  is stored last, so who finds the same epoch before and after it has read the others has read
 *  what belongs to it. A f64 word is aligned: it is read whole. */

/** name, writer's meaning; each one int32. */
const EPOCH = 0; // of the primary that is, or was last, here; 0 while the row changes hands
const ENDED = 1; // this node no longer leads at that epoch
const MEMBERS = 2; // size of the in-sync set by the map, the primary included
const AWAITED = 3; // followers that an acknowledgement waits for, members to be included
const FOLLOWERS = 4; // how many of the acked seqs below count
const ROW_WORDS = 8;

/** f64 */
const SEQ = 0; // every awaited follower has it, at this epoch
const HEARD = 1; // monotonic ms of the last frame of the primary, where a copy is followed
const ACKED = 2; // of each follower connected
const followersMax = 14;
const ROW_F64 = ACKED + followersMax;

const IDLE = 0;
const HOLDING = 1;
const HOLDING_MANY = 2;

/** What may be done with a reply that needs a seq of an epoch. */
export const Verdict = { wait: 0, leave: 1, unknown: 2 } as const;
export type Verdict = (typeof Verdict)[keyof typeof Verdict];

export class AckBoard {
  readonly buffer: SharedArrayBuffer;
  readonly #rows: Int32Array;
  readonly #f64: Float64Array;
  readonly #workers: Int32Array;

  constructor(buffer: SharedArrayBuffer, partitions: number) {
    const f64Bytes = partitions * ROW_F64 * 8;
    const rowBytes = partitions * ROW_WORDS * 4;
    this.buffer = buffer;
    this.#f64 = new Float64Array(buffer, 0, partitions * ROW_F64);
    this.#rows = new Int32Array(buffer, f64Bytes, partitions * ROW_WORDS);
    this.#workers = new Int32Array(buffer, f64Bytes + rowBytes);
  }

  static create(partitions: number, workers: number): AckBoard {
    const bytes = partitions * (ROW_F64 * 8 + ROW_WORDS * 4) + workers * 4;
    return new AckBoard(new SharedArrayBuffer(bytes), partitions);
  }

  // ------------------------------------------------------------ the replication worker

  /** This node leads at this epoch, and awaits so many followers. Another epoch than before makes the row anew. */
  lead(partition: number, epoch: number, members: number, awaited: number): void {
    const row = partition * ROW_WORDS;
    const isNew = Atomics.load(this.#rows, row + EPOCH) !== epoch;
    if (isNew) {
      Atomics.store(this.#rows, row + EPOCH, 0);
      this.#f64[partition * ROW_F64 + SEQ] = 0;
    }
    // Before AWAITED: who finds fewer awaited finds the smaller set, too.
    Atomics.store(this.#rows, row + MEMBERS, members);
    Atomics.store(this.#rows, row + AWAITED, awaited);
    Atomics.store(this.#rows, row + ENDED, 0);
    if (isNew) Atomics.store(this.#rows, row + EPOCH, epoch);
  }

  /** What was in sync stays so; nothing more will be. */
  end(partition: number): void {
    Atomics.store(this.#rows, partition * ROW_WORDS + ENDED, 1);
  }

  reached(partition: number, seq: number): void {
    const at = partition * ROW_F64 + SEQ;
    if (this.#f64[at] < seq) this.#f64[at] = seq;
  }

  acked(partition: number, seqs: readonly number[]): void {
    const count = Math.min(seqs.length, followersMax);
    for (let i = 0; i < count; i++) this.#f64[partition * ROW_F64 + ACKED + i] = seqs[i];
    Atomics.store(this.#rows, partition * ROW_WORDS + FOLLOWERS, count);
  }

  /** The primary of a copy followed here has said something. */
  heard(partition: number, monotonicMs: number): void {
    this.#f64[partition * ROW_F64 + HEARD] = monotonicMs;
  }

  /** Rows have changed: wakes the workers that hold replies; those with many where it is worth it. */
  notify(all: boolean): void {
    for (let i = 0; i < this.#workers.length; i++) {
      const word = Atomics.load(this.#workers, i);
      if (word === IDLE || (word === HOLDING_MANY && !all)) continue;
      Atomics.store(this.#workers, i, IDLE);
      Atomics.notify(this.#workers, i);
    }
  }

  // ------------------------------------------------------------ whoever holds replies

  /** `wait` also where the replication worker is yet to hear of the epoch. */
  verdict(partition: number, epoch: number, seq: number): Verdict {
    const row = partition * ROW_WORDS;
    const at = Atomics.load(this.#rows, row + EPOCH);
    if (at < epoch) return Verdict.wait;
    if (at > epoch) return Verdict.unknown;
    const ended = Atomics.load(this.#rows, row + ENDED) !== 0;
    const alone = !ended && Atomics.load(this.#rows, row + AWAITED) === 0;
    const reached = alone || this.#f64[partition * ROW_F64 + SEQ] >= seq;
    if (Atomics.load(this.#rows, row + EPOCH) !== epoch) return Verdict.unknown;
    if (reached) return Verdict.leave;
    return ended ? Verdict.unknown : Verdict.wait;
  }

  /** Size of the in-sync set, as the map that the replication worker has seen says. */
  members(partition: number): number {
    return Atomics.load(this.#rows, partition * ROW_WORDS + MEMBERS);
  }

  /** The same, or -1 where the row is not of this epoch. */
  membersAt(partition: number, epoch: number): number {
    const row = partition * ROW_WORDS;
    const members = Atomics.load(this.#rows, row + MEMBERS);
    return Atomics.load(this.#rows, row + EPOCH) === epoch ? members : -1;
  }

  /** How many followers have acknowledged `seq` at this epoch. */
  countOf(partition: number, epoch: number, seq: number): number {
    const row = partition * ROW_WORDS;
    if (Atomics.load(this.#rows, row + EPOCH) !== epoch) return 0;
    const followers = Atomics.load(this.#rows, row + FOLLOWERS);
    let count = 0;
    for (let i = 0; i < followers; i++) {
      if (this.#f64[partition * ROW_F64 + ACKED + i] >= seq) count++;
    }
    return Atomics.load(this.#rows, row + EPOCH) === epoch ? count : 0;
  }

  /** The least seq that a connected follower has acknowledged at this epoch, of those that have acknowledged any;
   *  without one it is out of reach for those who wait. */
  slowest(partition: number, epoch: number): number {
    const row = partition * ROW_WORDS;
    let least = Number.MAX_SAFE_INTEGER;
    if (Atomics.load(this.#rows, row + EPOCH) !== epoch) return least;
    const followers = Atomics.load(this.#rows, row + FOLLOWERS);
    for (let i = 0; i < followers; i++) {
      const seq = this.#f64[partition * ROW_F64 + ACKED + i];
      if (seq > 0 && seq < least) least = seq;
    }
    return least;
  }

  heardMs(partition: number): number {
    return this.#f64[partition * ROW_F64 + HEARD];
  }

  /** From here on a change of a row ends `sleep` of this worker; look at the rows once more. */
  announce(worker: number, many: boolean): void {
    Atomics.store(this.#workers, worker, many ? HOLDING_MANY : HOLDING);
  }

  /** Resolves once a row has changed since `announce`. */
  async sleep(worker: number): Promise<void> {
    const announced = Atomics.load(this.#workers, worker);
    if (announced !== IDLE) await Atomics.waitAsync(this.#workers, worker, announced).value;
  }
}
