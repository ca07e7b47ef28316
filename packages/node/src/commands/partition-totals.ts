/** Sums over the partitions that this node leads: what it calls its own keys and memory. */

import { type Budget, type PartitionStats, sumOfBudgets } from '@ingot/store';
import type { WorkerContext } from '../serving/execution.ts';
import { partitionsLed } from './key-walk.ts';

export function partitionTotals(worker: WorkerContext): PartitionStats {
  const all = partitionsLed(worker).map((partition) => partition.stats());
  const sum = (name: keyof PartitionStats): number =>
    all.reduce((total, stats) => total + stats[name], 0);
  return {
    seq: sum('seq'),
    keys: sum('keys'),
    records: sum('records'),
    usedBytes: sum('usedBytes'),
    capacityBytes: sum('capacityBytes'),
    evictions: sum('evictions'),
    expiries: sum('expiries'),
    moves: sum('moves'),
    drains: sum('drains'),
    draining: sum('draining'),
    roomWork: sum('roomWork'),
  };
}

export function budgetTotals(worker: WorkerContext): Budget {
  return sumOfBudgets(partitionsLed(worker).map((partition) => partition.budget()));
}
