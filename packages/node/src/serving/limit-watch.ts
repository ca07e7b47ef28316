/** Counts how often limits strike, and logs it: one line per second and kind at most, whichever worker it strikes
 *  in. A line names the client that was met first, and how many more there were since the line before.
 *  Owner: one per worker. */

import { Counter, type RarePace, type WorkerCounters } from '../metrics/layout.ts';
import type { NodeLog } from '../process/log.ts';
import { LIMIT_NAMES, LIMITS, type LimitName } from './limits.ts';

/** Whom it struck. */
export interface Struck {
  readonly address: string;
  readonly name: string;
}

export type LimitFields = Readonly<Record<string, string | number>>;

interface Unsaid {
  count: number;
  readonly client: Struck | null;
  readonly fields: LimitFields;
}

export const LIMIT_LOG_EVERY_MS = 1_000;

export class LimitWatch {
  private readonly counters: WorkerCounters;
  private readonly pace: RarePace;
  private readonly log: NodeLog;
  private readonly nowMs: () => number;
  private readonly unsaid: Map<LimitName, Unsaid> = new Map();

  /** `nowMs`: monotonic. */
  constructor(counters: WorkerCounters, pace: RarePace, log: NodeLog, nowMs: () => number) {
    this.counters = counters;
    this.pace = pace;
    this.log = log;
    this.nowMs = nowMs;
  }

  /** A limit struck, `count` times at once; `client` is null where it is nobody's in particular. */
  strike(limit: LimitName, client: Struck | null, fields: LimitFields = {}, count = 1): void {
    this.counters.add(Counter[LIMITS[limit].counter], count);
    const unsaid = this.unsaid.get(limit);
    if (unsaid !== undefined) {
      unsaid.count += count;
      return;
    }
    this.unsaid.set(limit, { count, client, fields });
    this.say(limit, this.nowMs());
  }

  /** What could not be said at once is, once its second is over; called a few times per second. */
  tick(nowMs: number): void {
    for (const limit of this.unsaid.keys()) this.say(limit, nowMs);
  }

  private say(limit: LimitName, nowMs: number): void {
    const unsaid = this.unsaid.get(limit);
    if (unsaid === undefined || !this.pace.may(LIMIT_NAMES.indexOf(limit), nowMs)) return;
    this.unsaid.delete(limit);
    const { event, level = 'warn', advice } = LIMITS[limit];
    const { count, client, fields } = unsaid;
    const who = client === null ? {} : { client: client.address, name: client.name };
    this.log(level, event, { ...who, count, ...fields, text: advice });
  }
}
