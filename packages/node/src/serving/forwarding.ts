/** Commands for keys that live on another node, on their way there and back.
 *
 *  One link per (peer, RESP version, acks) and worker, to the owner's cluster port, which never
 *  forwards: a command travels one hop or none. Replies come back as raw bytes; with acks=isr the
 *  owner holds them back, so nothing is answered here before it is in sync there.
 *
 *  A refusal (-MOVED, -TRYAGAIN, -CLUSTERDOWN) means "not executed", and the owner goes on refusing
 *  that partition on that link until INGOT.RESUME. So whatever was sent behind a refused command is
 *  refused as well, and everything for that partition lines up here, in order, until the map
 *  changes or RETRY_MS pass. So does what never left, because its owner could not be reached.
 *  A partition that changes its owner while commands are on their way to
 *  the old one is the other case: `overtakes` tells, and the client's next command waits for their
 *  replies.
 *  A client's commands to one partition therefore never overtake each other.
 *  Bounds: a command is tried for --failover-wait after its first refusal, or after it first could
 *  not leave; WAITING_BYTES_MAX for one node line up, then callers wait (link-queue.ts); a command that may have
 *  been executed is never sent again. */

import { Buffer } from 'node:buffer';
import { Counter, type WorkerCounters } from '../metrics/layout.ts';
import type { Args } from '../resp/args.ts';
import type { ClusterMap, MapNode } from '../shared/map.ts';
import { ACKS } from '../shared/settings.ts';
import type { ClientAuth } from './client-auth.ts';
import type { LimitWatch } from './limit-watch.ts';
import { ForwardedBatch, type PassingClient } from './forwarded-batch.ts';
import { errorLine, ForwardedCall } from './forwarded-call.ts';
import type { ForwardedReplies } from './forwarded-replies.ts';
import { LINK_WAIT_MS_MIN, LinkQueue, type LinkWaiter } from './link-queue.ts';
import { encode, type LinkMode, LONG_READ_BYTES, PeerLink } from './peer-link.ts';
import type { ReplySink } from './reply-queue.ts';
import { DOWN_TEXT } from './routing.ts';

export const RETRY_MS = 25;
export const WAITING_BYTES_MAX: number = 16 * 1024 * 1024;
/** Nobody listens where the owner should be. */
const RECONNECT_MS = 100;

const UNSETTLED_TEXT = 'CLUSTERDOWN the partition of this key found no owner in time';

/** On whose behalf commands travel. */
export interface ForwardingClient extends LinkMode {
  readonly id: number;
  /** Nobody reads its replies any more. */
  readonly gone: boolean;
  /** Partitions whose commands go by links of its own. */
  ownLinks: Set<number> | null;
}

/** What forwarding needs of the worker. */
export interface ForwardingHost {
  readonly nodeId: string;
  readonly auth: ClientAuth;
  readonly map: ClusterMap;
  readonly counters: WorkerCounters;
  readonly limits: LimitWatch;
  /** Commands wait so long for an owner. */
  readonly settings: { readonly failoverWaitMs: number };
  monotonicMs(): number;
}

/** A command that waits for its partition to settle. */
interface WaitingCommand {
  readonly command: Buffer;
  readonly client: ForwardingClient;
  readonly isOwn: boolean;
  readonly sink: ReplySink;
  readonly refusedSinceMs: number;
}

/** Of a command, on a link that many clients share. */
export const LINK_COMMAND_BYTES_MAX: number = 128 * 1024;
/** So much waits for the end of the turn, on one link. */
const FLUSH_BYTES: number = 64 * 1024;
/** Replies wait so long for those behind them in the same batch. */
const PART_MS = 1;

/** The link to the owner of a partition. */
interface Lane {
  readonly nodeId: string;
  readonly link: PeerLink;
}

/** A link of one client that carries nothing is closed after so long. */
const OWN_IDLE_MS = 2_000;

export class Forwarding {
  private readonly host: ForwardingHost;
  private readonly links: Map<string, PeerLink> = new Map();
  /** By client. */
  private readonly ownLinks: Map<number, Map<string, PeerLink>> = new Map();
  private readonly waiting: Map<number, WaitingCommand[]> = new Map();
  /** By the node that they were sent to last. */
  private readonly waitingBytes: Map<string, number> = new Map();
  private readonly receiveBuffer: Buffer = Buffer.allocUnsafeSlow(LONG_READ_BYTES);
  /** Clients that wait for a full link. */
  readonly queue: LinkQueue;
  /** Per partition: commands on their way or waiting here, and the node that got the latest. */
  private readonly unsettled: Int32Array;
  private readonly sentTo: string[] = [];
  /** By partition and mode, as the map below says; null: nobody else leads it. */
  private lanes: (Lane | null | undefined)[] = [];
  private lanesMap: ClusterMap | null = null;
  /** Commands that have been passed on and not been counted. */
  private passed = 0;
  private flushScheduled = false;
  /** Batches that have some of their replies, and have not let them leave. */
  private parts: { client: PassingClient; replies: ForwardedReplies }[] = [];
  private retryTimer: NodeJS.Timeout | null = null;
  private closed = false;

