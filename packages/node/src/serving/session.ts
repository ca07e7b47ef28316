/** What a command may know and change about the client that sent it.
 *  Owner: the connection that implements it (client-state.ts, connection.ts); commands see only this.
 *  Replies leave in request order: `replyLater` holds this command's place in line. */

import type { Protocol, ReplyWriter } from '../resp/reply-writer.ts';
import type { Acks } from '../shared/settings.ts';

/** Which door the client came through: it decides how keys that live elsewhere are answered. */
export type ListenerKind = 'client' | 'cluster' | 'follower';

/** Writes one whole reply. */
export type WriteReply = (out: ReplyWriter) => void;

/** Which replies a client wants (CLIENT REPLY): all, none, all after this one, all after the next. */
export const ReplyMode = { on: 0, off: 1, skipping: 2, skipNext: 3 } as const;
export type ReplyMode = (typeof ReplyMode)[keyof typeof ReplyMode];

/** What CLIENT LIST tells of a connection's buffers. */
export interface SessionFigures {
  readonly queryBytes: number;
  readonly queryRoomBytes: number;
  readonly queuedBytes: number;
  readonly repliesDue: number;
  readonly replyBytes: number;
}

export interface Session {
  /** Unique in the node for the life of its process, over all workers. */
  readonly id: number;
  readonly listener: ListenerKind;
  /** `host:port` of the client and of our side. */
  readonly address: string;
  readonly localAddress: string;
  readonly connectedAtMs: number;
  lastActiveAtMs: number;
  /** Name of the latest command, lower case, as CLIENT LIST shows it. */
  lastCommand: string;
  /** HELLO sets this and `out.protocol`, so that its own reply is in the new protocol. */
  protocol: Protocol;
  name: string;
  libName: string;
  libVersion: string;
  /** When replies leave: once the primary has it, or once every copy in sync has it. */
  acks: Acks;
  /** READONLY was sent: on the follower port, reads of local follower copies are answered. */
  readOnly: boolean;
  /** ASKING was sent; cleared by the command after it. */
  asking: boolean;
  /** May do more than say who it is: true from the beginning where clients need no password. */
  authenticated: boolean;
  replyMode: ReplyMode;
  /** CLIENT NO-TOUCH: what it reads does not count as used. */
  noTouch: boolean;
  /** CLIENT NO-EVICT: it is not ended for what all clients together hold. */
  noEvict: boolean;
  readonly type: string;
  /** As CLIENT LIST shows them. */
  readonly flags: string;
  readonly figures: SessionFigures;
  /** Memory that is there for it alone. */
  readonly heldBytes: number;
  reset(): void;
  /** Commands queued since MULTI, or -1 outside of a transaction. */
  readonly queuedCount: number;
  /** Keys under WATCH. */
  readonly watchedCount: number;
  /** QUIT: close once everything written so far has left. */
  closeAfterReplies(): void;
  /** Answers this command when `work` settles; a rejection becomes `-ERR message`. Commands that
   *  come after run meanwhile, their replies wait. Write nothing to `out` in the same run. */
  replyLater(work: Promise<WriteReply>): void;
}
