/** One accepted connection: shakes hands, then performs what its sender asks for.
 *
 *  Owner: the hub of the primary. Until a HELLO was accepted the peer is nobody: it gets `helloTimeoutMs` and the
 *  bytes of one HELLO, then the connection is closed and the reason logged.
 *  Decides nothing about replication: `Sender` does. */
import type { Partition } from '@ingot/store';
import type { CheckAnswer } from './checks.ts';
import {
  CHUNK,
  type FrameHeader,
  frameName,
  HELLO,
  payloadChecksum,
  REDO,
  REFUSE,
} from './frame.ts';
import type { FrameSink } from './frame-reader.ts';
import { decodeHello, type Hello } from './hello.ts';
import type { Link, OutgoingFrame } from './link.ts';
import type { NodeState } from './node-state.ts';
import { Sender } from './sender.ts';
import type { FollowerState, SenderAction, SenderEvent } from './sender-steps.ts';
import { encodeRefuse, type Refusal } from './welcome.ts';

export const helloTimeoutMs = 5_000;
/** A follower that neither reads nor answers for so long is given up; it comes back for the rest. */
export const silenceMaxMs = 15_000;
const pingIntervalMs = 1_000;

export interface SenderHost {
  readonly state: NodeState;
  /** Which partition the follower may have, or why not. */
  admit(hello: Hello, epoch: number): Partition | Refusal;
  /** The session serves (partition, node) from now on. */
  admitted(session: SenderSession): void;
  awaitBulk(session: SenderSession): void;
  bulkEnded(session: SenderSession): void;
  acknowledged(session: SenderSession, seq: number): void;
  answered(session: SenderSession, answer: CheckAnswer): void;
  closed(session: SenderSession, reason: string): void;
}

export class SenderSession implements FrameSink {
  readonly #host: SenderHost;
  readonly #openedMs: number;
  #link: Link | null = null;
  #sender: Sender | null = null;
  #again = false;
  #lastProgressMs: number;
  #lastSentMs = 0;
  /** Known once admitted. */
  partition: Partition | null = null;
  node = '';
  incarnation = 0;
  epoch = 0;
  wasRefused = false;

  constructor(host: SenderHost) {
    this.#host = host;
    this.#openedMs = host.state.identity.nowMs();
    this.#lastProgressMs = this.#openedMs;
  }

  serve(link: Link): void {
    this.#link = link;
  }

  get state(): FollowerState {
    return this.#sender?.state ?? 'connecting';
  }

  get ackedSeq(): number {
    return this.#sender?.ackedSeq ?? 0;
  }

  get lagSeconds(): number {
    return this.#sender?.lagSeconds(this.#nowMs()) ?? 0;
  }