  constructor(host: ForwardingHost, partitions: number) {
    this.host = host;
    this.queue = new LinkQueue(Math.max(host.settings.failoverWaitMs, LINK_WAIT_MS_MIN));
    this.unsettled = new Int32Array(partitions);
  }

  /** Commands about this partition have no reply yet, and were sent to another node than `to`. */
  overtakes(partitionId: number, to: string): boolean {
    return this.unsettled[partitionId] > 0 && this.sentTo[partitionId] !== to;
  }

  /** False when the link to this node has all it may hold, or too much waits for it here: the queue is told once
   *  there is room. */
  hasRoom(node: MapNode, mode: LinkMode): boolean {
    const waitingBytes = this.waitingBytes.get(node.id) ?? 0;
    return waitingBytes < WAITING_BYTES_MAX && !this.link(node, mode).full;
  }

  /** Sends arguments [from ..) of `args`, after `name` unless null, to the owner of the partition.
   *  `sink` gets exactly one reply. */
  forward(
    node: MapNode,
    client: ForwardingClient,
    partitionId: number,
    name: string | null,
    args: Args,
    from: number,
    sink: ReplySink,
  ): void {
    this.host.counters.add(Counter.forwarded, 1);
    this.unsettled[partitionId]++;
    const isOwn = client.ownLinks?.has(partitionId) === true;
    if (!this.waiting.has(partitionId)) {
      const link = isOwn ? this.ownLink(node, client) : this.link(node, client);
      this.sentTo[partitionId] = node.id;
      link.resume(partitionId);
      const call = new ForwardedCall(this, link, client, partitionId, sink, 0);
      const isLong = args.span > LINK_COMMAND_BYTES_MAX;
      if (isOwn && isLong && name === null && from === 0) link.lendArgs(args, call);
      else link.sendArgs(name, args, from, call);
      return;
    }
    const parts: Uint8Array[] = name === null ? [] : [Buffer.from(name)];
    for (let i = from; i < args.count; i++) parts.push(args.copy(i));
    this.wait(partitionId, {
      command: encode(parts),
      client,
      isOwn,
      sink,
      refusedSinceMs: this.host.monotonicMs(),
    });
  }

  /** Sends a command as it was received, buffer[start .. end), to the owner of its partition, which is not led here. False,
   *  and nothing was done, where something stands in its way. */
  pass(
    client: PassingClient,
    partitionId: number,
    buffer: Buffer,
    start: number,
    end: number,
    localBytes: number,
  ): boolean {
    if (this.waiting.size > 0 || client.ownLinks !== null) return false;
    if (end - start > LINK_COMMAND_BYTES_MAX) return false;
    const lane = this.lane(partitionId, client);
    if (lane === null || this.overtakes(partitionId, lane.nodeId)) return false;
    const { link } = lane;
    if (link.full || link.refusing.has(partitionId)) return false;
    this.queue.leave(client);
    const place = client.expectForwarded(localBytes);
    const replies = client.forwarded as ForwardedReplies;
    let batch = link.open;
    if (!(batch instanceof ForwardedBatch) || batch.replies !== replies) {
      batch = new ForwardedBatch(this, link, client, replies);
      link.begin(batch);
    }
    const at = link.append(buffer, start, end);
    (batch as ForwardedBatch).add(partitionId, place, at, at + end - start);
    this.unsettled[partitionId]++;
    this.sentTo[partitionId] = lane.nodeId;
    this.passed++;
    if (link.unsentBytes > FLUSH_BYTES) link.flush();
    return true;
  }

  private lane(partitionId: number, mode: LinkMode): Lane | null {
    const { map } = this.host;
    if (map !== this.lanesMap) {
      this.lanesMap = map;
      this.lanes = [];
    }
    const at = partitionId * 2 * ACKS.length + mode.awaits * 2 + mode.protocol - 2;
    const known = this.lanes[at];
    if (known !== undefined) return known;
    const owner = this.owner(partitionId);
    const elsewhere = owner !== null && owner.id !== this.host.nodeId;
    const lane = elsewhere ? { nodeId: owner.id, link: this.link(owner, mode) } : null;
    this.lanes[at] = lane;
    return lane;
  }

