/** How a running command is asked to end. The first SIGINT or SIGTERM asks it to finish what it has in
 *  hand, a SIGHUP or a lost parent to end in order but soon; a second one does not wait. */
import { holdLifeline } from './lifeline.ts';
import { watchNpm } from './npm-watch.ts';

/** npm and npx pass on a signal that the terminal has already delivered to everyone: what follows
 *  this closely is the same key press, not a second wish. */
const SAME_PRESS_MS = 500;

/** Where the parent is gone nobody is left to press a key twice. */
const ORPHAN_GRACE_MS = 5_000;

/** finish: others go on, who should miss nothing. soon: everybody ends. */
export type StopManner = 'finish' | 'soon';

export interface StopRequests {
  readonly onFirst: (manner: StopManner) => void;
  readonly onSecond: () => void;
}

export function listenForStop({ onFirst, onSecond }: StopRequests): void {
  let firstAtMs: number | null = null;
  const ask = (manner: StopManner): void => {
    if (firstAtMs === null) {
      firstAtMs = performance.now();
      onFirst(manner);
    } else if (performance.now() - firstAtMs > SAME_PRESS_MS) onSecond();
  };
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => ask('finish'));
  process.on('SIGHUP', () => ask('soon'));
  const onOrphaned = (): void => {
    // The key press that we are already ending for has ended the shell above us.
    if (firstAtMs !== null) return;
    ask('soon');
    setTimeout(onSecond, ORPHAN_GRACE_MS).unref();
  };
  holdLifeline(onOrphaned);
  watchNpm(onOrphaned);
}
