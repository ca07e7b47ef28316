/** A simulated node: its copies, its ends of connections, its threads. A crash takes all of them; what comes back is a
 *  new life of the node with empty copies and the next incarnation. */
import {
  BulkSlots,
  type CheckAnswer,
  type ClientLoad,
  type LocalNode,
  Pacer,
  RedoBuffers,
  type ReplicationEvent,
  RingReader,
  type SyncRate,
} from '@ingot/replication';
import { type Partition, ROLE_FOLLOWER } from '@ingot/store';
import type { Random } from '../../packages/replication/src/random.fixture.ts';
import { CLUSTER_ID } from './connection.ts';
import { type CopyHost, SimCopy } from './copy.ts';
import { FollowerEnd } from './follower-end.ts';
import { type Scheduler, Thread } from './scheduler.ts';
import { Scrubbing } from './scrubbing.ts';
import type { SenderEnd } from './sender-end.ts';
import type { Trace } from './trace.ts';
import type { Placement, World } from './world.ts';

const tickMs = 60;
const retryFirstMs = 50;
const retryMaxMs = 2_000;
const silenceMaxMs = 5_000;
const syncRates: readonly SyncRate[] = ['max', 40_000_000, 5_000_000];

const noLoad = (): ClientLoad => ({ receivedBytes: 0, runs: 0, waitedMs: 0 });

/** What this node does about one partition that it follows. */
interface Following {
  end: FollowerEnd | null;
  connecting: boolean;
  retryMs: number;
  retryAtMs: number;
}

export class SimNode implements CopyHost {
  readonly id: string;
  readonly world: World;
  readonly scheduler: Scheduler;
  readonly random: Random;
  readonly trace: Trace;
  incarnation = 0;
  alive = false;
  clockAheadMs = 0;
  /** The process dies after so many steps of anything it does. */
  stepsToLive: number = Number.POSITIVE_INFINITY;
  /** Map changes do not reach it before. */
  deafUntilMs = 0;
  replication: Thread = new Thread('');
  buffers: RedoBuffers = new RedoBuffers();
  bulks: BulkSlots<SenderEnd> = newBulks();
  pacer: Pacer = new Pacer({ rate: 'max', load: noLoad });
  scrubbing: Scrubbing = new Scrubbing(this);
  /** What it knows of the map, by partition. */
  views: Placement[] = [];
  sessions = new Map<string, SenderEnd>();
  readonly #rings = new WeakMap<Partition, RingReader>();
  #copies: SimCopy[] = [];
  #following: Following[] = [];

  constructor(id: string, world: World) {
    this.id = id;
    this.world = world;
    this.scheduler = world.scheduler;
    this.random = world.random;
    this.trace = world.trace;
  }

  // ------------------------------------------------------------ life

