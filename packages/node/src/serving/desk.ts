/** What the executing parts of one worker share, and the one way to deal with a key that this node
 *  cannot answer for. One Desk per worker; everything on it is reused, nothing is per
 *  connection. */

import type { Partition } from '@ingot/store';
import { partitionOfSlot, slotOfKey } from '@ingot/store';
import { Counter, type WorkerCounters } from '../metrics/layout.ts';
import type { LeaseWatch } from '../lease/lease-word.ts';
import type { Args } from '../resp/args.ts';
import type { Allowance } from './allowance.ts';
import { ReplyWriter } from '../resp/reply-writer.ts';
import type { ClusterMap } from '../shared/map.ts';
import type { ClientAuth } from './client-auth.ts';
import type { ClientPause } from './client-pause.ts';
import type { CommandLookup } from './command-lookup.ts';
import type { Connection } from './connection.ts';
import { Hold } from './hold.ts';
import type { CallCounts } from './call-counts.ts';
import type { Command, Execution } from './execution.ts';
import type { Forwarding } from './forwarding.ts';
import type { HeldReplies } from './held-replies.ts';
import type { LimitWatch } from './limit-watch.ts';
import type { LiveSettings } from './live-settings.ts';
import type { Parking } from './parking.ts';
import type { Passage } from './passage.ts';
import { LINK_FULL_TEXT } from './limits.ts';
import { BEHIND, DOWN_TEXT, type Route, route, routeOnSnapshot } from './routing.ts';
import type { SlowLog } from './slow-log.ts';
import type { SnapshotView } from './snapshot-view.ts';
import type { QueuedCommand } from './transaction-state.ts';
import type { Turn } from './turn.ts';

/** What became of a command. */
export const Outcome = {
  /** Not executed: the connection is on hold and will come back to it. */
  held: 0,
  /** Executed here, or answered with an error of its own. */
  done: 1,
  /** Sent to its owner; counted there. */
  forwarded: 2,
  /** Answered without being executed, because of where its key lives: counted where it will be. */
  refused: 3,
} as const;
export type Outcome = (typeof Outcome)[keyof typeof Outcome];

export const TRY_AGAIN_TEXT = 'TRYAGAIN the partition of this key is changing its owner';

/** What a desk asks of the worker that it belongs to. */
export interface DeskHost {
  readonly nodeId: string;
  readonly auth: ClientAuth;
  readonly live: LiveSettings;
  readonly limits: LimitWatch;
  readonly slowLog: SlowLog;
  readonly pause: ClientPause;
  readonly map: ClusterMap;
  readonly partitions: readonly (Partition | null)[];
  readonly counters: WorkerCounters;
  /** What every connection of the worker reads into. */
  readonly receiveBuffer: Buffer;
  /** For large things that are on their way. */
  readonly allowance: Allowance;
  /** As it was when the batch began, or at the last look since. */
  readonly lease: LeaseWatch;
  readonly turn: Turn;
  /** Unix ms. */
  nowMs(): number;
  /** For how long something takes: nobody sets it. */
  monotonicMs(): number;
  /** Not null: this node has snapshots, and nothing else. */
  readonly snapshots: SnapshotView | null;
  /** The primary of a copy that is followed here has said something within --stale-max. */
  isFresh(partitionId: number): boolean;
  /** Something was written outside of a batch. */
  wakeReplication(): void;
}

/** Commands with large values: see large-values.ts. */
export interface LargeCommands {
  before(connection: Connection, command: Command, args: Args): Outcome | null;
  beforeAll(connection: Connection, queued: readonly QueuedCommand[]): Outcome | null;
  edit(connection: Connection, partition: Partition, args: Args): Outcome;
  make(connection: Connection, partition: Partition, args: Args): Outcome;
  scan(connection: Connection, partition: Partition, args: Args): Outcome;
  copy(connection: Connection, partition: Partition, command: Command, args: Args): Outcome | null;
  after(): void;
}

export class Desk {
  readonly host: DeskHost;
  readonly lookup: CommandLookup;
  readonly execution: Execution;
  readonly passage: Passage;
  readonly forwarding: Forwarding;
  readonly parking: Parking;
  readonly held: HeldReplies;
  /** Replies of the running batch. */
  readonly out: ReplyWriter = new ReplyWriter();
  readonly calls: CallCounts;
  /** Set once, by the dispatch. */
  large!: LargeCommands;
  /** For parts of a reply that is put together. */
  readonly scratch: ReplyWriter = new ReplyWriter();

  constructor(
    host: DeskHost,
    lookup: CommandLookup,
    execution: Execution,
    passage: Passage,
    forwarding: Forwarding,
    parking: Parking,
    held: HeldReplies,
    calls: CallCounts,
  ) {
    this.host = host;
    this.lookup = lookup;
    this.execution = execution;
    this.passage = passage;
    this.forwarding = forwarding;
    this.parking = parking;
    this.held = held;
    this.calls = calls;
  }

