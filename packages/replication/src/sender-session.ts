/** One follower's connection: performs what its sender asks for.
 *
 *  Owner: `Leading`. Decides nothing about replication: `Sender` does. Ends a follower that neither reads nor answers;
 *  it will come back for the rest. */
import type { Partition } from '@ingot/store';
import type { CheckAnswer } from './checks.ts';
import { CHUNK, type FrameHeader, frameName, REDO } from './frame.ts';
import type { FrameSink } from './frame-reader.ts';
import type { Admitted } from './handshake.ts';
import type { Link, OutgoingFrame } from './link.ts';
import type { NodeState } from './node-state.ts';
import { Sender } from './sender.ts';
import type { FollowerState, SenderAction, SenderEvent } from './sender-steps.ts';
import { SYNC_KIND_OF_REASON, type SyncProgress } from './sync-progress.ts';
import type { SyncReason } from './welcome.ts';

const silenceMaxMs = 15_000;
const pingIntervalMs = 2_000;
/** Redo that is older and not acknowledged, at this many ticks in a row, means that the follower has stalled. */
const stalledSeconds = 1;
const stalledTicks = 2;
/** Ticks so far apart mean that this thread was away, or its clock was set: what the follower said meanwhile is yet
 *  to be read. */
const absenceMs = 1_000;

export const sessionKey = (partition: number, node: string): string => `${partition}/${node}`;

export interface SenderHost {
  readonly state: NodeState;
  /** A session wants to be stepped again within a millisecond or so. */
  paced(): void;
  readonly bulksPending: boolean;
  awaitBulk(session: SenderSession, chunks: number): void;
  synced(session: SenderSession): void;
  bulkEnded(session: SenderSession): void;
  acknowledged(session: SenderSession, seq: number): void;
  answered(session: SenderSession, answer: CheckAnswer): void;
  ended(session: SenderSession, reason: string): void;
}

export class SenderSession implements FrameSink {
  readonly partition: Partition;
  readonly epoch: number;
  /** Of the partition and the follower. */
  readonly key: string;
  /** The follower. */
  readonly node: string;
  readonly incarnation: number;
  /** This node is a follower of the partition itself. */
  readonly relay: boolean;
  /** The follower is no member of the cluster. */
  readonly isGuest: boolean;
  /** The follower knows of seeds: its copy may feed others. */
  readonly canFeed: boolean;
  /** Nothing of a bulk has been sent on this connection. */
  #mayBeSeeded: boolean;
  #isSentAway = false;
  /** The follower has asked for a snapshot. */
  readonly isSnapshot: boolean;
  /** The follower holds a consistent copy up to here; -1 before it does. */
  confirmedSeq = -1;
  readonly #host: SenderHost;
  readonly #link: Link;
  readonly #sender: Sender;
  #ended = false;
  #stepsSoon = false;
  #lastProgressMs: number;
  #lastSentMs = 0;
  #tickedMs: number;
  #lateTicks = 0;

