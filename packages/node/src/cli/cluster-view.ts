/** What `ingot status` shows, put together from the map and from what each node says of itself: who
 *  is in the cluster, who decides about it, who leads what, how far each follower is, what is moving.
 *  Pure. `--json` prints it as it
 *  is. */
import { CHUNK_BYTES } from '@ingot/store';
import type {
  CheckpointSummary,
  ClusterStatus,
  FollowerState,
  NodeAnswer,
  PartitionStatus,
  ScrubStatus,
  SnapshotReport,
  SyncStatus,
} from '../control/types.ts';
import { membersOf } from '../register/acceptor-set.ts';
import { capacityOf, partitionCapacity } from '../shared/capacity.ts';
import {
  type AcceptorRef,
  type ClusterMap,
  isLeaving,
  isStopping,
  type Life,
  type MapNode,
  type PlacementEntry,
  stoppingSinceMs,
} from '../shared/map.ts';
import type { Ports } from '../shared/settings.ts';
import { pinnedTo } from '../control/wishes.ts';
import { hostPort } from './address.ts';
import { formatBytes } from '../shared/bytes.ts';
import { textTable } from './text-table.ts';

export interface ClusterView {
  readonly clusterId: string;
  readonly mapVersion: number;
  readonly acceptors: AcceptorsView;
  readonly capacity: CapacityView;
  readonly nodes: readonly NodeView[];
  readonly partitions: readonly PartitionView[];
  /** Copies that are being made in place of others. */
  readonly moves: readonly MoveView[];
}

/** The nodes that decide about the map; of `next` a majority too, while the set changes. */
export interface AcceptorsView {
  readonly current: readonly string[];
  readonly next: readonly string[] | null;
}

export interface CapacityView {
  /** Of all primaries together. */
  readonly limitBytes: number;
  /** Among the partitions whose primaries answered; null: none has. */
  readonly fullest: FillView | null;
  readonly emptiest: FillView | null;
}

export interface FillView {
  readonly partition: number;
  readonly usedBytes: number;
  readonly capacityBytes: number;
  /** Above 100 where the limit was lowered and records still have to go. */
  readonly percent: number;
}

export interface MoveView {
  readonly partition: number;
  readonly to: string;
  readonly state: FollowerView['state'];
  readonly sync: SyncStatus | null;
}

export interface NodeView {
  readonly id: string;
  /** stopping, stopped: because it was told to (SIGTERM). leaving: `ingot leave`. */
  readonly state: 'up' | 'leaving' | 'stopping' | 'stopped' | 'down';
  /** When it was told to stop; null for one that was not. */
  readonly stoppedSince: string | null;
  readonly incarnation: number;
  /** Lives up to this one are over. */
  readonly fencedThrough: number;
  readonly witness: boolean;
  /** Has snapshots of the partitions, and nothing else. */
  readonly observer: boolean;
  readonly isAcceptor: boolean;
  readonly addresses: Readonly<Record<keyof Ports, string>>;
  readonly leads: number;
  readonly follows: number;
  /** Why the node did not answer; empty when it did. */
  readonly silence: string;
  /** null: the node did not answer. */
  readonly scrub: ScrubStatus | null;
  /** Of an observer that answered. */
  readonly snapshots: SnapshotReport | null;
  /** The same. */
  readonly checkpoints: CheckpointSummary | null;
}

export interface PartitionView {
  readonly id: number;
  readonly epoch: number;
  readonly primary: string | null;
  /** Who shall lead it, as somebody has said by hand; null: whom the balance chooses. */
  readonly pinned: string | null;
  /** null: the primary did not answer. */
  readonly seq: number | null;
  readonly keys: number | null;
  readonly usedBytes: number | null;
  /** The partition began again, empty, because no copy was left. */
  readonly lost: boolean;
  /** The partition was led once by a copy that was not in sync: writes may be missing. */
  readonly lossy: boolean;
  /** Whom writes with acks=isr wait for, the primary among them. */
  readonly inSync: readonly Life[];
  readonly followers: readonly FollowerView[];
}

export interface FollowerView {
  readonly node: string;
  readonly state: FollowerState | 'unknown';
  readonly seq: number | null;
  readonly lagSeqs: number | null;
  readonly lagSeconds: number | null;
  /** null: the copy is in step, or nobody knows. */
  readonly sync: SyncStatus | null;
}

