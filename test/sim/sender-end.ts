/** The primary's end of a connection: lets a follower in by its HELLO, then performs what its sender asks for.
 *
 *  Stands where the hub, its handshakes and its sessions stand in a node; decides nothing about replication. */
import {
  decodeHello,
  encodeRefuse,
  type FrameHeader,
  FrameReader,
  type FrameSink,
  HELLO,
  type Hello,
  payloadChecksum,
  refuse,
  REFUSE,
  Sender,
  type SenderAction,
  type SenderEvent,
} from '@ingot/replication';
import type { Connection, End, Frame } from './connection.ts';
import type { SimCopy } from './copy.ts';
import type { SimNode } from './node.ts';
import type { Thread } from './scheduler.ts';

const silenceMaxMs = 15_000;
const pingIntervalMs = 2_000;

export class SenderEnd implements End, FrameSink {
  readonly node: SimNode;
  readonly connection: Connection;
  readonly thread: Thread;
  copy: SimCopy | null = null;
  follower = '';
  sender: Sender | null = null;
  ended = false;
  readonly #reader = new FrameReader(this);
  #stepsSoon = false;
  #lastProgressMs: number;
  #lastSentMs = 0;

  constructor(node: SimNode, connection: Connection) {
    this.node = node;
    this.connection = connection;
    this.thread = node.replication;
    this.#lastProgressMs = node.clockMs();
  }

  // ------------------------------------------------------------ what the connection brings

  received(piece: Buffer): void {
    if (this.ended) return;
    const broken = this.#reader.push(piece);
    if (broken !== null) this.close(broken);
  }

  place({ payloadBytes }: FrameHeader): Buffer {
    return Buffer.allocUnsafe(payloadBytes);
  }

  frame(header: FrameHeader, payload: Buffer): string | null {
    if (this.ended) return 'the connection has ended';
    this.#lastProgressMs = this.node.clockMs();
    if (this.sender !== null) this.step({ kind: 'frame', header, payload });
    else return this.#greet(header, payload);
    return null;
  }

  #greet(header: FrameHeader, payload: Buffer): string | null {
    if (header.type !== HELLO) return 'a connection opens with HELLO';
    const hello = decodeHello(payload);
    if (typeof hello === 'string') return hello;
    const refusal = refuse(hello, header.epoch, this.node.asSeenByFollowers(hello.partition));
    if (refusal === null) return this.#admit(hello, header.epoch);
    const answer = encodeRefuse(refusal);
    this.node.trace.count(`refused: ${refusal.code}`);
    this.#send([{ header: this.#refuseHeader(header.epoch, answer), payload: answer }]);
    return null;
  }

  #refuseHeader(epoch: number, payload: Buffer): FrameHeader {
    const fields = { flags: 0, payloadBytes: payload.length, epoch, seq: 0, generation: 0 };
    const clockMs = this.node.clockMs();
    return {
      type: REFUSE,
      ...fields,
      chunk: 0,
      clockMs,
      payloadCrc32: payloadChecksum(payload),
    };
  }

  #admit(hello: Hello, epoch: number): null {
    const { node } = this;
    const copy = node.copy(hello.partition);
    this.copy = copy;
    this.follower = hello.nodeId;
    const { id: nodeId, incarnation, pacer } = node;
    const { partition } = copy;
    const ring = node.ringOf(partition);
    const relay = !copy.leads;
    this.sender = new Sender({ partition, epoch, nodeId, incarnation, hello, ring, pacer, relay });
    node.begins(this);
    this.step({ kind: 'continue' });
    return null;
  }

  closed(reason: string): void {
    if (this.ended) return;
    this.ended = true;
    this.sender?.close();
    this.node.ended(this, reason);
  }

  close(reason: string): void {
    if (this.ended) return;
    if (this.connection.open) this.connection.cut(`primary: ${reason}`, 'primary');
    else this.closed(reason);
  }

  tick(nowMs: number): void {
    if (nowMs - this.#lastProgressMs > silenceMaxMs) {
      this.close('the follower neither reads nor answers');
    } else if (nowMs - this.#lastSentMs > pingIntervalMs) this.step({ kind: 'idle' });
  }

  // ------------------------------------------------------------ what the sender asks for

  /** A CHECK pass looks into chunks and repairs them through the gate: it waits where a writer is inside. */
  step(event: SenderEvent): void {
    if (this.ended || this.sender === null) return;
    const { copy, node, thread } = this;
    if (copy?.gate.held === true && this.sender.state === 'checking') {
      node.scheduler.after(0, thread, () => this.step(event), copy.gate);
      return;
    }
    const actions = this.sender.step(event, this.node.clockMs());
    const frames: Frame[] = [];
    for (const action of actions) {
      if (action.kind === 'send') frames.push(action);
      else this.#perform(action);
    }
    if (frames.length > 0) this.#send(frames);
  }

  stepSoon(delayMs: number): void {
    if (this.#stepsSoon) return;
    this.#stepsSoon = true;
    this.node.scheduler.after(delayMs, this.thread, () => {
      this.#stepsSoon = false;
      this.step({ kind: 'continue' });
    });
  }

  #perform(action: Exclude<SenderAction, { kind: 'send' }>): void {
    const { node } = this;
    switch (action.kind) {
      case 'again':
        return this.stepSoon(node.random.next() * (node.random.chance(0.1) ? 20 : 0.5));
      case 'paced':
        return this.stepSoon(0.5 + node.random.next());
      case 'awaitBulk':
        return node.awaitsBulk(this);
      case 'bulkEnded':
        return node.bulks.release(this);
      case 'log':
        return node.logged(this, action.event);
      case 'drop':
        return this.close(action.reason);
      case 'answered':
        return node.answered(this, action.answer);
      case 'repaired':
        return node.trace.count('chunks repaired after a bulk');
      case 'repairRefused':
        return node.trace.count('repairs refused after a bulk');
      case 'sentAway':
      case 'acknowledged':
      case 'synced':
    }
  }

  #send(frames: readonly Frame[]): void {
    this.#lastSentMs = this.node.clockMs();
    this.connection.toFollower.send(frames, () => {
      this.node.scheduler.after(this.node.random.next() * 0.2, this.thread, () => {
        this.#lastProgressMs = this.node.clockMs();
        this.step({ kind: 'written' });
      });
    });
  }
}
