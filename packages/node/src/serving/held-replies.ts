/** Replies to connections with acks=isr, until every copy in sync has what they tell; with acks=log, until this node's
 *  redo log on disk has it; with both, until both have.
 *
 *  While a command runs, whoever runs it notes what it needs: its partition and epoch, seen inside
 *  the passage or the read. The seq follows when the batch is over: what the partition has committed
 *  by then, which is at least what the command did or saw. A batch is held as one entry, so it costs
 *  one look per change, and its place in the connection's queue keeps the order.
 *  The AckBoard says when, and the LogBoard of the disk: the replication and the log worker write them and wake this
 *  thread.
 *  Of a need that can no longer be met (the epoch is over, the in-sync set has become smaller than
 *  --min-isr, the disk takes nothing, nobody answered for HELD_MS_MAX) nobody can say what became of it: the replies that
 *  have it become errors, the others of the batch leave as they are. Of a reply that only reads the
 *  error says so: nothing was done.
 *  Owner: one per worker, for all its connections. Bounds: those of each connection's queue. */

import { Buffer } from 'node:buffer';
import { type AckBoard, Verdict } from '@ingot/replication';
import type { Partition } from '@ingot/store';
import { Counter, type WorkerCounters } from '../metrics/layout.ts';
import type { ReplyWriter } from '../resp/reply-writer.ts';
import { type LogBoard, LogState } from '../redo-log/log-board.ts';
import type { ClusterMap } from '../shared/map.ts';
import { AWAIT_ISR, AWAIT_LOG } from '../shared/settings.ts';
import type { ReplySink } from './reply-queue.ts';

export const NOREPLICAS_TEXT = 'NOREPLICAS Not enough good replicas to write.';
export const NOT_IN_SYNC_TEXT: string =
  'ERR not enough copies in sync have acknowledged this; ' +
  'the outcome of the command is unknown';
/** Nothing was done, and what it saw may be taken back by a failover. */
export const NOT_READABLE_TEXT: string =
  'ERR not enough copies in sync have acknowledged what was read; read again';
export const NO_LOG_TEXT: string =
  'NOLOG this node keeps no redo log, nothing was done; ' +
  'start it with --durability log, or ask for CLIENT ACKS local';
export const LOG_FAILS_TEXT: string =
  'NOLOG the disk of this node takes nothing, nothing was done; ' +
  'make room below its --data-dir, or ask for CLIENT ACKS local';
export const NOT_LOGGED_TEXT: string =
  'NOLOG this was done and is not on disk; ' +
  'it may be lost at a restart: look at the disk of this node';
/** Nothing was done, and what it saw may be gone after a restart. */
export const NOT_READ_LOGGED_TEXT: string =
  'NOLOG what was read is not on disk; look at the disk of this node';
/** Whoever leads the partition now may have it or not. */
export const LOG_PARTED_TEXT: string =
  'ERR this node ceased to lead the partition before its redo log had this on disk; ' +
  'the outcome of the command is unknown';
export const READ_LOG_PARTED_TEXT: string =
  'ERR this node ceased to lead the partition before its redo log had on disk what was read; ' +
  'read again';
/** With more replies held than this, writes of a millisecond travel together as they do without: then
 *  it costs little more to wait for followers than not to. With fewer, each is sent at once. */
const HURRIED_REPLIES_MAX = 64;
/** Less than another node's patience with a link on which replies are due. */
export const HELD_MS_MAX = 5_000;
const NOTE_WORDS = 5;
const KEPT_NOTE_WORDS_MAX: number = NOTE_WORDS * 1_024;

const NOT_IN_SYNC: Buffer = Buffer.from(`-${NOT_IN_SYNC_TEXT}\r\n`);
const NOT_READABLE: Buffer = Buffer.from(`-${NOT_READABLE_TEXT}\r\n`);
const NOT_LOGGED: Buffer = Buffer.from(`-${NOT_LOGGED_TEXT}\r\n`);
const NOT_READ_LOGGED: Buffer = Buffer.from(`-${NOT_READ_LOGGED_TEXT}\r\n`);
const LOG_PARTED: Buffer = Buffer.from(`-${LOG_PARTED_TEXT}\r\n`);
const READ_LOG_PARTED: Buffer = Buffer.from(`-${READ_LOG_PARTED_TEXT}\r\n`);

/** Of a need: whether the command wrote, and what its reply waits for (AWAIT_ bits), as one number. */
const WRITES = 1;
export function needKind(awaits: number, writes: boolean): number {
  return awaits * 2 + (writes ? WRITES : 0);
}
const NEEDS_ISR = AWAIT_ISR * 2;
const NEEDS_LOG = AWAIT_LOG * 2;

