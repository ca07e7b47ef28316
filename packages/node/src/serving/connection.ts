/** One client connection: what it is sent, its place in line, its way out.
 *
 *  Bytes arrive in the worker's shared buffer and are executed from there; only what could not be
 *  executed yet (half a command, or a connection on hold) is kept in its inbox.
 *  A connection on hold executes nothing and keeps its order; each reason is a bit, and when the
 *  last one is lifted it goes on with its inbox.
 *  Bounds: on hold it reads ahead READ_AHEAD_BYTES_MAX and then stops reading; the socket is given
 *  more output only when it took the last; LATE_MAX replies may be due. So a slow or hostile client
 *  holds a bounded amount of memory and delays nobody.
 *  Owner: the worker that accepted it, for good. */

import { Buffer } from 'node:buffer';
import type { Socket } from 'node:net';
import type { Args } from '../resp/args.ts';
import type { Unfinished } from '../resp/parser.ts';
import { ReplyWriter, type Written } from '../resp/reply-writer.ts';
import type { Acks } from '../shared/settings.ts';
import { type ClientDefaults, ClientState } from './client-state.ts';
import type { ForwardedReplies } from './forwarded-replies.ts';
import type { HeldReplies } from './held-replies.ts';
import { Inbox, type InboxHost, type InboxOwner, Room } from './inbox.ts';
import type { Copying } from './copy-work.ts';
import type { Editing, Staging } from './large-work.ts';
import type { LimitWatch } from './limit-watch.ts';
import { queryBufferText } from './limits.ts';
import type { Parkable } from './parking.ts';
import type { Patience } from './patience.ts';
import { KeptPins } from './kept-pins.ts';
import type { PinnedValue } from './pinned-value.ts';
import { type LateReply, type LentReply, ReplyQueue, type StreamedReply } from './reply-queue.ts';
import {
  ReplyMode,
  type ListenerKind,
  type Session,
  type SessionFigures,
  type WriteReply,
} from './session.ts';
import type { Departing, Turn } from './turn.ts';
import { addressesOf, Wire } from './wire.ts';

const NOTHING: Buffer = Buffer.alloc(0);

/** Why a connection does not execute. */
export const Hold = {
  /** A partition is between two owners. */
  parked: 1,
  /** The command in hand works elsewhere, and the next one must see its effect. */
  work: 2,
  /** The next command must come after all replies that are due. */
  replies: 4,
  /** The client does not read fast enough. */
  output: 8,
  /** The link to another node is full. */
  link: 16,
  /** Too many replies are due. */
  late: 32,
  /** Others have their turn. */
  turn: 64,
  /** Other clients' large commands have all the memory that there is for such. */
  memory: 256,
  /** CLIENT PAUSE. */
  paused: 128,
} as const;

export const READ_AHEAD_BYTES_MAX: number = 64 * 1024;
export const LATE_MAX = 1024;
export const LATE_BYTES_MAX: number = 4 * 1024 * 1024;
const WRITE_BYTES_MAX: number = 256 * 1024;
/** What was read takes so long to execute: others have their turn before more is read. */
const READS_US_MAX = 200;

/** What is done before the command in hand, or in its place. */
export type LargeWork = Staging | Editing | Copying;

/** What a connection needs of its worker. */
export interface ConnectionHost extends InboxHost, ClientDefaults {
  readonly held: HeldReplies;
  /** For replies that leave outside of a batch. */
  readonly lateOutput: ReplyWriter;
  readonly turn: Turn;
  readonly limits: LimitWatch;
  readonly patience: Patience;
  /** Connections whose replies hold bytes of the image. */
  readonly pinning: Set<Connection>;
  nowMs(): number;
  /** Executes what is complete in [start, end) and returns how far it came. */
  execute(connection: Connection, buffer: Buffer, start: number, end: number): number;
  /** Whether what the running batch did may be told. */
  mayAnswer(): boolean;
  /** Hands over what the running batch has written so far. */
  emitBatch(connection: Connection): void;
  received(bytes: number): void;
  sent(bytes: number): void;
  closed(connection: Connection): void;
}

