/** Timers as the machines get them: passed in, so that a simulation has them keep its own time. */

/** Calls back after so many ms; returns the way to call it off. */
export type Later = (delayMs: number, then: () => void) => () => void;

export const later: Later = (delayMs, then) => {
  const timer = setTimeout(then, delayMs);
  return () => clearTimeout(timer);
};
