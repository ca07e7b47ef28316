/** Work on all bytes of a long value, a little per turn of the event loop: what commands make of a value that
 *  they only read (BITCOUNT, BITPOS, DIGEST), and values that they make of others (COPY, RENAME, BITOP).
 *
 *  The connection is on hold meanwhile; others are served between the turns.
 *  A value that is read is pinned: it is told what the value was when the command came. A value that is made of others is
 *  made outside of any passage; the command then runs as always, and publishes it if what it was made of is still the
 *  same (made-values.ts).
 *  Owner: one connection each. */

import { COPY_MORE, COPY_WHOLE, type Partition, type Pin, type ValueCopy } from '@ingot/store';
import { piece, PIECE_BYTES, SLICE_BYTES } from '../commands/value-pieces.ts';
import type { ReplyWriter } from '../resp/reply-writer.ts';

/** What a command does with bytes [from, to) of the value of a key, and what it tells in the end. */
export interface ValueScan {
  /** Argument. */
  readonly key: number;
  /** Of the record that has the value. */
  readonly seq: number;
  readonly from: number;
  readonly to: number;
  /** `bytes` bytes in `piece`, from byte `at` of the value on; true: that is enough. */
  readonly visit: (bytes: number, at: number) => boolean;
  readonly tell: (out: ReplyWriter) => void;
}

/** Nothing else of a turn runs between two slices of the same work. */
export async function nextTurn(): Promise<void> {
  await new Promise<void>((resolve) => setImmediate(resolve));
}

/** A scan of a pinned value. */
export class Scanning {
  readonly partition: Partition;
  readonly epoch: number;
  readonly scan: ValueScan;
  /** Turns that it took; -1: there was no such value any more, or it is led here no longer. */
  slices = 0;
  private readonly hash: number;
  private readonly key: Buffer;
  private readonly nowMs: number;
  private dropped = false;

  constructor(partition: Partition, hash: number, key: Buffer, nowMs: number, scan: ValueScan) {
    this.partition = partition;
    this.epoch = partition.epoch();
    this.scan = scan;
    this.hash = hash;
    this.key = key;
    this.nowMs = nowMs;
  }

  async run(): Promise<void> {
    const { scan } = this;
    const pin = this.pin();
    if (pin === null) {
      this.slices = -1;
      return;
    }
    try {
      for (let at = scan.from; at < scan.to && !this.dropped; ) {
        const end = Math.min(scan.to, at + SLICE_BYTES);
        this.slices++;
        for (; at < end; at += PIECE_BYTES) {
          const bytes = Math.min(PIECE_BYTES, end - at);
          copyOut(pin.views, at, bytes);
          if (scan.visit(bytes, at)) return;
        }
        if (at >= scan.to) return;
        await nextTurn();
        // A copy that is followed here waits for those who have pinned something.
        if (!this.isLed()) {
          this.slices = -1;
          return;
        }
      }
    } finally {
      pin.unpin();
    }
  }

  drop(): void {
    this.dropped = true;
  }

  /** Null: the key has another value than the one that the command met, or none, or it is not led
   *  here. */
  private pin(): Pin | null {
    const { partition, hash, key, nowMs, scan } = this;
    partition.enter();
    const ref = this.isLed() ? partition.find(hash, key, 0, key.length, nowMs) : 0;
    const isIt = ref !== 0 && partition.recordSeq(ref) === scan.seq;
    const pin = isIt ? partition.values.pinInside(ref, nowMs) : null;
    if (isIt) partition.mark(ref);
    partition.leave();
    return pin;
  }

  private isLed(): boolean {
    const { partition, epoch } = this;
    return partition.mayWrite() && partition.epoch() === epoch;
  }
}

/** Bytes [at, at + bytes) of what the views hold, to `piece`. */
function copyOut(views: readonly Buffer[], at: number, bytes: number): void {
  let viewAt = 0;
  let done = 0;
  for (const view of views) {
    const from = Math.max(0, at + done - viewAt);
    if (from < view.length) done += view.copy(piece, done, from, from + bytes - done);
    if (done === bytes) return;
    viewAt += view.length;
  }
}

/** A value that is made a little at a time, outside of any passage. */
export interface Making {
  /** What it has come to, once `step` says so. */
  readonly value: Buffer;
  /** Does up to 64 KiB more. `changed`: what it is made of is not what it was. */
  step(): 'more' | 'made' | 'changed';
}

/** The value of a key, as long as that has this seq. */
export class CopyMaking implements Making {
  private readonly begin: () => ValueCopy;
  private readonly seq: number;
  private copy: ValueCopy | null = null;

  constructor(begin: () => ValueCopy, seq: number) {
    this.begin = begin;
    this.seq = seq;
  }

  get value(): Buffer {
    return this.copy?.value as Buffer;
  }

  step(): 'more' | 'made' | 'changed' {
    this.copy ??= this.begin();
    const state = this.copy.step();
    if (state === COPY_MORE) return 'more';
    return state === COPY_WHOLE && this.copy.seq === this.seq ? 'made' : 'changed';
  }
}
