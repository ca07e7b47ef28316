/** Counters of one node's replication, from the start of the hub. They never fall. */
import { createRefusalCounts, type PeerRefusalReason } from './peer-refusals.ts';
import { SYNC_KINDS, SYNC_REASONS, type SyncKind, type SyncReason } from './welcome.ts';

export interface HubCounters {
  /** Syncs of followers that had nothing in common with us; and of those that had: resumed from the ring, caught up
   *  by stamps, or rewound. */
  fullSyncs: number;
  partialSyncs: number;
  /** The same by reason; and the chunk bytes of all syncs by kind, those that did not come to an end among them. */
  syncs: Record<SyncReason, number>;
  syncBytes: Record<SyncKind, number>;
  /** Rounds of snapshot followers, and their chunk bytes: not among the above. */
  snapshotsSent: number;
  snapshotBytesSent: number;
  /** All bytes on replication connections, both roles. */
  bytesSent: number;
  bytesReceived: number;
  /** Payload bytes sent to followers. */
  chunkBytesSent: number;
  redoBytesSent: number;
  /** Of `chunkBytesSent`: from copies that follow themselves. */
  chunkBytesRelayed: number;
  /** Joiners that this node, as their primary, sent to a follower; came back with a copy; came back without. */
  seedsSent: number;
  seedsDone: number;
  seedsFailed: number;
  /** Joiners that this node, as a follower, did not feed: all slots taken; its own copy not brought up to date by the
   *  primary itself. */
  seedsRefused: { noSlots: number; noSource: number };
  /** Comparisons of a chunk by followers, and those that found a difference. */
  checks: number;
  checksFailed: number;
  /** Chunks of followers that differed and are equal again, and those that nothing spoke for overwriting. */
  repairs: number;
  repairsRefused: number;
  /** Chunks that the scrub has had compared. */
  scrubChunks: number;
  /** HELLOs refused, and connections that were no HELLO. */
  refusals: number;
  /** Connections ended because what came on them broke a rule. */
  brokenFrames: number;
  /** Connections that ended in the preamble, on either side. */
  readonly peersRefused: Record<PeerRefusalReason, number>;
}

export function createHubCounters(): HubCounters {
  return {
    fullSyncs: 0,
    partialSyncs: 0,
    syncs: zeros(SYNC_REASONS),
    syncBytes: zeros(SYNC_KINDS),
    snapshotsSent: 0,
    snapshotBytesSent: 0,
    bytesSent: 0,
    bytesReceived: 0,
    chunkBytesSent: 0,
    redoBytesSent: 0,
    chunkBytesRelayed: 0,
    seedsSent: 0,
    seedsDone: 0,
    seedsFailed: 0,
    seedsRefused: { noSlots: 0, noSource: 0 },
    checks: 0,
    checksFailed: 0,
    repairs: 0,
    repairsRefused: 0,
    scrubChunks: 0,
    refusals: 0,
    brokenFrames: 0,
    peersRefused: createRefusalCounts(),
  };
}

function zeros<Name extends string>(names: readonly Name[]): Record<Name, number> {
  return Object.fromEntries(names.map((name) => [name, 0])) as Record<Name, number>;
}
