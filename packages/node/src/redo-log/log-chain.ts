/** One copy's redo on its way into the log: a run of redo without a gap, which begins where the disk can tell what the
 *  copy was: at what was recovered, at an empty copy, or at a checkpoint that is yet to be made.
 *
 *  It breaks where bytes land in the copy other than by redo, and where writers were faster than the disk. Then another
 *  begins; until a checkpoint holds its beginning nothing of it counts (`isBased`).
 *  Owner: the log worker. Never waits for a writer. */
import { scanRedo } from '@ingot/replication';
import {
  type HistoryEntry,
  newStableView,
  type Partition,
  REDO_RECORD_BYTES_MAX,
  RING_BUSY,
  RING_LAPPED,
  RING_NOT_HELD,
  type StableView,
} from '@ingot/store';
import { ENTRY_EPOCHS_MAX, type GroupWriter } from './log-group.ts';

/** Of one partition in one group, unless one transaction is longer. */
const ENTRY_BYTES_MAX = 262_144;
const LOOKS_MAX = 16;

/** What was put into a group, and counts once that is on disk. */
export interface Taken {
  readonly chain: LogChain;
  readonly seq: number;
  readonly epoch: number;
  readonly ringAt: number;
}

/** What the next look is to be about. */
export const Take = { nothing: 0, some: 1, busy: 2, broken: 3 } as const;
export type Take = (typeof Take)[keyof typeof Take];

export class LogChain {
  readonly partition: Partition;
  /** Which copy of the partition this is, of those that this thread was given. */
  readonly copy: number;
  /** 0: it has not begun. Rises over all chains of the log. */
  number = 0;
  startSeq = 0;
  /** On disk up to here, but for what the checkpoint lacks where it is not based. */
  seq = 0;
  /** In which the mutation `seq` was made. */
  epoch = 0;
  isBased = false;
  /** Of the newest checkpoint of this very copy; -1: of none that counts. */
  savedSeq = -1;
  #landings = 0;
  #ringAt = 0;
  readonly #view: StableView = newStableView();

  constructor(partition: Partition, copy: number) {
    this.partition = partition;
    this.copy = copy;
  }

  /** Goes on from what the disk has: the copy as it was recovered, or empty (0). False where the ring has lost that. */
  continueFrom(seq: number, number: number): boolean {
    const landings = this.partition.landings();
    const ringAt = this.partition.ringFind(seq + 1);
    if (ringAt === RING_NOT_HELD || !this.partition.consistent()) return false;
    this.#begin(number, seq, ringAt, landings);
    this.isBased = true;
    return true;
  }

  /** Begins where the copy is now; false where it is not consistent, or somebody writes. */
  beginAnew(number: number): boolean {
    const view = this.#view;
    for (let looks = 0; !this.partition.tryStable(view); looks++) {
      if (looks === LOOKS_MAX) return false;
    }
    if (!view.consistent) return false;
    this.#begin(number, view.seq, view.ringHead, view.landings);
    return this.partition.landings() === view.landings;
  }

  #begin(number: number, seq: number, ringAt: number, landings: number): void {
    this.number = number;
    this.startSeq = seq;
    this.seq = seq;
    this.epoch = this.#epochsAt(seq).at(-1)?.epoch ?? 0;
    this.#ringAt = ringAt;
    this.#landings = landings;
    this.isBased = false;
    this.savedSeq = -1;
  }

  /** A checkpoint of this copy is on disk. False where it is of an earlier state than this chain. */
  saved(landings: number, seq: number): boolean {
    if (this.number === 0 || landings !== this.#landings || seq < this.startSeq) return false;
    this.savedSeq = seq;
    this.isBased = true;
    return true;
  }

  get isWhole(): boolean {
    return this.partition.landings() === this.#landings;
  }

  /** Puts what the ring has into the group. `broken`: another chain has to begin. */
  take(group: GroupWriter, takes: Taken[]): Take {
    const { partition } = this;
    if (!this.isWhole) return Take.broken;
    const waiting = partition.ringWaiting(this.#ringAt);
    if (waiting <= 0) return Take.nothing;
    const outcome = this.#takeUpTo(Math.min(waiting, ENTRY_BYTES_MAX), group, takes);
    // One transaction may be longer than that; what waits ends with a whole one.
    return outcome ?? this.#takeUpTo(waiting, group, takes) ?? Take.busy;
  }

  /** null: not one whole transaction. */
  #takeUpTo(bytesMax: number, group: GroupWriter, takes: Taken[]): Take | null {
    const { partition } = this;
    const room = group.room(Math.max(bytesMax, REDO_RECORD_BYTES_MAX));
    let bytes = RING_BUSY;
    for (let looks = 0; bytes === RING_BUSY && looks < LOOKS_MAX; looks++) {
      bytes = partition.ringCopy(this.#ringAt, room.length, room);
    }
    if (bytes === RING_BUSY) return Take.busy;
    if (bytes === RING_LAPPED) return Take.broken;
    if (bytes <= 0) return this.isWhole ? Take.nothing : Take.broken;
    const batch = scanRedo(room.subarray(0, bytes), this.seq);
    if (typeof batch === 'string') return Take.broken;
    if (batch.wholeEnd === 0) return null;
    const epochs = this.#epochsAt(batch.wholeSeq);
    const last = epochs.at(-1);
    // What landed meanwhile may have moved ring and history alike.
    if (!this.isWhole || last === undefined) return Take.broken;
    group.add(partition.id, this.seq, batch.wholeSeq, epochs, batch.wholeEnd);
    const ringAt = this.#ringAt + batch.wholeEnd;
    takes.push({ chain: this, seq: batch.wholeSeq, epoch: last.epoch, ringAt });
    return Take.some;
  }

  /** It is on disk. */
  settle({ seq, epoch, ringAt }: Taken): void {
    this.seq = seq;
    this.epoch = epoch;
    this.#ringAt = ringAt;
  }

  #epochsAt(seq: number): HistoryEntry[] {
    const history = this.partition.history().filter(({ startSeq }) => startSeq <= seq);
    return history.slice(-ENTRY_EPOCHS_MAX);
  }
}
