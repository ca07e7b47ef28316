/** A simulated cluster: nodes, links, the map, the truth. Everything that happens in it comes from one seed.
 *
 *  The map is a variable here: who is primary is decided at once, and each node learns of it in its own time. */
import { type Geometry, invariant, type MutationStep, ROLE_FOLLOWER } from '@ingot/store';
import { Random } from '../../packages/replication/src/random.fixture.ts';
import { Connection } from './connection.ts';
import type { SimCopy } from './copy.ts';
import { smallGeometry } from './geometry.ts';
import { KEYS, rawRecord } from './keys.ts';
import { Link, linkName } from './link.ts';
import { SimNode } from './node.ts';
import { ProcessDied, Scheduler, Thread } from './scheduler.ts';
import { SenderEnd } from './sender-end.ts';
import { Timeline } from './timeline.ts';
import { Broken, Trace } from './trace.ts';

export interface Placement {
  readonly epoch: number;
  readonly primary: string | null;
  readonly followers: readonly string[];
}

export interface WorldOptions {
  readonly seed: number;
  readonly nodes: number;
  readonly partitions: number;
  /** One more node, which no map names: it follows followers. */
  readonly leaf?: boolean;
  readonly print?: ((line: string) => void) | null;
}

const ringBytes = 262_144;
/** Events inside events inside events. */
const depthMax = 3;
const insideMs = 2;
const longInsideMs = 400;
const longInsideEvents = 160;
const failoverMs = 400;
const lostAfterTries = 12;

export class World {
  readonly scheduler = new Scheduler();
  readonly trace: Trace;
  readonly random: Random;
  readonly geometry: Geometry;
  readonly partitions: number;
  readonly nodes: SimNode[] = [];
  /** Those that the map names. */
  readonly members: SimNode[] = [];
  readonly leaf: SimNode | null = null;
  readonly links = new Map<string, Link>();
  readonly connections = new Set<Connection>();
  /** Faults, map changes, the hand of the test: only ever outside of passages. */
  readonly control = new Thread('control');
  map: Placement[] = [];
  clockAheadMsMax = 0;
  /** How likely it is that others come in at a step of a passage. */
  insideChance = 0.2;
  /** How often which copy was synced in which way, by "copy kind". */
  readonly syncs = new Map<string, number>();
  readonly #timelines = new Map<string, Timeline>();

  constructor({ seed, nodes, partitions, leaf = false, print = null }: WorldOptions) {
    this.random = new Random(seed);
    this.trace = new Trace(print);
    this.partitions = partitions;
    this.geometry = smallGeometry(partitions, ringBytes);
    const ids = Array.from({ length: nodes + (leaf ? 1 : 0) }, (_, i) =>
      String.fromCharCode(97 + i),
    );
    for (const a of ids) {
      for (const b of ids) if (a < b) this.links.set(linkName(a, b), new Link(a, b));
      this.nodes.push(new SimNode(a, this));
    }
    this.members = this.nodes.slice(0, nodes);
    this.leaf = this.nodes[nodes] ?? null;
    this.scheduler.beforeEvent = (thread) => this.#beforeEvent(thread);
  }

  /** All nodes start; the first ones lead the partitions. */
  found(): void {
    for (const node of this.nodes) node.start();
    this.map = Array.from({ length: this.partitions }, () => ({
      epoch: 0,
      primary: null,
      followers: this.members.map(({ id }) => id),
    }));
    this.scheduler.after(0, this.control, () => {
      this.map.forEach((_, partition) => {
        this.promote(this.members[partition % this.members.length].copy(partition));
      });
    });
  }

  note(what: string): void {
    this.trace.note(this.scheduler.nowMs, what);
  }

  node(id: string): SimNode | undefined {
    return this.nodes.find((node) => node.id === id);
  }

  nodeOf({ node: { id } }: SimCopy): SimNode {
    const node = this.node(id);
    invariant(node !== undefined, 'a copy is on a node');
    return node;
  }

  link(a: string, b: string): Link {
    const link = this.links.get(linkName(a, b));
    invariant(link !== undefined, 'there is a link between any two nodes');
    return link;
  }

