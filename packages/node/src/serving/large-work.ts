/** What a command with a large value does before it runs, or instead: many short passages.
 *
 *  The connection is on hold meanwhile, and its bytes stay where they are; when the work is done,
 *  the same command is met again, and goes the way of any other: so order of replies, owners that
 *  change, acks and transactions are no business of this file.
 *  - A value that is set whole is *staged*: written into extents that nobody refers to. The command
 *    then publishes it, or does not (SET NX): in one passage, like a small value.
 *  - APPEND and SETRANGE of many extents are an edit of their own, whose last passage is the
 *    command itself. What it came to is told when the command is met again.
 *  A turn of the event loop writes TURN_BYTES_MAX; then others are served. Between turns it waits for
 *  followers that are more than half a ring behind, PACE_MS_MAX at most.
 *  Whatever is void (sealed, another epoch) was not executed: the command finds its way anew. */

import { Buffer } from 'node:buffer';
import {
  BUSY,
  type LargeWrite,
  MORE,
  type Partition,
  READY,
  SET_OK,
  type ValueEdit,
} from '@ingot/store';
import type { Desk } from './desk.ts';
import { type Making, nextTurn } from './value-scan.ts';

/** About 200 us. */
const TURN_BYTES_MAX: number = 8 * 65_536;
const EDIT_STEPS_PER_TURN = 8;
const MAKE_STEPS_PER_TURN = 4;
/** Others write so much that it has to wait: so long, looking so often. */
const BUSY_MS_MAX = 5_000;
const BUSY_LOOK_MS = 5;
/** How long one wait for followers may take; then the value goes on without regard for them. */
const PACE_MS_MAX = 1_000;

/** A value that is to be staged. `source` and `key` stay as they are until the work is over. */
export interface LargeValue {
  readonly partition: Partition;
  readonly hash: number;
  readonly key: Buffer;
  readonly source: Buffer | Making;
  readonly start: number;
  readonly bytes: number;
  /** Of one that a command made: what of. */
  readonly stamp?: string;
  /** A part of a value: where it goes, as the store counts. */
  readonly offset?: number;
}

/** A code of the store that ended the work, or SET_OK. */
export type LargeCode = number;

/** How far the followers of one partition are behind what is written here. */
class Pace {
  private readonly desk: Desk;
  private readonly partition: Partition;
  private readonly epoch: number;
  /** Ring head and seq after each turn, oldest first. */
  private readonly marks: { head: number; seq: number }[] = [];
  private gaveUp = false;

  constructor(desk: Desk, partition: Partition) {
    this.desk = desk;
    this.partition = partition;
    this.epoch = partition.epoch();
  }

  /** After a turn: resolves once nobody is too far behind. */
  async keep(): Promise<void> {
    const { partition, desk, marks } = this;
    marks.push({ head: partition.ringHead(), seq: partition.committedSeq() });
    desk.host.wakeReplication();
    const sinceMs = desk.host.monotonicMs();
    const isOver = (nowMs: number): boolean => {
      if (!this.isBehind()) return true;
      if (nowMs - sinceMs < PACE_MS_MAX) return false;
      this.gaveUp = true;
      return true;
    };
    if (this.gaveUp || isOver(sinceMs)) {
      await new Promise<void>((resolve) => setImmediate(resolve));
      return;
    }
    await new Promise<void>((resolve) => {
      desk.held.wait({
        look: (nowMs) => {
          const over = isOver(nowMs);
          if (over) setImmediate(resolve);
          return over;
        },
      });
    });
  }

  private isBehind(): boolean {
    const { partition, marks, epoch } = this;
    const acked = this.desk.held.board.slowest(partition.id, epoch);
    while (marks.length > 0 && marks[0].seq <= acked) marks.shift();
    if (marks.length === 0) return false;
    return partition.ringHead() - marks[0].head > partition.geometry.ringBytes / 2;
  }
}

abstract class Work {
  /** What ended it, below SET_OK; SET_OK or more when it was done. */
  result: LargeCode = SET_OK;
  protected readonly desk: Desk;
  /** Nobody wants it any more. */
  protected dropped = false;

  constructor(desk: Desk) {
    this.desk = desk;
  }

