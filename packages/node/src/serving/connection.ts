/** One client connection: what it is sent, and its place in line. What it answers has its way out in outbox.ts.
 *
 *  Bytes arrive in the worker's shared buffer and are executed from there; only what could not be
 *  executed yet (half a command, or a connection on hold) is kept in its inbox.
 *  A connection on hold executes nothing and keeps its order; each reason is a bit, and when the
 *  last one is lifted it goes on with its inbox.
 *  Bounds: on hold it reads ahead READ_AHEAD_BYTES_MAX and then stops reading. So, with the bounds of its outbox, a slow
 *  or hostile client holds a bounded amount of memory and delays nobody.
 *  Owner: the worker that accepted it, for good. */

import type { Buffer } from 'node:buffer';
import type { Socket } from 'node:net';
import type { Args } from '../resp/args.ts';
import type { Unfinished } from '../resp/parser.ts';
import { ReplyWriter } from '../resp/reply-writer.ts';
import { ACKS, type Acks, awaitsOf } from '../shared/settings.ts';
import { type ClientDefaults, ClientState } from './client-state.ts';
import type { Arrivals } from './arrivals.ts';
import type { ForwardedReplies } from './forwarded-replies.ts';
import { Hold } from './hold.ts';
import { Inbox, type InboxHost, type InboxOwner, Room } from './inbox.ts';
import type { Copying } from './copy-work.ts';
import type { Scanning } from './value-scan.ts';
import type { Editing, Staging } from './large-work.ts';
import { queryBufferText } from './limits.ts';
import { Outbox, type OutboxHost } from './outbox.ts';
import type { Parkable } from './parking.ts';
import {
  type ListenerKind,
  type Session,
  type SessionFigures,
  type WriteReply,
} from './session.ts';
import { addressesOf, Wire } from './wire.ts';

export const READ_AHEAD_BYTES_MAX: number = 64 * 1024;
/** What a connection costs that does nothing, measured. */
export const CONNECTION_BYTES: number = 8 * 1024;
/** What was read takes so long to execute: others have their turn before more is read. */
const READS_US_MAX = 200;

/** What is done before the command in hand, or in its place. */
export type LargeWork = Staging | Editing | Copying | Scanning;

/** What a connection needs of its worker. */
export interface ConnectionHost extends InboxHost, OutboxHost, ClientDefaults {
  readonly arrivals: Arrivals;
  /** Executes what is complete in [start, end) and returns how far it came. */
  execute(connection: Connection, buffer: Buffer, start: number, end: number): number;
  /** See `BatchExecutor.runPlanned`. */
  executePlanned(connection: Connection, start: number, from: number, to: number): number;
  received(bytes: number): void;
  closed(connection: Connection): void;
}

export class Connection extends ClientState implements Session, Parkable, InboxOwner {
  readonly address: string;
  readonly localAddress: string;

  /** Bits of Hold; 0 = executes. */
  hold = 0;
  /** Set while EXEC runs keyless commands: where to refuse a `replyLater`, which it cannot
   *  await. */
  laterRefusal: ReplyWriter | null = null;
  /** The parser's, for a command of many arguments, or a skipped one, that is still arriving. */
  long: Unfinished | null = null;
  /** Partitions whose commands travel on links of this client's own, while replies to them are due; null: none. */
  ownLinks: Set<number> | null = null;
  /** What the command that comes next needs done before it runs, or has had done instead. */
  large: LargeWork | null = null;

  /** The parser's: where a bulk that is still arriving will end, from the first byte of the inbox on; 0 = none. */
  wanted = 0;

  readonly outbox: Outbox;
  private readonly host: ConnectionHost;
  private readonly wire: Wire;
  private readonly inbox: Inbox;
  private ended = false;
  private destroyed = false;
  /** What it was sent waits for the end of the turn. */
  private arrived = false;
  private readsUs = 0;
  private runScheduled = false;

  constructor(
    host: ConnectionHost,
    accepted: Socket,
    id: number,
    listener: ListenerKind,
    nowMs: number,
  ) {
    super(host, id, listener, nowMs);
    this.host = host;
    if (!this.authenticated) host.patience.noteAuthenticated(this, false);
    const addresses = addressesOf(accepted);
    this.address = addresses.remote;
    this.localAddress = addresses.local;
    this.inbox = new Inbox(host, this);
    this.wire = new Wire(accepted, host.receiveBuffer, {
      onBytes: (buffer, bytes) => this.receive(buffer, bytes),
      onDrain: () => this.outbox.drained(),
      onEnd: () => this.inputEnded(),
      onClose: () => this.wireClosed(),
    });
    this.outbox = new Outbox(host, this, this.wire);
  }

  get acks(): Acks {
    return ACKS[this.awaits];
  }

  /** What is on its way to other nodes comes before what is sent there on another link. */
  set acks(acks: Acks) {
    if (acks === this.acks) return;
    this.host.emitBatch(this);
    this.awaits = awaitsOf(acks);
    if (this.repliesDue) this.hold |= Hold.replies;
  }

