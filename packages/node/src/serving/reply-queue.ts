/** Replies of one connection that cannot leave yet, in request order.
 *  A LateReply keeps the place of a command that is answered later (forwarded, fanned out, asked of
 *  another thread); replies of commands after it wait behind it as bytes. Empty in the usual case,
 *  where a batch's output goes straight to the socket. */

import type { Buffer } from 'node:buffer';
import type { ReplyWriter } from '../resp/reply-writer.ts';

/** Takes one encoded reply, once. */
export interface ReplySink {
  settle(reply: Buffer): void;
}

export class LateReply implements ReplySink {
  bytes: Buffer | null = null;
  private readonly onSettled: (bytes: number) => void;

  constructor(onSettled: (bytes: number) => void) {
    this.onSettled = onSettled;
  }

  settle(reply: Buffer): void {
    this.bytes = reply;
    this.onSettled(reply.length);
  }
}

export class ReplyQueue {
  private entries: (Buffer | LateReply)[] = [];
  private head = 0;
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

  /** Moves every reply whose turn has come to `out`, until `out` holds `outBytesMax`. */
  drain(out: ReplyWriter, outBytesMax: number): void {
    while (this.head < this.entries.length && out.length < outBytesMax) {
      const entry = this.entries[this.head];
      if (entry instanceof LateReply) {
        if (entry.bytes === null) break;
        this.lateCount--;
        this.waitingBytes -= entry.bytes.length;
        out.raw(entry.bytes, 0, entry.bytes.length);
      } else {
        this.waitingBytes -= entry.length;
        out.raw(entry, 0, entry.length);
      }
      this.head++;
    }
    if (this.head === this.entries.length) {
      this.entries = [];
      this.head = 0;
    } else if (this.head > 512) {
      this.entries.splice(0, this.head);
      this.head = 0;
    }
  }
}
