/** The replies to one batch of a connection of which some come from other nodes, in the order of its commands.
 *
 *  Most of them are short and arrive together: each is copied where the batch keeps them, and once none is missing
 *  all leave in one write. If one keeps the others waiting, those before it leave after PARTIAL_MS (see
 *  forwarding.ts). What the batch was answered here lies between them: `localAt` says how much of it comes before each.
 *  A reply that is sent again, or comes in pieces, has a StreamedReply in its place.
 *  Owner: the ReplyQueue of a connection. */

import { Buffer } from 'node:buffer';
import type { ReplyWriter } from '../resp/reply-writer.ts';
import type { StreamedReply } from './reply-queue.ts';

const BYTES_INITIAL = 1024;
const NOTHING: Buffer = Buffer.alloc(0);

/** What a ForwardedReplies needs of its queue. */
export interface ForwardedRepliesHost {
  /** So many bytes more wait. */
  arrived(bytes: number): void;
  /** Everything has arrived. */
  complete(): void;
  /** For a reply of its own. */
  streamed(): StreamedReply;
  /** True: all of it is in `out`. */
  drainLate(reply: StreamedReply, out: ReplyWriter, outBytesMax: number): boolean;
  /** So many bytes of as many replies have left. */
  left(bytes: number, replies: number): void;
}

export class ForwardedReplies {
  /** Not all replies have arrived, and somebody sees to it that the first of them leave. */
  awaited = false;
  private readonly host: ForwardedRepliesHost;
  /** Reply i is bytes[starts[i] .. ends[i]), or -1: not here. */
  private readonly starts: number[] = [];
  private readonly ends: number[] = [];
  private readonly localAt: number[] = [];
  private late: Map<number, StreamedReply> | null = null;
  private bytes: Buffer = NOTHING;
  private length = 0;
  /** What was answered here; null while the batch runs. */
  private local: Buffer | null = null;
  private localLeft = 0;
  /** The first that has not left. */
  private next = 0;
  private missing = 0;

  constructor(host: ForwardedRepliesHost) {
    this.host = host;
  }

  /** All that the batch runs is answered, or has its place. */
  get complete(): boolean {
    return this.local !== null && this.missing === 0;
  }

  /** Keeps the place of a reply, behind so many bytes of what is answered here. */
  expect(localBytes: number): number {
    this.localAt.push(localBytes);
    this.ends.push(0);
    this.missing++;
    return this.starts.push(-1) - 1;
  }

  /** The batch has run, and was answered this here. */
  close(local: Buffer): void {
    this.local = local;
    this.host.arrived(local.length);
    if (this.missing === 0) this.host.complete();
  }

  /** Reply `i` has so many bytes, and they come with the next `takeRun`, behind those that were announced for it
   *  before: `at` bytes. */
  announce(i: number, at: number, bytes: number): void {
    const start = this.length + at;
    this.starts[i] = start;
    this.ends[i] = start + bytes;
    this.missing--;
  }

  /** All replies that were announced since the last time are buffer[start .. end). */
  takeRun(buffer: Buffer, start: number, end: number): void {
    const bytes = end - start;
    const at = this.length;
    if (at + bytes > this.bytes.length) this.grow(at + bytes);
    buffer.copy(this.bytes, at, start, end);
    this.length = at + bytes;
    this.host.arrived(bytes);
    if (this.complete) this.host.complete();
  }

  /** Reply `i` comes by itself, whole or in pieces. */
  takeLater(i: number): StreamedReply {
    const reply = this.host.streamed();
    this.late ??= new Map();
    this.late.set(i, reply);
    // It says by itself when there is something.
    this.missing--;
    if (this.complete) this.host.complete();
    return reply;
  }

  /** Moves what has its turn to `out`, until that holds `outBytesMax`. True: nothing is left. */
  drain(out: ReplyWriter, outBytesMax: number): boolean {
    if (this.local === null) return false;
    const { starts, ends, localAt, host } = this;
    const count = starts.length;
    while (this.next < count) {
      if (out.length >= outBytesMax) return false;
      const i = this.next;
      this.drainLocal(localAt[i], out);
      const late = this.late?.get(i);
      if (late !== undefined) {
        if (!host.drainLate(late, out, outBytesMax)) return false;
        this.next++;
        host.left(0, 1);
        continue;
      }
      const from = starts[i];
      if (from === -1) return false;
      // Replies of one node came together.
      let until = i + 1;
      while (until < count && starts[until] === ends[until - 1] && localAt[until] === localAt[i]) {
        until++;
      }
      const bytes = ends[until - 1] - from;
      out.raw(this.bytes, from, bytes);
      this.next = until;
      host.left(bytes, until - i);
    }
    this.drainLocal(this.local.length, out);
    return true;
  }

  private drainLocal(until: number, out: ReplyWriter): void {
    const bytes = until - this.localLeft;
    if (bytes === 0) return;
    out.raw(this.local as Buffer, this.localLeft, bytes);
    this.localLeft = until;
    this.host.left(bytes, 0);
  }

  private grow(needed: number): void {
    const larger = Buffer.allocUnsafe(Math.max(BYTES_INITIAL, needed, this.bytes.length * 2));
    this.bytes.copy(larger, 0, 0, this.length);
    this.bytes = larger;
  }
}