  timeline(partition: number, epoch: number): Timeline | null {
    return this.#timelines.get(`${partition}/${epoch}`) ?? null;
  }

  /** A copy that leads in the newest epoch, where its node is up. */
  primaryOf(partition: number): SimCopy | null {
    const { primary } = this.map[partition];
    const node = primary === null ? undefined : this.node(primary);
    return node?.alive === true ? node.copy(partition) : null;
  }

  // ------------------------------------------------------------ connections

  connect(
    from: SimNode,
    to: string,
    partition: number,
  ): { connection: Connection; end: SenderEnd } | null {
    const link = this.link(from.id, to);
    const node = this.node(to);
    if (link.down || node === undefined || !node.alive) return null;
    const name = `${to}->${from.id}/${partition}`;
    const { scheduler, random, trace } = this;
    const connection = new Connection(name, link, { scheduler, random, trace });
    for (const old of this.connections) if (!old.open) this.connections.delete(old);
    this.connections.add(connection);
    this.note(`${name} opens`);
    return { connection, end: new SenderEnd(node, connection) };
  }

  connectionsOver(link: Link): Connection[] {
    return [...this.connections].filter(
      (connection) => connection.open && connection.link === link,
    );
  }

  // ------------------------------------------------------------ the map

  /** The copy leads from now on, in an epoch of its own; everybody else learns of it later. */
  promote(copy: SimCopy, learnMs: () => number = () => this.random.below(200)): void {
    const node = this.nodeOf(copy);
    const { id } = copy.partition;
    const epoch = this.map[id].epoch + 1;
    const { seq } = copy.partition.stats();
    const parent = copy.partition.consistent() ? copy.timeline : null;
    this.note(`${copy.name} leads in epoch ${epoch} from seq ${seq} on`);
    const timeline = new Timeline(epoch, parent, seq, copy.partition.imageBuffer);
    this.#timelines.set(`${id}/${epoch}`, timeline);
    const followers = this.members.map(({ id }) => id).filter((id) => id !== node.id);
    const placement = { epoch, primary: node.id, followers };
    this.map[id] = placement;
    node.views[id] = placement;
    copy.timeline = timeline;
    copy.consistentFrom = 0;
    copy.passedChecks = true;
    copy.inTransaction = false;
    this.trace.count(parent === null ? 'partitions that began anew' : 'promotions');
    try {
      copy.partition.promote(epoch, node.clockMs());
      node.stopLeading(id);
      node.stopFollowing(id, epoch, 'this node leads now');
      this.onLead(copy);
    } catch (error) {
      // In the midst of it; the map names it all the same.
      if (!(error instanceof ProcessDied)) throw error;
    }
    for (const other of this.nodes) if (other !== node) this.#learnLater(other, id, learnMs());
  }

  /** Called for each copy that begins to lead. */
  onLead: (copy: SimCopy) => void = () => {};

  /** The scrub has repaired a chunk of this node's copy, and with it what the copy knows of its slots. */
  repaired(partition: number, nodeId: string): void {
    const copy = this.node(nodeId)?.copy(partition);
    if (copy === undefined) return;
    if (copy.memoryFlipped) this.trace.count('bits in memory that the scrub repaired');
    copy.memoryFlipped = false;
  }

  #learnLater(node: SimNode, partition: number, delayMs: number): void {
    this.scheduler.after(delayMs, this.control, () => this.#learn(node, partition));
  }

