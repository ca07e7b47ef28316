/** A simulated TCP connection: two pipes, each read by a kernel in pieces.
 *
 *  What an end hands over stays where it is until the kernel takes it, piece by piece: a chunk of a live image is torn
 *  where its writer comes in between. Pieces arrive later, in order, each in an event of its own: a chunk lands in
 *  parts. A pipe holds `capacityBytes`; an end that does not read stops the other's kernel.
 *  Faults: a cut after so many bytes, a stall, a bit flipped in a piece of a chosen kind. */
import { CHUNK, encodeHeader, type FrameHeader, frameName, REDO } from '@ingot/replication';
import { CHUNK_BYTES } from '@ingot/store';
import type { Random } from '../../packages/replication/src/random.fixture.ts';
import type { Link } from './link.ts';
import { type Scheduler, Thread } from './scheduler.ts';
import { Broken, type Trace } from './trace.ts';

export const CLUSTER_ID = 'simulated';
const capacityBytes = 131_072;
const pieceBytesMax = 24_576;
/** What a stalled link holds back looks again after so long. */
const lookAgainMs = 100;

export interface Frame {
  readonly header: FrameHeader;
  readonly payload: Buffer;
}

/** What a flip is aimed at. `other` = the payload of any frame that is neither CHUNK nor REDO. */
export type FlipTarget = 'header' | 'redo' | 'chunk' | 'other';

export interface End {
  readonly thread: Thread;
  received(piece: Buffer): void;
  closed(reason: string): void;
}

export interface NetworkParts {
  readonly scheduler: Scheduler;
  readonly random: Random;
  readonly trace: Trace;
}

interface Segment {
  readonly header: FrameHeader;
  readonly part: 'header' | 'payload';
  readonly bytes: Buffer;
  taken: number;
  /** After the last segment of a batch. */
  readonly written: (() => void) | null;
}

interface Piece {
  readonly bytes: Buffer;
  /** The chunk in which a bit was flipped, -1 = none. */
  flippedChunk: number;
}

export class Connection {
  readonly name: string;
  readonly link: Link;
  readonly toFollower: Pipe;
  readonly toPrimary: Pipe;
  open = true;
  /** CHECK markers follow what is sent: chunks may be flipped. */
  isVouchedFor = true;
  /** A chunk was flipped on its way to the follower. */
  chunkFlipped: (chunk: number) => void = () => {};
  readonly #parts: NetworkParts;
  #ends: { follower: End; primary: End } | null = null;

  constructor(name: string, link: Link, parts: NetworkParts) {
    this.name = name;
    this.link = link;
    this.#parts = parts;
    this.toFollower = new Pipe(this, 'down', parts, (chunk) => this.chunkFlipped(chunk));
    this.toPrimary = new Pipe(this, 'up', parts, () => {});
  }

  attach(follower: End, primary: End): void {
    this.#ends = { follower, primary };
    this.toFollower.reader = follower;
    this.toPrimary.reader = primary;
  }

  /** Ends it for both; each side learns of it in its own time, or never. */
  cut(reason: string, by: 'follower' | 'primary' | 'network'): void {
    if (!this.open) return;
    this.open = false;
    const { scheduler, random, trace } = this.#parts;
    trace.note(scheduler.nowMs, `${this.name} ends: ${reason}`);
    if (this.#ends === null) return;
    const { follower, primary } = this.#ends;
    const noticeMs = (): number => (random.chance(0.8) ? random.below(30) : random.below(25_000));
    for (const [end, side] of [
      [follower, 'follower'],
      [primary, 'primary'],
    ] as const) {
      if (by === side) end.closed(reason);
      else scheduler.after(noticeMs(), end.thread, () => end.closed(reason));
    }
  }

  get quiet(): boolean {
    return this.toFollower.empty && this.toPrimary.empty;
  }
}

/** One direction. */
export class Pipe {
  reader: End | null = null;
  /** The next piece of this kind gets a bit flipped. */
  flip: FlipTarget | null = null;
  /** The connection is cut once so many more bytes have arrived. */
  cutAfterBytes: number = Number.POSITIVE_INFINITY;
  readonly #connection: Connection;
  readonly #name: string;
  readonly #parts: NetworkParts;
  readonly #kernel: Thread;
  readonly #chunkFlipped: (chunk: number) => void;
  readonly #segments: Segment[] = [];
  /** Taken, not arrived. */
  readonly #inFlight: Piece[] = [];
  #inFlightBytes = 0;
  #takenBytes = 0;
  #arrivedBytes = 0;
  #capturing = false;
  #lastArrivalMs = 0;
  /** Position behind a flipped header or payload: the reader must not get past it. */
  #refusedBy = Number.POSITIVE_INFINITY;
  #flipped = '';

