/** Metrics of comparing copies: by the CHECK pass after a bulk, by `ingot verify`, by the scrub. */
import type { Registry } from 'prom-client';
import { counter, gauge } from './registered.ts';
import type { MetricSources } from './sources.ts';

export function addCheckMetrics(registry: Registry, sources: MetricSources): void {
  const counters = () => sources.replication().counters;
  counter(registry, 'checks_total', 'Chunks compared by followers', () => counters().checks);
  counter(
    registry,
    'check_differences_total',
    'Chunks of followers that differed from their primary; also there as ingot_checks_failed_total',
    () => counters().checksFailed,
  );
  counter(
    registry,
    'repairs_total',
    'Chunks of followers that differed, were repaired and found equal',
    () => counters().repairs,
  );
  counter(
    registry,
    'repairs_refused_total',
    'Chunks that differ and were left alone, because nothing supports the bytes of the primary',
    () => counters().repairsRefused,
  );
  counter(
    registry,
    'scrub_chunks_total',
    'Chunks that the scrub had compared',
    () => counters().scrubChunks,
  );
  gauge(
    registry,
    'scrub_last_round_seconds',
    'How long the last round of the scrub took; 0 where none has ended',
    () => sources.replication().scrub.lastRoundMs / 1_000,
  );
}