  constructor(host: SenderHost, { link, partition, epoch, hello, relay }: Admitted) {
    const { identity, pacer } = host.state;
    const ring = host.state.ringOf(partition);
    const { nodeId, incarnation } = identity;
    this.partition = partition;
    this.epoch = epoch;
    this.node = hello.nodeId;
    this.key = sessionKey(partition.id, hello.nodeId);
    this.incarnation = hello.incarnation;
    this.relay = relay;
    this.isGuest = hello.guest;
    this.canFeed = hello.seedable;
    this.#mayBeSeeded = hello.seedable && !relay;
    this.isSnapshot = hello.snapshot;
    this.#host = host;
    this.#link = link;
    this.#sender = new Sender({
      ...{ partition, epoch, nodeId, incarnation, hello, ring, pacer, relay },
      bulksPending: () => host.bulksPending,
    });
    this.#lastProgressMs = identity.nowMs();
    this.#tickedMs = this.#lastProgressMs;
  }

  /** Whether its bulk may still come from a follower. */
  get mayBeSeeded(): boolean {
    return this.#mayBeSeeded;
  }

  /** A follower feeds its copy. */
  get isSentAway(): boolean {
    return this.#isSentAway;
  }

  get followerState(): FollowerState {
    return this.#sender.state;
  }

  /** Its follower has the snapshot it came for. */
  get isRoundOver(): boolean {
    return this.#sender.isRoundOver;
  }

  get ackedSeq(): number {
    return this.#sender.ackedSeq;
  }

  /** Redo has been sent that is not acknowledged. */
  get isBehind(): boolean {
    return this.#sender.isBehind;
  }

  get stalled(): boolean {
    return this.#lateTicks >= stalledTicks;
  }

  get sync(): SyncProgress | null {
    return this.#sender.sync;
  }

  get lagSeconds(): number {
    return this.#sender.lagSeconds(this.#nowMs());
  }

  // ------------------------------------------------------------ what the connection brings

  place(header: FrameHeader): Buffer | string {
    const { type, payloadBytes } = header;
    if (type === CHUNK || type === REDO) return `a follower sends no ${frameName(type)}`;
    return Buffer.allocUnsafe(payloadBytes);
  }

  frame(header: FrameHeader, payload: Buffer): null {
    this.#lastProgressMs = this.#nowMs();
    this.step({ kind: 'frame', header, payload });
    return null;
  }

  closed(reason: string): void {
    this.#ended = true;
    this.#sender.close();
    this.#count();
    this.#host.ended(this, reason);
  }

  close(reason: string): void {
    this.#link.close(reason);
  }

  /** Now and then: deadlines, and a sign of life where nothing else was sent. */
  tick(nowMs: number): void {
    this.#count();
    if (Math.abs(nowMs - this.#tickedMs) > absenceMs) this.#lastProgressMs = nowMs;
    this.#lastSentMs = Math.min(this.#lastSentMs, nowMs);
    this.#tickedMs = nowMs;
    this.#lateTicks = this.lagSeconds > stalledSeconds ? this.#lateTicks + 1 : 0;
    const { signOfLifeMs = pingIntervalMs } = this.#host.state.identity;
    if (nowMs - this.#lastProgressMs > silenceMaxMs) {
      this.close('the follower neither reads nor answers');
    } else if (nowMs - this.#lastSentMs > signOfLifeMs) this.step({ kind: 'idle' });
  }

  // ------------------------------------------------------------ what the sender asks for

  /** Returns whether the sender did something. */
  step(event: SenderEvent): boolean {
    if (this.#ended) return false;
    if (event.kind === 'bulkGranted') this.#mayBeSeeded = false;
    const actions = this.#sender.step(event, this.#nowMs());
    const frames: OutgoingFrame[] = [];
    for (const action of actions) {
      if (action.kind === 'send') frames.push(action);
      else if (action.kind === 'sentAway') this.#isSentAway = true;
      else this.#perform(action);
    }
    if (frames.length > 0) this.#send(frames);
    if (this.#isSentAway) this.#link.close('a follower feeds its copy', true);
    return actions.length > 0;
  }

  #perform(action: Exclude<SenderAction, { kind: 'send' | 'sentAway' }>): void {
    switch (action.kind) {
      case 'again':
        return this.#stepSoon();
      case 'paced':
        return this.#host.paced();
      case 'awaitBulk':
        return this.#host.awaitBulk(this, action.chunks);
      case 'bulkEnded':
        return this.#host.bulkEnded(this);
      case 'acknowledged':
        return this.#host.acknowledged(this, action.seq);
      case 'answered':
        return this.#host.answered(this, action.answer);
      case 'synced':
        this.#countSync(action.reason);
        return this.#host.synced(this);
      case 'repaired':
        this.#host.state.counters.repairs++;
        return;
      case 'repairRefused':
        this.#host.state.counters.repairsRefused++;
        return;
      case 'log':
        return this.#host.state.identity.log(action.event);
      case 'drop':
        return this.close(action.reason);
    }
  }

  #send(frames: readonly OutgoingFrame[]): void {
    const { counters } = this.#host.state;
    const kind = this.#sender.sync?.kind;
    for (const { header, payload } of frames) {
      if (header.type === CHUNK) {
        counters.chunkBytesSent += payload.length;
        if (this.relay) counters.chunkBytesRelayed += payload.length;
        if (this.isSnapshot) counters.snapshotBytesSent += payload.length;
        else if (kind !== undefined) counters.syncBytes[kind] += payload.length;
      }
      if (header.type === REDO) counters.redoBytesSent += payload.length;
    }
    this.#lastSentMs = this.#nowMs();
    const written = (): void => {
      this.#lastProgressMs = this.#nowMs();
      this.step({ kind: 'written' });
    };
    if (!this.#link.send(frames, written)) return;
    this.#lastProgressMs = this.#lastSentMs;
    if (!this.#sender.taken()) this.#host.state.timers.soon(written);
  }

  #stepSoon(): void {
    if (this.#stepsSoon) return;
    this.#stepsSoon = true;
    this.#host.state.timers.soon(() => {
      this.#stepsSoon = false;
      this.step({ kind: 'continue' });
    });
  }

  #countSync(reason: SyncReason): void {
    const { counters } = this.#host.state;
    if (this.isSnapshot) {
      counters.snapshotsSent++;
      return;
    }
    counters.syncs[reason]++;
    if (SYNC_KIND_OF_REASON[reason] === 'full') counters.fullSyncs++;
    else counters.partialSyncs++;
  }

  /** Moves what the link has counted to the node's counters. */
  #count(): void {
    this.#link.moveCounts(this.#host.state.counters);
  }

  #nowMs(): number {
    return this.#host.state.identity.nowMs();
  }
}
