/** One connection to another node's cluster port: commands out, replies back in the same order.
 *
 *  Commands are encoded into one buffer and leave in one write per flush, so a client's batch stays
 *  a batch on its way to the owner. Replies are cut apart without being understood and handed on
 *  as raw bytes.
 *  What a failure means: a command that was never handed to the socket was not executed ('no'); of
 *  any other nobody can say ('unknown').
 *  Bounds: PENDING_MAX commands and UNSENT_BYTES_MAX bytes before `full` asks callers to wait;
 *  CONNECT_MS_MAX to connect; SILENCE_MS_MAX without a byte while replies are due. */

import { Buffer } from 'node:buffer';
import { connect, type Socket } from 'node:net';
import { DirectWriter } from '@ingot/replication';
import type { Args } from '../resp/args.ts';
import { ReplyScanner } from '../resp/reply-scanner.ts';
import { ReplyStream } from '../resp/reply-stream.ts';
import { type Protocol, ReplyWriter } from '../resp/reply-writer.ts';
import { ACKS } from '../shared/settings.ts';

export const PENDING_MAX = 16_384;
export const UNSENT_BYTES_MAX: number = 16 * 1024 * 1024;
export const CONNECT_MS_MAX = 1_000;
/** Longer than the owner's own patience with a partition that changes hands. */
export const SILENCE_MS_MAX = 7_000;

/** How a peer asks for proof: a nonce follows. */
export const PROVE_WORD = 'PROVE ';

/** `full` bounds what waits here; a single command is bounded where it is received. */
const UNLIMITED: number = Number.MAX_SAFE_INTEGER;

/** A read of so many bytes is followed by another at once. */
export const LONG_READ_BYTES: number = 64 * 1024;

/** Arguments are sent from where they lie if they are longer than this. */
const LENT_BYTES_MIN: number = 64 * 1024;

/** Whether the command reached the owner. */
export type Executed = 'no' | 'unknown';

/** One command on its way, or several whose replies are due one after the other. */
export interface PeerCall {
  /** Replies that are due to it. */
  readonly due: number;
  /** Of its commands that have no reply yet, those about this partition, as calls of their own, oldest first. */
  callsOf(partitionId: number): readonly PeerCall[];
  /** The encoded command is `sent[sentStart .. sentEnd)`, once it was handed to the socket. */
  sent: Buffer;
  sentStart: number;
  sentEnd: number;
  /** Of a command that was sent from where its arguments lie: all of it. */
  encoded: readonly Buffer[] | null;
  replied(buffer: Buffer, start: number, end: number): void;
  /** What `replied` was told of lies elsewhere from now on: the next reply is in another buffer. */
  endRead(): void;
  /** On a link of one client, in place of `replied`: the next bytes of the reply, the last where `ends`. */
  piece(bytes: Buffer, ends: boolean): void;
  failed(executed: Executed): void;
}

/** What the clients have asked for whose commands travel on a link. */
export interface LinkMode {
  readonly protocol: Protocol;
  /** What they wait for, as bits: see ACKS. */
  readonly awaits: number;
}

export interface PeerLinkOptions {
  readonly host: string;
  readonly port: number;
  readonly mode: LinkMode;
  /** It carries the commands of one client, and replies of any length, as they arrive. */
  readonly isOwn: boolean;
  /** All links of many clients read into this. */
  readonly receiveBuffer: Buffer;
  /** What a peer that asks who we are is answered; null: nothing can be. */
  readonly proof: (nonce: string) => string | null;
  /** Monotonic. */
  readonly nowMs: () => number;
  /** The link is broken and everything on it has been failed: forget it. */
  readonly onClose: () => void;
  /** It is about to be: the peer could not be reached, or did not answer, for too long. */
  readonly onSilent: () => void;
  /** `full` was true and is not any more. */
  readonly onRoom: () => void;
}

export class PeerLink {
  readonly mode: LinkMode;
  /** Partitions that the peer refuses on this link until it is told INGOT.RESUME. */
  readonly refusing: Set<number> = new Set();

