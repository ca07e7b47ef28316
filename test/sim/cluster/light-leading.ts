/** The followers of the copies that a simulated process leads: what `Leading` of @ingot/replication does, over lists
 *  instead of bytes. Who is waited for, and how far they all are, is worked out by the product's own InSync. */
import {
  AckBoard,
  type FollowerReplicationStatus,
  type PartitionReplicationStatus,
  type PendingMembers,
} from '@ingot/replication';
import { InSync } from '../../../packages/replication/src/in-sync.ts';
import { NodeState } from '../../../packages/replication/src/node-state.ts';
import type { MemberLife, PartitionView } from '../../../packages/replication/src/view.ts';
import type { SimProcess } from './host.ts';
import type { Entry, LightCopy } from './light-copy.ts';
import type { LightLink, LinkEnd } from './light-link.ts';

/** More entries than these are not in the ring any more. */
const ringEntries = 40;
const bulkMsMax = 1_500;
const checkMsMax = 300;
const gatherMsMax = 2;
const stallMs = 1_000;
const bulkWaitMs = 40;

/** What a follower says when it connects. */
export interface LightHello {
  readonly node: string;
  readonly incarnation: number;
  readonly partition: number;
  readonly epoch: number;
  readonly checked: boolean;
  /** May be streamed to. */
  readonly consistent: boolean;
  readonly seq: number;
  readonly history: LightCopy['history'];
}

/** What a primary sends. */
export interface LightFollower {
  begin(commonSeq: number): void;
  entries(epoch: number, fromSeq: number, entries: readonly Entry[]): void;
  /** The bulk is over: consistent from here on. */
  end(seq: number): void;
  checked(): void;
}

export class LightSession implements LinkEnd {
  readonly process: SimProcess;
  readonly hello: LightHello;
  readonly link: LightLink;
  readonly #leading: LightLeading;
  readonly #follower: LightFollower;
  readonly #copy: LightCopy;
  state: 'bulk' | 'checking' | 'streaming' = 'streaming';
  /** -1: nothing it says counts yet. */
  confirmedSeq = -1;
  leaving = false;
  sentSeq: number;
  #flushing = false;
  /** Since when it owes an acknowledgement. */
  #owesSinceMs: number | null = null;

  constructor(leading: LightLeading, hello: LightHello, follower: LightFollower, link: LightLink) {
    this.process = leading.process;
    this.#leading = leading;
    this.hello = hello;
    this.link = link;
    this.#follower = follower;
    this.#copy = leading.copy(hello.partition);
    this.sentSeq = hello.seq;
  }

  start(): void {
    const { hello } = this;
    const common = this.#copy.commonWith(hello.seq, hello.history);
    const isPart = common === hello.seq && hello.consistent;
    if (isPart && this.#copy.seq - common <= ringEntries) {
      this.sentSeq = common;
      if (hello.checked) this.flushSoon();
      else this.#check();
      return;
    }
    this.state = 'bulk';
    this.sentSeq = common;
    this.wantBulk();
  }

  /** It may be all that is left of what was acknowledged: a map without it comes first. */
  wantBulk(): void {
    const { partition, node, incarnation } = this.hello;
    this.leaving = this.#leading.inSync.isAwaited(partition, node, incarnation);
    if (this.leaving) {
      this.process.host.world.trace.count('bulks that waited until the map was without the member');
      return;
    }
    const common = this.sentSeq;
    this.#send(() => this.#follower.begin(common));
    this.process.host.world.trace.count('bulks');
    this.process.later(this.process.host.world.random.next() * bulkMsMax, () => {
      const { seq } = this.#copy;
      this.#sendEntries(seq);
      this.#send(() => this.#follower.end(seq));
      this.#check();
    });
  }