  /** The first replies of a batch leave soon, even if the others do not come. */
  awaitRest(client: PassingClient, replies: ForwardedReplies): void {
    replies.awaited = true;
    if (this.parts.push({ client, replies }) === 1) setTimeout(() => this.flushParts(), PART_MS);
  }

  private flushParts(): void {
    const { parts } = this;
    this.parts = [];
    for (const { client, replies } of parts) {
      replies.awaited = false;
      if (!replies.complete) client.flushPart();
    }
  }

  /** From now on the client's commands for this partition travel on a link of its own: no reply to one is due, or all
   *  of them go there. */
  useOwnLink(client: ForwardingClient, partitionId: number): void {
    client.ownLinks ??= new Set();
    client.ownLinks.add(partitionId);
  }

  /** Its connection has ended. */
  forget(client: ForwardingClient & LinkWaiter): void {
    this.queue.leave(client);
    for (const link of this.ownLinks.get(client.id)?.values().toArray() ?? []) link.close();
    this.ownLinks.delete(client.id);
  }

  /** Sends a command that is about no partition. A refusal goes to `sink` like any reply. */
  ask(node: MapNode, client: ForwardingClient, command: Buffer, sink: ReplySink): void {
    const link = this.link(node, client);
    link.send(command, new ForwardedCall(this, link, client, -1, sink, 0));
  }

  /** At the end of this turn of the event loop: what all batches of a turn have forwarded leaves in one write per link. */
  flushSoon(): void {
    if (this.flushScheduled) return;
    if (!this.hasUnsent()) return;
    this.flushScheduled = true;
    setImmediate(() => {
      this.flushScheduled = false;
      this.flush();
    });
  }

  private hasUnsent(): boolean {
    // Asked after each batch, also where nothing is forwarded.
    const { links, ownLinks } = this;
    if (links.size > 0) for (const link of links.values()) if (link.unsentBytes > 0) return true;
    if (ownLinks.size === 0) return false;
    for (const own of ownLinks.values()) {
      for (const link of own.values()) if (link.unsentBytes > 0) return true;
    }
    return false;
  }

  /** One write per link for everything that is forwarded. */
  flush(): void {
    if (this.passed > 0) {
      this.host.counters.add(Counter.forwarded, this.passed);
      this.passed = 0;
    }
    for (const link of this.links.values()) link.flush();
    for (const links of this.ownLinks.values()) for (const link of links.values()) link.flush();
  }

  private allLinks(): PeerLink[] {
    return [this.links, ...this.ownLinks.values()].flatMap((links) => [...links.values()]);
  }

  /** A new map: nodes that are down take no commands, and refused ones may have an owner again. */
  mapChanged(): void {
    const up = new Set(this.host.map.nodes.filter(isUp).map(({ id }) => id));
    for (const links of [this.links, ...this.ownLinks.values()]) {
      for (const [key, link] of [...links]) {
        if (!up.has(key.slice(0, key.indexOf('/')))) link.close();
      }
    }
    this.retry();
  }

  /** Called a few times per second. */
  tick(nowMs: number): void {
    for (const link of this.allLinks()) link.checkPatience(nowMs);
    this.queue.expire(nowMs);
    for (const links of this.ownLinks.values()) {
      for (const link of [...links.values()]) link.closeIdle(nowMs - OWN_IDLE_MS);
    }
  }

  /** Links that break from here on are not replaced. */
  close(): void {
    this.closed = true;
    if (this.retryTimer !== null) clearTimeout(this.retryTimer);
    for (const link of this.allLinks()) link.close();
  }

  /** The owner said that it did not execute `call`; nor will it execute what was sent after it. */
  refused(call: ForwardedCall, isLong: boolean): void {
    const { link, partitionId } = call;
    link.refusing.add(partitionId);
    // Its client's later commands come behind it there: all of them are refused here.
    if (isLong) this.useOwnLink(call.client, partitionId);
    const refused = [call, ...(link.callsOf(partitionId) as ForwardedCall[])];
    for (const each of refused) if (!each.settled) this.lineUp(each);
    if (isLong) setImmediate(() => this.retry());
    else this.retryIn(RETRY_MS);
  }

  /** A command about this partition has all of its reply. */
  settled(partitionId: number): void {
    if (partitionId >= 0) this.unsettled[partitionId]--;
  }

