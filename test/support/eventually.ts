/** Waiting for a condition, never for a time. The deadline only turns a hang into a failure, with
 *  what was seen last; nothing is concluded from how long it took. */
import { setTimeout as delay } from 'node:timers/promises';

export interface Patience {
  readonly withinMs?: number;
  readonly everyMs?: number;
}

const WITHIN_MS = 60_000;
const EVERY_MS = 50;

/** Thrown by a check: what is waited for cannot come any more. */
export class Hopeless extends Error {}

/** Asks until `check` answers with something other than false, null or undefined, and returns that.
 *  A check that throws is asked again; its last error ends up in the failure. */
export async function eventually<T>(
  claim: string,
  check: () => Promise<T | false | null | undefined> | T | false | null | undefined,
  { withinMs = WITHIN_MS, everyMs = EVERY_MS }: Patience = {},
): Promise<T> {
  const deadlineMs = performance.now() + withinMs;
  let lastError: Error | null = null;
  for (;;) {
    try {
      const answer = await check();
      if (answer !== false && answer !== null && answer !== undefined) return answer;
      lastError = null;
    } catch (error) {
      if (error instanceof Hopeless) throw error;
      lastError = error as Error;
    }
    if (performance.now() > deadlineMs) {
      const why = lastError === null ? '' : ` (last: ${lastError.message})`;
      throw new Error(`not within ${withinMs} ms: ${claim}${why}`, { cause: lastError });
    }
    await delay(everyMs);
  }
}

/** The promise, or a failure when it does not settle: for replies that must not hang. */
export async function within<T>(claim: string, ms: number, promise: Promise<T>): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new Error(`not within ${ms} ms: ${claim}`)), ms);
  try {
    return await Promise.race([promise, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}
