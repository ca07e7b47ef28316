/** Metrics of leases: whether this node may serve, and whose lives have ended. */
import type { Registry } from 'prom-client';
import { Counter } from './layout.ts';
import { counter, gauge, sum } from './registered.ts';
import type { MetricSources } from './sources.ts';

export function addLeaseMetrics(registry: Registry, { lease, counters }: MetricSources): void {
  gauge(
    registry,
    'lease_remaining_seconds',
    'How long this node may serve what it leads without another answer of the acceptors; 0: not',
    () => lease().remainingMs / 1_000,
  );
  counter(
    registry,
    'disowned_total',
    'Connections closed because the lease ended while their commands ran',
    () => sum(counters.map((worker) => worker.get(Counter.disowned))),
  );
  counter(
    registry,
    'fences_total',
    'Lives of nodes that the acceptor of this node has agreed to end',
    () => lease().fences,
  );
  counter(
    registry,
    'lives_total',
    'Lives of this node in this process; more than one: the others had ended it, and it came back',
    () => lease().lives,
  );
}
