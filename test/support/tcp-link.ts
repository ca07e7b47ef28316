/** A TCP proxy between two nodes: one port of a node, reachable at another loopback address. It can be cut and
 *  healed, slowed down, and told where in the stream of frames a fault strikes (see `faults.ts`).
 *
 *  Without `frames` bytes pass unseen. With them each direction is followed by a `FrameTap`, and each connection
 *  knows the partition that its HELLO names.
 *  Bounded: what one side sends is read no faster than the other side takes it. */
import { connect, createServer, type Server, type Socket } from 'node:net';
import { HELLO } from '../../packages/replication/src/frame.ts';
import { BEFORE_HELLO, type CutHow, type Direction, type Effect, type Fault } from './faults.ts';
import { FrameTap, type Part } from './frame-tap.ts';

export interface LinkOptions {
  /** Refuses connections until `heal`. */
  readonly cut?: boolean;
  /** Follows frames: needed for faults. */
  readonly frames?: boolean;
  /** Bytes each way in front of the first frame. */
  readonly preambleBytes?: number;
}

const PARTITION_AT = 8;

export class TcpLink {
  readonly faults: Fault[] = [];
  /** Every piece waits so long, in both directions; for connections made from now on. */
  delayMs = 0;
  readonly #server: Server;
  readonly #passages = new Set<Passage>();
  readonly #options: LinkOptions;
  #isCut: boolean;

  private constructor(server: Server, options: LinkOptions) {
    this.#server = server;
    this.#options = options;
    this.#isCut = options.cut ?? false;
  }

