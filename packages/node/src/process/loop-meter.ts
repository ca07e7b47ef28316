/** How busy a thread's event loop was between two looks at it. */

export interface LoopTimes {
  /** milliseconds since the loop began */
  readonly active: number;
  readonly idle: number;
}

export class LoopMeter {
  readonly #read: () => LoopTimes;
  #last: LoopTimes = { active: 0, idle: 0 };

  constructor(read: () => LoopTimes) {
    this.#read = read;
  }

  /** 0..1, since this was last asked. Right after that there is nothing to divide: 0. */
  busyShare(): number {
    const now = this.#read();
    const active = now.active - this.#last.active;
    const total = active + now.idle - this.#last.idle;
    this.#last = now;
    // The two clocks of another thread are not read in one moment: the rest may be off by a little.
    return total > 0 ? Math.min(Math.max(active / total, 0), 1) : 0;
  }
}