  /** `begin`, again while others write too much. Whoever was given something looks whether it is
   *  wanted still. */
  protected async begun<T>(begin: () => T | number): Promise<T | number> {
    const sinceMs = this.desk.host.monotonicMs();
    for (;;) {
      const begun = begin();
      const isLate = this.desk.host.monotonicMs() - sinceMs > BUSY_MS_MAX;
      if (begun !== BUSY || isLate) return begun;
      await new Promise<void>((resolve) => setTimeout(resolve, BUSY_LOOK_MS));
      if (this.dropped) return begun;
    }
  }

  /** Asked by the store inside each passage. */
  protected readonly mayWrite = (): boolean => this.desk.host.lease.lookNow();

  abstract drop(): void;
}

/** Values of one command. */
export class Staging extends Work {
  private readonly values: readonly LargeValue[];
  private readonly writes: (LargeWrite | null)[] = [];
  /** Of values that change in part, each in its place. */
  private readonly edits: (ValueEdit | undefined)[] = [];
  private readonly epochs: number[] = [];
  /** Which the result is about. */
  failed: LargeValue | null = null;
  /** How often what the value was made of has changed until it was there. */
  tries = 0;

  constructor(desk: Desk, values: readonly LargeValue[]) {
    super(desk);
    this.values = values;
  }

  async run(): Promise<void> {
    for (const value of this.values) {
      this.failed = value;
      this.result = await this.stage(value);
      if (this.result !== SET_OK || this.dropped) break;
    }
    if (this.result !== SET_OK) this.drop();
  }

  private async stage(value: LargeValue): Promise<LargeCode> {
    const { partition, hash, key, start, bytes } = value;
    this.epochs.push(partition.epoch());
    if (value.offset !== undefined) return this.prepare(value, value.offset);
    const source = await this.sourceOf(value);
    // It is made anew when the command runs again.
    if (source === null || this.dropped) return SET_OK;
    const write = await this.begun(() =>
      partition.values.beginLarge(hash, key, 0, key.length, bytes, this.mayWrite),
    );
    if (typeof write === 'number') return write;
    if (this.dropped) {
      write.abort(this.desk.host.nowMs());
      return SET_OK;
    }
    this.writes.push(write);
    const pace = new Pace(this.desk, partition);
    while (!this.dropped && write.written < bytes) {
      const turnEnd = Math.min(bytes, write.written + TURN_BYTES_MAX);
      while (write.written < turnEnd) {
        const at = write.written;
        const taken = write.write(source, start + at, bytes - at, this.desk.host.nowMs());
        if (taken < 0) return taken;
      }
      await pace.keep();
    }
    return SET_OK;
  }

  /** Null: what it is made of has changed. */
  private async sourceOf({ source }: LargeValue): Promise<Buffer | null> {
    if (Buffer.isBuffer(source)) return source;
    for (;;) {
      let state = source.step();
      for (let i = 1; state === 'more' && i < MAKE_STEPS_PER_TURN; i++) state = source.step();
      if (state === 'made') return source.value;
      if (state === 'changed' || this.dropped) return null;
      await nextTurn();
    }
  }

  private async prepare(value: LargeValue, offset: number): Promise<LargeCode> {
    const { partition, hash, key, start, bytes } = value;
    const source = value.source as Buffer;
    const { host } = this.desk;
    const at = this.writes.length;
    this.writes.push(null);
    const edit = await this.begun(() =>
      partition.values.beginEdit(
        ...([hash, key, 0, key.length, offset, source, start, bytes] as const),
        this.mayWrite,
      ),
    );
    if (typeof edit === 'number') return edit;
    if (this.dropped) {
      edit.abort(host.nowMs());
      return SET_OK;
    }
    this.edits[at] = edit;
    const pace = new Pace(this.desk, partition);
    let state = MORE;
    while (!this.dropped && state === MORE) {
      for (let i = 0; state === MORE && i < EDIT_STEPS_PER_TURN; i++) {
        state = edit.prepare(host.nowMs());
      }
      if (state === MORE) await pace.keep();
    }
    return state === READY ? SET_OK : state;
  }