  #check(): void {
    this.state = 'checking';
    this.flushSoon();
    this.process.later(bulkWaitMs + this.process.host.world.random.next() * checkMsMax, () => {
      this.#send(() => this.#follower.checked());
      this.state = 'streaming';
      this.#leading.moved(this.hello.partition);
    });
  }

  flushSoon(): void {
    if (this.#flushing || this.state === 'bulk') return;
    this.#flushing = true;
    this.process.later(this.process.host.world.random.next() * gatherMsMax, () => {
      this.#flushing = false;
      this.#sendEntries(this.#copy.seq);
    });
  }

  #sendEntries(upTo: number): void {
    if (!this.link.open || upTo <= this.sentSeq) return;
    const from = this.sentSeq;
    const entries = this.#copy.entries.slice(from, upTo);
    this.sentSeq = upTo;
    this.#owesSinceMs ??= this.process.nowMs();
    this.#send(() => this.#follower.entries(this.hello.epoch, from, entries));
  }

  acknowledged(seq: number): void {
    this.confirmedSeq = seq;
    this.#owesSinceMs = seq >= this.sentSeq ? null : this.process.nowMs();
    this.#leading.moved(this.hello.partition);
  }

  get stalled(): boolean {
    return this.#owesSinceMs !== null && this.process.nowMs() - this.#owesSinceMs > stallMs;
  }

  get lagSeconds(): number {
    return this.#owesSinceMs === null ? 0 : (this.process.nowMs() - this.#owesSinceMs) / 1_000;
  }

  closed(): void {
    this.#leading.ended(this);
  }

  close(): void {
    this.link.close(this);
  }

  #send(arrives: () => void): void {
    this.link.send(this, arrives);
  }
}

export class LightLeading {
  readonly process: SimProcess;
  readonly state: NodeState;
  readonly board: AckBoard;
  readonly inSync: InSync;
  readonly copy: (partition: number) => LightCopy;
  readonly #sessions = new Map<string, LightSession>();
  /** Acknowledgements, or the map, have changed. */
  onMoved: () => void = () => {};

  constructor(
    process: SimProcess,
    partitions: number,
    incarnation: number,
    copy: (partition: number) => LightCopy,
  ) {
    this.process = process;
    this.copy = copy;
    this.board = AckBoard.create(partitions, 1);
    this.state = new NodeState({
      nodeId: process.host.id,
      incarnation,
      clusterId: 'simulated',
      log: () => undefined,
      nowMs: process.nowMs,
      board: this.board,
    });
    this.inSync = new InSync(
      this.state,
      this.board,
      (partition, life) => this.#confirmedSeq(partition, life),
      (partition) => this.#followersOf(partition).map((node) => this.#seqOf(partition, node)),
    );
  }

  configure(views: readonly PartitionView[], incarnations: Record<string, number>): void {
    const { state } = this;
    state.views.clear();
    state.partitions.clear();
    for (const view of views) {
      state.views.set(view.id, view);
      state.partitions.set(view.id, this.copy(view.id) as never);
    }
    state.incarnations = incarnations;
    for (const session of this.#sessions.values()) {
      if (!this.#isNamed(session.hello)) session.close();
    }
    this.inSync.update();
    this.#letLeaversGo();
    this.onMoved();
  }

  #isNamed({ partition, epoch, node, incarnation }: LightHello): boolean {
    const view = this.state.views.get(partition);
    if (view === undefined || !this.state.leads(partition) || view.epoch !== epoch) return false;
    return view.followers.includes(node) && this.state.incarnations[node] === incarnation;
  }

  /** False: not welcome, or not yet. */
  welcomes(hello: LightHello): boolean {
    return this.#isNamed(hello);
  }

  begin(session: LightSession): void {
    const key = keyOf(session.hello.partition, session.hello.node);
    this.#sessions.get(key)?.close();
    this.#sessions.set(key, session);
    session.start();
  }