  /** A command about this partition has its reply. */
  settle(partitionId: number, sink: ReplySink, reply: Buffer): void {
    this.settled(partitionId);
    sink.settle(reply);
  }

  /** The link broke before `call` left: nothing was executed. */
  notSent(call: ForwardedCall): void {
    if (this.closed) {
      this.settle(call.partitionId, call.sink, errorLine(DOWN_TEXT));
      return;
    }
    this.lineUp(call);
    this.retryIn(RECONNECT_MS);
  }

  private lineUp(call: ForwardedCall): void {
    call.settled = true;
    this.wait(call.partitionId, {
      command: call.link.commandOf(call),
      client: call.client,
      isOwn: call.client.ownLinks?.has(call.partitionId) === true,
      sink: call.sink,
      refusedSinceMs: call.refusedSinceMs || this.host.monotonicMs(),
    });
  }

  private wait(partitionId: number, command: WaitingCommand): void {
    const waiting = this.waiting.get(partitionId);
    if (waiting === undefined) this.waiting.set(partitionId, [command]);
    else waiting.push(command);
    const node = this.sentTo[partitionId];
    const bytes = (this.waitingBytes.get(node) ?? 0) + command.command.length;
    this.waitingBytes.set(node, bytes);
  }

  private retryIn(ms: number): void {
    if (!this.closed) this.retryTimer ??= setTimeout(() => this.retry(), ms);
  }

  private retry(): void {
    if (this.retryTimer !== null) clearTimeout(this.retryTimer);
    this.retryTimer = null;
    const batches = [...this.waiting];
    this.waiting.clear();
    this.waitingBytes.clear();
    for (const [partitionId, commands] of batches) this.retryPartition(partitionId, commands);
    this.flush();
    if (batches.length > 0) this.queue.giveRoom();
  }

  private retryPartition(partitionId: number, commands: readonly WaitingCommand[]): void {
    const owner = this.owner(partitionId);
    const nowMs = this.host.monotonicMs();
    for (const waiting of commands) {
      const { command, client, isOwn, sink, refusedSinceMs } = waiting;
      if (nowMs - refusedSinceMs > this.host.settings.failoverWaitMs) {
        const text = owner === null ? DOWN_TEXT : UNSETTLED_TEXT;
        this.settle(partitionId, sink, errorLine(text));
      } else if (isOwn && client.gone) {
        // A link of its own would stay for ever.
        this.settle(partitionId, sink, errorLine(DOWN_TEXT));
      } else if (owner === null) {
        this.wait(partitionId, waiting);
        this.retryIn(RECONNECT_MS);
      } else {
        this.sentTo[partitionId] = owner.id;
        const link = isOwn ? this.ownLink(owner, client) : this.link(owner, client);
        const call = new ForwardedCall(this, link, client, partitionId, sink, refusedSinceMs);
        link.resume(partitionId);
        link.send(command, call);
      }
    }
  }

  private owner(partitionId: number): MapNode | null {
    const { map } = this.host;
    const primary = map.placement[partitionId]?.primary;
    return map.nodes.find((node) => node.id === primary && node.state === 'up') ?? null;
  }

  private link(node: MapNode, mode: LinkMode): PeerLink {
    return this.linkOf(this.links, node, mode, false);
  }

  private ownLink(node: MapNode, client: ForwardingClient): PeerLink {
    let links = this.ownLinks.get(client.id);
    if (links === undefined) {
      links = new Map();
      this.ownLinks.set(client.id, links);
    }
    return this.linkOf(links, node, client, true);
  }

  private linkOf(
    links: Map<string, PeerLink>,
    node: MapNode,
    mode: LinkMode,
    isOwn: boolean,
  ): PeerLink {
    const key = `${node.id}/${mode.protocol}/${mode.awaits}`;
    let link = links.get(key);
    if (link === undefined) {
      link = new PeerLink({
        isOwn,
        receiveBuffer: this.receiveBuffer,
        host: node.advertise,
        port: node.ports.cluster,
        mode: modeOf(mode),
        proof: (nonce) => this.host.auth.proof(nonce),
        nowMs: () => this.host.monotonicMs(),
        onClose: () => {
          links.delete(key);
          this.lanesMap = null;
        },
        onRoom: () => this.queue.giveRoom(),
        onSilent: () => this.host.limits.strike('linkSilence', null, { peer: node.id }),
      });
      links.set(key, link);
    }
    return link;
  }
}

function modeOf({ protocol, awaits }: LinkMode): LinkMode {
  return { protocol, awaits };
}

function isUp(node: MapNode): boolean {
  return node.state === 'up';
}
