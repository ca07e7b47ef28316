/** Sums over the partitions that this node leads: what it calls its own keys and memory. */

import type { PartitionStats } from '@ingot/store';
import type { WorkerContext } from '../serving/execution.ts';
import { partitionsLed } from './key-walk.ts';

export function partitionTotals(worker: WorkerContext): PartitionStats {
  const totals = { keys: 0, records: 0, usedBytes: 0, capacityBytes: 0, evictions: 0, expiries: 0 };
  for (const partition of partitionsLed(worker)) {
    const stats = partition.stats();
    for (const name of Object.keys(totals) as (keyof PartitionStats)[]) totals[name] += stats[name];
  }
  return totals;
}
