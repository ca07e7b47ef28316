/** How far the redo log on disk is, in shared memory: so that a thread which holds replies back knows when they may
 *  leave, as with the AckBoard of followers, whose words wake it.
 *
 *  Writer of rows and state: the log worker. Readers: data workers, the main thread.
 *  Invariants: what a row says is on disk, and is found again by the next start; the epoch word is 0 while a
 *  row changes hands, so who finds the same epoch before and after it has read the seq has read what
 *  belongs to it. ASLEEP: the log worker stores it and looks once more before it waits. */

export const LogState = {
  /** This node keeps none. */
  off: 0,
  writes: 1,
  /** The disk takes nothing, or the log may not grow: see the log line. */
  fails: 2,
} as const;
export type LogState = (typeof LogState)[keyof typeof LogState];

const STATE_WORD = 0;
const SLEEP_WORD = 1;
const ROWS_AT = 2;

const AWAKE = 0;
const ASLEEP = 1;

export class LogBoard {
  readonly buffer: SharedArrayBuffer;
  readonly #seqs: Float64Array;
  readonly #words: Int32Array;

  constructor(buffer: SharedArrayBuffer, partitions: number) {
    this.buffer = buffer;
    this.#seqs = new Float64Array(buffer, 0, partitions);
    this.#words = new Int32Array(buffer, partitions * 8);
  }

  static create(partitions: number): LogBoard {
    return new LogBoard(new SharedArrayBuffer(partitions * 12 + ROWS_AT * 4), partitions);
  }

  // ------------------------------------------------------------ the log worker

  /** All of the partition up to `seq` of that epoch is on disk. */
  logged(partition: number, epoch: number, seq: number): void {
    const row = ROWS_AT + partition;
    if (Atomics.load(this.#words, row) !== epoch) {
      Atomics.store(this.#words, row, 0);
      this.#seqs[partition] = seq;
      Atomics.store(this.#words, row, epoch);
    } else this.#seqs[partition] = seq;
  }

  /** What was said of the partition holds no longer for what is written from now on. */
  forget(partition: number): void {
    Atomics.store(this.#words, ROWS_AT + partition, 0);
  }

  set state(state: LogState) {
    Atomics.store(this.#words, STATE_WORD, state);
  }

  /** From here on `wake` ends a sleep, even one that has not begun. */
  announce(): void {
    Atomics.store(this.#words, SLEEP_WORD, ASLEEP);
  }

  /** Resolves once somebody woke it since `announce`, or after so long. */
  async sleep(ms: number): Promise<void> {
    await Atomics.waitAsync(this.#words, SLEEP_WORD, ASLEEP, ms).value;
    Atomics.store(this.#words, SLEEP_WORD, AWAKE);
  }

  // ------------------------------------------------------------ whoever holds replies

  get state(): LogState {
    return Atomics.load(this.#words, STATE_WORD) as LogState;
  }

  has(partition: number, epoch: number, seq: number): boolean {
    const row = ROWS_AT + partition;
    if (Atomics.load(this.#words, row) !== epoch) return false;
    const reached = this.#seqs[partition] >= seq;
    return reached && Atomics.load(this.#words, row) === epoch;
  }

  /** Something was written that waits for the disk. */
  wake(): void {
    if (Atomics.load(this.#words, SLEEP_WORD) === AWAKE) return;
    Atomics.store(this.#words, SLEEP_WORD, AWAKE);
    Atomics.notify(this.#words, SLEEP_WORD);
  }
}