export class Connection extends ClientState implements Session, Parkable, InboxOwner, Departing {
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

  /** The running batch has commands on their way to other nodes: their replies, and those between them. */
  forwarded: ForwardedReplies | null = null;

  /** Values in the image that replies need. */
  private readonly pins: KeptPins;
  /** The socket's, but for values that are sent from where they lie. */
  private writingBytes = 0;
  private readonly host: ConnectionHost;
  private readonly wire: Wire;
  private readonly replies: ReplyQueue = new ReplyQueue();
  private readonly inbox: Inbox;
  private ended = false;
  private destroyed = false;
  /** Replies wait for the end of the turn. */
  private departing = false;
  private readsUs = 0;
  private runScheduled = false;
  private flushScheduled = false;

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
    this.pins = new KeptPins(
      () => host.monotonicMs(),
      (some) => {
        if (some) host.pinning.add(this);
        else host.pinning.delete(this);
      },
    );
    this.wire = new Wire(accepted, host.receiveBuffer, {
      onBytes: (buffer, bytes) => this.receive(buffer, bytes),
      onDrain: () => this.drained(),
      onEnd: () => this.inputEnded(),
      onClose: () => this.wireClosed(),
    });
  }

  get acks(): Acks {
    return this.inSync ? 'isr' : 'local';
  }

  /** What is on its way to other nodes comes before what is sent there on another link. */
  set acks(acks: Acks) {
    if (acks === this.acks) return;
    this.host.emitBatch(this);
    this.inSync = acks === 'isr';
    if (this.repliesDue) this.hold |= Hold.replies;
  }

  get figures(): SessionFigures {
    return {
      queryBytes: this.inbox.bytes,
      queryRoomBytes: this.inbox.roomBytes,
      queuedBytes: this.transaction?.queuedBytes ?? 0,
      repliesDue: this.replies.lateCount,
      replyBytes: this.unreadBytes,
    };
  }

  /** Nobody reads its replies any more. */
  get gone(): boolean {
    return this.destroyed;
  }

  /** Replies that are due, in whatever state. */
  get repliesDue(): boolean {
    return !this.replies.empty;
  }

  /** Memory of replies that the client has not read: what waits, and what the socket holds. */
  get unreadBytes(): number {
    return this.replies.waitingBytes + Math.min(this.writingBytes, this.wire.unsentBytes);
  }

  /** It has sent nothing, and waits for nothing but that its client reads. */
  get isIdle(): boolean {
    const { hold } = this;
    const waits = (hold & ~Hold.output) !== 0 || (this.repliesDue && hold === 0);
    return !waits && !this.isLink && !this.pins.isWriting;
  }

  /** Of replies that wait for their turn, or for the client. */
  get waitingBytes(): number {
    return this.replies.waitingBytes;
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
    this.departFirst();
    const canSay = this.replies.empty && (this.hold & Hold.output) === 0;
    this.closing = true;
    if (canSay) {
      const out = this.host.lateOutput;
      out.error(text);
      this.write(out);
      if ((this.hold & Hold.output) === 0) return this.wire.end();
    }
    this.destroy();
  }

  replyLater(work: Promise<WriteReply>): void {
    if (this.laterRefusal !== null) {
      work.catch(() => {});
      this.laterRefusal.error('ERR this command cannot be part of a transaction');
      return;
    }
    const reply = this.reserveReply();
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

  /** As `reserveReply`, for a reply of another node. */
  reserveStream(): StreamedReply {
    this.host.emitBatch(this);
    const { replies } = this;
    const reply = replies.streamed(
      () => this.scheduleFlush(),
      () => this.destroy(),
      LATE_BYTES_MAX,
    );
    reply.muted = this.replyMode !== ReplyMode.on;
    if (replies.lateCount >= LATE_MAX || replies.waitingBytes >= LATE_BYTES_MAX) this.waitForLate();
    return reply;
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

  /** Keeps the place of the command in hand in the order of replies. */
  reserveReply(): LateReply {
    this.host.emitBatch(this);
    const reply = this.keepPlace(0);
    reply.muted = this.replyMode !== ReplyMode.on;
    return reply;
  }

  /** `heldBytes` wait from the beginning. */
  private keepPlace(heldBytes: number): LateReply {
    const reply = this.replies.reserve(() => this.scheduleFlush(), heldBytes);
    if (this.replies.lateCount >= LATE_MAX || this.replies.waitingBytes >= LATE_BYTES_MAX) {
      this.waitForLate();
    }
    return reply;
  }

  private waitForLate(): void {
    if ((this.hold & Hold.late) !== 0) return;
    this.hold |= Hold.late;
    this.host.limits.strike('late', this);
  }

  /** Answers the command in hand with what was cut out of the output, lent values included. Returns where to say
   *  that it may leave. */
  replyLent(written: Written): LentReply {
    this.host.emitBatch(this);
    const { replies, host } = this;
    const reply = replies.lent(written, () => this.scheduleFlush());
    if (replies.waitingBytes >= LATE_BYTES_MAX) this.waitForLate();
    for (const value of written.lent) this.pins.keep(value as PinnedValue);
    if (!host.mayAnswer()) this.disown(host.lateOutput);
    return reply;
  }

  /** Ends it where its client does not read what is pinned, or the bytes are about to change. Returns for how long
   *  they have been pinned then, else -1. */
  checkPins(nowMs: number): number {
    if (this.wire.gone) return -1;
    const ageMs = this.pins.overdueMs(nowMs, this.host.settings.pinMaxMs);
    if (ageMs >= 0) this.destroy();
    return ageMs;
  }

  /** Takes all output of a batch that has ended: it may wait for the end of the turn. */
  endBatch(out: ReplyWriter): void {
    const { turn, held } = this.host;
    const mayWait = out.length > 0 && !this.closing && this.replies.empty && held.nothingNoted;
    if (mayWait && !this.departing && turn.take(this, out)) this.departing = true;
    else this.emit(out);
    turn.ended();
  }

  depart(replies: Buffer): boolean {
    this.departing = false;
    if (this.wire.write(replies)) return true;
    this.keepUnread(replies.length);
    return false;
  }

  disownDeparting(): void {
    this.departing = false;
    this.closing = true;
    this.wire.destroy();
  }

  /** What waits comes before what happens now. */
  private departFirst(): void {
    if (this.departing) this.host.turn.end();
  }

  /** Keeps the place of a reply of another node, in the batch that runs. Returns where it is, and gives a number
   *  within it. */
  expectForwarded(localBytes: number): number {
    const { replies } = this;
    this.forwarded ??= replies.forwarded(
      () => this.scheduleFlush(),
      () => this.destroy(),
      LATE_BYTES_MAX,
    );
    replies.lateCount++;
    if (replies.lateCount >= LATE_MAX || replies.waitingBytes >= LATE_BYTES_MAX) this.waitForLate();
    return this.forwarded.expect(localBytes);
  }

  /** The first replies of a batch have arrived, others make them wait. */
  flushPart(): void {
    if (!this.destroyed) this.flushReplies();
  }

  /** What follows in the batch, here and elsewhere, comes behind it. */
  private closeForwarded(out: ReplyWriter): void {
    const { forwarded } = this;
    if (forwarded === null) return;
    this.forwarded = null;
    forwarded.close(out.length > 0 ? out.take() : NOTHING);
  }

  /** Takes a batch's output: to the socket, or behind the replies that are due, or to where it waits
   *  for copies in sync. */
  emit(out: ReplyWriter): void {
    if (!this.host.mayAnswer()) this.disown(out);
    this.closeForwarded(out);
    if (out.length > 0) {
      const { held } = this.host;
      const waiting = held.takeBatch(out);
      if (waiting !== null) held.hold(waiting, this.keepPlace(waiting.bytes.length));
      else if (this.replies.empty) this.write(out);
      else this.replies.push(out.take());
    }
    if (this.closing && this.replies.empty) this.endWire();
  }

  private endWire(): void {
    this.departFirst();
    this.wire.end();
  }

  /** The lease ended while the batch ran: what it did may be undone, or hidden by what another node
   *  did meanwhile. Nobody can say, and a broken connection says just that. */
  private disown(out: ReplyWriter): void {
    out.reset();
    this.host.held.forgetBatch();
    this.closing = true;
    this.wire.destroy();
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

  unpark(): void {
    this.release(Hold.parked);
  }

  private receive(buffer: Buffer, bytes: number): void {
    this.host.received(bytes);
    if (this.closing || this.destroyed) return;
    this.departFirst();
    const { inbox, host } = this;
    // Another read follows at once.
    const isFull = bytes === host.receiveBuffer.length;
    const sinceMs = isFull ? host.monotonicMs() : 0;
    host.turn.gathers = true;
    if (inbox.rest === null && this.hold === 0) {
      const consumed = host.execute(this, buffer, 0, bytes);
      if (consumed < bytes && !this.closing) this.keep(buffer, consumed, bytes);
    } else {
      this.keep(buffer, 0, bytes);
      if (this.hold === 0) this.executeRest();
    }
    host.turn.gathers = false;
    if (isFull) this.countRead(host.monotonicMs() - sinceMs);
    else this.readsUs = 0;
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

  private scheduleRun(): void {
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
    this.departFirst();
    if (this.hold !== 0 || this.destroyed || this.closing) return;
    this.executeRest();
    if (this.hold === 0 && this.inbox.rest !== null) this.makeRoom();
    if (this.hold === 0) this.wire.resume();
    this.finishInput();
  }

  private scheduleFlush(): void {
    if (this.flushScheduled || this.destroyed) return;
    this.flushScheduled = true;
    // Once per event: all replies that one read from another node has brought leave together.
    queueMicrotask(() => {
      this.flushScheduled = false;
      this.flushReplies();
    });
  }

  private flushReplies(): void {
    const { replies } = this;
    const out = this.host.lateOutput;
    if ((this.hold & Hold.output) !== 0) this.host.patience.noteUnread(this);
    while ((this.hold & Hold.output) === 0) {
      replies.drain(out, WRITE_BYTES_MAX);
      if (out.length === 0) break;
      this.write(out);
    }
    if (replies.empty) {
      if (this.closing) this.endWire();
      this.release(Hold.replies | Hold.late);
      this.finishInput();
    } else if (replies.lateCount < LATE_MAX / 2 && replies.waitingBytes < LATE_BYTES_MAX / 2) {
      this.release(Hold.late);
    }
  }

  private write(out: ReplyWriter): void {
    const { wire } = this;
    this.departFirst();
    this.host.sent(out.length + out.lentBytes);
    const taken = out.lentBytes === 0 ? wire.write(out.view()) : wire.writePieces(out.pieces());
    if (!taken) {
      // All that a worker lends is pinned.
      if (out.lentBytes > 0) this.pins.keepWriting(out.surrenderLent() as PinnedValue[]);
      this.keepUnread(out.length);
      out.surrender();
    }
    out.reset();
  }

  /** The socket has not taken all of `bytes`, nor of what it lends besides. */
  private keepUnread(bytes: number): void {
    this.hold |= Hold.output;
    this.writingBytes += bytes;
    this.host.patience.noteUnread(this);
  }

  private drained(): void {
    this.hold &= ~Hold.output;
    this.writingBytes = 0;
    this.lastActiveAtMs = this.host.nowMs();
    this.host.patience.noteRead(this);
    this.pins.written();
    if (this.wire.gone) return;
    // Before replies leave: with nothing due and nothing to run a client that sends no more would be done with.
    if (this.hold === 0) this.scheduleRun();
    this.flushReplies();
  }

  private inputEnded(): void {
    this.ended = true;
    this.finishInput();
  }

  /** The client sends nothing more: close once it has been answered. */
  private finishInput(): void {
    if (!this.ended || this.hold !== 0 || this.runScheduled || !this.replies.empty) return;
    this.endWire();
  }

  private wireClosed(): void {
    if (this.destroyed) return;
    this.destroyed = true;
    this.closing = true;
    this.inbox.close();
    this.large?.drop();
    this.pins.close();
    this.host.closed(this);
  }
}
