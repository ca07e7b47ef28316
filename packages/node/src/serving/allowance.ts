/** Memory that one worker spends on large things that are neither in the image nor on their way through it: commands
 *  that are still arriving, copies of values that a follower sends.
 *
 *  Whoever wants more than is left waits, in order. Who has held some for longest always gets what it asks for: so one
 *  at least goes on, ends, and gives its share to the others; what is held is never more than the bound and what one asks
 *  for. Who holds memory that others wait for, and does not get on, is ended (see `stalled`).
 *  Owner: one per worker. */

export interface Holder {
  /** It has not got on for so long that its memory is better given to others. */
  isStalled(nowMs: number): boolean;
  /** Frees what it holds, now or soon. */
  endStalled(): void;
}

interface Waiting {
  readonly holder: Holder;
  readonly bytes: number;
  readonly granted: () => void;
}

export class Allowance {
  readonly bytesMax: number;
  private heldBytes = 0;
  /** Oldest first. */
  private readonly holders: Map<Holder, number> = new Map();
  private waiting: Waiting[] = [];

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax;
  }

  get bytes(): number {
    return this.heldBytes;
  }

  /** `bytes` in all for this holder. False: `granted` is called once it has so much, and until then it has what it
   *  had. */
  ask(holder: Holder, bytes: number, granted: () => void): boolean {
    const isFirst = this.waiting.length === 0;
    if ((isFirst && this.fits(holder, bytes)) || this.isOldest(holder)) {
      this.give(holder, bytes);
      return true;
    }
    this.waiting.push({ holder, bytes, granted });
    return false;
  }

  /** It holds nothing any more, and waits for nothing. */
  free(holder: Holder): void {
    const bytes = this.holders.get(holder);
    if (this.waiting.length > 0) {
      this.waiting = this.waiting.filter((each) => each.holder !== holder);
    }
    if (bytes !== undefined) {
      this.holders.delete(holder);
      this.heldBytes -= bytes;
    }
    this.serve();
  }

  /** Holders to be ended, where others wait for what they have. */
  stalled(nowMs: number): Holder[] {
    if (this.waiting.length === 0) return [];
    return [...this.holders.keys()].filter((holder) => holder.isStalled(nowMs));
  }

  private serve(): void {
    for (let i = 0; i < this.waiting.length; ) {
      const next = this.waiting[i];
      const isNext = i === 0 && this.fits(next.holder, next.bytes);
      if (!isNext && !this.isOldest(next.holder)) {
        i++;
        continue;
      }
      this.waiting.splice(i, 1);
      this.give(next.holder, next.bytes);
      next.granted();
      i = 0;
    }
  }

  private give(holder: Holder, bytes: number): void {
    this.heldBytes += bytes - (this.holders.get(holder) ?? 0);
    this.holders.set(holder, bytes);
  }

  private fits(holder: Holder, bytes: number): boolean {
    return this.heldBytes + bytes - (this.holders.get(holder) ?? 0) <= this.bytesMax;
  }

  /** Or the only one. */
  private isOldest(holder: Holder): boolean {
    const oldest = this.holders.keys().next();
    return oldest.done === true || oldest.value === holder;
  }
}