  get figures(): SessionFigures {
    return {
      queryBytes: this.inbox.bytes,
      queryRoomBytes: this.inbox.roomBytes,
      queuedBytes: this.transaction?.queuedBytes ?? 0,
      repliesDue: this.outbox.lateCount,
      replyBytes: this.unreadBytes,
    };
  }

  /** Memory that is there for it alone; not the values that are sent from where they lie. */
  get heldBytes(): number {
    const queuedBytes = this.transaction?.queuedBytes ?? 0;
    return CONNECTION_BYTES + this.inbox.heldBytes + queuedBytes + this.unreadBytes;
  }

  /** Nobody reads its replies any more. */
  get gone(): boolean {
    return this.destroyed;
  }

  /** Replies that are due, in whatever state. */
  get repliesDue(): boolean {
    return !this.outbox.empty;
  }

  /** Memory of replies that the client has not read. */
  get unreadBytes(): number {
    return this.outbox.unreadBytes;
  }

  /** It has sent nothing, and waits for nothing but that its client reads. */
  get isIdle(): boolean {
    const { hold } = this;
    const waits = (hold & ~Hold.output) !== 0 || (this.repliesDue && hold === 0);
    return !waits && !this.isLink && !this.outbox.lends;
  }

  protected authenticationChanged(): void {
    this.host.patience.noteAuthenticated(this, this.authenticated);
  }

  closeAfterReplies(): void {
    this.closing = true;
  }

  /** Ends it now, replies or not. */
  destroy(): void {
    this.wire.destroy();
  }

  /** As `destroy`; nothing more of what it sends is looked at. */
  endAtOnce(): void {
    this.closing = true;
    this.destroy();
  }

  /** Ends it with an error, where that can leave at once. */
  endSaying(text: string): void {
    if (!this.outbox.sayLast(text)) this.destroy();
  }

  replyLater(work: Promise<WriteReply>): void {
    if (this.laterRefusal !== null) {
      work.catch(() => {});
      this.laterRefusal.error('ERR this command cannot be part of a transaction');
      return;
    }
    const reply = this.outbox.reserve();
    const protocol = this.protocol;
    const settle = (write: WriteReply): void => {
      const out = new ReplyWriter(1024);
      out.protocol = protocol;
      write(out);
      reply.settle(out.take());
    };
    work.then(settle, (reason: unknown) => {
      const text = reason instanceof Error ? reason.message : String(reason);
      settle((out) => out.error(`ERR ${text}`));
    });
  }

  /** See PassingClient. */
  get forwarded(): ForwardedReplies | null {
    return this.outbox.forwarded;
  }

  expectForwarded(localBytes: number): number {
    return this.outbox.expectForwarded(localBytes);
  }

  flushPart(): void {
    this.outbox.flushPart();
  }

  /** The command in hand is sent elsewhere from where it lies: it stays there, and the next one waits, until what is
   *  returned is called. */
  lendCommand(): () => void {
    this.hold |= Hold.work;
    this.wire.pause();
    return () => this.release(Hold.work);
  }

  /** Whether the command in hand may stay where it lies, for good: its memory is then used for nothing else. */
  keepsCommand(args: Args): boolean {
    return this.inbox.lend(args.buf);
  }

  /** Whether the command in hand stays where it lies while `startLarge` is at work: not where it
   *  lies in what all connections are read into, or parsed in. */
  holdsCommand(args: Args): boolean {
    return this.inbox.rest === args.buf;
  }

  /** Ends it where its client does not read what is pinned, or the bytes are about to change. Returns for how long
   *  they have been pinned then, else -1. */
  checkPins(nowMs: number): number {
    const ageMs = this.outbox.overdueMs(nowMs);
    if (ageMs >= 0) this.destroy();
    return ageMs;
  }

  release(reasons: number): void {
    if ((this.hold & reasons) === 0) return;
    this.hold &= ~reasons;
    if (this.hold === 0) this.scheduleRun();
  }

  /** Nothing is read until the work is done: its bytes lie in the inbox. */
  startLarge(work: LargeWork): void {
    this.large = work;
    this.hold |= Hold.work;
    this.wire.pause();
    void work.run().then(() => this.release(Hold.work));
  }

  /** It has had its share of this turn of the event loop. */
  yieldTurn(): void {
    if ((this.hold & Hold.turn) !== 0) return;
    this.hold |= Hold.turn;
    this.host.limits.strike('turn', this);
    // Else up to 32 reads follow at once, whoever else waits.
    this.wire.pause();
    setImmediate(() => {
      // Others' replies come before what it does next.
      this.host.turn.end();
      this.hold &= ~Hold.turn;
      if (!this.runScheduled) this.run();
    });
  }

  linkHasRoom(): void {
    this.release(Hold.link);
  }

  unpark(): void {
    this.release(Hold.parked);
  }

  private receive(buffer: Buffer, bytes: number): void {
    const { host } = this;
    host.received(bytes);
    if (this.closing || this.destroyed) return;
    this.settleEarlier();
    const { turn } = host;
    const gathers = turn.mayGather();
    if (gathers && this.mayArrive && host.arrivals.take(this, buffer, bytes)) {
      this.arrived = true;
      return;
    }
    // Another read follows at once.
    const isFull = bytes === host.receiveBuffer.length;
    const sinceMs = isFull ? host.monotonicMs() : 0;
    turn.gathers = gathers;
    this.executeArrived(buffer, 0, bytes);
    turn.gathers = false;
    if (isFull) this.countRead(host.monotonicMs() - sinceMs);
    else this.readsUs = 0;
  }

