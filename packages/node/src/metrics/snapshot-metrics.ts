/** Metrics of snapshots: how old what an edge copy answers is, and what its rounds cost; and what primaries send to edge
 *  copies, which is not among their syncs. */
import type { Registry } from 'prom-client';
import { counter, gauge, type Labelled } from './registered.ts';
import type { MetricSources } from './sources.ts';

export function addSnapshotMetrics(registry: Registry, sources: MetricSources): void {
  const { snapshots = () => null, replication } = sources;
  gauge(
    registry,
    'snapshot_age_seconds',
    'How old what an edge copy answers is, of its oldest partition; no value while one has none yet',
    () => {
      const age = snapshots()?.ageSeconds ?? null;
      return age === null ? [] : [[age]];
    },
  );
  gauge(
    registry,
    'snapshot_partitions_readable',
    'Partitions of an edge copy of which a round has ended',
    () => snapshots()?.readable ?? 0,
  );
  counter(
    registry,
    'snapshot_rounds_total',
    'Rounds of single partitions that an edge copy has ended',
    () => snapshots()?.rounds ?? 0,
  );
  counter(
    registry,
    'snapshot_rounds_interrupted_total',
    'Rounds of single partitions that did not come to an end; readers keep the one before',
    () => snapshots()?.interrupted ?? 0,
  );
  counter(
    registry,
    'snapshot_received_bytes_total',
    'What the rounds of an edge copy have received: chunks, and redo',
    () => [
      ['chunks', snapshots()?.chunkBytes ?? 0],
      ['redo', snapshots()?.redoBytes ?? 0],
    ],
    'kind',
  );
  gauge(
    registry,
    'snapshot_last_round_seconds',
    'How long the last round of all partitions took',
    () => snapshots()?.lastRoundSeconds ?? 0,
  );
  const sent = (read: 'snapshotsSent' | 'snapshotBytesSent') => (): readonly Labelled[] => [
    [replication().counters[read]],
  ];
  counter(
    registry,
    'snapshots_sent_total',
    'Rounds of single partitions that edge copies have got from here',
    sent('snapshotsSent'),
  );
  counter(
    registry,
    'snapshot_sent_bytes_total',
    'Bytes of chunks sent to edge copies; not among those of syncs',
    sent('snapshotBytesSent'),
  );
}
