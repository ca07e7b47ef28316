/** @ingot/replication: copies of partitions over TCP, as raw chunks and exact redo. */
export { AckBoard, Verdict } from './ack-board.ts';
export { type LocalNode, refuse } from './admission.ts';
export { type BulkCounts, BulkSlots, bulksMax } from './bulk-slots.ts';
export type { CheckAnswer } from './checks.ts';
export {
  type Certificates,
  certificateRefusal,
  divideByTls,
  isNamed,
  tlsOptions,
  tlsRefusal,
} from './certificates.ts';
export { createHubCounters, type HubCounters } from './counters.ts';
export { changedChunks, decideResync, type Resync, selectChunks } from './decide.ts';
export { DirectWriter, type WritableHandle } from './direct-write.ts';
export type { ReplicationEvent, ReplicationEventName } from './events.ts';
export { Follower, type FollowerAction, type FollowerOptions } from './follower.ts';
export {
  ACK,
  BEGIN,
  CHECKED,
  CHUNK,
  decodeHeader,
  encodeHeader,
  END,
  FRAME_HEADER_BYTES,
  type FrameHeader,
  frameName,
  HELLO,
  payloadChecksum,
  PING,
  REDO,
  REFUSE,
  WELCOME,
} from './frame.ts';
export { type SealedCopy, sealedCopy } from './following.ts';
export { FrameReader, type FrameSink } from './frame-reader.ts';
export { type FetchedCopy, fetchCopy, type GuestRequest } from './guest.ts';
export { decodeHello, encodeHello, type Hello } from './hello.ts';
export { type HubOptions, ReplicationHub } from './hub.ts';
export type { PendingMembers } from './in-sync.ts';
export {
  type Difference,
  type Inspected,
  Inspection,
  type InspectionAction,
} from './inspection.ts';
export { canLandReads, landReads } from './landing.ts';
export type { ScrubStatus } from './inspections.ts';
export type { Link, LinkAddress, LinkNetwork, LinkOwner, OutgoingFrame } from './link.ts';
export { type Greeter, offerCopy } from './offer.ts';
export type { ResumptionPlace } from './resumption.ts';
export {
  adaptiveRateMin,
  type ClientLoad,
  Pacer,
  type PacerOptions,
  type SyncRate,
} from './pacer.ts';
export { scanRedo } from './redo-batch.ts';
export { RedoBuffers } from './redo-buffers.ts';
export { type RedoBlock, RingReader } from './ring-reader.ts';
export { decideRepair, type RepairCase, type RepairDecision } from './repair-decision.ts';
export {
  Scrub,
  type ScrubMark,
  type ScrubOptions,
  type ScrubProgress,
  type ScrubTarget,
} from './scrub.ts';
export { Sender } from './sender.ts';
export type {
  FollowerState,
  SenderAction,
  SenderEvent,
  SenderOptions,
} from './sender-steps.ts';
export {
  createRefusalCounts,
  PEER_REFUSAL_REASONS,
  type PeerRefusal,
  type PeerRefusalReason,
  peerRefusal,
} from './peer-refusals.ts';
export {
  AcceptingPreamble,
  ConnectingPreamble,
  NONCE_BYTES,
  type PreambleOptions,
  type PreambleStep,
  SECRET_BYTES_MIN,
} from './preamble.ts';
export { hurry, type Sleep } from './sleeper.ts';
export { SnapshotBoard } from './snapshot-board.ts';
export {
  type ImageIndex,
  NO_IMAGE,
  type RoundAction,
  type RoundEvent,
  SnapshotRounds,
} from './snapshot-rounds.ts';
export type { SnapshotOptions, SnapshotStatus } from './snapshots.ts';
export type { Timers } from './timers.ts';
export { SYNC_KIND_OF_REASON, SYNC_REASON_LABELS, type SyncProgress } from './sync-progress.ts';
export type { VerifyDifference, VerifyReport } from './verify.ts';
export type {
  FollowerReplicationStatus,
  MemberLife,
  NodeAddress,
  PartitionReplicationStatus,
  PartitionView,
  ReplicationView,
} from './view.ts';
export {
  decodeRefuse,
  decodeWelcome,
  encodeRefuse,
  type Refusal,
  SYNC_KINDS,
  SYNC_REASONS,
  type SyncKind,
  type SyncReason,
} from './welcome.ts';
export { STREAM_STATE } from './stream-state.ts';
