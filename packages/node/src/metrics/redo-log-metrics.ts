/** Metrics of the redo log: what it costs, how large it is, and whether the disk takes it. */
import type { Registry } from 'prom-client';
import { counter, gauge } from './registered.ts';
import type { MetricSources } from './sources.ts';

export function addRedoLogMetrics(registry: Registry, { redoLog }: MetricSources): void {
  counter(
    registry,
    'log_groups_total',
    'Groups of redo that were written to disk and flushed, each as one',
    () => redoLog()?.groups ?? 0,
  );
  counter(
    registry,
    'log_bytes_total',
    'Bytes of redo given to the disk',
    () => redoLog()?.bytes ?? 0,
  );
  counter(
    registry,
    'log_flush_seconds_total',
    'Time spent on writing and flushing groups',
    () => redoLog()?.flushSeconds ?? 0,
  );
  gauge(
    registry,
    'log_kept_bytes',
    'Redo on disk that checkpoints do not hold yet; --log-max is its bound',
    () => redoLog()?.keptBytes ?? 0,
  );
  gauge(
    registry,
    'log_failing',
    '1 while the redo log is not written, and acks=log is refused: an alarm',
    () => ((redoLog()?.failing ?? null) === null ? 0 : 1),
  );
  counter(
    registry,
    'log_failures_total',
    'Times that the disk refused a group, or the log was full',
    () => redoLog()?.failures ?? 0,
  );
  counter(
    registry,
    'log_breaks_total',
    'Times the log of a copy had to begin anew: bytes were copied into it, or writers were faster than the disk',
    () => redoLog()?.breaks ?? 0,
  );
  gauge(
    registry,
    'log_unbased_copies',
    'Copies held here whose log counts only once a checkpoint has its beginning',
    () => redoLog()?.unbased ?? 0,
  );
}
