/** Replies to connections with acks=isr, until every copy in sync has what they tell.
 *
 *  While a command runs, whoever runs it notes what it needs: its partition and epoch, seen inside
 *  the passage or the read. The seq follows when the batch is over: what the partition has committed
 *  by then, which is at least what the command did or saw. A batch is held as one entry, so it costs
 *  one look per change, and its place in the connection's queue keeps the order.
 *  The AckBoard says when: the replication worker writes it and wakes this thread.
 *  Of a need that can no longer be met (the epoch is over, the in-sync set has become smaller than
 *  --min-isr, nobody answered for HELD_MS_MAX) nobody can say what became of it: the replies that
 *  have it become errors, the others of the batch leave as they are. Of a reply that only reads the
 *  error says so: nothing was done.
 *  Owner: one per worker, for all its connections. Bounds: those of each connection's queue. */

import { Buffer } from 'node:buffer';
import { type AckBoard, Verdict } from '@ingot/replication';
import type { Partition } from '@ingot/store';
import { Counter, type WorkerCounters } from '../metrics/layout.ts';
import type { ReplyWriter } from '../resp/reply-writer.ts';
import type { ClusterMap } from '../shared/map.ts';
import type { ReplySink } from './reply-queue.ts';

export const NOREPLICAS_TEXT = 'NOREPLICAS Not enough good replicas to write.';
export const NOT_IN_SYNC_TEXT: string =
  'ERR not enough copies in sync have acknowledged this; ' +
  'the outcome of the command is unknown';
/** Nothing was done, and what it saw may be taken back by a failover. */
export const NOT_READABLE_TEXT: string =
  'ERR not enough copies in sync have acknowledged what was read; read again';
/** With more replies held than this, writes of a millisecond travel together as they do without: then
 *  it costs little more to wait for followers than not to. With fewer, each is sent at once. */
const HURRIED_REPLIES_MAX = 64;
/** Less than another node's patience with a link on which replies are due. */
export const HELD_MS_MAX = 5_000;
const NOTE_WORDS = 5;
const KEPT_NOTE_WORDS_MAX: number = NOTE_WORDS * 1_024;

const NOT_IN_SYNC: Buffer = Buffer.from(`-${NOT_IN_SYNC_TEXT}\r\n`);
const NOT_READABLE: Buffer = Buffer.from(`-${NOT_READABLE_TEXT}\r\n`);

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
}

/** Something that waits for the board to change. */
export interface BoardWaiter {
  /** True once it waits no longer. */
  look(nowMs: number): boolean;
}

export class HeldReplies {
  readonly board: AckBoard;
  private readonly host: HeldRepliesHost;
  /** Of the commands run since they were last taken: partition, epoch, writes. */
  private fresh: number[] = [];
  /** Of the batch's replies: partition, epoch, writes, from, to; those before `noteEnd` count. An
   *  array that is emptied loses its memory, and has to grow again. */
  private readonly notes: number[] = [];
  private noteEnd = 0;
  /** Where the needs of a reply are put together. */
  private readonly needs: number[] = [];
  private waiters: BoardWaiter[] = [];
  /** Replies that wait. */
  private count = 0;
  private watching = false;
  private hurrying = false;

  constructor(host: HeldRepliesHost, board: AckBoard) {
    this.host = host;
    this.board = board;
  }

  /** A command has run on this partition, at this epoch. */
  need(partitionId: number, epoch: number, writes: boolean): void {
    this.fresh.push(partitionId, epoch, writes ? 1 : 0);
  }

  /** A command over all partitions that are led here has run. */
  needAll(writes: boolean): void {
    for (const partition of this.host.partitions) {
      if (partition?.mayWrite() === true) this.need(partition.id, partition.epoch(), writes);
    }
  }

  /** The reply of one plain command is out[from .. to). */
  note(partitionId: number, epoch: number, writes: boolean, from: number, to: number): void {
    this.addNote(partitionId, epoch, writes ? 1 : 0, from, to);
  }

  private addNote(
    partitionId: number,
    epoch: number,
    writes: number,
    from: number,
    to: number,
  ): void {
    const { notes, noteEnd } = this;
    notes[noteEnd] = partitionId;
    notes[noteEnd + 1] = epoch;
    notes[noteEnd + 2] = writes;
    notes[noteEnd + 3] = from;
    notes[noteEnd + 4] = to;
    this.noteEnd = noteEnd + NOTE_WORDS;
  }

