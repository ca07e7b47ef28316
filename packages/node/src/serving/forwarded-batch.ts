/** Commands of one batch that travel on one link: as they were received, and with replies that are not understood either.
 *
 *  Most of what is forwarded is answered in order and at once, so nothing is kept per command but its partition and two
 *  positions. A command that needs more than that (its owner refuses it, or the link breaks) becomes a ForwardedCall of
 *  its own, whose reply has the place of this one's. */

import type { Buffer } from 'node:buffer';
import { ForwardedCall, isRefusal } from './forwarded-call.ts';
import type { ForwardedReplies } from './forwarded-replies.ts';
import type { Forwarding, ForwardingClient } from './forwarding.ts';
import type { LinkWaiter } from './link-queue.ts';
import { type Executed, NOTHING, type PeerCall, type PeerLink } from './peer-link.ts';

const MINUS = 0x2d;
/** In the place of a command that has become a call of its own. */
const MOVED = -1;

/** A client whose commands may travel as they are. */
export interface PassingClient extends ForwardingClient, LinkWaiter {
  /** Replies of the running batch that come from other nodes. */
  readonly forwarded: ForwardedReplies | null;
  expectForwarded(localBytes: number): number;
  flushPart(): void;
}

export class ForwardedBatch implements PeerCall {
  sent: Buffer = NOTHING;
  sentStart = 0;
  sentEnd = 0;
  encoded: readonly Buffer[] | null = null;
  due = 0;

  readonly replies: ForwardedReplies;
  private readonly forwarding: Forwarding;
  private readonly link: PeerLink;
  private readonly client: PassingClient;
  /** Per command: its partition, the place of its reply, where it begins in `sent`. */
  private readonly partitionIds: number[] = [];
  private readonly places: number[] = [];
  private readonly starts: number[] = [];
  /** Whose reply comes next. */
  private next = 0;
  /** Replies of the read that is being cut, one behind the other: they are copied as one. */
  private run: Buffer | null = null;
  private runStart = 0;
  private runEnd = 0;

  constructor(
    forwarding: Forwarding,
    link: PeerLink,
    client: PassingClient,
    replies: ForwardedReplies,
  ) {
    this.forwarding = forwarding;
    this.link = link;
    this.client = client;
    this.replies = replies;
  }

  /** A command about this partition, which begins there in what the link sends. */
  add(partitionId: number, place: number, start: number, end: number): void {
    this.partitionIds.push(partitionId);
    this.places.push(place);
    this.starts.push(start);
    this.sentEnd = end;
    this.due++;
  }

  replied(buffer: Buffer, start: number, end: number): void {
    const i = this.next++;
    this.due--;
    const place = this.places[i];
    if (place === MOVED) {
      if (this.due === 0) this.endRead();
      return;
    }
    if (buffer[start] === MINUS && isRefusal(buffer, start)) {
      this.endRead();
      this.single(i).replied(buffer, start, end);
      return;
    }
    if (start !== this.runEnd) this.endRead();
    if (this.run === null) {
      this.run = buffer;
      this.runStart = start;
    }
    this.runEnd = end;
    this.forwarding.settled(this.partitionIds[i]);
    this.replies.announce(place, start - this.runStart, end - start);
    if (this.due === 0) this.endRead();
  }

  endRead(): void {
    const { replies, run } = this;
    if (run === null) return;
    this.run = null;
    replies.takeRun(run, this.runStart, this.runEnd);
    if (!replies.awaited && !replies.complete) this.forwarding.awaitRest(this.client, replies);
  }

  /** Such a link has many clients. */
  piece(): void {
    this.link.close();
  }

  failed(executed: Executed): void {
    this.endRead();
    for (let i = this.next; i < this.places.length; i++) {
      if (this.places[i] !== MOVED) this.single(i).failed(executed);
    }
  }

  callsOf(partitionId: number): readonly PeerCall[] {
    const calls: PeerCall[] = [];
    for (let i = this.next; i < this.places.length; i++) {
      if (this.partitionIds[i] !== partitionId || this.places[i] === MOVED) continue;
      calls.push(this.single(i));
    }
    return calls;
  }

  /** From here on command `i` is a call of its own. */
  private single(i: number): ForwardedCall {
    const { forwarding, link, client, replies, starts, places } = this;
    const sink = replies.takeLater(places[i]);
    const call = new ForwardedCall(forwarding, link, client, this.partitionIds[i], sink, 0);
    places[i] = MOVED;
    call.sent = this.sent;
    call.sentStart = starts[i];
    call.sentEnd = i + 1 < starts.length ? starts[i + 1] : this.sentEnd;
    return call;
  }
}
