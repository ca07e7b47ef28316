/** Sums over the data workers' counters, for INFO. */

import {
  COUNTER_NAMES,
  Counter,
  type CounterName,
  type WorkerCounters,
} from '../metrics/layout.ts';

/** Commands executed on this node, of all kinds. */
export function commandCalls(blocks: readonly WorkerCounters[], commandCount: number): number {
  let calls = 0;
  for (const block of blocks) {
    for (let index = 0; index < commandCount; index++) calls += block.calls(index);
  }
  return calls;
}

export function counterSums(blocks: readonly WorkerCounters[]): Record<CounterName, number> {
  const sums = COUNTER_NAMES.map((name) => [
    name,
    blocks.reduce((total, block) => total + block.get(Counter[name]), 0),
  ]);
  return Object.fromEntries(sums) as Record<CounterName, number>;
}