  /** What it is sent needs nothing else first, and begins with a command: it is not the rest of
   *  one that is kept, or skipped. */
  private get mayArrive(): boolean {
    const begins = this.inbox.rest === null && this.long === null;
    return begins && this.plain && this.hold === 0;
  }

  /** What it was sent earlier is executed, and answered, before what happens now. */
  private settleEarlier(): void {
    if (this.arrived) this.host.arrivals.execute();
    this.outbox.departFirst();
  }

  /** Executes buffer[start .. end), which comes next, or keeps it. */
  executeArrived(buffer: Buffer, start: number, end: number): void {
    this.arrived = false;
    if (this.closing || this.destroyed) return;
    if (this.inbox.rest === null && this.hold === 0) {
      this.executed(buffer, this.host.execute(this, buffer, start, end), end);
      return;
    }
    this.keep(buffer, start, end);
    if (this.hold === 0) this.executeRest();
    this.readOn();
  }

  /** As `executeArrived`, of bytes that have been parsed: they are the planned commands [from, to). */
  executePlanned(buffer: Buffer, start: number, end: number, from: number, to: number): void {
    this.arrived = false;
    if (this.closing || this.destroyed) return;
    if (this.hold === 0 && this.inbox.rest === null) {
      const stoppedAt = this.host.executePlanned(this, start, from, to);
      if (stoppedAt >= 0) this.executed(buffer, stoppedAt, end);
      return;
    }
    // Not at once: nothing else is parsed while others' commands are planned.
    this.keep(buffer, start, end);
    if (this.hold === 0) this.scheduleRun();
    this.readOn();
  }

  /** What is left of what was executed from `buffer` is kept. */
  private executed(buffer: Buffer, consumed: number, end: number): void {
    if (consumed < end && !this.closing) this.keep(buffer, consumed, end);
    this.readOn();
  }

  private readOn(): void {
    const { inbox } = this;
    if (this.hold !== 0) {
      if (inbox.bytes > READ_AHEAD_BYTES_MAX) this.wire.pause();
    } else if (inbox.rest !== null) this.makeRoom();
  }

  /** Of reads that follow each other at once. */
  private countRead(ms: number): void {
    this.readsUs += Math.round(ms * 1000);
    if (this.readsUs < READS_US_MAX) return;
    this.readsUs = 0;
    if (this.hold === 0) this.yieldTurn();
  }

  private keep(buffer: Buffer, start: number, end: number): void {
    if (!this.inbox.keep(buffer, start, end)) this.refuseQuery();
  }

  /** Reads on only where what comes next has room. */
  private makeRoom(): void {
    const room = this.inbox.makeRoom(this.wanted, () => this.release(Hold.memory));
    if (room === Room.there) return;
    if (room === Room.never) {
      this.refuseQuery();
      return;
    }
    this.host.limits.strike('transit', this);
    this.hold |= Hold.memory;
    this.wire.pause();
  }

  endStalled(): void {
    this.host.limits.strike('stalled', this);
    this.destroy();
  }

  /** It has sent more than anybody may. */
  private refuseQuery(): void {
    const bytesMax = this.host.maxQueryBufferBytes;
    this.host.limits.strike('queryBuffer', this, { bytesMax });
    this.endSaying(queryBufferText(bytesMax));
  }

  private executeRest(): void {
    const { inbox } = this;
    const { rest } = inbox;
    if (rest !== null) {
      inbox.consumed(this.host.execute(this, rest, inbox.start, inbox.end));
      if (this.closing) inbox.clear();
    }
    if ((this.hold & Hold.work) === 0) inbox.shrink();
  }

  scheduleRun(): void {
    if (this.runScheduled || this.destroyed) return;
    this.runScheduled = true;
    // Not at once: whoever lifted the hold may be in the middle of another connection's batch.
    setImmediate(() => {
      this.runScheduled = false;
      this.run();
    });
  }

  /** Executes what is there, and reads on. */
  private run(): void {
    this.settleEarlier();
    if (this.hold !== 0 || this.destroyed || this.closing) return;
    this.executeRest();
    if (this.hold === 0 && this.inbox.rest !== null) this.makeRoom();
    if (this.hold === 0) this.wire.resume();
    this.finishInput();
  }

  private inputEnded(): void {
    this.settleEarlier();
    this.ended = true;
    this.finishInput();
  }

  /** The client sends nothing more: close once it has been answered. */
  finishInput(): void {
    if (!this.ended || this.hold !== 0 || this.runScheduled || this.repliesDue) return;
    this.outbox.end();
  }

  private wireClosed(): void {
    if (this.destroyed) return;
    this.destroyed = true;
    this.closing = true;
    this.inbox.close();
    this.large?.drop();
    this.outbox.close();
    this.host.closed(this);
  }
}
