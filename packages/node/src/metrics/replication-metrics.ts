/** Metrics of replication: how far followers are, what syncs there were and why, what travelled. */
import {
  PEER_REFUSAL_REASONS,
  SYNC_KIND_OF_REASON,
  SYNC_KINDS,
  SYNC_REASON_LABELS,
  SYNC_REASONS,
} from '@ingot/replication';
import type { Registry } from 'prom-client';
import { counter, gauge, type Labelled } from './registered.ts';
import type { MetricSources, PartitionSample } from './sources.ts';

export function addReplicationMetrics(registry: Registry, sources: MetricSources): void {
  const { map, partitions } = sources;
  const counters = () => sources.replication().counters;
  const lag = (read: 'lagSeq' | 'lagSeconds', join: (a: number, b: number) => number) => () =>
    lagByPeer(sources, read, join);
  gauge(
    registry,
    'replication_lag_seqs',
    'Mutations that a follower has yet to acknowledge, over all partitions led here',
    lag('lagSeq', (a, b) => a + b),
    'peer',
  );
  gauge(
    registry,
    'replication_lag_seconds',
    'Seconds by which the slowest copy of a peer is behind',
    lag('lagSeconds', Math.max),
    'peer',
  );
  counter(registry, 'full_syncs_total', 'Full syncs sent to followers', () => counters().fullSyncs);
  counter(
    registry,
    'partial_syncs_total',
    'Partial syncs sent to followers: changed chunks only',
    () => counters().partialSyncs,
  );
  counter(
    registry,
    'syncs_total',
    'Syncs of followers that came to an end, by kind and by what made them necessary',
    () =>
      SYNC_REASONS.map(
        (reason): Labelled => [
          SYNC_KIND_OF_REASON[reason],
          SYNC_REASON_LABELS[reason],
          counters().syncs[reason],
        ],
      ),
    'kind',
    'reason',
  );
  counter(
    registry,
    'sync_bytes_total',
    'Bytes of chunks sent to followers, by kind of sync',
    () => SYNC_KINDS.map((kind): Labelled => [kind, counters().syncBytes[kind]]),
    'kind',
  );
  gauge(
    registry,
    'bulks_running',
    'Bulks that send chunks to followers now',
    () => sources.replication().bulks.running,
  );
  gauge(
    registry,
    'bulks_waiting',
    'Bulks that wait for others to end',
    () => sources.replication().bulks.waiting,
  );
  counter(
    registry,
    'replication_sent_bytes_total',
    'Bytes sent to followers',
    () => [
      ['bulk', counters().chunkBytesSent],
      ['redo', counters().redoBytesSent],
    ],
    'stream',
  );
  counter(
    registry,
    'bulk_sent_bytes_total',
    'Bytes of images sent to followers, as the primary of the partition or as a follower that feeds another',
    () => [
      ['primary', counters().chunkBytesSent - counters().chunkBytesRelayed],
      ['relay', counters().chunkBytesRelayed],
    ],
    'as',
  );
  counter(
    registry,
    'seeds_total',
    'New copies of partitions led here that were sent to a follower, came back made, or came back without',
    () => [
      ['sent', counters().seedsSent],
      ['done', counters().seedsDone],
      ['failed', counters().seedsFailed],
    ],
    'outcome',
  );
  counter(
    registry,
    'seeds_refused_total',
    'New copies that this node, a follower, did not feed',
    () => [
      ['no-slots', counters().seedsRefused.noSlots],
      ['no-source', counters().seedsRefused.noSource],
    ],
    'reason',
  );
  gauge(
    registry,
    'seeds_running',
    'Copies of partitions led here that followers feed now, by who feeds whom',
    () => seedsOf(sources),
    'source',
    'joiner',
  );
  counter(
    registry,
    'replication_received_bytes_total',
    'Bytes received from primaries',
    () => counters().bytesReceived,
  );
  counter(
    registry,
    'checks_failed_total',
    'Chunks of followers that differed from their primary',
    () => counters().checksFailed,
  );
  counter(
    registry,
    'broken_frames_total',
    'Replication connections ended because what came on them broke a rule',
    () => counters().brokenFrames,
  );
  counter(
    registry,
    'handshakes_refused_total',
    'Replication connections refused here at HELLO, or ended before it',
    () => counters().refusals,
  );
  counter(
    registry,
    'peers_refused_total',
    'Connections between nodes that ended before either side was believed, on either side',
    () =>
      PEER_REFUSAL_REASONS.map((reason): Labelled => {
        const onControl = sources.controlRefusals()[reason];
        return [reason, counters().peersRefused[reason] + onControl];
      }),
    'reason',
  );
  gauge(
    registry,
    'partition_states',
    'Partition copies held by this node, by state',
    () => statesOf(partitions()),
    'state',
  );
  gauge(
    registry,
    'partitions_lost',
    'Partitions of the cluster whose last copy was lost',
    () => map().placement.filter(({ lost }) => lost).length,
  );
  gauge(registry, 'map_version', 'Version of the cluster map in use', () => map().version);
}

function lagByPeer(
  sources: MetricSources,
  read: 'lagSeq' | 'lagSeconds',
  join: (a: number, b: number) => number,
): Labelled[] {
  const peers = new Map<string, number>();
  for (const { followers } of sources.replication().partitions) {
    for (const follower of followers) {
      peers.set(follower.node, join(peers.get(follower.node) ?? 0, follower[read]));
    }
  }
  return [...peers];
}

function seedsOf(sources: MetricSources): Labelled[] {
  const pairs = new Map<string, [source: string, joiner: string, count: number]>();
  for (const { followers } of sources.replication().partitions) {
    for (const { node, source } of followers) {
      if (source === null) continue;
      const key = `${source} ${node}`;
      pairs.set(key, [source, node, (pairs.get(key)?.[2] ?? 0) + 1]);
    }
  }
  return [...pairs.values()];
}

function statesOf(samples: readonly PartitionSample[]): Labelled[] {
  const states = { primary: 0, following: 0, checking: 0, syncing: 0 };
  for (const { role, consistent, checked } of samples) {
    if (role === 'primary') states.primary++;
    else if (checked) states.following++;
    else if (consistent) states.checking++;
    else states.syncing++;
  }
  return Object.entries(states);
}
