/** One turn of the event loop: what the batches of all connections that were readable in it share.
 *
 *  One look at the clock and at the lease, one settling of counts, and one way out: short replies of a
 *  batch wait in a buffer and leave together, when everything that had arrived has been executed. A client is woken by the first of them and finds the others there; left
 *  one by one, each write would wake it again, and waking somebody on another core is the most expensive thing
 *  that a write does.
 *  Not everything waits: long replies, replies with lent values, replies behind others that are due,
 *  and what runs outside of a read leave at once. Where turns have one connection only, which is looked at
 *  now and then, nothing does.
 *  The lease is looked at again before anything leaves: see lease/lease-word.ts.
 *  Bounds: BATCHES_MAX batches, about WAITS_MS_MAX, and LONG_BYTES of replies of each.
 *  Owner: one per worker. */

import { Buffer } from 'node:buffer';
import { performance } from 'node:perf_hooks';
import type { LeaseWatch } from '../lease/lease-word.ts';
import type { ReplyWriter } from '../resp/reply-writer.ts';

/** After so many batches a turn ends, and another one begins. */
export const BATCHES_MAX = 64;
/** A turn that takes longer ends, too; after each so many batches it is looked at. */
const WAITS_MS_MAX = 1;
const TIMED_EVERY = 8;
/** Replies from this length on leave at once. */
const LONG_BYTES: number = 16 * 1024;
/** So many turns in a row with one connection only, and nothing waits any more. */
const LONELY_TURNS_MAX = 16;
/** But one of so many batches, to see whether it is alone. */
const LOOKS_EVERY = 32;

/** A connection, as its replies leave. */
export interface Departing {
  /** False: the memory is the socket's now. */
  depart(replies: Buffer): boolean;
  /** The lease ended: nobody may know what was done. */
  disownDeparting(): void;
}

/** Where the replies of one batch wait. */
class WaitingReplies {
  private buffer: Buffer = Buffer.allocUnsafeSlow(LONG_BYTES);
  /** Making a view costs 0.1 us and garbage; replies of the same length come again and again. */
  private latest: Buffer = this.buffer.subarray(0, 0);
  bytes = 0;

  take(out: ReplyWriter): void {
    this.bytes = out.length;
    out.buffer.copy(this.buffer, 0, 0, out.length);
    out.reset();
  }

  view(): Buffer {
    if (this.latest.length !== this.bytes) this.latest = this.buffer.subarray(0, this.bytes);
    return this.latest;
  }

  surrender(): void {
    this.buffer = Buffer.allocUnsafeSlow(LONG_BYTES);
    this.latest = this.buffer.subarray(0, 0);
  }
}

export interface TurnHost {
  readonly lease: LeaseWatch;
  /** Unix ms at performance.now() = 0. */
  readonly originMs: number;
  mayAnswer(): boolean;
  sent(bytes: number): void;
  /** So many seconds went by since the counts were settled last. */
  settleCounts(seconds: number): void;
  /** What connections were sent in this turn, and has waited for its end, is executed. */
  executeArrived(): void;
}

export class Turn {
  /** Unix ms, whole. */
  nowMs = 0;
  /** By performance.now(). */
  startedMs = 0;
  /** Batches that run now may have their replies wait: others will follow in the same turn, or its end. */
  gathers = false;
  private readonly host: TurnHost;
  /** Whose replies wait, and where. */
  private readonly connections: Departing[] = [];
  private readonly waiting: WaitingReplies[] = [];
  private count = 0;
  private batches = 0;
  private scheduled = false;
  private lonely = 0;
  private skipped = 0;
  private readonly onEnd = (): void => {
    this.host.executeArrived();
    this.scheduled = false;
    if (this.batches > 1) this.lonely = 0;
    else if (this.lonely < LONELY_TURNS_MAX) this.lonely++;
    this.end();
  };

  constructor(host: TurnHost) {
    this.host = host;
  }

  /** Whether what a connection was sent, and its replies, may wait for those of others. */
  mayGather(): boolean {
    return this.lonely < LONELY_TURNS_MAX || ++this.skipped % LOOKS_EVERY === 0;
  }

  /** This turn has an end. */
  schedule(): void {
    if (this.scheduled) return;
    this.scheduled = true;
    setImmediate(this.onEnd);
  }

  /** A batch begins. */
  begin(): void {
    if (this.count > 0 && this.isLong()) this.end();
    if (this.count > 0) return;
    const { host } = this;
    this.batches = 0;
    this.startedMs = performance.now();
    this.nowMs = Math.floor(host.originMs + this.startedMs);
    host.lease.waits = false;
    host.lease.look(this.startedMs, this.nowMs);
    // From here on a lease that ends is not forgotten, whoever looks at it in between.
    host.lease.waits = true;
  }

  /** What waits has waited for long enough. */
  private isLong(): boolean {
    if (this.batches >= BATCHES_MAX) return true;
    const looks = this.batches % TIMED_EVERY === 0;
    return looks && performance.now() - this.startedMs > WAITS_MS_MAX;
  }

  /** The replies of a batch, if they wait: `out` is empty then, and goes on elsewhere. */
  take(connection: Departing, out: ReplyWriter): boolean {
    if (!this.gathers || out.length > LONG_BYTES || out.lentBytes > 0) return false;
    const at = this.count++;
    if (at === this.waiting.length) this.waiting.push(new WaitingReplies());
    this.waiting[at].take(out);
    this.connections[at] = connection;
    this.schedule();
    return true;
  }

  /** A batch has ended, and its replies are on their way or wait. */
  ended(): void {
    this.batches++;
    if (this.count > 0) return;
    this.settle();
    this.host.lease.waits = false;
  }

  /** Whatever waits leaves. */
  end(): void {
    const { count, host, connections, waiting } = this;
    if (count === 0) return;
    this.settle();
    const mayAnswer = host.mayAnswer();
    this.count = 0;
    this.batches = 0;
    host.lease.waits = false;
    let bytes = 0;
    for (let i = 0; i < count; i++) {
      const replies = waiting[i];
      bytes += replies.bytes;
      if (!mayAnswer) connections[i].disownDeparting();
      else if (!connections[i].depart(replies.view())) replies.surrender();
    }
    connections.length = 0;
    host.sent(bytes);
  }

  private settle(): void {
    this.host.settleCounts((performance.now() - this.startedMs) / 1000);
  }
}
