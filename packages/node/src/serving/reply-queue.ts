/** Replies of one connection that cannot leave yet, in request order.
 *  A LateReply keeps the place of a command that is answered later (forwarded, fanned out, asked of
 *  another thread); replies of commands after it wait behind it as bytes. Empty in the usual case,
 *  where a batch's output goes straight to the socket. */

import { Buffer } from 'node:buffer';
import type { ReplyWriter, Written } from '../resp/reply-writer.ts';
import { ForwardedReplies, type ForwardedRepliesHost } from './forwarded-replies.ts';

/** Takes one encoded reply, once. */
export interface ReplySink {
  settle(reply: Buffer): void;
  /** Or takes it in pieces, as they arrive; `ends` with the last. False: no more of them until `resume` is called. */
  piece?(bytes: Buffer, ends: boolean, resume: () => void): boolean;
}

const NOTHING: Buffer = Buffer.alloc(0);

export class LateReply implements ReplySink {
  bytes: Buffer | null = null;
  /** The client does not want it. */
  muted = false;
  protected readonly onSettled: (bytes: number) => void;

  constructor(onSettled: (bytes: number) => void) {
    this.onSettled = onSettled;
  }

  settle(reply: Buffer): void {
    this.bytes = this.muted ? NOTHING : reply;
    this.onSettled(this.bytes.length);
  }
}

/** A reply of another node that leaves as it arrives. */
export class StreamedReply extends LateReply {
  pieces: Buffer[] = [];
  whole = false;
  private begun = false;
  /** Where it comes from stands still until it has left. */
  resume: (() => void) | null = null;
  private readonly isFull: () => boolean;
  private readonly onBroken: () => void;

  constructor(onSettled: (bytes: number) => void, isFull: () => boolean, onBroken: () => void) {
    super(onSettled);
    this.isFull = isFull;
    this.onBroken = onBroken;
  }

  piece(arrived: Buffer, ends: boolean, resume: () => void): boolean {
    const bytes = this.muted ? NOTHING : arrived;
    this.begun = true;
    this.pieces.push(bytes);
    this.whole = ends;
    this.onSettled(bytes.length);
    if (!this.isFull()) return true;
    this.resume = resume;
    return false;
  }

  /** An error in the middle of a reply cannot be told. */
  override settle(reply: Buffer): void {
    if (this.begun) this.onBroken();
    else super.settle(reply);
  }
}

/** What a LentReply is settled with when it may leave as it is. */
export const AS_IT_IS: Buffer = Buffer.from('as it is');

/** A reply with lent values, which stay where they are until the kernel has them; or, settled with anything but
 *  AS_IT_IS, that. */
export class LentReply extends LateReply {
  written: Written;

  constructor(written: Written, onSettled: (bytes: number) => void) {
    super(onSettled);
    this.written = written;
  }

  override settle(reply: Buffer): void {
    if (reply === AS_IT_IS) {
      this.bytes = reply;
      this.onSettled(this.written.lentBytes);
      return;
    }
    for (const value of this.written.lent) value.release();
    super.settle(reply);
  }
}

export class ReplyQueue {
  private entries: (Buffer | LateReply | ForwardedReplies)[] = [];
  private head = 0;
  private forwardedHost: ForwardedRepliesHost | null = null;
  /** Commands answered later whose replies have not left. */
  lateCount = 0;
  /** Bytes that wait as encoded replies: behind a late one, or themselves late and in by now. */
  waitingBytes = 0;

  get empty(): boolean {
    return this.entries.length === 0;
  }

  push(bytes: Buffer): void {
    this.waitingBytes += bytes.length;
    this.entries.push(bytes);
  }

  /** Of its text only the lent values count; it may be filled again before it is settled. */
  lent(written: Written, onSettled: () => void): LentReply {
    const { lentBytes } = written;
    const reply = new LentReply(written, (bytes) => {
      this.waitingBytes += bytes - lentBytes;
      onSettled();
    });
    this.lateCount++;
    this.waitingBytes += lentBytes;
    this.entries.push(reply);
    return reply;
  }

