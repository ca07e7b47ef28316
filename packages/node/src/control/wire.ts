/** What the control plane says, in its own types and in those of ingot.proto.
 *  Sequence numbers and versions are u64 on the wire and safe integers here. Whatever arrives is
 *  range-checked by the protobuf decoder and, for maps, by `parseClusterMap`. */
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { type ClusterMap, parseClusterMap } from '../shared/map.ts';
import {
  type CheckpointStatus as CheckpointMessage,
  CopyRole as CopyRoleNumber,
  FollowerState as FollowerStateNumber,
  type FollowerStatus as FollowerMessage,
  type FollowerStatusSchema,
  type NodeStatus as NodeMessage,
  NodeStatusSchema,
  type PartitionStatus as PartitionMessage,
  type PartitionStatusSchema,
  type ScrubStatus as ScrubMessage,
  type ScrubStatusSchema,
  type SnapshotStatus as SnapshotMessage,
  type SnapshotStatusSchema,
  type StatusReply,
  StatusReplySchema,
  type SyncStatus as SyncMessage,
  type SyncStatusSchema,
  type VerifyEvent,
} from './gen/ingot_pb.ts';
import {
  type CheckpointSummary,
  type ClusterStatus,
  type CopyRole,
  type FollowerReport,
  type FollowerState,
  type FollowerStatus,
  type Heartbeat,
  type NodeStatus,
  NO_CHECKPOINTS,
  NO_SCRUB,
  type PartitionReport,
  type PartitionStatus,
  type ScrubStatus,
  type SnapshotReport,
  type SyncStatus,
  type VerifyDifference,
  type VerifyReport,
} from './types.ts';

const copyRoles: Record<CopyRole, CopyRoleNumber> = {
  none: CopyRoleNumber.UNSPECIFIED,
  primary: CopyRoleNumber.PRIMARY,
  follower: CopyRoleNumber.FOLLOWER,
};

const followerStates: Record<FollowerState, FollowerStateNumber> = {
  connecting: FollowerStateNumber.UNSPECIFIED,
  bulk: FollowerStateNumber.BULK,
  catchup: FollowerStateNumber.CATCHUP,
  checking: FollowerStateNumber.CHECKING,
  streaming: FollowerStateNumber.STREAMING,
};

/** Several acceptors answer with the same map, and one map goes to several: the last few are neither
 *  written nor checked again. Maps are never changed in place. */
const rememberedTextsMax = 4;
const texts = new WeakMap<ClusterMap, string>();
const maps = new Map<string, ClusterMap>();

export function mapToWire(map: ClusterMap): string {
  const text = texts.get(map) ?? JSON.stringify(map);
  texts.set(map, text);
  return text;
}

/** Throws where the text is no sound cluster map. */
export function mapFromWire(mapJson: string): ClusterMap {
  const map = maps.get(mapJson) ?? parseClusterMap(JSON.parse(mapJson));
  // The last one used is the last to be forgotten.
  maps.delete(mapJson);
  maps.set(mapJson, map);
  for (const oldest of maps.keys()) {
    if (maps.size <= rememberedTextsMax) break;
    maps.delete(oldest);
  }
  return map;
}

/** Heartbeats and status answers are the same message; a heartbeat leaves some of it at zero, and has
 *  a number. */
export function nodeStatusToWire(status: Heartbeat | NodeStatus, beat: number = 0): NodeMessage {
  return create(NodeStatusSchema, {
    beat: BigInt(beat),
    node: status.node,
    incarnation: status.incarnation,
    mapVersion: BigInt(status.mapVersion),
    partitions: status.partitions.map((partition) => partitionToWire(partition)),
    partitionsAsBefore: 'partitionsAsBefore' in status ? status.partitionsAsBefore : false,
    ...('scrub' in status
      ? { scrub: scrubToWire(status.scrub), checkpoints: status.checkpoints }
      : {}),
    ...('snapshots' in status && status.snapshots
      ? { snapshots: snapshotsToWire(status.snapshots) }
      : {}),
  });
}

export function heartbeatFromWire(message: NodeMessage): Heartbeat {
  return { ...nodeStatusFromWire(message), partitionsAsBefore: message.partitionsAsBefore };
}

export function nodeStatusFromWire(message: NodeMessage): NodeStatus {
  return {
    node: message.node,
    incarnation: message.incarnation,
    mapVersion: Number(message.mapVersion),
    partitions: message.partitions.map(partitionFromWire),
    scrub: scrubFromWire(message.scrub),
    snapshots: snapshotsFromWire(message.snapshots),
    checkpoints: checkpointsFromWire(message.checkpoints),
  };
}

export function clusterStatusToWire(status: ClusterStatus): StatusReply {
  return create(StatusReplySchema, {
    mapJson: mapToWire(status.map),
    nodes: status.nodes.map((answer) => ({
      node: answer.node,
      why: answer.why,
      ...(answer.status === null ? {} : { status: nodeStatusToWire(answer.status) }),
    })),
  });
}

export function clusterStatusFromWire(reply: StatusReply): ClusterStatus {
  return {
    map: mapFromWire(reply.mapJson),
    nodes: reply.nodes.map((answer) => ({
      node: answer.node,
      why: answer.why,
      status: answer.status === undefined ? null : nodeStatusFromWire(answer.status),
    })),
  };
}

export function verifyReportFromWire(event: VerifyEvent): VerifyReport {
  return {
    chunksChecked: Number(event.chunksChecked),
    differences: event.differences.map(({ partition, chunk, node, seq, repaired, why }) => ({
      partition,
      chunk,
      node,
      seq: Number(seq),
      repaired,
      why,
    })),
    notChecked: event.notChecked.map(({ partition, node, why }) => ({ partition, node, why })),
  };
}

