/** What a connection answers, on its way out: the replies of a batch, those that are due, and what the socket holds.
 *
 *  Usually a batch's output goes to the socket at once, or waits for the end of the turn with others' (turn.ts).
 *  Behind replies that are due it waits in line; behind a socket that did not take the last write everything does,
 *  and the connection is on hold.
 *  Bounds: the socket is given more only when it took the last; LATE_MAX replies may be due, and LATE_BYTES_MAX
 *  wait. So a client that does not read holds a bounded amount of memory.
 *  Owner: one connection. */

import { Buffer } from 'node:buffer';
import type { ReplyWriter, Written } from '../resp/reply-writer.ts';
import type { Settings } from '../shared/settings.ts';
import type { Connection } from './connection.ts';
import type { ForwardedReplies } from './forwarded-replies.ts';
import type { HeldReplies } from './held-replies.ts';
import { Hold } from './hold.ts';
import { KeptPins } from './kept-pins.ts';
import type { LimitWatch } from './limit-watch.ts';
import type { Patience } from './patience.ts';
import type { PinnedValue } from './pinned-value.ts';
import { type LateReply, type LentReply, ReplyQueue, type StreamedReply } from './reply-queue.ts';
import { ReplyMode } from './session.ts';
import type { Departing, Turn } from './turn.ts';
import type { Wire } from './wire.ts';

const NOTHING: Buffer = Buffer.alloc(0);

export const LATE_MAX = 1024;
export const LATE_BYTES_MAX: number = 4 * 1024 * 1024;
const WRITE_BYTES_MAX: number = 256 * 1024;

/** What the way out needs of the worker. */
export interface OutboxHost {
  readonly settings: Settings;
  readonly held: HeldReplies;
  /** For replies that leave outside of a batch. */
  readonly lateOutput: ReplyWriter;
  readonly turn: Turn;
  readonly limits: LimitWatch;
  readonly patience: Patience;
  /** Connections whose replies hold bytes of the image. */
  readonly pinning: Set<Connection>;
  nowMs(): number;
  monotonicMs(): number;
  /** Whether what the running batch did may be told. */
  mayAnswer(): boolean;
  /** Hands over what the running batch has written so far. */
  emitBatch(connection: Connection): void;
  sent(bytes: number): void;
}

export class Outbox implements Departing {
  /** The running batch has commands on their way to other nodes: their replies, and those between them. */
  forwarded: ForwardedReplies | null = null;
  private readonly host: OutboxHost;
  private readonly connection: Connection;
  private readonly wire: Wire;
  private readonly replies: ReplyQueue = new ReplyQueue();
  /** Values in the image that replies need. */
  private readonly pins: KeptPins;
  /** The socket's, but for values that are sent from where they lie. */
  private writingBytes = 0;
  /** Replies wait for the end of the turn. */
  private departing = false;
  private flushScheduled = false;

  constructor(host: OutboxHost, connection: Connection, wire: Wire) {
    this.host = host;
    this.connection = connection;
    this.wire = wire;
    this.pins = new KeptPins(
      () => host.monotonicMs(),
      (some) => {
        if (some) host.pinning.add(connection);
        else host.pinning.delete(connection);
      },
    );
  }

  /** No reply is due, in whatever state. */
  get empty(): boolean {
    return this.replies.empty;
  }

  get lateCount(): number {
    return this.replies.lateCount;
  }

  /** Of replies that wait for their turn, or for the client. */
  get waitingBytes(): number {
    return this.replies.waitingBytes;
  }

  /** Memory of replies that the client has not read: what waits, and what the socket holds. */
  get unreadBytes(): number {
    return this.replies.waitingBytes + Math.min(this.writingBytes, this.wire.unsentBytes);
  }

  /** The socket reads values where they lie. */
  get lends(): boolean {
    return this.pins.isWriting;
  }

  /** Keeps the place of the command in hand in the order of replies. */
  reserve(): LateReply {
    this.host.emitBatch(this.connection);
    const reply = this.keepPlace(0);
    reply.muted = this.connection.replyMode !== ReplyMode.on;
    return reply;
  }

  /** As `reserve`, for a reply of another node. */
  reserveStream(): StreamedReply {
    const { replies, connection } = this;
    this.host.emitBatch(connection);
    const reply = replies.streamed(
      () => this.scheduleFlush(),
      () => connection.destroy(),
      LATE_BYTES_MAX,
    );
    reply.muted = connection.replyMode !== ReplyMode.on;
    this.boundLate();
    return reply;
  }

  /** `heldBytes` wait from the beginning. */
  private keepPlace(heldBytes: number): LateReply {
    const reply = this.replies.reserve(() => this.scheduleFlush(), heldBytes);
    this.boundLate();
    return reply;
  }

  private boundLate(): void {
    const { replies } = this;
    if (replies.lateCount >= LATE_MAX || replies.waitingBytes >= LATE_BYTES_MAX) this.waitForLate();
  }