export function viewOf({ map, nodes }: ClusterStatus): ClusterView {
  const answers = new Map(nodes.map((answer) => [answer.node, answer]));
  const partitionOf = (node: string | null, id: number): PartitionStatus | undefined =>
    node === null
      ? undefined
      : answers.get(node)?.status?.partitions.find((partition) => partition.id === id);
  const partitions = map.placement.map((entry, id) =>
    partitionView(entry, id, partitionOf(entry.primary, id), pinnedTo(map, id)),
  );
  const { current, next } = map.acceptors;
  const idsOf = (refs: readonly AcceptorRef[]): string[] => refs.map(({ node }) => node);
  return {
    clusterId: map.clusterId,
    mapVersion: map.version,
    acceptors: { current: idsOf(current), next: next === null ? null : idsOf(next) },
    capacity: capacityView(map, partitions),
    nodes: map.nodes.map((node) => nodeView(node, map, answers.get(node.id))),
    partitions,
    moves: partitions.flatMap((partition) => movesOf(partition, copiesWanted(map))),
  };
}

export function viewText(view: ClusterView): string {
  return [
    `cluster ${view.clusterId}, map version ${view.mapVersion}, ${acceptorsText(view.acceptors)}`,
    capacityText(view.capacity),
    nodeTable(view.nodes),
    partitionTable(view.partitions),
    ...moveTable(view.moves),
    ...scrubTable(view.nodes),
    ...snapshotTable(view.nodes),
    ...checkpointTable(view.nodes),
    ...warnings(view),
  ].join('\n\n');
}

function nodeView(node: MapNode, map: ClusterMap, answer: NodeAnswer | undefined): NodeView {
  const { placement, acceptors } = map;
  const sinceMs = stoppingSinceMs(map, node.id);
  const names = Object.keys(node.ports) as (keyof Ports)[];
  const addresses = names.map((name) => [name, hostPort(node.advertise, node.ports[name])]);
  return {
    id: node.id,
    state: stateOf(map, node),
    stoppedSince: sinceMs === null ? null : new Date(sinceMs).toISOString(),
    incarnation: node.incarnation,
    fencedThrough: node.fencedThrough,
    witness: node.witness,
    observer: node.observer,
    isAcceptor: membersOf(acceptors).some((acceptor) => acceptor.node === node.id),
    addresses: Object.fromEntries(addresses) as NodeView['addresses'],
    leads: placement.filter((entry) => entry.primary === node.id).length,
    follows: placement.filter((entry) => entry.followers.includes(node.id)).length,
    silence: isExpected(map, node) ? (answer?.why ?? '') : '',
    scrub: answer?.status?.scrub ?? null,
    snapshots: answer?.status?.snapshots ?? null,
    checkpoints: answer?.status?.checkpoints ?? null,
  };
}

function stateOf(map: ClusterMap, { id, state }: MapNode): NodeView['state'] {
  if (isStopping(map, id)) return state === 'up' ? 'stopping' : 'stopped';
  return state === 'up' && isLeaving(map, id) ? 'leaving' : state;
}

/** One that has stopped as it was told to need not answer. */
function isExpected(map: ClusterMap, { id, state }: MapNode): boolean {
  return state === 'up' || !isStopping(map, id);
}

function partitionView(
  entry: PlacementEntry,
  id: number,
  status: PartitionStatus | undefined,
  pinned: string | null,
): PartitionView {
  return {
    id,
    epoch: entry.epoch,
    primary: entry.primary,
    pinned,
    seq: status?.seq ?? null,
    keys: status?.keys ?? null,
    usedBytes: status?.usedBytes ?? null,
    lost: entry.lost,
    lossy: entry.lossy,
    inSync: entry.inSync,
    followers: entry.followers.map((node) => {
      const follower = status?.followers.find((candidate) => candidate.node === node);
      return {
        node,
        state: follower?.state ?? 'unknown',
        seq: follower?.ackedSeq ?? null,
        lagSeqs: follower?.lagSeq ?? null,
        lagSeconds: follower?.lagSeconds ?? null,
        sync: follower?.sync ?? null,
      };
    }),
  };
}

