/** The clocks that leases are measured with: the same in every thread of the process. What
 *  `performance.now()` says counts from the start of its own thread, so whoever uses that adds
 *  `monotonicOffsetMs`, taken once per thread. */
import { performance } from 'node:perf_hooks';
import type { LeaseClocks } from './lease-holder.ts';

/** Looks this often for the moment when nothing came between the two clocks. */
const looks = 8;

export const processClocks: LeaseClocks = {
  nowMs: () => {
    const [seconds, nanoseconds] = process.hrtime();
    return seconds * 1e3 + nanoseconds / 1e6;
  },
  wallMs: () => Date.now(),
};

/** What to add to `performance.now()` of this thread; a little too much rather than too little, so
 *  that a lease seems to end early rather than late. */
export function monotonicOffsetMs(): number {
  let offsetMs = Number.POSITIVE_INFINITY;
  for (let i = 0; i < looks; i++) {
    const beforeMs = performance.now();
    offsetMs = Math.min(offsetMs, processClocks.nowMs() - beforeMs);
  }
  return offsetMs;
}
