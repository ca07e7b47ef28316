/** The lease in memory that all threads of a node share: [until, monotonic ms; until, unix ms;
 *  incarnation], three float64.
 *  Writer: the main thread. Readers: the data workers. Nobody is woken; a lease that ends does so by
 *  itself. A reader may see the end of one clock new and the other old: both are ends of a lease that
 *  was had. Aligned words of eight bytes are read and written whole on the machines that Ingot runs
 *  on, and each look comes after a call of the clock, so none is kept in a register.
 *
 *  What is relied on: a lease that is valid NOW says that this life has not been ended by now, so
 *  neither had it before. A reply may leave once the clock is read AFTER the command ran and the
 *  lease of the same life still holds; how long the write to the socket takes then is of no interest, because what
 *  was read or written counts from when it ran. The look before a batch only spares work that could
 *  not be answered. */
import { performance } from 'node:perf_hooks';
import { monotonicOffsetMs } from './clocks.ts';
import { type LeaseTime, NO_LEASE } from './lease-holder.ts';

const UNTIL_MONOTONIC = 0;
const UNTIL_WALL = 1;
const INCARNATION = 2;
const WORDS = 3;

export function createLeaseWord(): SharedArrayBuffer {
  return new SharedArrayBuffer(WORDS * Float64Array.BYTES_PER_ELEMENT);
}

export class LeaseWriter {
  readonly #words: Float64Array;

  constructor(word: SharedArrayBuffer) {
    this.#words = new Float64Array(word);
  }

  /** Nothing is served until there is a lease for it. */
  begin(incarnation: number): void {
    this.extend(NO_LEASE);
    this.#words[INCARNATION] = incarnation;
  }

  extend({ nowMs, wallMs }: LeaseTime): void {
    this.#words[UNTIL_MONOTONIC] = nowMs;
    this.#words[UNTIL_WALL] = wallMs;
  }

  until(): LeaseTime {
    return { nowMs: this.#words[UNTIL_MONOTONIC], wallMs: this.#words[UNTIL_WALL] };
  }
}

export class LeaseWatch {
  /** At the last look. */
  holds = false;
  /** What ran since an earlier look has not been answered yet. */
  waits = false;
  private life = 0;
  /** It ended, or was another life's for a while, since what waits ran. */
  private lost = false;
  private readonly words: Float64Array;
  private readonly offsetMs: number;

  constructor(word: SharedArrayBuffer) {
    this.words = new Float64Array(word);
    this.offsetMs = monotonicOffsetMs();
  }

  /** The life that has the lease. */
  get incarnation(): number {
    return this.words[INCARNATION];
  }

  /** With clocks that were read already; `performanceMs` is this thread's. */
  look(performanceMs: number, wallMs: number): boolean {
    const { words } = this;
    const life = words[INCARNATION];
    const holds = this.isBeforeEnd(performanceMs, wallMs);
    if (!this.waits) this.lost = false;
    else if (this.holds && (!holds || life !== this.life)) this.lost = true;
    this.life = life;
    this.holds = holds;
    return holds;
  }

  lookNow(): boolean {
    return this.look(performance.now(), Date.now());
  }

  /** Whether what ran since the last look, and what waits, may be answered: not where it ran under a lease that is
   *  over by now, or was another life's. Without one, nothing ran that needs it. */
  mayAnswer(): boolean {
    if (this.lost) return false;
    if (!this.holds) return true;
    return this.isBeforeEnd(performance.now(), Date.now()) && this.words[INCARNATION] === this.life;
  }

  private isBeforeEnd(performanceMs: number, wallMs: number): boolean {
    const { words } = this;
    return performanceMs + this.offsetMs < words[UNTIL_MONOTONIC] && wallMs < words[UNTIL_WALL];
  }
}
