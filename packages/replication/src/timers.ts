/** How this room waits: passed in with a node's identity, so that a simulation can have its own time. */

export interface Timers {
  /** Calls back after so many ms; returns the way to call it off. */
  readonly later: (delayMs: number, then: () => void) => () => void;
  /** Calls back once sockets, and whatever else is due, have had their turn. */
  readonly soon: (then: () => void) => void;
}

export const processTimers: Timers = {
  later: (delayMs, then) => {
    const timer = setTimeout(then, delayMs);
    return () => clearTimeout(timer);
  },
  soon: (then) => void setImmediate(then),
};

export function pause({ later }: Timers, ms: number): Promise<void> {
  return new Promise((resolve) => void later(ms, resolve));
}