  ended(session: LightSession): void {
    const key = keyOf(session.hello.partition, session.hello.node);
    session.confirmedSeq = -1;
    if (this.#sessions.get(key) === session) this.#sessions.delete(key);
    this.moved(session.hello.partition);
  }

  moved(partition: number): void {
    this.inSync.moved(partition);
    this.onMoved();
  }

  written(partition: number): void {
    for (const session of this.#sessions.values()) {
      if (session.hello.partition === partition) session.flushSoon();
    }
  }

  ackedBy(partition: number, node: string): number {
    return this.#seqOf(partition, node);
  }

  status(partition: number): readonly FollowerReplicationStatus[] {
    return this.#followersOf(partition).map((node) => {
      const session = this.#sessions.get(keyOf(partition, node));
      const ackedSeq = session?.confirmedSeq ?? 0;
      return {
        node,
        incarnation: session?.hello.incarnation ?? 0,
        state: session?.state ?? 'connecting',
        leaving: session?.leaving ?? false,
        stalled: session?.stalled ?? false,
        ackedSeq: Math.max(0, ackedSeq),
        lagSeq: Math.max(0, this.copy(partition).seq - ackedSeq),
        lagSeconds: session?.lagSeconds ?? 0,
        sync: null,
      };
    });
  }

  /** As `Leading.awaitMembers`. */
  async awaitMembers(
    kept: readonly PendingMembers[],
    joining: readonly PendingMembers[],
    timeoutMs: number,
  ): Promise<PendingMembers[]> {
    const possible = joining
      .filter(({ partition, epoch }) => this.#leadsAt(partition, epoch))
      .map((each) => this.#inStep(each));
    const pending = [...kept, ...possible];
    this.inSync.pending = pending;
    const ready: PendingMembers[] = [];
    for (const each of possible) {
      const seq = this.copy(each.partition).seq;
      this.written(each.partition);
      const has = await Promise.all(
        each.lives.map(({ node }) =>
          this.until(() => this.#seqOf(each.partition, node) >= seq, timeoutMs),
        ),
      );
      const lives = each.lives.filter((_, i) => has[i]);
      const left = this.#inStep({ ...each, lives });
      if (left.lives.length > 0) ready.push(left);
    }
    if (this.inSync.pending === pending) this.inSync.pending = [...kept, ...ready];
    this.#letLeaversGo();
    this.onMoved();
    return ready;
  }

  /** Resolves true once it holds, false after `timeoutMs`. */
  async until(holds: () => boolean, timeoutMs: number): Promise<boolean> {
    const giveUpMs = this.process.nowMs() + timeoutMs;
    while (!holds()) {
      if (this.process.nowMs() > giveUpMs) return false;
      await new Promise<void>((resolve) => {
        this.process.later(5, resolve);
      });
    }
    return true;
  }

  #leadsAt(partition: number, epoch: number): boolean {
    return this.state.leads(partition) && this.state.views.get(partition)?.epoch === epoch;
  }

  #inStep(members: PendingMembers): PendingMembers {
    const lives = members.lives.filter(({ node, incarnation }) => {
      const session = this.#sessions.get(keyOf(members.partition, node));
      return session?.hello.incarnation === incarnation && session.state === 'streaming';
    });
    return { ...members, lives };
  }

  #confirmedSeq(partition: number, { node, incarnation }: MemberLife): number {
    const session = this.#sessions.get(keyOf(partition, node));
    return session?.hello.incarnation === incarnation ? session.confirmedSeq : -1;
  }

  #seqOf(partition: number, node: string): number {
    return this.#sessions.get(keyOf(partition, node))?.confirmedSeq ?? -1;
  }

  #followersOf(partition: number): readonly string[] {
    return this.state.leads(partition) ? (this.state.views.get(partition)?.followers ?? []) : [];
  }

  #letLeaversGo(): void {
    for (const session of this.#sessions.values()) {
      if (session.leaving) session.wantBulk();
    }
  }
}

export type { PartitionReplicationStatus };

function keyOf(partition: number, node: string): string {
  return `${partition}/${node}`;
}