  private readonly options: PeerLinkOptions;
  private readonly socket: Socket;
  private readonly scanner: ReplyScanner = new ReplyScanner();
  private readonly stream: ReplyStream;
  private paused = false;
  private readonly unsent: ReplyWriter = new ReplyWriter(16 * 1024, UNLIMITED);
  /** Commands encoded into `unsent`, not handed to the socket. */
  private unsentCalls: PeerCall[] = [];
  /** Commands whose replies are due, oldest first from `pendingHead`. */
  private pending: PeerCall[] = [];
  private pendingHead = 0;
  private direct: DirectWriter | null = null;
  /** The kernel has not taken all of the last write. */
  private blocked = false;
  private connected = false;
  private closed = false;
  private wasFull = false;
  /** Replies that are due. */
  private due = 0;
  /** The latest call, and more commands of the same batch may join it. */
  open: PeerCall | null = null;
  private quietSinceMs: number;

  constructor(options: PeerLinkOptions) {
    this.options = options;
    this.mode = options.mode;
    this.stream = new ReplyStream({ piece: (bytes, ends) => this.piece(bytes, ends) });
    this.quietSinceMs = options.nowMs();
    const { host, port, receiveBuffer: buffer, isOwn } = options;
    const callback = (bytes: number): boolean => {
      this.arrived(buffer, bytes);
      return true;
    };
    // Replies of any length are handed on as they arrive: those cannot be where others come next.
    const landing = isOwn ? {} : { onread: { buffer, callback } };
    this.socket = connect({ host, port, noDelay: true, ...landing });
    this.socket.on('connect', () => this.socket.write(encode(['INGOT.LINK'])));
    if (isOwn) this.socket.on('data', (data: Buffer) => this.arrived(data, data.length));
    this.socket.on('drain', () => this.flush());
    // 'close' follows and fails what was under way.
    this.socket.on('error', () => this.socket.destroy());
    this.socket.on('end', () => this.socket.destroy());
    this.socket.on('close', () => this.fail());
    const { protocol, awaits } = options.mode;
    if (protocol === 3) this.send(encode(['HELLO', '3']), ignoredCall());
    if (awaits !== 0) this.send(encode(['CLIENT', 'ACKS', ACKS[awaits]]), ignoredCall());
    if (options.isOwn) this.send(encode(['INGOT.OWN']), ignoredCall());
  }

  get full(): boolean {
    const full =
      this.due >= PENDING_MAX || this.unsent.length + this.unsent.lentBytes >= UNSENT_BYTES_MAX;
    if (full) this.wasFull = true;
    return full;
  }

  /** Arguments [from, args.count) of `args`, after `name` where that is not null. */
  sendArgs(name: string | null, args: Args, from: number, call: PeerCall): void {
    const out = this.unsent;
    call.sentStart = out.length;
    out.array(args.count - from + (name === null ? 0 : 1));
    if (name !== null) out.bulkText(name);
    for (let i = from; i < args.count; i++) out.bulk(args.buf, args.start(i), args.bytes(i));
    call.sentEnd = out.length;
    this.add(call);
  }

  /** As `sendArgs`, without a copy of long arguments: they stay as they are until the reply is there. */
  lendArgs(args: Args, call: PeerCall): void {
    const out = this.unsent;
    const encoded = new ReplyWriter(1024);
    call.sentStart = out.length;
    for (const to of [out, encoded]) {
      to.array(args.count);
      for (let i = 0; i < args.count; i++) {
        const [start, bytes] = [args.start(i), args.bytes(i)];
        const views = [args.buf.subarray(start, start + bytes)];
        if (bytes < LENT_BYTES_MIN) to.bulk(args.buf, start, bytes);
        else to.lend({ views, bytes, release: () => {} });
      }
    }
    call.sentEnd = out.length;
    call.encoded = encoded.pieces();
    this.add(call);
  }

  private add(call: PeerCall): void {
    this.unsentCalls.push(call);
    this.due += call.due;
    this.open = null;
  }

  /** A call of several commands, which come with `append`. */
  begin(call: PeerCall): void {
    call.sentStart = this.unsent.length;
    this.add(call);
    this.open = call;
  }

  /** A command that is encoded already, of the call that is open. Returns where it begins in what is sent. */
  append(buffer: Buffer, start: number, end: number): number {
    const { unsent } = this;
    const at = unsent.length;
    unsent.raw(buffer, start, end - start);
    this.due++;
    return at;
  }