function capacityView(map: ClusterMap, partitions: readonly PartitionView[]): CapacityView {
  const capacityBytes = partitionCapacity(map);
  const fills = partitions.flatMap(({ id, usedBytes }): FillView[] => {
    if (usedBytes === null) return [];
    const percent = Math.floor((100 * usedBytes) / capacityBytes);
    return [{ partition: id, usedBytes, capacityBytes, percent }];
  });
  fills.sort((a, b) => b.usedBytes - a.usedBytes);
  return {
    limitBytes: capacityOf(map),
    fullest: fills.at(0) ?? null,
    emptiest: fills.at(-1) ?? null,
  };
}

/** A copy more than there should be: the one that was added last takes the place of another. */
function movesOf({ id, primary, followers }: PartitionView, wanted: number): MoveView[] {
  const extra = followers.length + (primary === null ? 0 : 1) - wanted;
  if (extra <= 0) return [];
  return followers
    .slice(-extra)
    .map(({ node, state, sync }) => ({ partition: id, to: node, state, sync }));
}

function copiesWanted({ copies, nodes }: ClusterMap): number {
  return Math.min(copies, nodes.filter(({ witness, observer }) => !witness && !observer).length);
}

function acceptorsText({ current, next }: AcceptorsView): string {
  const change = next === null ? '' : ` together with ${next.join(', ')}`;
  return `decided by ${current.join(', ')}${change}`;
}

/** `capacity 1gb; fullest is partition 3 with 15.2 of 16.0 MiB (95 %), emptiest ...` */
function capacityText({ limitBytes, fullest, emptiest }: CapacityView): string {
  const limit = `capacity ${formatBytes(limitBytes)}`;
  if (fullest === null || emptiest === null) return limit;
  return `${limit}; fullest is ${fillText(fullest)}, emptiest ${fillText(emptiest)}`;
}

function fillText({ partition, usedBytes, capacityBytes, percent }: FillView): string {
  const mebibytes = (bytes: number): string => (bytes / 2 ** 20).toFixed(1);
  const used = `${mebibytes(usedBytes)} of ${mebibytes(capacityBytes)} MiB`;
  return `partition ${partition} with ${used} (${percent} %)`;
}

function voiceText({ witness, observer, isAcceptor }: NodeView): string {
  if (observer) return 'observer';
  if (witness) return isAcceptor ? 'witness' : 'witness, none';
  return isAcceptor ? 'yes' : 'none';
}

function moveTable(moves: readonly MoveView[]): string[] {
  if (moves.length === 0) return [];
  const rows = moves.map(({ partition, to, state, sync }) => [
    String(partition),
    to,
    state === 'bulk' && sync !== null ? syncText(sync) : state,
  ]);
  return [textTable(['moving', 'to', 'state'], rows)];
}

function nodeTable(nodes: readonly NodeView[]): string {
  const rows = nodes.map((node) => [
    node.id,
    node.state,
    String(node.incarnation),
    voiceText(node),
    String(node.leads),
    String(node.follows),
    node.addresses.client,
    node.addresses.cluster,
    node.addresses.follower,
    node.addresses.control,
    node.addresses.http,
  ]);
  const heads = ['node', 'state', 'incarnation', 'voice', 'leads', 'follows'];
  return textTable([...heads, 'client', 'cluster', 'follower', 'control', 'http'], rows);
}

function partitionTable(partitions: readonly PartitionView[]): string {
  const rows = partitions.map((partition) => [
    String(partition.id),
    String(partition.epoch),
    partition.primary ?? 'none',
    shown(partition.seq),
    shown(partition.keys),
    partition.inSync.map(({ node }) => node).join(' ') || 'none',
    partition.followers.map(followerText).join('; ') || 'none',
  ]);
  const heads = ['partition', 'epoch', 'primary', 'seq', 'keys', 'in sync', 'followers'];
  return textTable(heads, rows);
}

/** Nodes that lead nothing have nothing to scrub. */
function scrubTable(nodes: readonly NodeView[]): string[] {
  const rows = nodes.flatMap(({ id, leads, scrub }) =>
    scrub === null || leads === 0 ? [] : [[id, ...scrubCells(scrub)]],
  );
  if (rows.length === 0) return [];
  const heads = ['scrub', 'round', 'done', 'last round', 'differences', 'repaired', 'refused'];
  return [textTable(heads, rows)];
}

function snapshotTable(nodes: readonly NodeView[]): string[] {
  const rows = nodes.flatMap(({ id, snapshots }) =>
    snapshots === null ? [] : [[id, ...snapshotCells(snapshots)]],
  );
  if (rows.length === 0) return [];
  const heads = ['snapshots', 'every', 'age', 'partitions', 'last round', 'rounds', 'interrupted'];
  return [textTable(heads, rows)];
}

