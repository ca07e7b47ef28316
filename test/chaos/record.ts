/** What all clients of a run have asked and were told, for the judges: histories of the keys that are written with
 *  acks=isr, losses of those written with acks=local, who took each write. Times in ms since the run began. */
import { EpochWriters, takerOf } from '../support/epoch-writers.ts';
import type { Operation } from '../support/linearizable.ts';
import { Loss } from '../support/loss.ts';

/** Said before anything was done. */
const REFUSED = /^(CLUSTERDOWN|MOVED|TRYAGAIN|NOREPLICAS)\b/;
const UNKNOWN = /\bunknown\b/;
const READ_AGAIN = /; read again$/;

export type Outcome = 'done' | 'refused' | 'unknown';

export class RunRecord {
  readonly history: Operation[] = [];
  readonly writers: EpochWriters = new EpochWriters();
  readonly loss: Loss = new Loss();
  readonly counts: Record<Outcome, number> = { done: 0, refused: 0, unknown: 0 };
  /** Replies that no client should ever get. */
  readonly unexpected: string[] = [];
  readonly #beganMs = performance.now();

  nowMs(): number {
    return performance.now() - this.#beganMs;
  }

  /** What a reply to a write says of it; null: there was none. */
  outcomeOf(reply: string | null): Outcome {
    const outcome = this.#judged(reply);
    this.counts[outcome]++;
    return outcome;
  }

  #judged(reply: string | null): Outcome {
    if (reply === null) return 'unknown';
    if (reply === 'OK') return 'done';
    const taker = takerOf(reply);
    if (taker !== null) {
      this.writers.saw(taker);
      return 'done';
    }
    if (REFUSED.test(reply)) return 'refused';
    if (!UNKNOWN.test(reply)) this.unexpected.push(reply);
    return 'unknown';
  }

  /** Whether this is an error to a read, rather than a value: values of a run have no space in them. */
  isRefusal(reply: string): boolean {
    if (!reply.includes(' ')) return false;
    const isKnown = [REFUSED, UNKNOWN, READ_AGAIN].some((pattern) => pattern.test(reply));
    if (!isKnown) this.unexpected.push(reply);
    return true;
  }
}
