/** What a connection was sent and could not execute yet: half a command, or everything while it is on hold.
 *
 *  Most reads are executed where they landed, and nothing is kept. A command that is still arriving has
 *  UNASKED_BYTES_MAX without asking; for more, the worker's allowance is asked, as soon as the command says how
 *  long it will be, and nothing is read until it grants that.
 *  Bounds: `maxQueryBufferBytes`; who stops in the middle of a large command, or sends it too slowly, is ended if
 *  others wait for the memory.
 *  Owner: one connection. */

import { Buffer } from 'node:buffer';
import type { Allowance, Holder } from './allowance.ts';
import { Hold } from './hold.ts';

/** A command that is still arriving has so much without asking. */
const UNASKED_BYTES_MAX: number = 256 * 1024;
const KEPT_BYTES_MIN = 4096;
/** A client that stops for so long in the middle of a large command, or sends it slower than that, is stalled. */
const ARRIVAL_BYTES_PER_MS_MIN = 64;
export const STALLED_MS_MAX = 10_000;

/** Whether there is room for what comes next. */
export const Room = { there: 0, later: 1, never: 2 } as const;
export type Room = (typeof Room)[keyof typeof Room];

/** What an inbox needs of the worker. */
export interface InboxHost {
  /** Every connection of the worker reads into this. */
  readonly receiveBuffer: Buffer;
  readonly maxQueryBufferBytes: number;
  readonly allowance: Allowance;
  monotonicMs(): number;
}

/** The connection, as its inbox sees it. */
export interface InboxOwner {
  /** 0: it reads on. Hold.work: what is kept is used where it lies. */
  readonly hold: number;
  /** It did not send a large command while others waited for the memory. */
  endStalled(): void;
}

export class Inbox implements Holder {
  /** What is kept is rest[start .. end); null: nothing. */
  rest: Buffer | null = null;
  start = 0;
  end = 0;
  private readonly host: InboxHost;
  private readonly owner: InboxOwner;
  /** `rest` is larger than what nobody is asked for. */
  private asked = false;
  /** Commands that were executed are still needed where they lie in it. */
  private lent = false;
  private arrivedAtMs = 0;
  private grantedAtMs = 0;

  constructor(host: InboxHost, owner: InboxOwner) {
    this.host = host;
    this.owner = owner;
  }

  /** Bytes that wait. */
  get bytes(): number {
    return this.end - this.start;
  }

  /** Of the memory that it has, what was written to: large commands are given all they have announced, of which the
   *  system keeps no pages until they arrive. */
  get heldBytes(): number {
    if (this.rest === null) return 0;
    return this.asked ? this.end : this.rest.length;
  }

  /** Free bytes of the memory that it has. */
  get roomBytes(): number {
    return this.rest === null ? 0 : this.rest.length - this.bytes;
  }

  /** Adds bytes; for more than a few reads see `makeRoom`. False: that is more than it may hold. */
  keep(buffer: Buffer, from: number, to: number): boolean {
    const held = this.bytes;
    const needed = held + to - from;
    if (needed > this.host.maxQueryBufferBytes) return false;
    const { rest } = this;
    if (rest === null || this.end + to - from > rest.length) {
      const stays = this.lent || (this.owner.hold & Hold.work) !== 0;
      const fits = rest !== null && !stays && needed <= rest.length;
      if (!fits) this.lent = false;
      const target = fits ? rest : Buffer.allocUnsafeSlow(Math.max(KEPT_BYTES_MIN, needed * 2));
      rest?.copy(target, 0, this.start, this.end);
      this.rest = target;
      this.start = 0;
      this.end = held;
    }
    buffer.copy(this.rest as Buffer, this.end, from, to);
    this.end += to - from;
    return true;
  }

  /** Everything before `at` has been executed. */
  consumed(at: number): void {
    this.start = at;
    if (at === this.end) this.clear();
  }

  /** What is kept is of no interest any more. */
  clear(): void {
    this.rest = null;
    this.lent = false;
    this.start = 0;
    this.end = 0;
  }

  /** Bytes that were executed from `buffer` stay where they are, for good: their memory is then used for nothing else.
   *  False where it is not the inbox's own, or small. */
  lend(buffer: Buffer): boolean {
    if (!this.asked || buffer !== this.rest) return false;
    this.lent = true;
    return true;
  }

  /** For the bulk that is still arriving and will end `wanted` bytes from the first kept one on. Later: `given` is
   *  called when there is room. */
  makeRoom(wanted: number, given: () => void): Room {
    const rest = this.rest as Buffer;
    const { host } = this;
    this.arrivedAtMs = this.asked ? host.monotonicMs() : 0;
    const announced = Math.max(this.bytes, wanted);
    // As it is announced: of what does not arrive the system keeps no pages.
    const needed = announced + host.receiveBuffer.length;
    if (needed <= rest.length || needed <= UNASKED_BYTES_MAX) return Room.there;
    const bytes = Math.max(needed, this.asked ? rest.length * 2 : 0);
    if (announced > host.maxQueryBufferBytes) return Room.never;
    const granted = (): void => {
      this.arrivedAtMs = host.monotonicMs();
      this.grantedAtMs = this.arrivedAtMs;
      this.resize(bytes);
    };
    this.asked = true;
    const grantedLater = (): void => {
      granted();
      given();
    };
    if (!host.allowance.ask(this, bytes, grantedLater)) return Room.later;
    granted();
    return Room.there;
  }

  /** The large command has been executed: what is left is another's. */
  shrink(): void {
    if (!this.asked) return;
    const left = this.bytes;
    if (this.rest !== null && (this.start === 0 || left > UNASKED_BYTES_MAX)) return;
    if (this.rest !== null) this.resize(left + this.host.receiveBuffer.length);
    this.asked = false;
    this.host.allowance.free(this);
  }

  /** The connection is no more. */
  close(): void {
    this.rest = null;
    this.host.allowance.free(this);
  }

  isStalled(nowMs: number): boolean {
    if (this.owner.hold !== 0) return false;
    const arrivedMs = this.bytes / ARRIVAL_BYTES_PER_MS_MIN;
    return (
      nowMs - this.arrivedAtMs > STALLED_MS_MAX ||
      nowMs - this.grantedAtMs > STALLED_MS_MAX + arrivedMs
    );
  }

  endStalled(): void {
    this.owner.endStalled();
  }

  private resize(bytes: number): void {
    const rest = this.rest as Buffer;
    const target = Buffer.allocUnsafeSlow(bytes);
    rest.copy(target, 0, this.start, this.end);
    this.end -= this.start;
    this.start = 0;
    this.rest = target;
    this.lent = false;
  }
}
