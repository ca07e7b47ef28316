/** Asks whoever coordinates to take all that a life leads, before its process ends: again where that
 *  one has just gone. */
import { setTimeout as delay } from 'node:timers/promises';

/** Whoever coordinated may just have gone. */
const retryMs = 100;

/** Never rejects. Answers null once `drain` has resolved, or, after `timeoutMs`, why it has not; empty
 *  where nobody said. */
export async function drained(
  drain: () => Promise<void>,
  timeoutMs: number,
): Promise<string | null> {
  const expired = AbortSignal.timeout(timeoutMs);
  const gaveUp = delay(timeoutMs, 'late' as const, { ref: false });
  for (let why = ''; ; ) {
    const asked = drain().then(
      () => 'drained' as const,
      (error: Error) => error,
    );
    const outcome = await Promise.race([asked, gaveUp]);
    if (outcome === 'drained') return null;
    if (outcome === 'late') return why;
    why = outcome.message;
    if (expired.aborted) return why;
    await delay(retryMs);
  }
}
