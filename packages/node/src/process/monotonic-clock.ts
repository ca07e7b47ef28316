/** Milliseconds on the machine's monotonic clock: the same in every thread of the process, and
 *  never set back or forward. */
import { monotonicOffsetMs } from '../lease/clocks.ts';

const offsetMs = monotonicOffsetMs();

export function monotonicMs(): number {
  return offsetMs + performance.now();
}