  /** Bytes that wait to leave. */
  get unsentBytes(): number {
    return this.unsent.length;
  }

  /** Nothing is on its way. */
  get idle(): boolean {
    return this.pendingHead === this.pending.length && this.unsentCalls.length === 0;
  }

  /** Reads no more replies: their client does not take them. */
  pause(): void {
    if (this.paused) return;
    this.paused = true;
    this.socket.pause();
  }

  unpause(): void {
    if (!this.paused) return;
    this.paused = false;
    this.quietSinceMs = this.options.nowMs();
    this.socket.resume();
  }

  /** An encoded command. */
  send(command: Buffer, call: PeerCall): void {
    call.sentStart = this.unsent.length;
    this.unsent.raw(command, 0, command.length);
    call.sentEnd = this.unsent.length;
    this.add(call);
  }

  /** Lets the peer answer for a partition again that it has refused on this link. */
  resume(partitionId: number): void {
    if (!this.refusing.delete(partitionId)) return;
    this.send(encode(['INGOT.RESUME', String(partitionId)]), ignoredCall());
  }

  /** Commands about this partition whose replies are still to come, oldest first. */
  callsOf(partitionId: number): PeerCall[] {
    const calls = [...this.pending.slice(this.pendingHead), ...this.unsentCalls];
    return calls.flatMap((call) => call.callsOf(partitionId));
  }

  /** The encoded bytes of a command on this link. */
  commandOf(call: PeerCall): Buffer {
    if (call.encoded !== null) return Buffer.concat(call.encoded);
    if (call.sent !== NOTHING) return call.sent.subarray(call.sentStart, call.sentEnd);
    return Buffer.from(this.unsent.buffer.subarray(call.sentStart, call.sentEnd));
  }

  /** Hands what was encoded to the socket, in one write; called once per batch. */
  flush(): void {
    if (!this.connected || this.closed || this.unsentCalls.length === 0) return;
    // It is broken, and 'close' will say so: what has not left by then was not executed.
    if (this.socket.destroyed) return;
    if (this.blocked || this.socket.writableNeedDrain) return;
    if (this.pendingHead === this.pending.length) this.quietSinceMs = this.options.nowMs();
    this.open = null;
    const { text, lent, lentAt } = this.unsent.cut(0);
    this.unsent.reset();
    for (const call of this.unsentCalls) {
      call.sent = text;
      this.pending.push(call);
    }
    this.unsentCalls = [];
    if (lent.length === 0) {
      this.write(text);
      return;
    }
    this.socket.cork();
    let at = 0;
    for (const [i, { views }] of lent.entries()) {
      this.socket.write(text.subarray(at, lentAt[i]));
      for (const view of views) this.socket.write(view);
      at = lentAt[i];
    }
    this.socket.write(text.subarray(at));
    this.socket.uncork();
  }

  /** Gives up on a peer that does not answer; called a few times per second. */
  checkPatience(nowMs: number): void {
    if (this.paused) return;
    const quietMs = nowMs - this.quietSinceMs;
    const due = this.pendingHead < this.pending.length;
    if ((!this.connected && quietMs > CONNECT_MS_MAX) || (due && quietMs > SILENCE_MS_MAX)) {
      this.options.onSilent();
      this.close();
    }
  }

  /** Closes it if it has carried nothing since then. */
  closeIdle(sinceMs: number): void {
    if (this.idle && this.quietSinceMs < sinceMs) this.close();
  }

  close(): void {
    this.socket.destroy();
    this.fail();
  }

  private arrived(buffer: Buffer, bytes: number): void {
    if (this.connected) this.receive(buffer, bytes);
    else this.introduce(buffer, bytes);
    if (!this.options.isOwn) this.scanner.keep();
  }

  /** What the peer says to INGOT.LINK, and to the proof that it may ask for: nothing else is sent before. */
  private introduce(data: Buffer, bytes: number): void {
    const { scanner } = this;
    scanner.push(data, bytes);
    while (scanner.next()) {
      const line = scanner.buffer.toString('latin1', scanner.start + 1, scanner.end - 2);
      const asked = line.startsWith(PROVE_WORD) ? line.slice(PROVE_WORD.length) : null;
      const proof = asked === null ? null : this.options.proof(asked);
      if (proof !== null) this.socket.write(encode(['INGOT.PROVE', proof]));
      else if (line === 'OK') this.introduced();
      else this.close();
    }
    if (scanner.invalid) this.close();
  }

