/** Sums over the data workers' counters, for INFO: since the start, or since CONFIG RESETSTAT. The counters
 *  themselves never fall: Prometheus reads them, too. */

import {
  COUNTER_NAMES,
  Counter,
  type CounterName,
  LATENCY_BUCKETS,
  type WorkerCounters,
} from '../metrics/layout.ts';
import type { CommandFigures } from '../shared/messages.ts';

/** They say what is, not what was. */
const GAUGES: ReadonlySet<CounterName> = new Set([
  'connections',
  'acksHeld',
  'clientBytes',
  'clientBytesMost',
]);
/** A rate needs a time to be over. */
const RATE_MS_MIN = 100;

export interface Figures {
  readonly commands: number;
  readonly commandsPerSecond: number;
  readonly counters: Readonly<Record<CounterName, number>>;
  readonly calls: readonly CommandFigures[];
}

export class NodeFigures {
  private readonly blocks: readonly WorkerCounters[];
  private readonly names: readonly string[];
  private counterBase: Readonly<Record<CounterName, number>> | null = null;
  private callBase: readonly CommandFigures[] = [];
  private rateSince = { atMs: 0, calls: 0, perSecond: 0 };

  constructor(blocks: readonly WorkerCounters[], names: readonly string[]) {
    this.blocks = blocks;
    this.names = names;
  }

  /** What is counted so far counts no more. */
  reset(): void {
    this.counterBase = this.counterSums();
    this.callBase = this.callSums();
    this.rateSince = { ...this.rateSince, calls: 0 };
  }

  look(nowMs: number): Figures {
    const { counterBase, callBase } = this;
    const now = this.counterSums();
    const counters = Object.fromEntries(
      COUNTER_NAMES.map((name) => {
        const before = GAUGES.has(name) ? 0 : (counterBase?.[name] ?? 0);
        return [name, now[name] - before];
      }),
    ) as Record<CounterName, number>;
    const calls = this.callSums()
      .map((figures, i) => difference(figures, callBase[i]))
      .filter((figures) => figures.calls > 0);
    const commands = calls.reduce((sum, figures) => sum + figures.calls, 0);
    return { counters, calls, commands, commandsPerSecond: this.rate(nowMs, commands) };
  }

  private rate(nowMs: number, calls: number): number {
    const { atMs, calls: before } = this.rateSince;
    const elapsedMs = nowMs - atMs;
    if (elapsedMs >= RATE_MS_MIN) {
      const perSecond = Math.round(((calls - before) * 1000) / elapsedMs);
      this.rateSince = { atMs: nowMs, calls, perSecond: atMs === 0 ? 0 : perSecond };
    }
    return this.rateSince.perSecond;
  }

  private counterSums(): Record<CounterName, number> {
    const sums = COUNTER_NAMES.map((name) => [name, this.sum((block) => block.get(Counter[name]))]);
    return Object.fromEntries(sums) as Record<CounterName, number>;
  }

  private callSums(): CommandFigures[] {
    return this.names.map((name, index) => ({
      name,
      calls: this.sum((block) => block.calls(index)),
      errors: this.sum((block) => block.errors(index)),
      seconds: this.sum((block) => block.seconds(index)),
      buckets: Array.from({ length: LATENCY_BUCKETS }, (_, bucket) =>
        this.sum((block) => block.bucket(index, bucket)),
      ),
    }));
  }

  private sum(of: (block: WorkerCounters) => number): number {
    return this.blocks.reduce((total, block) => total + of(block), 0);
  }
}

function difference(now: CommandFigures, base: CommandFigures | undefined): CommandFigures {
  if (base === undefined) return now;
  return {
    name: now.name,
    calls: now.calls - base.calls,
    errors: now.errors - base.errors,
    seconds: now.seconds - base.seconds,
    buckets: now.buckets.map((count, i) => count - base.buckets[i]),
  };
}
