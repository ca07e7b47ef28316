/** A connection between a sender and a follower machine, in one thread, for tests: every step of it is a call.
 *
 *  Plays the kernel: what a sender hands over is read from the live image piece by piece, so that a writer can come in
 *  between (chunks tear), and lands at the follower piece by piece, so that a cut can fall into a chunk. */
import type { Partition } from '@ingot/store';
import type { ReplicationEvent } from './events.ts';
import {
  BEGIN,
  CHUNK,
  decodeHeader,
  encodeHeader,
  END,
  type FrameHeader,
  HELLO,
  payloadIntact,
} from './frame.ts';
import { Follower, type FollowerAction } from './follower.ts';
import { decodeHello } from './hello.ts';
import { offerCopy } from './offer.ts';
import type { Random } from './random.fixture.ts';
import type { ResumptionPlace } from './resumption.ts';
import { RedoBuffers } from './redo-buffers.ts';
import { RingReader } from './ring-reader.ts';
import { Sender } from './sender.ts';
import type { SenderAction } from './sender-steps.ts';

interface Frame {
  readonly header: FrameHeader;
  readonly payload: Buffer;
}

/** A frame on its way into the kernel: `taken` bytes of the payload have been read. */
interface Leaving extends Frame {
  readonly captured: Buffer;
  taken: number;
}

export interface WireEnds {
  readonly primary: Partition;
  readonly copy: Partition;
  readonly epoch: number;
  /** `primary` is itself a follower. */
  readonly relay?: boolean;
  /** What the copy has got over its former wires. */
  readonly resumption?: ResumptionPlace;
  readonly atLeastSeq?: number;
  /** `copy` is a snapshot's image. */
  readonly snapshot?: boolean;
}

const pieceBytesMax = 32_768;

const follower = { clusterId: 'cluster', nodeId: 'follower', incarnation: 1 };

export class Wire {
  readonly sender: Sender;
  readonly follower: Follower;
  /** What the primary did, in order: its log events with kind and reason, BEGINs, ENDs. */
  readonly events: string[] = [];
  dropped: string | null = null;
  /** Of chunks handed over. */
  chunkBytes = 0;
  /** The follower has the snapshot it came for. */
  roundEnded = false;
  /** Called when the follower asks for it. */
  dropSubscribers: () => void = () => {};
  readonly #random: Random;
  #leaving: Leaving[] = [];
  #arrived: Frame[] = [];
  #answers: Frame[] = [];
  #landing: { frame: Frame; place: Buffer; landed: number } | null = null;
  #written = false;
  #bulkAsked = false;
  #nowMs = 0;

  constructor(
    {
      primary,
      copy,
      epoch,
      relay = false,
      snapshot = false,
      resumption = { current: null },
      atLeastSeq = 0,
    }: WireEnds,
    random: Random,
  ) {
    this.#random = random;
    const buffers = new RedoBuffers();
    this.follower = new Follower({
      partition: copy,
      epoch,
      hello: offerCopy(copy, follower, {
        snapshot,
        resumption: resumption.current,
        epoch,
        atLeastSeq,
      }),
      buffers,
      resumption,
    });
    const [greeting] = this.follower.start(0);
    if (greeting?.kind !== 'send' || greeting.header.type !== HELLO) throw new Error('no HELLO');
    const hello = decodeHello(greeting.payload);
    if (typeof hello === 'string') throw new Error(hello);
    this.sender = new Sender({
      partition: primary,
      epoch,
      nodeId: 'primary',
      incarnation: 1,
      hello,
      ring: new RingReader(primary, buffers),
      relay,
    });
  }

  /** One small thing happens, chosen by the seed. */
  step(nowMs: number): void {
    this.#nowMs = nowMs;
    const choice = this.#random.below(10);
    if (choice < 4) this.#capture();
    else if (choice < 7) this.#land();
    else if (choice === 7) this.#deliverAnswer();
    else this.#stepSender();
  }

  /** Whether nothing is under way: the sender has nothing to send, everything sent was taken in. */
  get quiet(): boolean {
    return (
      this.#leaving.length + this.#arrived.length + this.#answers.length === 0 &&
      this.#landing === null &&
      !this.#written &&
      !this.#bulkAsked
    );
  }