  private introduced(): void {
    this.connected = true;
    if (!this.options.isOwn) this.writeDirectly();
    this.quietSinceMs = this.options.nowMs();
    this.flush();
  }

  /** Without the stream around it, where Node allows that. */
  private writeDirectly(): void {
    this.direct = DirectWriter.forSocket(this.socket, (status) => {
      this.blocked = false;
      if (status < 0) this.socket.destroy();
      else this.flush();
    });
  }

  private write(bytes: Buffer): void {
    const { direct, socket } = this;
    if (direct?.ready !== true || socket.writableLength > 0) {
      socket.write(bytes);
      return;
    }
    const taken = direct.write(bytes);
    if (taken === null) socket.destroy();
    this.blocked = taken === false;
  }

  private receive(data: Buffer, bytes: number): void {
    this.quietSinceMs = this.options.nowMs();
    if (this.options.isOwn) {
      this.stream.push(data);
      if (this.stream.invalid) this.close();
      else this.noticeReplies();
      return;
    }
    const scanner = this.scanner;
    scanner.push(data, bytes);
    while (scanner.next()) {
      const call = this.pending[this.pendingHead] as PeerCall | undefined;
      if (call === undefined) {
        this.close();
        return;
      }
      this.due--;
      // What it refuses is looked for among those that come behind it.
      if (call.due === 1) this.pendingHead++;
      call.replied(scanner.buffer, scanner.start, scanner.end);
    }
    (this.pending[this.pendingHead] as PeerCall | undefined)?.endRead();
    if (scanner.invalid) this.close();
    this.noticeReplies();
    if (bytes >= LONG_READ_BYTES) this.breathe();
  }

  /** More has arrived, and would be read at once: others have their turn first. */
  private breathe(): void {
    if (this.paused || this.closed) return;
    this.socket.pause();
    setImmediate(() => {
      if (!this.paused) this.socket.resume();
    });
  }

  private piece(bytes: Buffer, ends: boolean): void {
    const call = this.pending[this.pendingHead] as PeerCall | undefined;
    if (call === undefined) {
      this.close();
      return;
    }
    if (ends) {
      this.pendingHead++;
      this.due--;
    }
    call.piece(bytes, ends);
  }

  private noticeReplies(): void {
    if (this.pendingHead === this.pending.length) {
      this.pending = [];
      this.pendingHead = 0;
    } else if (this.pendingHead > 4096) {
      this.pending.splice(0, this.pendingHead);
      this.pendingHead = 0;
    }
    this.noticeRoom();
  }

  private noticeRoom(): void {
    if (!this.wasFull || this.full) return;
    this.wasFull = false;
    this.options.onRoom();
  }

  private fail(): void {
    if (this.closed) return;
    this.closed = true;
    const maybeExecuted = this.pending.slice(this.pendingHead);
    const notSent = this.unsentCalls;
    const commands = this.unsent.take();
    for (const call of notSent) call.sent = commands;
    this.pending = [];
    this.pendingHead = 0;
    this.unsentCalls = [];
    this.due = 0;
    this.open = null;
    this.options.onClose();
    for (const call of maybeExecuted) call.failed('unknown');
    for (const call of notSent) call.failed('no');
    this.options.onRoom();
  }
}

/** One command as a client would send it. */
export function encode(parts: readonly (string | Uint8Array)[]): Buffer {
  const out = new ReplyWriter(1024);
  out.array(parts.length);
  for (const part of parts) {
    const bytes = Buffer.from(part as string);
    out.bulk(bytes, 0, bytes.length);
  }
  return out.take();
}

/** `sent` of a call that was not handed to the socket. */
export const NOTHING: Buffer = Buffer.alloc(0);

/** For commands of the link itself, whose replies nobody waits for. */
function ignoredCall(): PeerCall {
  return {
    due: 1,
    callsOf: () => [],
    sent: NOTHING,
    sentStart: 0,
    sentEnd: 0,
    encoded: null,
    replied: () => {},
    endRead: () => {},
    piece: () => {},
    failed: () => {},
  };
}
