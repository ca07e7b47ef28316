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
 *  not leave; WAITING_BYTES_MAX for one node line up, then callers wait; a command that may have been
 *  executed is never sent again. */

import { Buffer } from 'node:buffer';
import { Counter, type WorkerCounters } from '../metrics/layout.ts';
import type { Args } from '../resp/args.ts';
import type { ClusterMap, MapNode } from '../shared/map.ts';
import type { ClientAuth } from './client-auth.ts';
import {
  type Executed,
  encode,
  type LinkMode,
  NOTHING,
  type PeerCall,
  PeerLink,
} from './peer-link.ts';
import type { ReplySink } from './reply-queue.ts';
import { DOWN_TEXT } from './routing.ts';

export const RETRY_MS = 25;
export const WAITING_BYTES_MAX: number = 16 * 1024 * 1024;
/** Nobody listens where the owner should be. */
const RECONNECT_MS = 100;

export const UNKNOWN_TEXT: string =
  'ERR the connection to the node that owns this key broke; ' +
  'whether the command was executed is unknown';
const UNSETTLED_TEXT = 'CLUSTERDOWN the partition of this key found no owner in time';

/** On whose behalf commands travel. */
export interface ForwardingClient extends LinkMode {
  readonly id: number;
  /** Partitions whose commands go by links of its own. */
  ownLinks: Set<number> | null;
}

/** What forwarding needs of the worker. */
export interface ForwardingHost {
  readonly auth: ClientAuth;
  readonly map: ClusterMap;
  readonly counters: WorkerCounters;
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

/** A refusal of the owner that tells of a reply too long for a link of many clients. */
const LONG_WORD = '-TRYAGAIN long';
/** Of a command, on a link that many clients share. */
export const LINK_COMMAND_BYTES_MAX: number = 128 * 1024;
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
  private readonly wantRoom: Set<() => void> = new Set();
  /** Per partition: commands on their way or waiting here, and the node that got the latest. */
  private readonly unsettled: Int32Array;
  private readonly sentTo: string[] = [];
  private retryTimer: NodeJS.Timeout | null = null;
  private closed = false;

  constructor(host: ForwardingHost, partitions: number) {
    this.host = host;
    this.unsettled = new Int32Array(partitions);
  }

  /** Commands about this partition have no reply yet, and were sent to another node than `to`. */
  overtakes(partitionId: number, to: string): boolean {
    return this.unsettled[partitionId] > 0 && this.sentTo[partitionId] !== to;
  }

