/** Milliseconds on the machine's monotonic clock: the same in every thread of the process, and
 *  never set back or forward. Read through performance.now, which costs a tenth of process.hrtime
 *  and begins anew in each thread. */
const [seconds, nanoseconds] = process.hrtime();
const originMs = seconds * 1_000 + nanoseconds / 1_000_000 - performance.now();

export function monotonicMs(): number {
  return originMs + performance.now();
}