export function verifyReportToWire(report: VerifyReport): {
  chunksChecked: bigint;
  differences: (Omit<VerifyDifference, 'seq'> & { seq: bigint })[];
  notChecked: { partition: number; node: string; why: string }[];
} {
  return {
    chunksChecked: BigInt(report.chunksChecked),
    differences: report.differences.map((found) => ({ ...found, seq: BigInt(found.seq) })),
    notChecked: report.notChecked,
  };
}

function partitionToWire(
  partition: PartitionReport | PartitionStatus,
): MessageInitShape<typeof PartitionStatusSchema> {
  return {
    id: partition.id,
    role: copyRoles[partition.role],
    epoch: partition.epoch,
    seq: BigInt(partition.seq),
    consistent: partition.consistent,
    checked: partition.checked,
    keys: 'keys' in partition ? BigInt(partition.keys) : 0n,
    usedBytes: 'usedBytes' in partition ? BigInt(partition.usedBytes) : 0n,
    followers: partition.followers.map((follower) => followerToWire(follower)),
  };
}

function followerToWire(
  follower: FollowerReport | FollowerStatus,
): MessageInitShape<typeof FollowerStatusSchema> {
  return {
    node: follower.node,
    state: followerStates[follower.state],
    ackedSeq: BigInt(follower.ackedSeq),
    checked: follower.checked,
    lagSeq: 'lagSeq' in follower ? BigInt(follower.lagSeq) : 0n,
    lagSeconds: 'lagSeconds' in follower ? follower.lagSeconds : 0,
    ...('sync' in follower && follower.sync !== null ? { sync: syncToWire(follower.sync) } : {}),
  };
}

function partitionFromWire(message: PartitionMessage): PartitionStatus {
  return {
    id: message.id,
    role: nameOf(copyRoles, message.role, 'none'),
    epoch: message.epoch,
    seq: Number(message.seq),
    consistent: message.consistent,
    checked: message.checked,
    keys: Number(message.keys),
    usedBytes: Number(message.usedBytes),
    followers: message.followers.map(followerFromWire),
  };
}

function followerFromWire(message: FollowerMessage): FollowerStatus {
  return {
    node: message.node,
    state: nameOf(followerStates, message.state, 'connecting'),
    ackedSeq: Number(message.ackedSeq),
    checked: message.checked,
    lagSeq: Number(message.lagSeq),
    lagSeconds: message.lagSeconds,
    sync: message.sync === undefined ? null : syncFromWire(message.sync),
  };
}

function scrubToWire(scrub: ScrubStatus): MessageInitShape<typeof ScrubStatusSchema> {
  return {
    ...scrub,
    differences: BigInt(scrub.differences),
    repairs: BigInt(scrub.repairs),
    repairsRefused: BigInt(scrub.repairsRefused),
  };
}

/** A heartbeat has none; nor has a node that knows of no scrub. */
function scrubFromWire(message: ScrubMessage | undefined): ScrubStatus {
  if (message === undefined) return NO_SCRUB;
  const { everySeconds, rounds, chunksDone, chunksTotal, lastRoundSeconds } = message;
  return {
    ...{ everySeconds, rounds, chunksDone, chunksTotal, lastRoundSeconds },
    differences: Number(message.differences),
    repairs: Number(message.repairs),
    repairsRefused: Number(message.repairsRefused),
  };
}

function checkpointsFromWire(message: CheckpointMessage | undefined): CheckpointSummary {
  if (message === undefined) return NO_CHECKPOINTS;
  const { everySeconds, partitions, failing, oldestAgeSeconds } = message;
  return { everySeconds, partitions, failing, oldestAgeSeconds };
}

function syncToWire(sync: SyncStatus): MessageInitShape<typeof SyncStatusSchema> {
  return { ...sync, bytes: BigInt(sync.bytes) };
}

function syncFromWire(message: SyncMessage): SyncStatus {
  const { kind, reason, pass, chunksDone, chunksTotal, bytes, startedMs } = message;
  return { kind, reason, pass, chunksDone, chunksTotal, bytes: Number(bytes), startedMs };
}

/** The name of an enum value; `fallback` for a value that this version does not know. */
function nameOf<Name extends string>(
  numbers: Record<Name, number>,
  value: number,
  fallback: Name,
): Name {
  const names = Object.keys(numbers) as Name[];
  return names.find((name) => numbers[name] === value) ?? fallback;
}

function snapshotsToWire(snapshots: SnapshotReport): MessageInitShape<typeof SnapshotStatusSchema> {
  return {
    ...snapshots,
    ageSeconds: snapshots.ageSeconds ?? -1,
    rounds: BigInt(snapshots.rounds),
    interrupted: BigInt(snapshots.interrupted),
    chunkBytes: BigInt(snapshots.chunkBytes),
    redoBytes: BigInt(snapshots.redoBytes),
  };
}

function snapshotsFromWire(message: SnapshotMessage | undefined): SnapshotReport | null {
  if (message === undefined) return null;
  return {
    everySeconds: message.everySeconds,
    partitions: message.partitions,
    readable: message.readable,
    ageSeconds: message.ageSeconds < 0 ? null : message.ageSeconds,
    rounds: Number(message.rounds),
    interrupted: Number(message.interrupted),
    chunkBytes: Number(message.chunkBytes),
    redoBytes: Number(message.redoBytes),
    lastRoundSeconds: message.lastRoundSeconds,
  };
}