  /** `heldBytes`: it is there, and waits for something else. */
  reserve(onSettled: () => void, heldBytes = 0): LateReply {
    const reply = new LateReply((bytes) => {
      this.waitingBytes += bytes - heldBytes;
      onSettled();
    });
    this.lateCount++;
    this.waitingBytes += heldBytes;
    this.entries.push(reply);
    return reply;
  }

  /** For a reply that may come in pieces. */
  streamed(onArrived: () => void, onBroken: () => void, bytesMax: number): StreamedReply {
    const reply = this.newStream(onArrived, onBroken, bytesMax);
    this.lateCount++;
    this.entries.push(reply);
    return reply;
  }

  private newStream(onArrived: () => void, onBroken: () => void, bytesMax: number): StreamedReply {
    const count = (bytes: number): void => {
      this.waitingBytes += bytes;
      onArrived();
    };
    const isFull = (): boolean => this.waitingBytes >= bytesMax;
    return new StreamedReply(count, isFull, onBroken);
  }

  /** For the replies to a batch, some of them from other nodes; whoever expects one there adds to `lateCount`. */
  forwarded(onArrived: () => void, onBroken: () => void, bytesMax: number): ForwardedReplies {
    this.forwardedHost ??= {
      arrived: (bytes) => {
        this.waitingBytes += bytes;
      },
      complete: onArrived,
      streamed: () => this.newStream(onArrived, onBroken, bytesMax),
      drainLate: (reply, out, outBytesMax) => this.drainLate(reply, out, outBytesMax),
      left: (bytes, count) => {
        this.waitingBytes -= bytes;
        this.lateCount -= count;
      },
    };
    const replies = new ForwardedReplies(this.forwardedHost);
    this.entries.push(replies);
    return replies;
  }

  /** What has come of it leaves. True: all of it has. */
  private drainLate(reply: LateReply, out: ReplyWriter, outBytesMax: number): boolean {
    const { bytes } = reply;
    if (reply instanceof StreamedReply && reply.pieces.length > 0) {
      return this.drainStream(reply, out, outBytesMax);
    }
    if (bytes === null) return false;
    if (bytes === AS_IT_IS && reply instanceof LentReply) {
      this.waitingBytes -= reply.written.lentBytes;
      out.append(reply.written);
    } else {
      this.waitingBytes -= bytes.length;
      out.raw(bytes, 0, bytes.length);
    }
    return true;
  }

  /** What has come of it leaves. True: all of it has. */
  private drainStream(reply: StreamedReply, out: ReplyWriter, outBytesMax: number): boolean {
    let taken = 0;
    while (taken < reply.pieces.length && out.length < outBytesMax) {
      const bytes = reply.pieces[taken++];
      this.waitingBytes -= bytes.length;
      out.raw(bytes, 0, bytes.length);
    }
    reply.pieces = reply.pieces.slice(taken);
    if (reply.pieces.length > 0) return false;
    reply.resume?.();
    reply.resume = null;
    return reply.whole;
  }

  /** Moves every reply whose turn has come to `out`, until `out` holds `outBytesMax`. */
  drain(out: ReplyWriter, outBytesMax: number): void {
    while (this.head < this.entries.length && out.length + out.lentBytes < outBytesMax) {
      const entry = this.entries[this.head];
      if (entry instanceof ForwardedReplies) {
        if (!entry.drain(out, outBytesMax)) break;
      } else if (entry instanceof LateReply) {
        if (!this.drainLate(entry, out, outBytesMax)) break;
        this.lateCount--;
      } else {
        this.waitingBytes -= entry.length;
        out.raw(entry, 0, entry.length);
      }
      this.head++;
    }
    this.trim();
  }

  private trim(): void {
    if (this.head === this.entries.length) {
      this.entries = [];
      this.head = 0;
    } else if (this.head > 512) {
      this.entries.splice(0, this.head);
      this.head = 0;
    }
  }
}