function snapshotCells(snapshots: SnapshotReport): string[] {
  const { everySeconds, ageSeconds, readable, partitions, lastRoundSeconds } = snapshots;
  return [
    `${everySeconds} s`,
    ageSeconds === null ? 'none yet' : `${ageSeconds.toFixed(1)} s`,
    readable === partitions ? String(partitions) : `${readable} of ${partitions}`,
    lastRoundSeconds === 0 ? '-' : `${lastRoundSeconds.toFixed(2)} s`,
    String(snapshots.rounds),
    String(snapshots.interrupted),
  ];
}

function checkpointTable(nodes: readonly NodeView[]): string[] {
  const rows = nodes.flatMap(({ id, checkpoints }) => {
    if (checkpoints === null || checkpoints.everySeconds === 0) return [];
    const { everySeconds, partitions, failing, oldestAgeSeconds } = checkpoints;
    const oldest = oldestAgeSeconds < 0 ? 'not all yet' : `${oldestAgeSeconds} s ago`;
    return [[id, `${everySeconds} s`, String(partitions), oldest, String(failing)]];
  });
  if (rows.length === 0) return [];
  return [textTable(['checkpoints', 'every', 'copies', 'oldest', 'refused by the disk'], rows)];
}

function scrubCells(scrub: ScrubStatus): string[] {
  const { everySeconds, rounds, chunksDone, chunksTotal, lastRoundSeconds } = scrub;
  const isOff = everySeconds === 0;
  const percent = chunksTotal === 0 ? 0 : Math.floor((100 * chunksDone) / chunksTotal);
  return [
    isOff ? 'off' : String(rounds + 1),
    isOff ? '-' : `${percent} %`,
    rounds === 0 ? '-' : `${lastRoundSeconds.toFixed(1)} s`,
    String(scrub.differences),
    String(scrub.repairs),
    String(scrub.repairsRefused),
  ];
}

function followerText({ node, state, seq, lagSeqs, lagSeconds, sync }: FollowerView): string {
  if (seq === null) return `${node} ${state}`;
  if (sync !== null && state === 'bulk') return `${node} bulk ${syncText(sync)}`;
  return `${node} ${state} at ${seq}, lag ${shown(lagSeqs)} (${(lagSeconds ?? 0).toFixed(3)} s)`;
}

/** `43 % (480 of 1,117 MB), catch-up: the ring has moved past the copy` */
function syncText({ kind, reason, pass, chunksDone, chunksTotal }: SyncStatus): string {
  const what = `${kind}: ${reason}`;
  if (chunksTotal === 0) return `waiting, ${what}`;
  const percent = Math.floor((100 * chunksDone) / chunksTotal);
  const again = pass === 0 ? '' : `, pass ${pass + 1}`;
  return `${percent} % (${megabytes(chunksDone)} of ${megabytes(chunksTotal)} MB${again}), ${what}`;
}

function megabytes(chunks: number): string {
  return Math.round((chunks * CHUNK_BYTES) / 1_000_000).toLocaleString('en');
}

function warnings(view: ClusterView): string[] {
  const silent = view.nodes
    .filter((node) => node.silence !== '')
    .map((node) => `${node.id} does not answer: ${node.silence}`);
  const idsWhere = (holds: (partition: PartitionView) => boolean): string =>
    view.partitions
      .filter(holds)
      .map(({ id }) => id)
      .join(', ');
  const headless = idsWhere(({ primary }) => primary === null);
  if (headless !== '') silent.push(`without a primary: partitions ${headless}`);
  for (const { id, stoppedSince } of view.nodes.filter(({ state }) => state === 'stopped')) {
    silent.push(`${id} was stopped at ${stoppedSince}`);
  }
  const pinned = idsWhere((partition) => partition.pinned !== null);
  if (pinned !== '') silent.push(`led by whom "ingot promote" has named: partitions ${pinned}`);
  const lossy = idsWhere((partition) => partition.lossy);
  if (lossy !== '') silent.push(`lossy, writes may be missing: partitions ${lossy}`);
  const lost = idsWhere((partition) => partition.lost);
  if (lost !== '') silent.push(`lost, began again empty: partitions ${lost}`);
  return silent.length === 0 ? [] : [silent.join('\n')];
}

function shown(value: number | null): string {
  return value === null ? '?' : String(value);
}
