/** The node's metrics for Prometheus. Nothing is counted here: every metric reads shared memory or
 *  the main thread's state when it is scraped, so that a scrape is exact and costs nothing between.
 *
 *  Labels are bounded: command by the command table, worker by the threads, peer by the nodes of
 *  the cluster map. Keys, clients and partitions are never labels. */

import { IMAGE_LINES, SCRATCH_LINES } from '@ingot/store';
import { collectDefaultMetrics, Registry } from 'prom-client';
import { snakeCase } from '../shared/snake-case.ts';
import { addCheckMetrics } from './check-metrics.ts';
import { addFailoverMetrics } from './failover-metrics.ts';
import { addCheckpointMetrics } from './checkpoint-metrics.ts';
import { addRedoLogMetrics } from './redo-log-metrics.ts';
import { addInSyncMetrics } from './in-sync-metrics.ts';
import { CLIENT_COUNTERS } from './client-counters.ts';
import { Counter, type CounterRow, LATENCY_BOUNDS_SECONDS, LATENCY_BUCKETS } from './layout.ts';
import { addLeaseMetrics } from './lease-metrics.ts';
import { counter, gauge, type Labelled, sum } from './registered.ts';
import { addReplicationMetrics } from './replication-metrics.ts';
import { addSnapshotMetrics } from './snapshot-metrics.ts';
import { type HistogramSeries, SharedHistogram } from './shared-histogram.ts';
import type { GoneCounts, MetricSources, PartitionSample } from './sources.ts';

/** Process defaults of prom-client that break Prometheus' naming rules (a gauge named _total). */
const MISNAMED_DEFAULTS = [
  'nodejs_active_handles_total',
  'nodejs_active_requests_total',
  'nodejs_active_resources_total',
];
/** Each look wakes the main thread. */
const EVENT_LOOP_PRECISION_MS = 500;

export function createMetrics(sources: MetricSources): Registry {
  const registry = new Registry();
  collectDefaultMetrics({
    register: registry,
    eventLoopMonitoringPrecision: EVENT_LOOP_PRECISION_MS,
  });
  for (const name of MISNAMED_DEFAULTS) registry.removeSingleMetric(name);
  addCommandMetrics(registry, sources);
  addClientMetrics(registry, sources);
  addMemoryMetrics(registry, sources);
  addReplicationMetrics(registry, sources);
  addCheckMetrics(registry, sources);
  addFailoverMetrics(registry, sources);
  addLeaseMetrics(registry, sources);
  addCheckpointMetrics(registry, sources);
  addRedoLogMetrics(registry, sources);
  addSnapshotMetrics(registry, sources);
  addInSyncMetrics(registry, sources);
  return registry;
}

function addCommandMetrics(registry: Registry, sources: MetricSources): void {
  const total = (read: 'calls' | 'errors') => () =>
    sources.commands.map(
      (name, index): Labelled => [name, sum(sources.counters.map((worker) => worker[read](index)))],
    );
  counter(registry, 'commands_total', 'Commands executed on this node', total('calls'), 'command');
  counter(
    registry,
    'command_errors_total',
    'Commands executed on this node that were answered with an error',
    total('errors'),
    'command',
  );
  registry.registerMetric(
    new SharedHistogram({
      name: 'ingot_command_seconds',
      help: 'Seconds of work per command; a command of a batch counts its share',
      label: 'command',
      bounds: LATENCY_BOUNDS_SECONDS,
      read: () => commandSeconds(sources),
    }),
  );
}

/** Commands that were never called are left out: a histogram costs 19 series. */
function commandSeconds({ commands, counters }: MetricSources): HistogramSeries[] {
  const series: HistogramSeries[] = [];
  for (const [index, label] of commands.entries()) {
    if (counters.every((worker) => worker.calls(index) === 0)) continue;
    const buckets = Array.from({ length: LATENCY_BUCKETS }, (_, bucket) =>
      sum(counters.map((worker) => worker.bucket(index, bucket))),
    );
    series.push({ label, buckets, sum: sum(counters.map((worker) => worker.seconds(index))) });
  }
  return series;
}

function addClientMetrics(registry: Registry, sources: MetricSources): void {
  const row = (index: CounterRow) => () => sum(sources.counters.map((worker) => worker.get(index)));
  for (const [name, index, help] of CLIENT_COUNTERS) {
    counter(registry, name, help, row(Counter[index]));
  }
  gauge(registry, 'connections', 'Open client connections', row(Counter.connections));
  gauge(
    registry,
    'clients_bytes',
    'Memory that connections of clients hold: unfinished commands, transactions, unread replies',
    row(Counter.clientBytes),
  );
  gauge(
    registry,
    'event_loop_utilization',
    'Share of time each thread was busy since the previous scrape',
    () => sources.threads().map(({ worker, utilization }): Labelled => [worker, utilization]),
    'worker',
  );
}

function addMemoryMetrics(registry: Registry, sources: MetricSources): void {
  const { partitions, gone } = sources;
  const led = () => partitions().filter(({ role }) => role === 'primary');
  const byRole = (read: (sample: PartitionSample) => number) => () =>
    (['primary', 'follower'] as const).map(
      (role): Labelled => [
        role,
        sum(
          partitions()
            .filter((sample) => sample.role === role)
            .map(read),
        ),
      ],
    );
  gauge(registry, 'keys', 'Keys in the partitions led by this node', () =>
    sum(led().map(({ keys }) => keys)),
  );
  gauge(
    registry,
    'used_bytes',
    'Image bytes in use',
    byRole((s) => s.usedBytes),
    'role',
  );
  gauge(
    registry,
    'capacity_bytes',
    'Image bytes that may come into use',
    byRole((sample) => sample.capacityBytes),
    'role',
  );
  gauge(
    registry,
    'memory_bytes',
    'What the shared memory of the copies held here is used for, a line for each byte',
    () => {
      const budget = sources.budget();
      return [
        ...IMAGE_LINES.map((line): Labelled => ['image', snakeCase(line), budget[line]]),
        ...SCRATCH_LINES.map((line): Labelled => ['scratch', snakeCase(line), budget[line]]),
      ];
    },
    'memory',
    'line',
  );
  gauge(registry, 'pins', 'Values held where they lie, most of them being sent to a client', () =>
    sum(partitions().map(({ pins }) => pins)),
  );
  gauge(registry, 'pin_oldest_seconds', 'For how long the oldest of them has been held', () =>
    Math.max(0, ...partitions().map(({ oldestPinMs }) => oldestPinMs / 1_000)),
  );
  for (const [name, row, help] of PARTITION_COUNTERS) {
    counter(registry, name, help, () => gone()[row] + sum(partitions().map((copy) => copy[row])));
  }
}

const PARTITION_COUNTERS: readonly (readonly [
  name: string,
  row: keyof GoneCounts,
  help: string,
])[] = [
  ['evictions_total', 'evictions', 'Records evicted to make room'],
  ['expiries_total', 'expiries', 'Records removed because their time was over'],
  ['moved_records_total', 'moves', 'Records moved to other slots so that a chunk comes free'],
  ['drained_chunks_total', 'drains', 'Chunks emptied for records of another size'],
];