  /** Inside a passage: whether what was staged there can still be published. */
  holdsAt(partition: Partition): boolean {
    const nowMs = this.desk.host.nowMs();
    return this.values.every(
      (value, i) =>
        value.partition !== partition ||
        (this.epochs[i] === partition.epoch() && this.edits[i]?.holdsInside(nowMs) !== false),
    );
  }

  /** Outside of any passage: whether no value was changed since, for which a change is prepared. */
  isUpToDate(): boolean {
    return this.values.every(({ partition, offset }) => {
      if (offset === undefined) return true;
      partition.enter();
      const holds = this.holdsAt(partition);
      partition.leave();
      return holds;
    });
  }

  /** What is prepared for such a change, once. */
  takeEdit(
    partition: Partition,
    key: Buffer,
    start: number,
    end: number,
    offset: number,
    bytes: number,
  ): ValueEdit | null {
    for (const [i, value] of this.values.entries()) {
      const edit = this.edits[i];
      const isIt = value.partition === partition && value.offset === offset;
      if (edit === undefined || !isIt || value.bytes !== bytes) continue;
      if (value.key.compare(key, start, end) !== 0) continue;
      this.edits[i] = undefined;
      return edit;
    }
    return null;
  }

  /** The staged value of this key, once; null: there is none. */
  take(
    partition: Partition,
    key: Buffer,
    start: number,
    end: number,
    bytes: number,
  ): LargeWrite | null {
    for (let i = 0; i < this.writes.length; i++) {
      const write = this.writes[i];
      const isIt = write?.isOpen === true && this.values[i].partition === partition;
      if (!isIt || write.valueBytes !== bytes) continue;
      if (write.key.compare(key, start, end) !== 0) continue;
      this.writes[i] = null;
      return write;
    }
    return null;
  }

  /** The staged value of this key, once, if it was made of the same. */
  takeMade(
    partition: Partition,
    key: Buffer,
    start: number,
    end: number,
    stamp: string,
  ): LargeWrite | null {
    const value = this.values.find((each) => each.stamp === stamp);
    return value === undefined ? null : this.take(partition, key, start, end, value.bytes);
  }

  /** Outside of any passage: what was not published is given back. */
  drop(): void {
    this.dropped = true;
    for (const write of this.writes) write?.abort(this.desk.host.nowMs());
    for (const edit of this.edits) edit?.abort(this.desk.host.nowMs());
    this.writes.length = 0;
    this.edits.length = 0;
  }
}

export interface LargeEdit extends Omit<LargeValue, 'bytes'> {
  readonly bytes: number;
  readonly offset: number;
  /** It makes room with zeros for what its command does next. */
  readonly grows: boolean;
}

/** One APPEND or SETRANGE. `result` is the length of the value then. */
export class Editing extends Work {
  readonly partition: Partition;
  /** Which it was done in. */
  readonly epoch: number;
  readonly edit: LargeEdit;
  private running: ValueEdit | null = null;

  constructor(desk: Desk, edit: LargeEdit) {
    super(desk);
    this.edit = edit;
    this.partition = edit.partition;
    this.epoch = edit.partition.epoch();
  }

  async run(): Promise<void> {
    const { partition, hash, key, offset, start, bytes } = this.edit;
    const source = this.edit.source as Buffer;
    const { values } = partition;
    const edit = await this.begun(() =>
      values.beginEdit(
        hash,
        key,
        0,
        key.length,
        offset,
        source,
        start,
        bytes,
        () => partition.epoch() === this.epoch && this.mayWrite(),
      ),
    );
    if (typeof edit === 'number') {
      this.result = edit;
      return;
    }
    if (this.dropped) {
      edit.abort(this.desk.host.nowMs());
      return;
    }
    this.running = edit;
    const pace = new Pace(this.desk, partition);
    while (!this.dropped) {
      let steps = EDIT_STEPS_PER_TURN;
      do this.result = edit.step(this.desk.host.nowMs());
      while (this.result === MORE && --steps > 0);
      if (this.result !== MORE) break;
      await pace.keep();
    }
    this.desk.host.wakeReplication();
  }

  drop(): void {
    this.dropped = true;
    this.running?.abort(this.desk.host.nowMs());
  }
}
