/** Replies of one connection that cannot leave yet, in request order.
 *  A LateReply keeps the place of a command that is answered later (forwarded, fanned out, asked of
 *  another thread); replies of commands after it wait behind it as bytes. Empty in the usual case,
 *  where a batch's output goes straight to the socket. */

import { Buffer } from 'node:buffer';
import type { Partition, Pin } from '@ingot/store';
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

const CRLF: Buffer = Buffer.from('\r\n');

/** A reply whose bytes stay in the image until the kernel has them: settled with its `header`, it may leave;
 *  settled with something else, that is the reply. */
export class PinnedReply extends LateReply {
  readonly header: Buffer;
  readonly partition: Partition;
  readonly sinceMs: number;
  private pin: Pin | null;

  constructor(partition: Partition, pin: Pin, sinceMs: number, onSettled: () => void) {
    super(onSettled);
    this.header = Buffer.from(`$${pin.bytes}\r\n`);
    this.partition = partition;
    this.pin = pin;
    this.sinceMs = sinceMs;
  }

  override settle(reply: Buffer): void {
    if (reply !== this.header) this.release();
    super.settle(reply);
  }

  get isPinned(): boolean {
    return this.pin !== null;
  }

  /** What it holds, for the accounts of the queue. */
  get weight(): number {
    return this.pin?.bytes ?? 0;
  }

  pieces(): Buffer[] {
    return [this.header, ...(this.pin?.views ?? []), CRLF];
  }

  release(): void {
    this.pin?.unpin();
    this.pin = null;
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

  /** The value of a key, as it is now. */
  pinned(partition: Partition, pin: Pin, sinceMs: number, onSettled: () => void): PinnedReply {
    const weight = pin.bytes;
    const reply = new PinnedReply(partition, pin, sinceMs, () => {
      // Unless it is its own value, what it is settled with is what waits now.
      if (!reply.isPinned) this.waitingBytes += (reply.bytes as Buffer).length - weight;
      onSettled();
    });
    this.lateCount++;
    this.waitingBytes += weight;
    this.entries.push(reply);
    return reply;
  }

  /** The pinned reply whose turn has come, or null; it is the caller's then. */
  takePinned(): PinnedReply | null {
    const entry = this.entries[this.head];
    if (!(entry instanceof PinnedReply) || entry.bytes === null || !entry.isPinned) return null;
    this.lateCount--;
    this.waitingBytes -= entry.weight;
    this.head++;
    this.trim();
    return entry;
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

  /** Moves every reply whose turn has come to `out`, until `out` holds `outBytesMax`, or a pinned one is next. */
  drain(out: ReplyWriter, outBytesMax: number): void {
    while (this.head < this.entries.length && out.length < outBytesMax) {
      const entry = this.entries[this.head];
      if (entry instanceof LateReply) {
        if (entry.bytes === null) break;
        if (entry instanceof PinnedReply && entry.isPinned) break;
        this.lateCount--;
        this.waitingBytes -= entry.bytes.length;
        out.raw(entry.bytes, 0, entry.bytes.length);
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
