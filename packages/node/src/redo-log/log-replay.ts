/** Reads the log back: what follows the state that a checkpoint left a copy in, or an empty copy.
 *
 *  The log ends before its first group that is damaged, or out of its order. One of somebody else is not read at all. An entry is applied where
 *  it goes on from the very state of the copy, by seq and history; what the copy has already is passed over, and so is what
 *  belongs to a history that was taken back, or follows a gap.
 *  Owner: a loading thread, which alone has the copies. */
import { Buffer } from 'node:buffer';
import {
  type HistoryEntry,
  type Partition,
  REDO_HEADER_BYTES,
  ROLE_FOLLOWER,
  ROLE_NONE,
} from '@ingot/store';
import {
  decodeGroup,
  ENTRY_EPOCHS_MAX,
  type LogEntry,
  type LogGroup,
  type LogOwner,
} from './log-group.ts';
import type { LogStore } from './log-store.ts';

/** Where the log ends. */
export interface LogEnd {
  readonly groups: number;
  readonly bytes: number;
  /** The first group that does not count, and why; null: all do. */
  readonly cut: { readonly at: number; readonly why: string } | null;
}

/** Throws ForeignLog. */
export function* readLog(store: LogStore, owner: LogOwner): Generator<LogGroup, LogEnd> {
  let groups = 0;
  let bytes = 0;
  let due = 0;
  for (const found of store.groups()) {
    const { number } = found;
    if (due !== 0 && number !== due) {
      const why = `group ${number} comes where ${due} is due`;
      return { groups, bytes, cut: { at: number, why } };
    }
    const group = decodeGroup(found.bytes, number, owner);
    if (typeof group === 'string') return { groups, bytes, cut: { at: number, why: group } };
    yield group;
    groups++;
    bytes += found.bytes.length;
    due = number + 1;
  }
  return { groups, bytes, cut: null };
}

export class LogReplay {
  readonly partition: Partition;
  /** Of the mutations that were applied. */
  applied = 0;
  /** Why something that was newer was left out. */
  gap: string | null = null;
  /** The copy is not to be used: redo did not do what it should. */
  broken: string | null = null;

  constructor(partition: Partition) {
    this.partition = partition;
  }

  /** The copy as it was founded: nothing but an empty image. */
  beginEmpty(): void {
    const { partition } = this;
    partition.setRole(ROLE_FOLLOWER, 0);
    partition.reset();
    partition.beginBulk(0);
    this.broken = partition.becomeConsistent(0);
    // Nothing landed in it: what it will have is this node's own.
    partition.setChecked(true);
    partition.setRecovered(true);
    partition.setRole(ROLE_NONE, 0);
  }

  take(entry: LogEntry, clockMs: number): void {
    if (this.broken !== null) return;
    if (entry.seqBefore === 0 && this.#isNewer(entry)) this.beginEmpty();
    const seq = this.partition.committedSeq();
    if (entry.lastSeq <= seq) return;
    if (entry.seqBefore > seq) {
      this.gap ??= `it goes on with seq ${entry.seqBefore + 1} where ${seq + 1} is due`;
      return;
    }
    if (!this.#goesOn(entry, seq)) {
      this.gap ??= `from seq ${seq} on it has another history`;
      return;
    }
    this.#apply(entry, seq, clockMs);
  }

  /** A copy that began again, empty, after all others were lost: its epoch is above all that were before. */
  #isNewer({ epochs }: LogEntry): boolean {
    const known = this.partition.history().at(-1);
    return known !== undefined && epochs[0].startSeq === 1 && epochs[0].epoch > known.epoch;
  }

  #goesOn({ epochs }: LogEntry, seq: number): boolean {
    const known = this.partition.history().at(-1);
    const then = epochs.findLast(({ startSeq }) => startSeq <= seq);
    if (then === undefined) return known === undefined && epochs.length < ENTRY_EPOCHS_MAX;
    return known !== undefined && isSameEpoch(known, then);
  }

  #apply(entry: LogEntry, seq: number, clockMs: number): void {
    const { partition } = this;
    const from = entry.seqBefore === seq ? 0 : offsetBehind(entry.records, seq);
    if (from < 0) {
      this.gap ??= `seq ${seq + 1} is missing in it`;
      return;
    }
    // Words of it are looked at: aligned in memory of its own.
    const records = Buffer.from(Uint8Array.prototype.slice.call(entry.records, from).buffer);
    partition.setRole(ROLE_FOLLOWER, 0);
    const outcome = partition.applyRedo(records, 0, records.length, clockMs);
    partition.setRole(ROLE_NONE, 0);
    if (!outcome.ok) this.gap ??= outcome.why;
    else {
      this.applied += outcome.seq - seq;
      const wrong = outcome.checks.find(({ expected, actual }) => expected !== actual);
      if (wrong !== undefined) this.broken = `chunk ${wrong.chunk} differs at seq ${wrong.seq}`;
    }
  }
}

function isSameEpoch(a: HistoryEntry, b: HistoryEntry): boolean {
  return a.epoch === b.epoch && a.generation === b.generation && a.startSeq === b.startSeq;
}

/** Where the records behind `seq` begin; -1: nowhere. The entry's checksum holds, so lengths are as they were written. */
function offsetBehind(records: Buffer, seq: number): number {
  for (let at = 0; at + REDO_HEADER_BYTES <= records.length; ) {
    const recordSeq = records.readUInt32LE(at + 8) + records.readUInt32LE(at + 12) * 4_294_967_296;
    if (recordSeq > seq) return at;
    const bytes = records.readUInt32LE(at);
    if (bytes < REDO_HEADER_BYTES) return -1;
    at += bytes;
  }
  return -1;
}
