/** Metrics of in-sync sets and of what waits for them. */
import type { Registry } from 'prom-client';
import { Counter, type CounterRow } from './layout.ts';
import { counter, gauge, type Labelled, sum } from './registered.ts';
import type { MetricSources } from './sources.ts';

export function addInSyncMetrics(registry: Registry, sources: MetricSources): void {
  const { inSync, map, counters } = sources;
  const row = (index: CounterRow) => () => sum(counters.map((worker) => worker.get(index)));
  gauge(
    registry,
    'isr_size',
    'Copies in the smallest in-sync set of the partitions led here; 0 where none is led',
    () => {
      const led = map().placement.filter(({ primary }) => primary === inSync().node);
      return led.length === 0 ? 0 : Math.min(...led.map((entry) => entry.inSync.length));
    },
  );
  counter(
    registry,
    'isr_changes_total',
    'Copies that this node took into in-sync sets, and out of them',
    (): Labelled[] => Object.entries(inSync().changes),
    'change',
  );
  gauge(
    registry,
    'acks_held',
    'Replies that wait until every copy in sync has what they tell',
    row(Counter.acksHeld),
  );
  counter(
    registry,
    'acks_unknown_total',
    'Replies with acks=isr whose outcome is unknown',
    row(Counter.acksUnknown),
  );
  counter(
    registry,
    'noreplicas_total',
    'Writes refused because too few copies are in sync',
    row(Counter.noReplicas),
  );
  counter(
    registry,
    'nolog_total',
    'Writes refused because the redo log takes nothing, or there is none',
    row(Counter.noLog),
  );
}
