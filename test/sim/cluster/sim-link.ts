/** Connections between simulated hubs, in place of TCP: bytes arrive in order, late, or not at all.
 *
 *  A small batch is taken at once. Whatever else is handed over is taken piece by piece, a chunk of a live image as it
 *  is at that moment, and lands in pieces. At
 *  most `inFlightBytesMax` are on their way: a reader that stands still stops its writer. In a direction that is cut,
 *  pieces wait and are sent again until it is mended; some connections break at once, and so do those whose peer
 *  is gone. What is on its way then is lost, and each end learns of it in its own time. */
import {
  encodeHeader,
  FrameReader,
  type Link,
  type LinkAddress,
  type LinkNetwork,
  type LinkOwner,
  type OutgoingFrame,
} from '@ingot/replication';
import type { SimProcess } from './host.ts';

const inFlightBytesMax = 200_000;
const atOnceBytesMax = 16_384;
const takeMsMax = 0.4;
const againMs = 120;
const noticeMsMax = 60;
const openTimeoutMs = 3_000;
/** Nothing got through for so long. */
const deadMs = 9_000;
const breakShare = 0.25;

type Accept = (link: Link) => LinkOwner;

/** The links of one process. */
export class SimLinks implements LinkNetwork {
  readonly process: SimProcess;
  readonly #linksAt: (process: SimProcess) => SimLinks | null;
  #accept: Accept | null = null;
  readonly #links = new Set<SimLink>();

  constructor(process: SimProcess, linksAt: (process: SimProcess) => SimLinks | null) {
    this.process = process;
    this.#linksAt = linksAt;
  }

  async listen(
    _host: string,
    port: number,
    _security: unknown,
    createOwner: Accept,
  ): ReturnType<LinkNetwork['listen']> {
    this.#accept = createOwner;
    const close = async (): Promise<void> => {
      this.#accept = null;
    };
    return { port, close };
  }

  connect({ node }: LinkAddress, _security: unknown, owner: LinkOwner): Link {
    const { process } = this;
    const near = this.#made(new SimLink(process, node, () => owner));
    const open = async (target: SimProcess): Promise<SimLink> => {
      const there = this.#linksAt(target);
      const accept = there === null ? null : there.#accept;
      if (there === null || accept === null) throw new Error('nobody listens there');
      const far = there.#made(new SimLink(target, process.host.id, accept));
      far.join(near);
      return far;
    };
    const { network } = process.host.world;
    network.call(process, node, open, { timeoutMs: openTimeoutMs }).then(
      (far) => near.opened(far),
      () => near.close('the connection was refused, or not accepted in time'),
    );
    return near;
  }

  /** The process is gone: its machine says so to whoever it can reach. */
  die(): void {
    for (const link of this.#links) link.breaks();
  }

  #made(link: SimLink): SimLink {
    for (const old of this.#links) if (old.isBroken) this.#links.delete(old);
    this.#links.add(link);
    return link;
  }
}

interface Segment {
  readonly bytes: Buffer;
  readonly written: (() => void) | null;
}

/** One end. */
export class SimLink implements Link {
  readonly remote: string;
  readonly #process: SimProcess;
  readonly #owner: LinkOwner;
  readonly #reader: FrameReader;
  readonly #segments: Segment[] = [];
  readonly #inFlight: Buffer[] = [];
  #inFlightBytes = 0;
  #taking = false;
  #carrying = false;
  #lastThroughMs = 0;
  #peer: SimLink | null = null;
  /** The owner knows. */
  #closed = false;
  /** Nothing goes in or out any more. */
  #broken = false;

  constructor(process: SimProcess, remote: string, createOwner: Accept) {
    this.#process = process;
    this.remote = `${remote}:1`;
    this.#owner = createOwner(this);
    this.#reader = new FrameReader(this.#owner);
  }

  join(peer: SimLink): void {
    this.#peer = peer;
  }

