/** The heartbeats of one life of this node: one every 250 ms, to the node of each acceptor that the
 *  map names, over a stream each; to its own acceptor without a network. A beat has one number,
 *  wherever it goes; what is answered to it lengthens the lease.
 *  They go out at whole quarters of a second, as far as clocks agree: a node that hears and answers
 *  all others while it is awake anyway wakes up less often. Nothing rests on that.
 *  Owner: the main thread. */
import { membersOf } from '../register/acceptor-set.ts';
import type { IngotError } from '../shared/errors.ts';
import { addressOf, type ClusterMap, type MapNode, type NodeId, nodeOf } from '../shared/map.ts';
import type { LeaseHolder } from '../lease/lease-holder.ts';
import { BeatStream } from './beat-stream.ts';
import type { ControlClient } from './control-client.ts';
import type { HeartbeatAck } from './gen/ingot_pb.ts';
import type { NodeReport } from './types.ts';

const heartbeatIntervalMs = 250;

export interface HeartbeatOptions {
  self: NodeId;
  holder: LeaseHolder;
  client: (node: MapNode) => Pick<ControlClient, 'heartbeat'>;
  report: () => NodeReport;
  wallMs: () => number;
  /** This node is one of those asked. */
  ownBeat: (report: NodeReport, beat: number) => void;
  answered: (node: NodeId, ack: HeartbeatAck) => void;
  refused: (node: NodeId, reason: IngotError) => void;
  /** A peer has begun, or ceased, to answer. */
  connected: (node: NodeId, isConnected: boolean) => void;
}

export class Heartbeats {
  readonly #options: HeartbeatOptions;
  #timer: NodeJS.Timeout | undefined;
  /** By node and address. */
  readonly #streams = new Map<string, BeatStream>();
  #beatsItself = false;

  constructor(options: HeartbeatOptions) {
    this.#options = options;
    this.#beatLater();
  }

  /** The acceptors of this map are asked from now on. */
  follow(map: ClusterMap): void {
    const nodes = new Set(membersOf(map.acceptors).map(({ node }) => node));
    const beatItself = this.#beatsItself;
    this.#beatsItself = nodes.delete(this.#options.self);
    const listed = [...nodes].flatMap((node) => nodeOf(map, node) ?? []);
    const wanted = new Map(listed.map((node) => [keyOf(node), node]));
    for (const [key, stream] of this.#streams) {
      if (wanted.delete(key)) continue;
      stream.stop();
      this.#streams.delete(key);
    }
    for (const node of wanted.values()) this.#open(node);
    if (this.#beatsItself && !beatItself) this.beat();
  }

  /** Sends one now; the interval does so otherwise. Returns its number. */
  beat(): number {
    const report = this.#options.report();
    const beat = this.#options.holder.sent();
    for (const stream of this.#streams.values()) stream.send(report, beat);
    if (this.#beatsItself) this.#options.ownBeat(report, beat);
    return beat;
  }

  stop(): void {
    clearTimeout(this.#timer);
    for (const stream of this.#streams.values()) stream.stop();
    this.#streams.clear();
  }

  #beatLater(): void {
    this.#timer = setTimeout(() => {
      this.#beatLater();
      this.beat();
    }, nextBeatMs(this.#options.wallMs()));
  }

  #open(node: MapNode): void {
    const { client, holder, report, answered, refused, connected } = this.#options;
    const stream = new BeatStream({
      client: client(node),
      opened: () => stream.send(report(), holder.sent()),
      answered: (ack) => answered(node.id, ack),
      refused: (reason) => refused(node.id, reason),
      connected: (isConnected) => connected(node.id, isConnected),
    });
    this.#streams.set(keyOf(node), stream);
    stream.start();
  }
}

/** Until the next whole quarter of a second; the one after it where that is too soon. */
export function nextBeatMs(wallMs: number): number {
  const leftMs = heartbeatIntervalMs - (wallMs % heartbeatIntervalMs);
  return leftMs < heartbeatIntervalMs / 5 ? leftMs + heartbeatIntervalMs : leftMs;
}

const keyOf = (node: MapNode): string => `${node.id}@${addressOf(node, 'control')}`;