  /** Listens on `from` and passes to `to`. */
  static async open(
    from: { host: string; port: number },
    to: { host: string; port: number },
    options: LinkOptions = {},
  ): Promise<TcpLink> {
    const server = createServer({ allowHalfOpen: true });
    const link = new TcpLink(server, options);
    server.on('connection', (socket) => link.#accept(socket, to));
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(from.port, from.host, resolve);
    });
    return link;
  }

  /** The fault strikes where it wants to, once. */
  arm(fault: Fault): Fault {
    this.faults.push(fault);
    return fault;
  }

  /** Resets what is open and refuses what is new. */
  cut(): void {
    this.#isCut = true;
    for (const passage of this.#passages) passage.reset();
  }

  heal(): void {
    this.#isCut = false;
  }

  /** Lets pass what a stall holds. */
  release(): void {
    for (const passage of this.#passages) passage.release();
  }

  close(): void {
    this.cut();
    this.#server.close();
  }

  /** What befalls a part; the fault that says so is used up. */
  effectOn(direction: Direction, partition: number, part: Part): Effect | null {
    for (const [i, fault] of this.faults.entries()) {
      const effect = fault.meet(direction, partition, part);
      if (effect === null) continue;
      this.faults.splice(i, 1);
      return effect;
    }
    return null;
  }

  #accept(incoming: Socket, to: { host: string; port: number }): void {
    if (this.#isCut) {
      incoming.resetAndDestroy();
      return;
    }
    const outgoing = connect({ ...to, allowHalfOpen: true });
    const passage = new Passage(this, incoming, outgoing, this.#options);
    this.#passages.add(passage);
    void passage.ended.then(() => this.#passages.delete(passage));
  }
}

/** One connection through the link: two sockets, two streams. */
class Passage {
  readonly ended: Promise<unknown>;
  partition: number = BEFORE_HELLO;
  readonly #streams: readonly Stream[];
  readonly #sockets: readonly Socket[];

  constructor(link: TcpLink, incoming: Socket, outgoing: Socket, options: LinkOptions) {
    this.#sockets = [incoming, outgoing];
    const ends: Promise<void>[] = [];
    for (const [socket, other] of [
      [incoming, outgoing],
      [outgoing, incoming],
    ]) {
      socket.setNoDelay(true);
      socket.on('error', () => other.destroy());
      ends.push(new Promise((resolve) => socket.once('close', () => resolve())));
      socket.once('close', () => other.destroy());
    }
    this.ended = Promise.all(ends);
    this.#streams = [
      new Stream(this, link, 'up', incoming, outgoing, options),
      new Stream(this, link, 'down', outgoing, incoming, options),
    ];
  }

  reset(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  release(): void {
    for (const stream of this.#streams) stream.release();
  }
}

class Stream {
  readonly #passage: Passage;
  readonly #link: TcpLink;
  readonly #direction: Direction;
  readonly #from: Socket;
  readonly #to: Socket;
  readonly #tap: FrameTap | null;
  readonly #delayMs: number;
  /** What a stall holds; null where there is none. */
  #held: Part[] | null = null;
  #isCut = false;
  #hello: Buffer | null = Buffer.alloc(0);

  constructor(
    passage: Passage,
    link: TcpLink,
    direction: Direction,
    from: Socket,
    to: Socket,
    { frames = false, preambleBytes = 0 }: LinkOptions,
  ) {
    this.#passage = passage;
    this.#link = link;
    this.#direction = direction;
    this.#from = from;
    this.#to = to;
    this.#tap = frames ? new FrameTap(preambleBytes) : null;
    this.#delayMs = link.delayMs;
    from.on('data', (bytes: Buffer) => this.#arrived(bytes));
    from.once('end', () => this.#arrivedEnd());
    to.on('drain', () => this.#goOn());
  }

  release(): void {
    const held = this.#held;
    if (held === null) return;
    this.#held = null;
    this.#pass(held, true);
    this.#goOn();
  }

  #arrived(bytes: Buffer): void {
    if (this.#isCut) return;
    if (this.#tap === null) this.#write(bytes);
    else this.#pass(this.#tap.push(bytes), false);
  }

  /** `unstalled`: the first part was looked at before. */
  #pass(parts: readonly Part[], unstalled: boolean): void {
    for (const [i, part] of parts.entries()) {
      if (this.#isCut) return;
      if (this.#held !== null) {
        this.#held.push(part);
        continue;
      }
      if (this.#hello !== null && this.#direction === 'up') this.#readHello(part);
      const isOld = unstalled && i === 0;
      const { partition } = this.#passage;
      const effect = isOld ? null : this.#link.effectOn(this.#direction, partition, part);
      if (effect?.kind === 'stall') {
        this.#held = [part];
        this.#from.pause();
      } else if (effect?.kind === 'cut') this.#cut(part.bytes.subarray(0, effect.at), effect.how);
      else {
        if (effect?.kind === 'flip') part.bytes[effect.at] ^= 1 << effect.bit;
        this.#write(part.bytes);
      }
    }
  }

  #readHello({ kind, type, bytes }: Part): void {
    if (this.#hello === null || kind !== 'payload' || type !== HELLO) return;
    this.#hello = Buffer.concat([this.#hello, bytes]);
    if (this.#hello.length < PARTITION_AT + 4) return;
    this.#passage.partition = this.#hello.readUInt32LE(PARTITION_AT);
    this.#hello = null;
  }

  #arrivedEnd(): void {
    const rest = this.#tap?.rest() ?? Buffer.alloc(0);
    if (rest.length > 0 && !this.#isCut && this.#held === null) this.#write(rest);
    this.#later(() => this.#to.end());
  }

  #write(bytes: Buffer): void {
    this.#later(() => {
      if (!this.#to.destroyed && !this.#to.write(bytes)) this.#from.pause();
    });
  }

  /** The receiver has taken what it was sent. */
  #goOn(): void {
    if (this.#held === null) this.#from.resume();
  }

  #cut(last: Buffer, how: CutHow): void {
    this.#isCut = true;
    this.#later(() => {
      if (how === 'reset') this.#to.write(last, () => this.#passage.reset());
      else if (how === 'halfClose') this.#to.end(last);
      else this.#to.end(last, () => this.#from.resetAndDestroy());
    });
  }

  /** Timers of one length fire in the order in which they were set. */
  #later(work: () => void): void {
    if (this.#delayMs === 0) work();
    else setTimeout(work, this.#delayMs);
  }
}