  constructor(
    connection: Connection,
    name: string,
    parts: NetworkParts,
    chunkFlipped: (chunk: number) => void,
  ) {
    this.#connection = connection;
    this.#name = name;
    this.#parts = parts;
    this.#kernel = new Thread(`kernel ${connection.name} ${name}`);
    this.#chunkFlipped = chunkFlipped;
  }

  get empty(): boolean {
    return this.#segments.length === 0 && this.#inFlightBytes === 0;
  }

  /** What has not struck yet will not. */
  heal(): void {
    this.flip = null;
    this.cutAfterBytes = Number.POSITIVE_INFINITY;
  }

  send(frames: readonly Frame[], written: (() => void) | null = null): void {
    if (!this.#connection.open) return;
    frames.forEach(({ header, payload }, i) => {
      const last = i === frames.length - 1 ? written : null;
      const isEmpty = payload.length === 0;
      const head = encodeHeader(header);
      this.#segments.push({
        header,
        part: 'header',
        bytes: head,
        taken: 0,
        written: isEmpty ? last : null,
      });
      if (isEmpty) return;
      this.#segments.push({ header, part: 'payload', bytes: payload, taken: 0, written: last });
    });
    this.#captureSoon(0);
  }

  #captureSoon(delayMs: number): void {
    if (this.#capturing) return;
    this.#capturing = true;
    this.#parts.scheduler.after(delayMs, this.#kernel, () => {
      this.#capturing = false;
      this.#capture();
    });
  }

  /** The kernel takes a piece of what was handed over, as the bytes are now. */
  #capture(): void {
    const segment = this.#segments[0];
    const { random, scheduler } = this.#parts;
    const room = capacityBytes - this.#inFlightBytes;
    if (segment === undefined || !this.#connection.open || room <= 0) return;
    const { link } = this.#connection;
    const wanted = Math.min(1 + random.below(pieceBytesMax), room);
    const end = Math.min(segment.taken + wanted, segment.bytes.length);
    const bytes = Buffer.from(segment.bytes.subarray(segment.taken, end));
    const piece = { bytes, flippedChunk: -1 };
    this.#flipMaybe(segment, piece);
    segment.taken = end;
    this.#takenBytes += bytes.length;
    if (end === segment.bytes.length) {
      this.#segments.shift();
      this.#countChunk(segment);
      segment.written?.();
    }
    this.#transport(piece);
    if (this.#segments.length > 0) {
      this.#captureSoon((bytes.length / link.bytesPerMs) * (0.5 + random.next()));
    }
    if (scheduler.depth > 1) this.#parts.trace.count('pieces taken in the middle of a passage');
  }

  #linkDown(): void {
    const { link } = this.#connection;
    const { downAfterCutMs } = link;
    if (downAfterCutMs === 0) return;
    link.downAfterCutMs = 0;
    link.down = true;
    this.#parts.scheduler.after(downAfterCutMs, this.#kernel, () => {
      link.down = false;
    });
  }

  #flipMaybe({ header, part, bytes, taken }: Segment, piece: Piece): void {
    const { link } = this.#connection;
    const target = targetOf(header, part);
    const flipsChunk = link.flipsChunk && this.#connection.isVouchedFor;
    const strikes = target === 'chunk' ? flipsChunk : this.flip === target;
    if (!strikes) return;
    const { random, scheduler, trace } = this.#parts;
    const bit = random.below(piece.bytes.length * 8);
    piece.bytes[bit >>> 3] ^= 1 << (bit & 7);
    const what = `${target} of ${frameName(header.type)}`;
    trace.note(scheduler.nowMs, `${this.#connection.name} ${this.#name} flip: ${what}`);
    trace.count(`bit flipped: ${target}`);
    if (target === 'chunk') {
      // A frame carries a run of chunks.
      const at = taken + (bit >>> 3);
      piece.flippedChunk = header.chunk + Math.floor(at / CHUNK_BYTES);
      link.flipsChunk = false;
    } else {
      this.#refusedBy = this.#takenBytes + bytes.length - taken;
      this.#flipped = what;
      this.flip = null;
    }
  }

  #countChunk({ header, part }: Segment): void {
    const { link } = this.#connection;
    if (link.cutAtChunk === 0 || part !== 'payload' || header.type !== CHUNK) return;
    if (--link.cutAtChunk > 0) return;
    const leftBytes = this.#parts.random.below(60_000);
    this.cutAfterBytes = Math.max(1, this.#takenBytes - this.#arrivedBytes - leftBytes);
  }

  #transport(piece: Piece): void {
    const { reader } = this;
    if (reader === null) return;
    const { scheduler, random } = this.#parts;
    const { link } = this.#connection;
    this.#inFlight.push(piece);
    this.#inFlightBytes += piece.bytes.length;
    const atMs = Math.max(
      scheduler.nowMs + link.latencyMs * (0.5 + random.next()),
      Math.min(link.stalledUntilMs, scheduler.nowMs + lookAgainMs),
      this.#lastArrivalMs,
    );
    this.#lastArrivalMs = atMs;
    scheduler.after(atMs - scheduler.nowMs, reader.thread, () => this.#arrive());
  }

  /** The piece that has waited longest. */
  #arrive(): void {
    const { reader } = this;
    const { scheduler } = this.#parts;
    const { link } = this.#connection;
    if (!this.#connection.open || reader === null) return;
    if (link.stalledUntilMs > scheduler.nowMs) {
      const delayMs = Math.min(link.stalledUntilMs - scheduler.nowMs, lookAgainMs);
      return scheduler.after(delayMs, reader.thread, () => this.#arrive());
    }
    const piece = this.#inFlight.shift();
    if (piece === undefined) return;
    const { bytes, flippedChunk } = piece;
    this.#inFlightBytes -= bytes.length;
    if (this.#segments.length > 0) this.#captureSoon(0);
    const upTo = Math.min(bytes.length, this.cutAfterBytes);
    this.cutAfterBytes -= upTo;
    this.#arrivedBytes += upTo;
    if (flippedChunk !== -1) this.#chunkFlipped(flippedChunk);
    if (upTo > 0) reader.received(bytes.subarray(0, upTo));
    if (this.#arrivedBytes >= this.#refusedBy) {
      this.#parts.trace.count('flipped frames refused');
      this.#refusedBy = Number.POSITIVE_INFINITY;
      if (this.#connection.open)
        throw new Broken('refused', `${this.#connection.name} ${this.#name}: ${this.#flipped}`);
    }
    if (this.cutAfterBytes <= 0) {
      this.cutAfterBytes = Number.POSITIVE_INFINITY;
      this.#connection.cut('cut by the network', 'network');
      this.#linkDown();
    }
  }
}

function targetOf({ type }: FrameHeader, part: Segment['part']): FlipTarget {
  if (part === 'header') return 'header';
  if (type === CHUNK) return 'chunk';
  return type === REDO ? 'redo' : 'other';
}