  // ------------------------------------------------------------ the primary's end

  #stepSender(): void {
    if (this.#written) {
      this.#written = false;
      this.#perform(this.sender.step({ kind: 'written' }, this.#nowMs));
    } else if (this.#bulkAsked) {
      this.#bulkAsked = false;
      this.#perform(this.sender.step({ kind: 'bulkGranted' }, this.#nowMs));
    } else this.#perform(this.sender.step({ kind: 'continue' }, this.#nowMs));
  }

  #perform(actions: readonly SenderAction[]): void {
    for (const action of actions) {
      if (action.kind === 'send') this.#handOver(action);
      else if (action.kind === 'awaitBulk') this.#bulkAsked = true;
      else if (action.kind === 'drop') this.dropped ??= `primary: ${action.reason}`;
      else if (action.kind === 'log') this.#note(action.event);
    }
  }

  #note({ event, kind, reason }: ReplicationEvent): void {
    this.events.push(kind === undefined ? event : `${event}: ${kind}, ${reason}`);
  }

  #handOver({ header, payload }: Frame): void {
    const decoded = decodeHeader(encodeHeader(header));
    if (typeof decoded === 'string') throw new Error(decoded);
    if (header.type === CHUNK) this.chunkBytes += payload.length;
    if (header.type === BEGIN) this.events.push('BEGIN');
    if (header.type === END) this.events.push('END');
    this.#leaving.push({
      header: decoded,
      payload,
      captured: Buffer.alloc(payload.length),
      taken: 0,
    });
  }

  /** The kernel reads a piece of what was handed over. */
  #capture(): void {
    const frame = this.#leaving[0];
    if (frame === undefined) return;
    const bytes = 4 * (1 + this.#random.below(pieceBytesMax / 4));
    const end = Math.min(frame.taken + bytes, frame.payload.length);
    frame.payload.copy(frame.captured, frame.taken, frame.taken, end);
    frame.taken = end;
    if (end < frame.payload.length) return;
    this.#leaving.shift();
    this.#arrived.push({ header: frame.header, payload: frame.captured });
    if (this.#leaving.length === 0) this.#written = true;
  }

  // ------------------------------------------------------------ the follower's end

  /** A piece of a frame lands; once it is whole the follower takes it in. */
  #land(): void {
    const frame = this.#landing?.frame ?? this.#arrived.shift();
    if (frame === undefined || this.dropped !== null) return;
    const { header, payload } = frame;
    if (this.#landing === null) {
      const place = payload.length === 0 ? payload : this.follower.place(header);
      if (typeof place === 'string') {
        this.dropped = `follower: ${place}`;
        return;
      }
      this.#landing = { frame, place, landed: 0 };
    }
    const landing = this.#landing;
    const end = Math.min(
      landing.landed + 4 * (1 + this.#random.below(pieceBytesMax / 4)),
      payload.length,
    );
    payload.copy(landing.place, landing.landed, landing.landed, end);
    landing.landed = end;
    if (end < payload.length) return;
    this.#landing = null;
    if (!payloadIntact(header, landing.place)) throw new Error('a payload changed on its way');
    for (const action of this.follower.step(header, landing.place, this.#nowMs)) this.#take(action);
  }

  #take(action: FollowerAction): void {
    if (action.kind === 'send')
      this.#answers.push({ header: action.header, payload: action.payload });
    else if (action.kind === 'dropSubscribers') this.dropSubscribers();
    else if (action.kind === 'roundEnded') this.roundEnded = true;
    else if (action.kind === 'drop') this.dropped ??= `follower: ${action.reason}`;
    else if (action.kind === 'refused') this.dropped ??= `refused: ${action.refusal.code}`;
  }

  #deliverAnswer(): void {
    const answer = this.#answers.shift();
    if (answer === undefined) return;
    this.#perform(
      this.sender.step(
        { kind: 'frame', header: answer.header, payload: answer.payload },
        this.#nowMs,
      ),
    );
  }
}