  /** What was needed since is told by out[from .. to). */
  noteFresh(from: number, to: number): void {
    const { fresh } = this;
    if (fresh.length === 0) return;
    for (let i = 0; i < fresh.length; i += 3) {
      this.addNote(fresh[i], fresh[i + 1], fresh[i + 2], from, to);
    }
    fresh.length = 0;
  }

  /** The latest command is not answered after all. */
  forgetFresh(): void {
    this.fresh.length = 0;
  }

  /** Enough copies are in sync for a write. */
  suffice(partitionId: number): boolean {
    const { map } = this.host;
    if (map.minIsr <= 1) return true;
    const entry = map.placement[partitionId];
    const others = entry.inSync.filter(({ node }) => node !== entry.primary).length;
    return 1 + others >= map.minIsr;
  }

  /** Counts a write that is refused, and says how. */
  refuse(out: ReplyWriter): void {
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
      } else if (notes[i + 2] === 1) needs[at + 3] = 1;
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
    this.wait(held);
  }

  /** So many replies more wait, or less. */
  add(replies: number): void {
    this.count += replies;
    this.host.counters.add(Counter.acksHeld, replies);
  }

  /** Looks at `waiter` at every change of the board. */
  wait(waiter: BoardWaiter): void {
    this.waiters.push(waiter);
    this.hurrySoon();
    if (!this.watching) void this.watch();
  }

  /** Writes of this turn of the event loop leave together, and at once. */
  hurrySoon(): void {
    if (this.hurrying) return;
    this.hurrying = true;
    setImmediate(() => {
      this.hurrying = false;
      if (this.count > HURRIED_REPLIES_MAX) this.host.wakeReplication();
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

/** Some replies, as bytes, and what they need. */
export class HeldReply implements BoardWaiter {
  bytes!: Buffer;
  sink!: ReplySink;
  private readonly owner: HeldReplies;
  private readonly board: AckBoard;
  private readonly host: HeldRepliesHost;
  private readonly sinceMs: number;
  /** partition, epoch, seq, writes */
  private readonly needs: readonly number[];
  /** index of the need, epoch, writes, from, to */
  private readonly notes: readonly number[];
  /** Needs before it are met, or failed. */
  private next = 0;
  private failed: Set<number> | null = null;

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

  /** Everything is in sync already. */
  met(): boolean {
    return this.advance() && this.failed === null;
  }

  look(nowMs: number): boolean {
    if (!this.advance()) {
      if (nowMs - this.sinceMs < HELD_MS_MAX) return false;
      while (this.next < this.needs.length) this.fail();
    }
    this.owner.add(-this.count);
    this.sink.settle(this.failed === null ? this.bytes : this.withErrors(this.failed));
    return true;
  }

  /** True once no need is open. */
  private advance(): boolean {
    const { needs, board } = this;
    while (this.next < needs.length) {
      const at = this.next;
      const [partitionId, epoch] = [needs[at], needs[at + 1]];
      const verdict = board.verdict(partitionId, epoch, needs[at + 2]);
      if (verdict === Verdict.unknown || this.isTooFew(partitionId, epoch, needs[at + 3])) {
        this.fail();
      } else if (verdict === Verdict.leave) {
        this.next += 4;
      } else if (this.isOver(partitionId, epoch)) {
        this.fail();
      } else return false;
    }
    return true;
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

  private fail(): void {
    this.failed ??= new Set();
    this.failed.add(this.next);
    this.next += 4;
  }

  /** Whether the command of the reply that begins there wrote, to whatever partition. */
  private writesFrom(from: number): boolean {
    const { notes } = this;
    for (let i = 0; i < notes.length; i += NOTE_WORDS) {
      if (notes[i + 3] === from && notes[i + 2] === 1) return true;
    }
    return false;
  }

  /** Notes are in order; a reply that needs several partitions has one for each. */
  private withErrors(failed: ReadonlySet<number>): Buffer {
    const { notes, bytes, host } = this;
    const pieces: Buffer[] = [];
    let at = 0;
    for (let i = 0; i < notes.length; i += NOTE_WORDS) {
      const [need, from, to] = [notes[i], notes[i + 3], notes[i + 4]];
      if (!failed.has(need) || from < at) continue;
      const writes = this.writesFrom(from);
      pieces.push(bytes.subarray(at, from), writes ? NOT_IN_SYNC : NOT_READABLE);
      if (writes) host.counters.add(Counter.acksUnknown, 1);
      at = to;
    }
    pieces.push(bytes.subarray(at));
    return Buffer.concat(pieces);
  }
}