export interface HeldRepliesHost {
  readonly map: ClusterMap;
  readonly partitions: readonly (Partition | null)[];
  readonly counters: WorkerCounters;
  readonly workerIndex: number;
  monotonicMs(): number;
  /** Something was written. */
  wakeReplication(): void;
  /** The same, and replies wait for followers: it is not to wait for more. */
  hurryReplication(): void;
  readonly log: LogBoard;
}

/** Something that waits for the board to change. */
export interface BoardWaiter {
  /** True once it waits no longer. */
  look(nowMs: number): boolean;
}

export class HeldReplies {
  readonly board: AckBoard;
  private readonly host: HeldRepliesHost;
  /** Of the commands run since they were last taken: partition, epoch, kind. */
  private fresh: number[] = [];
  /** Of the batch's replies: partition, epoch, kind, from, to; those before `noteEnd` count. An
   *  array that is emptied loses its memory, and has to grow again. */
  private readonly notes: number[] = [];
  private noteEnd = 0;
  /** Where the needs of a reply are put together. */
  private readonly needs: number[] = [];
  private waiters: BoardWaiter[] = [];
  /** Replies that wait. */
  private count = 0;
  private watching = false;
  /** What replies of this turn of the event loop wait for. */
  private hurrying = 0;

  constructor(host: HeldRepliesHost, board: AckBoard) {
    this.host = host;
    this.board = board;
  }

  /** A command has run on this partition, at this epoch. */
  need(partitionId: number, epoch: number, kind: number): void {
    this.fresh.push(partitionId, epoch, kind);
  }

  /** A command over all partitions that are led here has run. */
  needAll(kind: number): void {
    for (const partition of this.host.partitions) {
      if (partition?.mayWrite() === true) this.need(partition.id, partition.epoch(), kind);
    }
  }

  /** The reply of one plain command is out[from .. to). */
  note(partitionId: number, epoch: number, kind: number, from: number, to: number): void {
    const { notes, noteEnd } = this;
    notes[noteEnd] = partitionId;
    notes[noteEnd + 1] = epoch;
    notes[noteEnd + 2] = kind;
    notes[noteEnd + 3] = from;
    notes[noteEnd + 4] = to;
    this.noteEnd = noteEnd + NOTE_WORDS;
  }

  /** What was needed since is told by out[from .. to). */
  noteFresh(from: number, to: number): void {
    const { fresh } = this;
    if (fresh.length === 0) return;
    for (let i = 0; i < fresh.length; i += 3) {
      this.note(fresh[i], fresh[i + 1], fresh[i + 2], from, to);
    }
    fresh.length = 0;
  }

  /** The latest command is not answered after all. */
  forgetFresh(): void {
    this.fresh.length = 0;
  }

  /** A write that waits for that may begin: enough copies are in sync, and the log takes it. */
  suffice(partitionId: number, awaits: number): boolean {
    const { map, partitions } = this.host;
    // Of a partition that is led elsewhere, that node says.
    if ((awaits & AWAIT_LOG) !== 0 && partitions[partitionId]?.mayWrite() === true) {
      if (this.host.log.state !== LogState.writes) return false;
    }
    if ((awaits & AWAIT_ISR) === 0 || map.minIsr <= 1) return true;
    const entry = map.placement[partitionId];
    const others = entry.inSync.filter(({ node }) => node !== entry.primary).length;
    return 1 + others >= map.minIsr;
  }

  /** Counts a write that is refused, and says how. */
  refuse(out: ReplyWriter, awaits: number): void {
    const { state } = this.host.log;
    if ((awaits & AWAIT_LOG) !== 0 && state !== LogState.writes) {
      this.host.counters.add(Counter.noLog, 1);
      out.error(state === LogState.off ? NO_LOG_TEXT : LOG_FAILS_TEXT);
      return;
    }
    this.host.counters.add(Counter.noReplicas, 1);
    out.error(NOREPLICAS_TEXT);
  }

  /** The batch's output waits for nobody. */
  get nothingNoted(): boolean {
    return this.noteEnd === 0;
  }

  /** What the batch's output waits for; null where it may leave at once. */
  takeBatch(out: ReplyWriter): HeldReply | null {
    const { notes, noteEnd } = this;
    if (noteEnd === 0) return null;
    this.noteEnd = 0;
    const held = this.draft(notes.slice(0, noteEnd));
    if (notes.length > KEPT_NOTE_WORDS_MAX) notes.length = 0;
    if (held.met()) return null;
    held.bytes = out.take();
    return held;
  }

  /** The batch's output is told to nobody: what it needs is not that of the next one. */
  forgetBatch(): void {
    this.fresh.length = 0;
    this.noteEnd = 0;
  }