  private waitForLate(): void {
    const { connection } = this;
    if ((connection.hold & Hold.late) !== 0) return;
    connection.hold |= Hold.late;
    this.host.limits.strike('late', connection);
  }

  /** Answers the command in hand with what was cut out of the output, lent values included. Returns where to say
   *  that it may leave. */
  replyLent(written: Written): LentReply {
    const { replies, host } = this;
    host.emitBatch(this.connection);
    const reply = replies.lent(written, () => this.scheduleFlush());
    if (replies.waitingBytes >= LATE_BYTES_MAX) this.waitForLate();
    for (const value of written.lent) this.pins.keep(value as PinnedValue);
    if (!host.mayAnswer()) this.disown(host.lateOutput);
    return reply;
  }

  /** Keeps the place of a reply of another node, in the batch that runs. Returns where it is, and gives a number
   *  within it. */
  expectForwarded(localBytes: number): number {
    const { replies, connection } = this;
    this.forwarded ??= replies.forwarded(
      () => this.scheduleFlush(),
      () => connection.destroy(),
      LATE_BYTES_MAX,
    );
    replies.lateCount++;
    this.boundLate();
    return this.forwarded.expect(localBytes);
  }

  /** The first replies of a batch have arrived, others make them wait. */
  flushPart(): void {
    if (!this.connection.gone) this.flush();
  }

  /** What follows in the batch, here and elsewhere, comes behind it. */
  private closeForwarded(out: ReplyWriter): void {
    const { forwarded } = this;
    if (forwarded === null) return;
    this.forwarded = null;
    forwarded.close(out.length > 0 ? out.take() : NOTHING);
  }

  /** For how long values have been pinned where the client does not read them, or the bytes are about to change; else
   *  -1. */
  overdueMs(nowMs: number): number {
    return this.wire.gone ? -1 : this.pins.overdueMs(nowMs, this.host.settings.pinMaxMs);
  }

  /** Takes all output of a batch that has ended: it may wait for the end of the turn. */
  endBatch(out: ReplyWriter): void {
    const { turn, held } = this.host;
    const mayWait =
      out.length > 0 && !this.connection.closing && this.replies.empty && held.nothingNoted;
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
    this.connection.endAtOnce();
  }

  /** What waits comes before what happens now. */
  departFirst(): void {
    if (this.departing) this.host.turn.end();
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
    if (this.connection.closing && this.replies.empty) this.end();
  }

  /** The lease ended while the batch ran: what it did may be undone, or hidden by what another node
   *  did meanwhile. Nobody can say, and a broken connection says just that. */
  private disown(out: ReplyWriter): void {
    out.reset();
    this.host.held.forgetBatch();
    this.connection.endAtOnce();
  }

  /** The client is told this and no more. False: it cannot be told now. */
  sayLast(text: string): boolean {
    const { connection } = this;
    this.departFirst();
    const canSay = this.replies.empty && (connection.hold & Hold.output) === 0;
    connection.closing = true;
    if (!canSay) return false;
    const out = this.host.lateOutput;
    out.error(text);
    this.write(out);
    if ((connection.hold & Hold.output) !== 0) return false;
    this.wire.end();
    return true;
  }

  /** Ends the connection once everything that was written has left. */
  end(): void {
    this.departFirst();
    this.wire.end();
  }

  private scheduleFlush(): void {
    if (this.flushScheduled || this.connection.gone) return;
    this.flushScheduled = true;
    // Once per event: all replies that one read from another node has brought leave together.
    queueMicrotask(() => {
      this.flushScheduled = false;
      this.flush();
    });
  }

  private flush(): void {
    const { replies, connection } = this;
    const out = this.host.lateOutput;
    if ((connection.hold & Hold.output) !== 0) this.host.patience.noteUnread(connection);
    while ((connection.hold & Hold.output) === 0) {
      replies.drain(out, WRITE_BYTES_MAX);
      if (out.length === 0) break;
      this.write(out);
    }
    if (replies.empty) {
      if (connection.closing) this.end();
      connection.release(Hold.replies | Hold.late);
      connection.finishInput();
    } else if (replies.lateCount < LATE_MAX / 2 && replies.waitingBytes < LATE_BYTES_MAX / 2) {
      connection.release(Hold.late);
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
    this.connection.hold |= Hold.output;
    this.writingBytes += bytes;
    this.host.patience.noteUnread(this.connection);
  }

  /** The socket has taken everything. */
  drained(): void {
    const { connection, host } = this;
    connection.hold &= ~Hold.output;
    this.writingBytes = 0;
    connection.lastActiveAtMs = host.nowMs();
    host.patience.noteRead(connection);
    this.pins.written();
    if (this.wire.gone) return;
    // Before replies leave: with nothing due and nothing to run a client that sends no more would be done with.
    if (connection.hold === 0) connection.scheduleRun();
    this.flush();
  }

  /** Nobody reads the replies any more. */
  close(): void {
    this.pins.close();
  }
}