  opened(far: SimLink): void {
    if (this.#closed) return far.breaks();
    this.#peer = far;
    this.#owner.opened();
  }

  get isBroken(): boolean {
    return this.#broken;
  }

  names(): boolean {
    return true;
  }

  send(frames: readonly OutgoingFrame[], written: () => void = () => {}): boolean {
    if (this.#closed) return false;
    if (this.#takesAtOnce(frames)) return true;
    const last = frames.length - 1;
    frames.forEach(({ header, payload }, i) => {
      const done = i === last ? written : null;
      const isEmpty = payload.length === 0;
      this.#segments.push({ bytes: encodeHeader(header), written: isEmpty ? done : null });
      if (!isEmpty) this.#segments.push({ bytes: payload, written: done });
    });
    this.#takeSoon();
    return false;
  }

  /** A small batch for which there is room. */
  #takesAtOnce(frames: readonly OutgoingFrame[]): boolean {
    if (this.#segments.length > 0 || this.#inFlightBytes >= inFlightBytesMax) return false;
    const pieces = frames.flatMap(({ header, payload }) => [encodeHeader(header), payload]);
    const bytes = Buffer.concat(pieces);
    if (bytes.length > atOnceBytesMax || this.#broken || this.#taking) return false;
    this.#inFlightBytes += bytes.length;
    this.#inFlight.push(bytes);
    this.#carry(this.#world.network.delayMs());
    return true;
  }

  closeBroken(rule: string): void {
    this.#process.host.world.trace.count('links that broke a rule');
    this.close(`broken rule: ${rule}`);
  }

  close(reason: string, flush = false): void {
    if (this.#closed) return;
    this.#closed = true;
    if (flush) this.#process.later(againMs, () => this.breaks());
    else this.breaks();
    this.#owner.closed(reason);
  }

  moveCounts(): void {}

  // ------------------------------------------------------------ on the way

  get #world(): SimProcess['host']['world'] {
    return this.#process.host.world;
  }

  #takeSoon(): void {
    if (this.#taking || this.#broken || this.#segments.length === 0) return;
    if (this.#inFlightBytes >= inFlightBytesMax) return;
    this.#taking = true;
    const { scheduler, random, wires } = this.#world;
    scheduler.after(random.next() * takeMsMax, wires, () => {
      this.#taking = false;
      this.#take();
    });
  }

  /** All that fits, as the bytes are now; a large payload in two halves, so that it lands torn. */
  #take(): void {
    const pieces: Buffer[] = [];
    while (this.#inFlightBytes < inFlightBytesMax) {
      const segment = this.#segments.shift();
      if (segment === undefined || this.#broken) break;
      const { bytes, written } = segment;
      this.#inFlightBytes += bytes.length;
      pieces.push(Buffer.from(bytes));
      if (written !== null) this.#onThread(written);
    }
    if (pieces.length === 0) return;
    const bytes = pieces.length === 1 ? pieces[0] : Buffer.concat(pieces);
    const half = bytes.length > 20_000 ? this.#world.random.below(bytes.length) : 0;
    if (half > 0) this.#inFlight.push(bytes.subarray(0, half));
    this.#inFlight.push(bytes.subarray(half));
    this.#carry(this.#world.network.delayMs());
    this.#takeSoon();
  }

  #carry(delayMs: number): void {
    if (this.#carrying) return;
    this.#carrying = true;
    const { scheduler, wires } = this.#world;
    this.#lastThroughMs = scheduler.nowMs;
    scheduler.after(delayMs, wires, () => this.#arrive());
  }

  #arrive(): void {
    const { scheduler, network, random, wires } = this.#world;
    const peer = this.#peer;
    if (this.#broken || peer === null) return;
    if (!peer.#process.alive) return this.breaks();
    if (network.isCut(this.#process.host.id, peer.#process.host.id)) {
      const silentMs = scheduler.nowMs - this.#lastThroughMs;
      if (silentMs > deadMs || random.chance(breakShare * 0.1)) return this.breaks();
      scheduler.after(againMs * (0.5 + random.next()), wires, () => this.#arrive());
      return;
    }
    const bytes = this.#inFlight.shift();
    this.#carrying = false;
    if (bytes === undefined) return;
    peer.#onThread(() => {
      this.#inFlightBytes -= bytes.length;
      this.#takeSoon();
      peer.#receive(bytes);
    });
    if (this.#inFlight.length > 0) this.#carry(random.next() * takeMsMax);
  }

  #receive(bytes: Buffer): void {
    if (this.#closed) return;
    const broken = this.#reader.push(bytes);
    if (broken !== null) this.closeBroken(broken);
  }

  #onThread(run: () => void): void {
    this.#world.scheduler.after(0, this.#process.thread, () => {
      if (!this.#closed) run();
    });
  }

  /** Both ends hear of it, if they can. */
  breaks(): void {
    for (const end of [this, this.#peer]) {
      if (end === null || end.#broken) continue;
      end.#broken = true;
      end.#segments.length = 0;
      end.#inFlight.length = 0;
      const other = end.#peer;
      const { network, scheduler, random } = this.#world;
      const isTold = other === null || !network.isCut(other.#process.host.id, end.#process.host.id);
      // Where nothing gets through, silence has to tell.
      if (!isTold) continue;
      scheduler.after(random.next() * noticeMsMax, end.#process.thread, () => {
        end.#end('the connection was closed');
      });
    }
  }

  #end(reason: string): void {
    this.#broken = true;
    if (this.#closed) return;
    this.#closed = true;
    this.#owner.closed(reason);
  }
}