  /** `reply` goes to `sink` once what was needed since is in sync. */
  settle(reply: Buffer, sink: ReplySink): void {
    const { fresh } = this;
    if (fresh.length === 0) {
      sink.settle(reply);
      return;
    }
    const notes: number[] = [];
    for (let i = 0; i < fresh.length; i += 3) {
      notes.push(fresh[i], fresh[i + 1], fresh[i + 2], 0, reply.length);
    }
    fresh.length = 0;
    const held = this.draft(notes);
    if (held.met()) {
      sink.settle(reply);
      return;
    }
    held.bytes = reply;
    this.hold(held, sink);
  }

  /** Needs of the same partition and epoch are one. The notes become the reply's: in place of the
   *  partition each gets the index of its need. */
  private draft(notes: number[]): HeldReply {
    const { needs } = this;
    let needEnd = 0;
    for (let i = 0; i < notes.length; i += NOTE_WORDS) {
      const partitionId = notes[i];
      const epoch = notes[i + 1];
      let at = 0;
      while (at < needEnd && (needs[at] !== partitionId || needs[at + 1] !== epoch)) at += 4;
      if (at === needEnd) {
        needs[at] = partitionId;
        needs[at + 1] = epoch;
        needs[at + 2] = this.committedAt(partitionId, epoch);
        needs[at + 3] = notes[i + 2];
        needEnd = at + 4;
      } else needs[at + 3] |= notes[i + 2];
      notes[i] = at;
    }
    return new HeldReply(this, this.host, needs.slice(0, needEnd), notes);
  }

  /** Out of reach where the epoch is over: the seq may be another's already. */
  private committedAt(partitionId: number, epoch: number): number {
    const partition = this.host.partitions[partitionId];
    const seq = partition?.committedSeq() ?? 0;
    return partition?.epoch() === epoch ? seq : Number.MAX_SAFE_INTEGER;
  }

  hold(held: HeldReply, sink: ReplySink): void {
    held.sink = sink;
    this.add(held.count);
    this.wait(held, held.awaits);
  }

  /** So many replies more wait, or less. */
  add(replies: number): void {
    this.count += replies;
    this.host.counters.add(Counter.acksHeld, replies);
  }

  /** Looks at `waiter` at every change of the boards. */
  wait(waiter: BoardWaiter, awaits: number = AWAIT_ISR): void {
    this.waiters.push(waiter);
    this.hurrySoon(awaits);
    if (!this.watching) void this.watch();
  }

  /** Writes of this turn of the event loop leave together, and at once. */
  hurrySoon(awaits: number): void {
    const isUnderWay = this.hurrying !== 0;
    this.hurrying |= awaits;
    if (isUnderWay) return;
    setImmediate(() => {
      const { hurrying } = this;
      this.hurrying = 0;
      if ((hurrying & AWAIT_LOG) !== 0) this.host.log.wake();
      if ((hurrying & AWAIT_ISR) === 0) this.host.wakeReplication();
      else if (this.count > HURRIED_REPLIES_MAX) this.host.wakeReplication();
      else this.host.hurryReplication();
    });
  }

  /** The map, a role or the time has changed. */
  look(): void {
    if (this.waiters.length === 0) return;
    const nowMs = this.host.monotonicMs();
    // Whoever is settled may make others wait.
    const waiting = this.waiters;
    this.waiters = [];
    for (const waiter of waiting) if (!waiter.look(nowMs)) this.waiters.push(waiter);
  }

  private async watch(): Promise<void> {
    const { board, host } = this;
    this.watching = true;
    while (this.waiters.length > 0) {
      const many = this.count > HURRIED_REPLIES_MAX;
      board.announce(host.workerIndex, many);
      this.look();
      if (this.waiters.length === 0) break;
      if (many && this.count <= HURRIED_REPLIES_MAX) continue; // what is left is in more of a hurry
      await board.sleep(host.workerIndex);
    }
    this.watching = false;
  }
}

/** Of a need that cannot be met: the reply to a write, and to a read. */
type Words = [write: Buffer, read: Buffer];

/** Some replies, as bytes, and what they need. */
export class HeldReply implements BoardWaiter {
  bytes!: Buffer;
  sink!: ReplySink;
  private readonly owner: HeldReplies;
  private readonly board: AckBoard;
  private readonly host: HeldRepliesHost;
  private readonly sinceMs: number;
  /** partition, epoch, seq, kind */
  private readonly needs: readonly number[];
  /** index of the need, epoch, kind, from, to */
  private readonly notes: readonly number[];
  /** Needs before it are met, or failed. */
  private next = 0;
  private failed: Map<number, Words> | null = null;

  constructor(
    owner: HeldReplies,
    host: HeldRepliesHost,
    needs: readonly number[],
    notes: readonly number[],
  ) {
    this.needs = needs;
    this.notes = notes;
    this.owner = owner;
    this.board = owner.board;
    this.host = host;
    this.sinceMs = host.monotonicMs();
  }

