/** How a running command is asked to end. The first SIGINT, SIGTERM, SIGHUP or lost parent asks it
 *  to finish; a second one does not wait. */
import { holdLifeline } from './lifeline.ts';
import { watchNpm } from './npm-watch.ts';

/** npm and npx pass on a signal that the terminal has already delivered to everyone: what follows
 *  this closely is the same key press, not a second wish. */
const SAME_PRESS_MS = 500;

/** Where the parent is gone nobody is left to press a key twice. */
const ORPHAN_GRACE_MS = 5_000;

export interface StopRequests {
  readonly onFirst: () => void;
  readonly onSecond: () => void;
}

export function listenForStop({ onFirst, onSecond }: StopRequests): void {
  let firstAtMs: number | null = null;
  const ask = (): void => {
    if (firstAtMs === null) {
      firstAtMs = performance.now();
      onFirst();
    } else if (performance.now() - firstAtMs > SAME_PRESS_MS) onSecond();
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, ask);
  const onOrphaned = (): void => {
    // The key press that we are already ending for has ended the shell above us.
    if (firstAtMs !== null) return;
    ask();
    setTimeout(onSecond, ORPHAN_GRACE_MS).unref();
  };
  holdLifeline(onOrphaned);
  watchNpm(onOrphaned);
}
