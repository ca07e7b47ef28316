/** The follower's end of a connection: feeds what arrives to the follower machine and performs what it asks for.
 *
 *  Stands where `FollowerConnection` stands in a node. After every frame it tells the copy's judge what came. */
import {
  ACK,
  BEGIN,
  CHECKED,
  CHUNK,
  decodeWelcome,
  END,
  Follower,
  type FollowerAction,
  type FrameHeader,
  frameName,
  FrameReader,
  type FrameSink,
  type Hello,
  offerCopy,
  WELCOME,
} from '@ingot/replication';
import { CLUSTER_ID, type Connection, type End, type Frame } from './connection.ts';
import type { SimCopy } from './copy.ts';
import type { SimNode } from './node.ts';
import type { Thread } from './scheduler.ts';
import type { Timeline } from './timeline.ts';
import { Broken } from './trace.ts';

export class FollowerEnd implements End, FrameSink {
  readonly copy: SimCopy;
  readonly thread: Thread;
  readonly connection: Connection;
  readonly epoch: number;
  /** The node at the other end, and what it writes. */
  readonly primary: string;
  readonly timeline: Timeline;
  heardMs: number;
  ended = false;
  /** The payload at hand is a chunk's, and some of it has landed. */
  landing = false;
  /** A BEGIN has come and nothing since. */
  #begun = false;
  readonly #node: SimNode;
  readonly #follower: Follower;
  readonly #reader = new FrameReader(this);
  readonly #hello: Hello;

  constructor(
    node: SimNode,
    copy: SimCopy,
    to: { connection: Connection; primary: string; epoch: number; timeline: Timeline },
  ) {
    this.#node = node;
    this.copy = copy;
    this.thread = node.replication;
    this.connection = to.connection;
    this.primary = to.primary;
    this.epoch = to.epoch;
    this.timeline = to.timeline;
    this.heardMs = node.clockMs();
    const { id: nodeId, incarnation, buffers } = node;
    const { partition } = copy;
    const { resumption } = copy;
    const { epoch } = to;
    // A follower that feeds it waits until it is as far as the primary is now.
    const isFed = node.world.node(to.primary)?.copy(partition.id).leads === false;
    const atLeastSeq = isFed ? to.timeline.nowSeq : 0;
    const greeter = { clusterId: CLUSTER_ID, nodeId, incarnation };
    const offered = { resumption: resumption.current, epoch, atLeastSeq };
    this.#hello = offerCopy(partition, greeter, offered);
    if (!partition.consistent() && partition.offer().base === null && this.#hello.base !== null) {
      copy.trace.count('first bulks gone on with');
    }
    this.#follower = new Follower({ partition, epoch, hello: this.#hello, buffers, resumption });
  }

  start(): void {
    this.#perform(this.#follower.start(this.#node.clockMs()));
  }

  received(piece: Buffer): void {
    if (this.ended) return;
    this.copy.reader.step();
    const broken = this.#reader.push(piece);
    if (broken !== null) this.close(broken);
    if (this.#node.random.chance(0.5)) this.copy.reader.step();
  }

  place(header: FrameHeader): Buffer | string {
    const place = this.#follower.place(header);
    if (typeof place !== 'string') this.#touched();
    this.landing = typeof place !== 'string';
    if (this.landing && header.type === CHUNK && this.copy.partition.consistent()) {
      throw new Broken('raw', `chunk ${header.chunk} of ${this.copy.name}`);
    }
    return place;
  }

  frame(header: FrameHeader, payload: Buffer): string | null {
    if (this.ended) return 'the connection has ended';
    this.landing = false;
    this.heardMs = this.#node.clockMs();
    if (header.type === WELCOME) this.#welcomed(payload);
    const { partition } = this.copy;
    const seqBefore = partition.stats().seq;
    const actions = this.#follower.step(header, payload, this.heardMs);
    if (partition.epoch() !== this.epoch && partition.stats().seq !== seqBefore) {
      throw new Broken('epoch', `${this.copy.name} of ${this.primary}, epoch ${this.epoch}`);
    }
    const dropped = actions.find((action) => action.kind === 'drop');
    if (dropped === undefined) {
      this.#touched();
      this.#came(header);
    }
    if (header.type === CHUNK) this.#inheritFlips();
    this.copy.judge();
    this.#node.wake(partition.id);
    this.#perform(actions);
    return this.ended ? 'the connection has ended' : null;
  }

  /** Where the copy stands now, as its judge must know it. */
  #came({ type, seq }: FrameHeader): void {
    const { copy } = this;
    if (type === WELCOME || type === BEGIN || type === END || type === CHECKED) {
      this.#node.world.note(`${copy.name} gets ${frameName(type)}, seq ${seq}`);
    }
    if (type === BEGIN) this.#begun = true;
    if (type === END) copy.consistentFrom = seq;
    if (type === CHECKED) copy.checksPassed();
  }

  /** A relay passes on what was flipped in it. */
  #inheritFlips(): void {
    const { copy, primary } = this;
    const source = this.#node.world.node(primary)?.copy(copy.partition.id);
    if (source === undefined || source.leads) return;
    for (const chunk of source.tainted.keys()) copy.tainted.set(chunk, 'in memory');
  }

  /** What follows a BEGIN is the first to touch the copy. */
  #touched(): void {
    if (!this.#begun) return;
    this.#begun = false;
    this.copy.bulkBegins();
    this.copy.follow(this.timeline);
  }

  #welcomed(payload: Buffer): void {
    const welcome = decodeWelcome(payload);
    if (typeof welcome === 'string') return;
    const { kind, reason } = welcome;
    const { copy, timeline } = this;
    copy.trace.count(`sync: ${kind}, ${reason}`);
    const { syncs } = this.#node.world;
    syncs.set(`${copy.name} ${kind}`, (syncs.get(`${copy.name} ${kind}`) ?? 0) + 1);
    if (kind === 'stream') copy.follow(timeline);
    if (kind !== 'full') return;
    const shares = copy.timeline !== null && timeline.sharesEpochWith(copy.timeline);
    if (this.#hello.base === null || !shares) return;
    throw new Broken('full', `${copy.name} of ${this.primary}: ${reason}`);
  }

  #acknowledges({ seq }: FrameHeader): void {
    const { partition, name, timeline } = this.copy;
    const applied = partition.stats().seq;
    const isWhole = !partition.consistent() || timeline?.isWhole(seq) !== false;
    if (seq <= applied && isWhole) return;
    throw new Broken('acknowledged', `${name}: ${seq}, applied up to ${applied}`);
  }

  closed(reason: string): void {
    if (this.ended) return;
    this.ended = true;
    if (this.landing) this.copy.trace.count('connections that ended in the middle of a payload');
    this.#follower.close();
    this.#node.lost(this, reason);
  }

  close(reason: string): void {
    if (this.ended) return;
    if (this.connection.open) this.connection.cut(`follower: ${reason}`, 'follower');
    else this.closed(reason);
  }

  #perform(actions: readonly FollowerAction[]): void {
    const frames: Frame[] = [];
    for (const action of actions) {
      if (action.kind === 'send') {
        if (action.header.type === ACK) this.#acknowledges(action.header);
        frames.push(action);
      } else if (action.kind === 'dropSubscribers') {
        this.#node.dropSubscribers(this.copy.partition.id);
      } else if (action.kind === 'refused') return this.close(`refused: ${action.refusal.code}`);
      else if (action.kind === 'drop') return this.close(action.reason);
    }
    if (frames.length > 0) this.connection.toPrimary.send(frames);
  }
}