  /** Replies that wait. */
  get count(): number {
    return this.notes.length / NOTE_WORDS;
  }

  /** All that its replies wait for, as bits. */
  get awaits(): number {
    const { needs } = this;
    let kinds = 0;
    for (let i = 3; i < needs.length; i += 4) kinds |= needs[i];
    return kinds >> 1;
  }

  /** Everything is where it has to be already. */
  met(): boolean {
    return this.advance() && this.failed === null;
  }

  look(nowMs: number): boolean {
    if (!this.advance()) {
      if (nowMs - this.sinceMs < HELD_MS_MAX) return false;
      while (this.next < this.needs.length) this.fail(...this.lateWords(this.next));
    }
    this.owner.add(-this.count);
    this.sink.settle(this.failed === null ? this.bytes : this.withErrors(this.failed));
    return true;
  }

  /** True once no need is open. */
  private advance(): boolean {
    const { needs } = this;
    while (this.next < needs.length) {
      const at = this.next;
      const [inSync, logged] = [this.inSyncVerdict(at), this.logVerdict(at)];
      if (inSync === Verdict.unknown) this.fail(NOT_IN_SYNC, NOT_READABLE);
      else if (logged === Verdict.unknown) this.fail(NOT_LOGGED, NOT_READ_LOGGED);
      else if (inSync === Verdict.leave && logged === Verdict.leave) this.next += 4;
      else if (!this.isOver(needs[at], needs[at + 1])) return false;
      else if (inSync === Verdict.leave) this.fail(LOG_PARTED, READ_LOG_PARTED);
      else this.fail(NOT_IN_SYNC, NOT_READABLE);
    }
    return true;
  }

  private inSyncVerdict(at: number): Verdict {
    const { needs, board } = this;
    const [partitionId, epoch, kind] = [needs[at], needs[at + 1], needs[at + 3]];
    if ((kind & NEEDS_ISR) === 0) return Verdict.leave;
    const verdict = board.verdict(partitionId, epoch, needs[at + 2]);
    return this.isTooFew(partitionId, epoch, kind & WRITES) ? Verdict.unknown : verdict;
  }

  private logVerdict(at: number): Verdict {
    const { needs } = this;
    const { log } = this.host;
    const kind = needs[at + 3];
    if ((kind & NEEDS_LOG) === 0 || log.has(needs[at], needs[at + 1], needs[at + 2])) {
      return Verdict.leave;
    }
    if (log.state === LogState.writes) return Verdict.wait;
    // Where there is no log, a restart takes nothing back of what can be read.
    return log.state === LogState.off && (kind & WRITES) === 0 ? Verdict.leave : Verdict.unknown;
  }

  /** Asked after the verdict: a set that was too small when it was reached does not count. */
  private isTooFew(partitionId: number, epoch: number, writes: number): boolean {
    const { minIsr } = this.host.map;
    if (writes === 0 || minIsr <= 1) return false;
    const members = this.board.membersAt(partitionId, epoch);
    return members >= 0 && members < minIsr;
  }

  /** The replication worker has yet to hear of this epoch, and it is over. */
  private isOver(partitionId: number, epoch: number): boolean {
    const partition = this.host.partitions[partitionId];
    return partition === null || partition.epoch() !== epoch;
  }

  /** `words`: for a write, for a read. */
  private fail(...words: Words): void {
    this.failed ??= new Map();
    this.failed.set(this.next, words);
    this.next += 4;
  }

  private lateWords(at: number): Words {
    const isInSync = this.inSyncVerdict(at) === Verdict.leave;
    return isInSync ? [NOT_LOGGED, NOT_READ_LOGGED] : [NOT_IN_SYNC, NOT_READABLE];
  }

  /** Whether the command of the reply that begins there wrote, to whatever partition. */
  private writesFrom(from: number): boolean {
    const { notes } = this;
    for (let i = 0; i < notes.length; i += NOTE_WORDS) {
      if (notes[i + 3] === from && (notes[i + 2] & WRITES) !== 0) return true;
    }
    return false;
  }

  /** Notes are in order; a reply that needs several partitions has one for each. */
  private withErrors(failed: ReadonlyMap<number, Words>): Buffer {
    const { notes, bytes, host } = this;
    const pieces: Buffer[] = [];
    let at = 0;
    for (let i = 0; i < notes.length; i += NOTE_WORDS) {
      const [need, from, to] = [notes[i], notes[i + 3], notes[i + 4]];
      const words = failed.get(need);
      if (words === undefined || from < at) continue;
      const writes = this.writesFrom(from);
      pieces.push(bytes.subarray(at, from), words[writes ? 0 : 1]);
      if (writes) host.counters.add(Counter.acksUnknown, 1);
      at = to;
    }
    pieces.push(bytes.subarray(at));
    return Buffer.concat(pieces);
  }
}