  #learn(node: SimNode, partition: number): void {
    if (!node.alive) return;
    const nowMs = this.scheduler.nowMs;
    const busyUntilMs = Math.max(node.deafUntilMs, node.replication.pausedUntilMs);
    if (busyUntilMs > nowMs) return this.#learnLater(node, partition, busyUntilMs - nowMs);
    const placement = this.map[partition];
    if (placement.primary === node.id || node.views[partition] === placement) return;
    node.views[partition] = placement;
    node.copy(partition).partition.setRole(ROLE_FOLLOWER, placement.epoch);
    const noticeMs = this.random.below(this.random.chance(0.3) ? 300 : 5);
    this.scheduler.after(noticeMs, node.replication, () => {
      if (node.views[partition] !== placement) return;
      node.stopLeading(partition);
      node.stopFollowing(partition, placement.epoch, 'the map names another primary');
    });
  }

  // ------------------------------------------------------------ crashes

  /** The process is gone, in the middle of whatever it does. */
  kill(node: SimNode, downMs: number): void {
    if (!node.alive) return;
    this.note(`${node.id} dies`);
    this.trace.count('crashes');
    node.die();
    this.scheduler.after(downMs, this.control, () => this.revive(node));
    this.map.forEach(({ primary }, partition) => {
      if (primary === node.id) this.#failoverLater(partition, 0);
    });
  }

  revive(node: SimNode): void {
    if (node.alive) return;
    node.start();
    this.note(`${node.id} is back, incarnation ${node.incarnation}`);
    this.map.forEach((placement, partition) => {
      if (placement.primary !== node.id) this.#learnLater(node, partition, 1);
    });
  }

  #failoverLater(partition: number, tries: number): void {
    const { epoch } = this.map[partition];
    this.scheduler.after(failoverMs * (0.5 + this.random.next()), this.control, () => {
      if (this.map[partition].epoch === epoch) this.#failover(partition, tries);
    });
  }

  /** Any copy that may be promoted; after a while without one, the partition begins anew. */
  #failover(partition: number, tries: number): void {
    const copies = this.members.filter(({ alive }) => alive).map((node) => node.copy(partition));
    const able = copies.filter((copy) => copy.promotable && copy.whole);
    if (able.length > 0) return this.promote(able[this.random.below(able.length)]);
    const empty = copies.find(({ partition, leads }) => !leads && !partition.consistent());
    if (tries < lostAfterTries || empty === undefined) {
      return this.#failoverLater(partition, tries + 1);
    }
    const node = this.nodeOf(empty);
    node.stopFollowing(partition, 0, 'the partition begins anew');
    empty.partition.reset();
    empty.bulkBegins();
    empty.tainted.clear();
    this.promote(empty);
  }

  // ------------------------------------------------------------ at rest

  /** No more faults: every link is up, nothing that was to strike will. */
  heal(): void {
    this.note('healed');
    for (const link of this.links.values()) link.heal();
    for (const { toFollower, toPrimary } of this.connections) {
      for (const pipe of [toFollower, toPrimary]) pipe.heal();
    }
    for (const node of this.nodes) node.stepsToLive = Number.POSITIVE_INFINITY;
  }

  /** Everybody learns of the newest map now. */
  hearAll(): void {
    for (const node of this.nodes) {
      for (let partition = 0; partition < this.partitions; partition++) {
        this.#learnLater(node, partition, 1);
      }
    }
  }

  settled(): boolean {
    return this.scheduler.depth === 0 && this.unsettled() === null;
  }

  /** What is not at rest yet, or null. */
  unsettled(): string | null {
    for (const node of this.nodes) if (!node.alive) return `${node.id} is down`;
    for (const { primary, epoch } of this.map) {
      if (primary === null) return 'a partition has no primary';
      for (const node of this.nodes) {
        if (node.views.some((view) => view.epoch === epoch)) continue;
        return `${node.id} has not heard of epoch ${epoch}`;
      }
    }
    for (const connection of this.connections) {
      if (connection.open && !connection.quiet) return `${connection.name} is busy`;
    }
    for (let id = 0; id < this.partitions; id++) {
      const primary = this.primaryOf(id);
      if (primary === null) return 'a primary is down';
      for (const node of this.nodes) {
        const copy = node.copy(id);
        if (copy === primary) continue;
        const source = this.node(node.following(id)?.primary ?? '');
        const session = source?.sessions.get(`${id}/${node.id}`);
        const isStreamedTo = session?.sender?.state === 'streaming';
        const why = unsettledCopy(copy, primary, isStreamedTo, node === this.leaf);
        if (why !== null) return `${copy.name} ${why}`;
      }
    }
    return null;
  }

  /** Everything has settled: all images are equal and sound. */
  judgeAtRest(): void {
    for (const node of this.nodes) {
      if (node === this.leaf && this.#leafIsWrong(node)) continue;
      for (const copy of node.copies) {
        copy.judge(true);
        // Where something went over a flipped bit before the scrub came by, only the image is right again.
        const broken = copy.memoryFlipped ? null : copy.partition.verify();
        if (broken !== null) throw new Broken('sound', `${copy.name}: ${broken}`);
        const primary = this.primaryOf(copy.partition.id);
        if (primary === null || copy.partition.imageBuffer.equals(primary.partition.imageBuffer))
          continue;
        throw new Broken('equal', `${copy.name} and ${primary.name} differ at rest`);
      }
    }
  }

  /** Nobody checks a leaf: what it took from a relay whose bytes were flipped it may keep. It starts over. */
  #leafIsWrong(leaf: SimNode): boolean {
    for (const copy of leaf.copies) copy.judge(true);
    if (leaf.copies.every(({ tainted }) => tainted.size === 0)) return false;
    this.trace.count('leaves that kept what was flipped in their relay');
    this.kill(leaf, 10);
    return true;
  }

  // ------------------------------------------------------------ between any two steps

  #beforeEvent(thread: Thread): void {
    const node = this.nodes.find((node) => node.alive && node.threads().includes(thread));
    if (node !== undefined) this.#age(node);
  }

  #age(node: SimNode): void {
    if (--node.stepsToLive > 0) return;
    const downMs = 100 + this.random.below(8_000);
    this.kill(node, downMs);
    throw new ProcessDied();
  }

  /** A passage of this copy is under way and could be interrupted here. */
  insidePassage(node: SimNode, copy: SimCopy, step: MutationStep): void {
    if (step === 'publish') this.published(copy);
    const { scheduler, random } = this;
    if (node.stepsToLive !== Number.POSITIVE_INFINITY) {
      if (node.stepsToLive <= 1) this.trace.count('crashes in the middle of a passage');
      this.#age(node);
    }
    if (scheduler.depth > depthMax || !random.chance(this.insideChance)) return;
    const wasHeld = copy.gate.held;
    const wasControlled = this.control.busy;
    copy.gate.held = true;
    this.control.busy = true;
    copy.reader.step();
    const isLong = random.chance(0.004);
    const limitMs = scheduler.nowMs + (isLong ? longInsideMs : insideMs);
    try {
      this.#letOthersIn(node, copy, limitMs, random.below(isLong ? longInsideEvents : 4));
    } finally {
      copy.gate.held = wasHeld;
      this.control.busy = wasControlled;
    }
  }

  #letOthersIn(node: SimNode, copy: SimCopy, limitMs: number, eventsMax: number): void {
    for (let events = 0; events < eventsMax; events++) {
      if (!this.scheduler.runNext(limitMs)) return;
      this.trace.count('events in the middle of a passage');
      if (this.random.chance(0.3)) copy.reader.step();
      if (!node.alive || node.copy(copy.partition.id) !== copy) throw new ProcessDied();
    }
  }

  published(copy: SimCopy): void {
    const { timeline, partition } = copy;
    if (timeline === null)
      throw new Broken('outside', `${copy.name} is written, and leads nothing`);
    timeline.published(partition, !copy.inTransaction);
    for (const key of KEYS) {
      const raw = rawRecord(partition, key);
      const known = timeline.keyAt(key.index, timeline.nowSeq);
      const [stamp, expiresAtMs] = [raw?.stamp ?? -1, raw?.expiresAtMs ?? 0];
      if (known?.stamp === stamp && known.expiresAtMs === expiresAtMs) continue;
      timeline.keyChanged(key.index, stamp, expiresAtMs);
    }
  }
}

function unsettledCopy(
  { partition, tainted }: SimCopy,
  primary: SimCopy,
  isConnected: boolean,
  isLeaf: boolean,
): string | null {
  if (!isConnected) return 'is not streamed to';
  if (!partition.consistent()) return 'is not consistent';
  if (!partition.checked() && !isLeaf) return 'is not checked';
  if (!isLeaf && tainted.size > 0)
    return `is not repaired: chunk ${[...tainted.keys()].join(', ')}`;
  const [seq, due] = [partition.stats().seq, primary.partition.stats().seq];
  return seq === due ? null : `is at seq ${seq}, its primary at ${due}`;
}
