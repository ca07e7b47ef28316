/** Whether a HELLO is welcome: a pure function of what the follower says and what this node knows.
 *
 *  Every refusal has a code and one sentence that says which side must change. Order matters: what can never
 *  become right comes first, what a newer cluster map may settle comes last. */
import { CHUNK_BYTES, FORMAT_VERSION, type Geometry } from '@ingot/store';
import { BYTE_ORDER_MARK, type Hello, MACHINE_BYTE_ORDER } from './hello.ts';
import type { Refusal, RefusalCode } from './welcome.ts';

/** What the cluster map and the local partition say about the partition asked for. */
export interface LocalPartition {
  readonly geometry: Geometry;
  /** Of the map that this node goes by. */
  readonly epoch: number;
  readonly isPrimary: boolean;
  /** Of a follower: whether it may feed others now. */
  readonly feeding?: FeedingState | undefined;
  readonly followers: readonly string[];
  /** Nodes that may have snapshots of it. Nobody unless given. */
  readonly observers?: readonly string[];
  /** Of a follower: its copy is consistent, which is good enough for guests. */
  readonly servesGuests?: boolean;
}

export type FeedingState = 'able' | 'noSource' | 'noSlots';

export interface LocalNode {
  readonly clusterId: string;
  /** Null: no copy of it here. */
  partition(id: number): LocalPartition | null;
  /** Life of the node that the map names; undefined when it names none. */
  incarnationOf(nodeId: string): number | undefined;
}

export function refuse(hello: Hello, epoch: number, node: LocalNode): Refusal | null {
  const refusal = (code: RefusalCode, text: string): Refusal => ({ code, text });
  if (hello.byteOrder !== MACHINE_BYTE_ORDER) {
    const ours = MACHINE_BYTE_ORDER === BYTE_ORDER_MARK ? 'little' : 'big';
    return refusal(
      'byteOrder',
      `images are ${ours}-endian here: run the follower on such a machine`,
    );
  }
  if (hello.storeFormat !== FORMAT_VERSION) {
    const [ours, theirs] = [FORMAT_VERSION, hello.storeFormat];
    const older = ours < theirs ? 'primary' : 'follower';
    return refusal('format', `image format ${theirs} there, ${ours} here: upgrade the ${older}`);
  }
  if (hello.clusterId !== node.clusterId) {
    return refusal(
      'clusterId',
      'the follower belongs to another cluster: give it the right --join',
    );
  }
  const local = node.partition(hello.partition);
  if (local === null) {
    return refusal(
      'partition',
      `no copy of partition ${hello.partition} here: wait for a newer map`,
    );
  }
  const different = differentGeometry(hello, local.geometry);
  if (different !== null) {
    return refusal('geometry', `${different}: start the follower with the cluster's settings`);
  }
  const mayFeed = hello.guest
    ? local.servesGuests === true
    : local.feeding !== undefined && hello.seedable;
  if (!local.isPrimary && !mayFeed) {
    return refusal('notPrimary', 'this node does not lead the partition: wait for a newer map');
  }
  if (epoch !== local.epoch) {
    const behind = epoch < local.epoch ? 'follower' : 'primary';
    return refusal(
      'epoch',
      `epoch ${epoch} there, ${local.epoch} here: the ${behind} needs a newer map`,
    );
  }
  if (hello.guest) return null;
  const named = hello.snapshot ? (local.observers ?? []) : local.followers;
  if (!named.includes(hello.nodeId)) {
    const what = hello.snapshot ? 'an observer' : 'a follower';
    return refusal('notFollower', `the map does not name ${hello.nodeId} as ${what} here`);
  }
  const incarnation = node.incarnationOf(hello.nodeId);
  if (incarnation !== hello.incarnation) {
    return refusal(
      'incarnation',
      `incarnation ${hello.incarnation} of ${hello.nodeId}, the map here names ${incarnation ?? 'none'}`,
    );
  }
  return local.isPrimary ? null : unfed(local.feeding ?? 'noSource');
}

/** Why a follower does not feed a copy that its primary sent here: it goes back there. */
function unfed(feeding: FeedingState): Refusal | null {
  if (feeding === 'able') return null;
  const text =
    feeding === 'noSlots'
      ? 'this node copies as much as it may: ask the primary again'
      : 'the copy here is not brought up to date by the primary itself: ask the primary again';
  return { code: feeding, text };
}

function differentGeometry(hello: Hello, geometry: Geometry): string | null {
  const rows: readonly [name: string, theirs: number, ours: number][] = [
    ['partitions', hello.partitions, geometry.partitions],
    ['bytes per chunk', hello.chunkBytes, CHUNK_BYTES],
    ['chunks per image', hello.chunkCount, geometry.chunkCount],
    ['value-max', hello.valueMaxBytes, geometry.valueMaxBytes],
  ];
  const row = rows.find(([, theirs, ours]) => theirs !== ours);
  return row === undefined ? null : `${row[0]}: ${row[1]} there, ${row[2]} here`;
}