  #nowMs(): number {
    return this.#host.state.identity.nowMs();
  }

  // ------------------------------------------------------------ what the connection brings

  opened(): void {}

  place(header: FrameHeader): Buffer | string {
    const isHello = header.type === HELLO;
    if (isHello !== (this.#sender === null)) return 'a connection opens with one HELLO';
    if (header.type === CHUNK || header.type === REDO) {
      return `a follower sends no ${frameName(header.type)}`;
    }
    return Buffer.allocUnsafe(header.payloadBytes);
  }

  frame(header: FrameHeader, payload: Buffer): string | null {
    this.#lastProgressMs = this.#nowMs();
    if (this.#sender !== null) {
      this.step({ kind: 'frame', header, payload });
      return null;
    }
    if (header.type !== HELLO) return 'a connection opens with one HELLO';
    const hello = decodeHello(payload);
    return typeof hello === 'string' ? hello : this.#greet(hello, header.epoch);
  }

  closed(reason: string): void {
    this.#sender = null;
    this.#count();
    this.#host.closed(this, reason);
  }

  #greet(hello: Hello, epoch: number): null {
    const { identity, buffers } = this.#host.state;
    const { nodeId, incarnation } = identity;
    this.node = hello.nodeId;
    const admitted = this.#host.admit(hello, epoch);
    if ('code' in admitted) {
      this.#refuse(hello, epoch, admitted);
      return null;
    }
    this.partition = admitted;
    this.epoch = epoch;
    this.incarnation = hello.incarnation;
    this.#sender = new Sender({ partition: admitted, epoch, nodeId, incarnation, hello, buffers });
    this.#host.admitted(this);
    this.step({ kind: 'continue' });
    return null;
  }

  #refuse(hello: Hello, epoch: number, { code, text }: Refusal): void {
    const link = this.#link!;
    this.wasRefused = true;
    this.#host.state.identity.log({
      level: 'warn',
      event: 'refused',
      partition: hello.partition,
      node: hello.nodeId,
      remote: link.remote,
      code,
      text,
    });
    const payload = encodeRefuse({ code, text });
    const header = {
      type: REFUSE,
      flags: 0,
      payloadBytes: payload.length,
      epoch,
      seq: 0,
      generation: 0,
      chunk: 0,
      clockMs: this.#nowMs(),
      payloadCrc32: payloadChecksum(payload),
    };
    link.send([{ header, payload }]);
    link.close(`refused: ${code}`, true);
  }

  // ------------------------------------------------------------ what the sender asks for

  /** Returns whether the sender did something. */
  step(event: SenderEvent): boolean {
    if (this.#sender === null) return false;
    const actions = this.#sender.step(event, this.#nowMs());
    if (actions.length > 0) this.#perform(actions);
    return actions.length > 0;
  }

  #perform(actions: readonly SenderAction[]): void {
    const frames: OutgoingFrame[] = [];
    for (const action of actions) {
      switch (action.kind) {
        case 'send':
          frames.push(action);
          break;
        case 'again':
          this.#stepSoon();
          break;
        case 'awaitBulk':
          this.#host.awaitBulk(this);
          break;
        case 'bulkEnded':
          this.#host.bulkEnded(this);
          break;
        case 'acknowledged':
          this.#host.acknowledged(this, action.seq);
          break;
        case 'answered':
          this.#host.answered(this, action.answer);
          break;
        case 'synced':
          if (action.sync === 'full') this.#host.state.counters.fullSyncs++;
          else this.#host.state.counters.partialSyncs++;
          break;
        case 'log':
          this.#host.state.identity.log(action.event);
          break;
        case 'drop':
          return this.close(action.reason);
      }
    }
    if (frames.length > 0) this.#send(frames);
  }

  #send(frames: readonly OutgoingFrame[]): void {
    const { counters } = this.#host.state;
    for (const { header, payload } of frames) {
      if (header.type === CHUNK) counters.chunkBytesSent += payload.length;
      if (header.type === REDO) counters.redoBytesSent += payload.length;
    }
    this.#lastSentMs = this.#nowMs();
    this.#link!.send(frames, () => {
      this.#lastProgressMs = this.#nowMs();
      this.step({ kind: 'written' });
    });
    this.#count();
  }

  #stepSoon(): void {
    if (this.#again) return;
    this.#again = true;
    setImmediate(() => {
      this.#again = false;
      this.step({ kind: 'continue' });
    });
  }

  /** Moves what the link counted to the node's counters. */
  #count(): void {
    const link = this.#link;
    if (link === null) return;
    this.#host.state.counters.bytesSent += link.bytesSent;
    this.#host.state.counters.bytesReceived += link.bytesReceived;
    link.bytesSent = 0;
    link.bytesReceived = 0;
  }

  /** Now and then: deadlines, and a sign of life where nothing else was sent. */
  tick(nowMs: number): void {
    this.#count();
    if (this.#sender === null) {
      if (nowMs - this.#openedMs > helloTimeoutMs) this.close('no HELLO in time');
    } else if (nowMs - this.#lastProgressMs > silenceMaxMs) {
      this.close('the follower neither reads nor answers');
    } else if (nowMs - this.#lastSentMs > pingIntervalMs) this.step({ kind: 'idle' });
  }

  close(reason: string): void {
    this.#link?.close(reason);
  }

  get remote(): string {
    return this.#link?.remote ?? 'unknown';
  }
}