  /** False when the link to this node has all it may hold, or too much waits for it here: `onRoom` is
   *  called once there is room. */
  hasRoom(node: MapNode, mode: LinkMode, onRoom: () => void): boolean {
    const waitingBytes = this.waitingBytes.get(node.id) ?? 0;
    if (waitingBytes < WAITING_BYTES_MAX && !this.link(node, mode).full) return true;
    this.wantRoom.add(onRoom);
    return false;
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

  /** From now on the client's commands for this partition travel on a link of its own: no reply to one is due, or all
   *  of them go there. */
  useOwnLink(client: ForwardingClient, partitionId: number): void {
    client.ownLinks ??= new Set();
    client.ownLinks.add(partitionId);
  }

  /** Its connection has ended. */
  forget(client: ForwardingClient): void {
    for (const link of this.ownLinks.get(client.id)?.values().toArray() ?? []) link.close();
    this.ownLinks.delete(client.id);
  }

  /** Sends a command that is about no partition. A refusal goes to `sink` like any reply. */
  ask(node: MapNode, client: ForwardingClient, command: Buffer, sink: ReplySink): void {
    const link = this.link(node, client);
    link.send(command, new ForwardedCall(this, link, client, -1, sink, 0));
  }

  /** One write per link for everything a batch has forwarded. */
  flush(): void {
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
    if (batches.length > 0) this.giveRoom();
  }

  private retryPartition(partitionId: number, commands: readonly WaitingCommand[]): void {
    const owner = this.owner(partitionId);
    const nowMs = this.host.monotonicMs();
    for (const waiting of commands) {
      const { command, client, isOwn, sink, refusedSinceMs } = waiting;
      if (nowMs - refusedSinceMs > this.host.settings.failoverWaitMs) {
        const text = owner === null ? DOWN_TEXT : UNSETTLED_TEXT;
        this.settle(partitionId, sink, errorLine(text));
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
    const key = `${node.id}/${mode.protocol}/${mode.inSync}`;
    let link = links.get(key);
    if (link === undefined) {
      link = new PeerLink({
        isOwn,
        host: node.advertise,
        port: node.ports.cluster,
        mode: modeOf(mode),
        proof: (nonce) => this.host.auth.proof(nonce),
        nowMs: () => this.host.monotonicMs(),
        onClose: () => links.delete(key),
        onRoom: () => this.giveRoom(),
      });
      links.set(key, link);
    }
    return link;
  }

  private giveRoom(): void {
    const waiters = [...this.wantRoom];
    this.wantRoom.clear();
    for (const onRoom of waiters) onRoom();
  }
}

/** One command on one link. */
class ForwardedCall implements PeerCall {
  sent: Buffer = NOTHING;
  sentStart = 0;
  sentEnd = 0;
  encoded: readonly Buffer[] | null = null;
  /** Its answer has been given, or another call carries it on. */
  settled = false;

  readonly link: PeerLink;
  readonly client: ForwardingClient;
  readonly partitionId: number;
  readonly sink: ReplySink;
  /** Of a sink that takes no pieces. */
  private readonly kept: Buffer[] = [];
  private begun = false;
  /** When this command was refused, or could not leave, for the first time; 0 = it was not. */
  readonly refusedSinceMs: number;
  private readonly forwarding: Forwarding;

  constructor(
    forwarding: Forwarding,
    link: PeerLink,
    client: ForwardingClient,
    partitionId: number,
    sink: ReplySink,
    refusedSinceMs: number,
  ) {
    this.forwarding = forwarding;
    this.link = link;
    this.client = client;
    this.partitionId = partitionId;
    this.sink = sink;
    this.refusedSinceMs = refusedSinceMs;
  }

  replied(buffer: Buffer, start: number, end: number): void {
    if (this.settled) return;
    if (this.partitionId >= 0 && isRefusal(buffer, start)) {
      const isLong = buffer.toString('latin1', start, start + LONG_WORD.length) === LONG_WORD;
      this.forwarding.refused(this, isLong);
      return;
    }
    this.settled = true;
    const reply = Buffer.from(buffer.subarray(start, end));
    this.forwarding.settle(this.partitionId, this.sink, reply);
  }

  piece(bytes: Buffer, ends: boolean): void {
    if (this.settled) return;
    if (!this.begun && bytes[0] === MINUS) {
      this.replied(bytes, 0, bytes.length);
      return;
    }
    this.begun = true;
    if (this.sink.piece === undefined) {
      this.kept.push(bytes);
      if (!ends) return;
      this.settled = true;
      this.forwarding.settle(this.partitionId, this.sink, Buffer.concat(this.kept));
      return;
    }
    if (ends) {
      this.settled = true;
      this.forwarding.settled(this.partitionId);
    }
    const { link } = this;
    if (!this.sink.piece(bytes, ends, () => link.unpause())) link.pause();
  }

  failed(executed: Executed): void {
    if (this.settled) return;
    if (executed === 'no' && this.partitionId >= 0) {
      this.forwarding.notSent(this);
      return;
    }
    this.settled = true;
    const reply = errorLine(executed === 'no' ? DOWN_TEXT : UNKNOWN_TEXT);
    this.forwarding.settle(this.partitionId, this.sink, reply);
  }
}

export function errorLine(text: string): Buffer {
  return Buffer.from(`-${text}\r\n`);
}

const MINUS = 0x2d;
const REFUSALS: readonly string[] = ['-MOVED ', '-TRYAGAIN ', '-CLUSTERDOWN '];

/** The owner did not execute the command. */
export function isRefusal(reply: Buffer, start: number): boolean {
  if (reply[start] !== 0x2d) return false;
  const line = reply.toString('latin1', start, start + 13);
  return REFUSALS.some((word) => line.startsWith(word));
}

function modeOf({ protocol, inSync }: LinkMode): LinkMode {
  return { protocol, inSync };
}

function isUp(node: MapNode): boolean {
  return node.state === 'up';
}