  partition(partitionId: number): Partition | null {
    return this.host.partitions[partitionId] ?? null;
  }

  /** The partition of argument `i` as a key. */
  partitionOf(args: Args, i: number): number {
    return partitionOfSlot(this.slotOf(args, i), this.host.map.partitions);
  }

  slotOf(args: Args, i: number): number {
    return slotOfKey(args.buf, args.start(i), args.bytes(i));
  }

  /** Who answers for this partition; `slot` is the key's, where there is one. */
  route(connection: Connection, partitionId: number, slot: number, read: boolean): Route {
    const { map, nodeId, snapshots } = this.host;
    if (snapshots !== null) return this.routeOnSnapshot(connection, partitionId, slot, read);
    const copyWillDo = read && connection.readOnly && connection.listener === 'follower';
    const to = route({
      map,
      nodeId,
      partition: this.partition(partitionId),
      partitionId,
      hasLease: this.host.lease.holds,
      slot,
      listener: connection.listener,
      copyWillDo,
      isFresh: copyWillDo && this.host.isFresh(partitionId),
    });
    const node = to.to === 'peer' ? to.node.id : nodeId;
    return this.isBehind(connection, partitionId, node) ? BEHIND : to;
  }

  private routeOnSnapshot(
    { listener }: Connection,
    partitionId: number,
    slot: number,
    read: boolean,
  ): Route {
    const { map } = this.host;
    const isReadable = this.partition(partitionId) !== null;
    return routeOnSnapshot({ map, partitionId, slot, listener, read, isReadable });
  }

  /** Earlier commands of this connection may be on their way to a former owner of the partition:
   *  what they do there, or where they are sent next, comes first. */
  isBehind(connection: Connection, partitionId: number, to: string = this.host.nodeId): boolean {
    return this.forwarding.overtakes(partitionId, to) && connection.repliesDue;
  }

  /** Parks the connection, or answers why this node does not serve the partition. */
  turnAway(connection: Connection, partitionId: number, to: Route): Outcome {
    const { out } = this;
    if (to.to === 'behind') {
      connection.hold |= Hold.replies;
      return Outcome.held;
    }
    if (to.to === 'refuse') {
      if (to.text.startsWith('MOVED')) this.host.counters.add(Counter.redirects, 1);
      connection.refuse(partitionId);
      out.error(to.text);
      return Outcome.refused;
    }
    // Other clients' commands wait behind this one on a link: its sender waits instead.
    if (connection.isLink) {
      connection.refuse(partitionId);
      out.error(TRY_AGAIN_TEXT);
      return Outcome.refused;
    }
    switch (this.parking.park(connection, partitionId, this.host.monotonicMs())) {
      case 'parked':
        this.host.counters.add(Counter.parks, 1);
        connection.hold |= Hold.parked;
        return Outcome.held;
      case 'gaveUp':
        out.error(DOWN_TEXT);
        return Outcome.refused;
      case 'full':
        this.host.limits.strike('parked', connection);
        out.error(TRY_AGAIN_TEXT);
        return Outcome.refused;
    }
  }

  /** A write that must be in sync, where too few copies are, or in a log that takes nothing: refused before anything
   *  is done. */
  lacksReplicas(connection: Connection, command: Command, partitionId: number): boolean {
    if (connection.awaits === 0 || command.kind !== 'write') return false;
    if (this.partition(partitionId)?.mayWrite() !== true) return false;
    return !this.held.suffice(partitionId, connection.awaits);
  }

  /** Null when a link may take another command; else the connection is on hold until it may, or has been for too
   *  long and is told so. */
  awaitRoom(connection: Connection, to: Route & { to: 'peer' }): Outcome | null {
    const { forwarding } = this;
    if (!forwarding.hasRoom(to.node, connection)) return this.waitForRoom(connection, to);
    forwarding.queue.leave(connection);
    return null;
  }

  /** As `awaitRoom`, for all parts of one command: it has found room only where all of them have. */
  awaitRoomForAll(connection: Connection, routes: readonly Route[]): Outcome | null {
    const { forwarding } = this;
    let travels = false;
    for (const to of routes) {
      if (to.to !== 'peer') continue;
      if (!forwarding.hasRoom(to.node, connection)) return this.waitForRoom(connection, to);
      travels = true;
    }
    if (travels) forwarding.queue.leave(connection);
    return null;
  }

  private waitForRoom(connection: Connection, to: Route & { to: 'peer' }): Outcome {
    const { host, out } = this;
    const peer = to.node.id;
    if (this.forwarding.queue.wait(connection, host.monotonicMs())) {
      connection.hold |= Hold.link;
      host.limits.strike('link', connection, { peer });
      return Outcome.held;
    }
    host.limits.strike('linkWait', connection, { peer });
    out.error(LINK_FULL_TEXT);
    return Outcome.refused;
  }
}