  /** A new process with empty copies. */
  start(): void {
    this.incarnation++;
    this.alive = true;
    this.stepsToLive = Number.POSITIVE_INFINITY;
    this.replication = new Thread(`${this.id} replication`);
    this.buffers = new RedoBuffers();
    this.bulks = newBulks();
    const rate = syncRates[this.random.below(syncRates.length)];
    this.pacer = new Pacer({ rate, load: noLoad });
    this.scrubbing = new Scrubbing(this);
    this.sessions = new Map();
    const { geometry, partitions, trace, random } = this.world;
    this.#copies = Array.from({ length: partitions }, (_, partition) => {
      const writer = new Thread(`${this.id} writer ${partition}`);
      const copy = new SimCopy(this, partition, geometry, { trace, random, writer });
      copy.partition.onStep = (step) => this.world.insidePassage(this, copy, step);
      return copy;
    });
    this.#following = this.#copies.map(() => ({
      end: null,
      connecting: false,
      retryMs: retryFirstMs,
      retryAtMs: 0,
    }));
    this.views = [];
    this.#tickSoon(this.random.next() * tickMs);
  }

  /** Everything of the process ends here; its peers learn of it from their connections. */
  die(): void {
    this.alive = false;
    for (const thread of this.threads()) thread.dead = true;
    for (const session of this.sessions.values())
      session.connection.cut('the process died', 'network');
    for (const { end } of this.#following) end?.connection.cut('the process died', 'network');
  }

  threads(): Thread[] {
    return [this.replication, ...this.#copies.map(({ writer }) => writer)];
  }

  get copies(): readonly SimCopy[] {
    return this.#copies;
  }

  copy(partition: number): SimCopy {
    return this.#copies[partition];
  }

  clockMs(): number {
    return this.scheduler.nowMs + this.clockAheadMs;
  }

  latestClockMs(): number {
    return this.scheduler.nowMs + this.world.clockAheadMsMax;
  }

  // ------------------------------------------------------------ following

  #tickSoon(delayMs: number): void {
    this.scheduler.after(delayMs, this.replication, () => {
      this.#tick();
      this.#tickSoon(tickMs * (0.5 + this.random.next()));
    });
  }

  #tick(): void {
    const nowMs = this.clockMs();
    for (const session of this.sessions.values()) session.tick(nowMs);
    this.scrubbing.tick(nowMs);
    this.#following.forEach((following, partition) => {
      const { end } = following;
      if (end !== null && nowMs - end.heardMs > silenceMaxMs) end.close('the primary went silent');
      if (following.end === null && !following.connecting && nowMs >= following.retryAtMs) {
        this.#connect(partition, following);
      }
    });
  }

  #connect(partition: number, following: Following): void {
    const view = this.views[partition];
    const copy = this.#copies[partition];
    if (view === undefined || view.primary === this.id || view.primary === null) return;
    const source = this.world.leaf === this ? this.#relay(partition) : view.primary;
    if (source === null) return;
    if (copy.partition.role() !== ROLE_FOLLOWER || copy.partition.epoch() !== view.epoch) return;
    following.connecting = true;
    const { epoch } = view;
    const link = this.world.link(this.id, source);
    this.scheduler.after(link.latencyMs * 2, this.replication, () => {
      following.connecting = false;
      if (this.views[partition] !== view) return;
      const connection = this.world.connect(this, source, partition);
      const timeline = this.world.timeline(partition, epoch);
      if (connection === null || timeline === null) return this.#retryLater(following);
      connection.connection.isVouchedFor = this.world.leaf !== this;
      connection.connection.chunkFlipped = (chunk) => copy.tainted.set(chunk, 'on the way');
      const to = { connection: connection.connection, primary: source, epoch, timeline };
      following.end = new FollowerEnd(this, copy, to);
      connection.connection.attach(following.end, connection.end);
      following.end.start();
    });
  }

  /** A follower that might serve this leaf. */
  #relay(partition: number): string | null {
    const { epoch } = this.views[partition];
    const able = this.world.members.filter((node) => {
      const { partition: copy, leads } = node.alive ? node.copy(partition) : this.copy(partition);
      return node.alive && !leads && copy.consistent() && copy.epoch() === epoch;
    });
    return able[this.random.below(able.length)]?.id ?? null;
  }

  #retryLater(following: Following): void {
    following.retryAtMs = this.clockMs() + following.retryMs;
    following.retryMs = Math.min(following.retryMs * 2, retryMaxMs);
  }

  lost(end: FollowerEnd, reason: string): void {
    this.trace.count(`follower lost its connection: ${reason.split(':')[0]}`);
    const following = this.#following[end.copy.partition.id];
    if (following?.end !== end) return;
    following.end = null;
    this.#retryLater(following);
  }

  following(partition: number): FollowerEnd | null {
    return this.#following[partition]?.end ?? null;
  }

  /** Ends what does not follow `epoch`. */
  stopFollowing(partition: number, epoch: number, reason: string): void {
    const following = this.#following[partition];
    if (following.end?.epoch === epoch) return;
    following.end?.close(reason);
    following.end = null;
    following.retryMs = retryFirstMs;
    following.retryAtMs = 0;
  }

  // ------------------------------------------------------------ leading

  asSeenByFollowers(partition: number): LocalNode {
    return {
      clusterId: CLUSTER_ID,
      incarnationOf: (nodeId) => this.world.node(nodeId)?.incarnation,
      partition: (id) => {
        const view = this.views[id];
        const copy = this.#copies[id];
        if (view === undefined || copy === undefined || id !== partition) return null;
        const { geometry } = copy.partition;
        const leads = view.primary === this.id && copy.leads;
        const relays = !copy.leads && copy.partition.consistent();
        const { leaf } = this.world;
        const followers = leads || leaf === null ? view.followers : [leaf.id];
        return { geometry, epoch: view.epoch, isPrimary: leads || relays, followers };
      },
    };
  }

  /** An admitted follower; in place of an older connection of it, whose end may not have been noticed. */
  begins(session: SenderEnd): void {
    const key = keyOf(session);
    this.sessions.get(key)?.close('the follower connected again');
    this.sessions.set(key, session);
  }

  ended(session: SenderEnd, reason: string): void {
    this.trace.count(`primary lost a connection: ${reason.split(':')[0]}`);
    this.bulks.release(session);
    if (session.copy !== null) {
      this.scrubbing.lost(session.copy, session.follower, 'the connection was lost');
    }
    if (session.copy !== null && this.sessions.get(keyOf(session)) === session) {
      this.sessions.delete(keyOf(session));
    }
  }

  /** The reader that all senders of a partition share. */
  ringOf(partition: Partition): RingReader {
    let ring = this.#rings.get(partition);
    if (ring === undefined) {
      ring = new RingReader(partition, this.buffers);
      this.#rings.set(partition, ring);
    }
    return ring;
  }

  sessionsOf(partition: number): SenderEnd[] {
    return [...this.sessions.values()].filter(({ copy }) => copy?.partition.id === partition);
  }

  /** The copy is about to be written over: nobody is sent from it any more. */
  dropSubscribers(partition: number): void {
    for (const session of this.sessionsOf(partition)) {
      this.trace.count('leaves cut off before a bulk');
      session.close('the copy here is being copied itself');
    }
  }

  stopLeading(partition: number): void {
    this.scrubbing.stop(this.copy(partition));
    for (const session of this.sessionsOf(partition))
      session.close('the map names another primary');
  }

  /** There is redo that the senders have not seen. */
  wake(partition: number): void {
    for (const session of this.sessions.values()) {
      if (session.copy?.partition.id === partition) session.stepSoon(this.random.next());
    }
  }

  logged(session: SenderEnd, { event, kind, reason }: ReplicationEvent): void {
    const what = kind === undefined ? event : `${event}: ${kind}, ${reason}`;
    this.trace.note(this.scheduler.nowMs, `${this.id} to ${session.follower} ${what}`);
    this.trace.count(`primary ${what}`);
  }

  awaitsBulk(session: SenderEnd): void {
    const { copy, follower } = session;
    if (copy !== null) this.scrubbing.lost(copy, follower, 'it is being copied again');
    this.bulks.request(session);
  }

  answered({ copy, follower }: SenderEnd, answer: CheckAnswer): void {
    const isEqual = answer.expected === answer.actual;
    this.trace.count(isEqual ? 'chunks checked' : 'chunks found different');
    if (copy !== null) this.scrubbing.answered(copy, follower, answer);
  }
}

function newBulks(): BulkSlots<SenderEnd> {
  return new BulkSlots((session) => session.step({ kind: 'bulkGranted' }));
}

function keyOf({ copy, follower }: SenderEnd): string {
  return `${copy?.partition.id}/${follower}`;
}
