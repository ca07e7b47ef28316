/** Metrics of failovers: how many this node has led, how long they took, and what the map says of
 *  partitions that came out of one badly. */
import type { Registry } from 'prom-client';
import { FAILOVER_BOUNDS_SECONDS, FAILOVER_CAUSES } from '../control/failover-log.ts';
import { counter, gauge, type Labelled, sum } from './registered.ts';
import { SharedHistogram } from './shared-histogram.ts';
import type { MetricSources } from './sources.ts';

export function addFailoverMetrics(registry: Registry, { map, failovers }: MetricSources): void {
  counter(
    registry,
    'failovers_total',
    'Lives of nodes that this node has ended, by how their end showed',
    () => FAILOVER_CAUSES.map((cause): Labelled => [cause, sum(failovers()[cause].buckets)]),
    'cause',
  );
  registry.registerMetric(
    new SharedHistogram({
      name: 'ingot_failover_seconds',
      help: 'Seconds from suspecting a node to the change of the map that gives away what it led',
      label: 'cause',
      bounds: FAILOVER_BOUNDS_SECONDS,
      read: () => FAILOVER_CAUSES.map((label) => ({ label, ...failovers()[label] })),
    }),
  );
  gauge(
    registry,
    'partitions_lossy',
    'Partitions of the cluster whose last failover gave the lead to a copy that was not in sync',
    () => map().placement.filter(({ lossy }) => lossy).length,
  );
  gauge(
    registry,
    'partitions_without_primary',
    'Partitions of the cluster that nobody leads',
    () => map().placement.filter(({ primary }) => primary === null).length,
  );
}
