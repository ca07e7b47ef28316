/** One command on its way to its owner, on one link: what becomes of the reply, or of the command where there is none. */

import { Buffer } from 'node:buffer';
import type { Forwarding, ForwardingClient } from './forwarding.ts';
import { type Executed, NOTHING, type PeerCall, type PeerLink } from './peer-link.ts';
import type { ReplySink } from './reply-queue.ts';
import { DOWN_TEXT } from './routing.ts';

export const UNKNOWN_TEXT: string =
  'ERR the connection to the node that owns this key broke; ' +
  'whether the command was executed is unknown';

/** A refusal of the owner that tells of a reply too long for a link of many clients. */
const LONG_WORD = '-TRYAGAIN long';

/** One command on one link. */
export class ForwardedCall implements PeerCall {
  sent: Buffer = NOTHING;
  sentStart = 0;
  sentEnd = 0;
  encoded: readonly Buffer[] | null = null;
  readonly due = 1;
  /** Its answer has been given, or another call carries it on. */
  settled = false;

  readonly link: PeerLink;
  readonly client: ForwardingClient;
  readonly partitionId: number;
  readonly sink: ReplySink;
  /** Of a sink that takes no pieces. */
  private readonly kept: Buffer[] = [];
  private begun = false;
  /** When this command was refused, or could not leave, for the first time; 0 = it was not. */
  readonly refusedSinceMs: number;
  private readonly forwarding: Forwarding;

  constructor(
    forwarding: Forwarding,
    link: PeerLink,
    client: ForwardingClient,
    partitionId: number,
    sink: ReplySink,
    refusedSinceMs: number,
  ) {
    this.forwarding = forwarding;
    this.link = link;
    this.client = client;
    this.partitionId = partitionId;
    this.sink = sink;
    this.refusedSinceMs = refusedSinceMs;
  }

  callsOf(partitionId: number): readonly ForwardedCall[] {
    return partitionId === this.partitionId ? [this] : [];
  }

  replied(buffer: Buffer, start: number, end: number): void {
    if (this.settled) return;
    if (this.partitionId >= 0 && isRefusal(buffer, start)) {
      const isLong = buffer.toString('latin1', start, start + LONG_WORD.length) === LONG_WORD;
      this.forwarding.refused(this, isLong);
      return;
    }
    this.settled = true;
    const reply = Buffer.from(buffer.subarray(start, end));
    this.forwarding.settle(this.partitionId, this.sink, reply);
  }

  endRead(): void {}

  piece(bytes: Buffer, ends: boolean): void {
    if (this.settled) return;
    if (!this.begun && bytes[0] === MINUS) {
      this.replied(bytes, 0, bytes.length);
      return;
    }
    this.begun = true;
    if (this.sink.piece === undefined) {
      this.kept.push(bytes);
      if (!ends) return;
      this.settled = true;
      this.forwarding.settle(this.partitionId, this.sink, Buffer.concat(this.kept));
      return;
    }
    if (ends) {
      this.settled = true;
      this.forwarding.settled(this.partitionId);
    }
    const { link } = this;
    if (!this.sink.piece(bytes, ends, () => link.unpause())) link.pause();
  }

  failed(executed: Executed): void {
    if (this.settled) return;
    if (executed === 'no' && this.partitionId >= 0) {
      this.forwarding.notSent(this);
      return;
    }
    this.settled = true;
    const reply = errorLine(executed === 'no' ? DOWN_TEXT : UNKNOWN_TEXT);
    this.forwarding.settle(this.partitionId, this.sink, reply);
  }
}

export function errorLine(text: string): Buffer {
  return Buffer.from(`-${text}\r\n`);
}

const MINUS = 0x2d;
const REFUSALS: readonly string[] = ['-MOVED ', '-TRYAGAIN ', '-CLUSTERDOWN '];

/** The owner did not execute the command. */
export function isRefusal(reply: Buffer, start: number): boolean {
  if (reply[start] !== 0x2d) return false;
  const line = reply.toString('latin1', start, start + 13);
  return REFUSALS.some((word) => line.startsWith(word));
}
