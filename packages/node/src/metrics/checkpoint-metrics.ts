/** Metrics of checkpoints: how old what is saved is, what saving costs, and whether the disk takes it. */
import type { Registry } from 'prom-client';
import { counter, gauge } from './registered.ts';
import type { MetricSources } from './sources.ts';

export function addCheckpointMetrics(registry: Registry, { checkpoints }: MetricSources): void {
  counter(
    registry,
    'checkpoints_total',
    'Partitions saved to the data dir',
    () => checkpoints()?.saves ?? 0,
  );
  counter(
    registry,
    'checkpoint_failures_total',
    'Saves that the disk refused; the former checkpoint stays, and the next round tries again',
    () => checkpoints()?.failures ?? 0,
  );
  gauge(
    registry,
    'checkpoints_failing',
    'Partitions whose last save was refused: an alarm',
    () => checkpoints()?.failing ?? 0,
  );
  counter(
    registry,
    'checkpoint_chunks_total',
    'Chunks that had changed, and were saved',
    () => checkpoints()?.chunks ?? 0,
  );
  counter(
    registry,
    'checkpoint_bytes_total',
    'Bytes given to the disk by saves',
    () => checkpoints()?.bytes ?? 0,
  );
  counter(
    registry,
    'checkpoint_seconds_total',
    'Time spent on rounds of saving',
    () => checkpoints()?.seconds ?? 0,
  );
  gauge(
    registry,
    'checkpoint_oldest_timestamp_seconds',
    'When the oldest checkpoint of a copy held here was taken; 0: of one there is none yet',
    () => (checkpoints()?.oldestSavedAtMs ?? 0) / 1_000,
  );
}
