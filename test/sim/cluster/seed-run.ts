/** Joiners of one partition, and who feeds them: the product's hubs over simulated links, without a control plane.
 *
 *  Round after round: all copies but the primary's are lost at about the same time, and made anew. In a calm round nothing
 *  else happens, and what leaves the primary is counted. In others processes die and stand still, links are cut, the
 *  writer laps whom it can, and the primary begins an epoch of its own, which ends every connection. Then all is
 *  healed, and every copy must become equal. At every consistent point a copy is what the primary was at its seq. */
import { type ReplicationEvent, ReplicationHub, type ReplicationView } from '@ingot/replication';
import {
  attachPartition,
  CHUNK_BYTES,
  createPartition,
  type Partition,
  PartitionMap,
  ROLE_FOLLOWER,
} from '@ingot/store';
import { Oracle } from '../../../packages/replication/src/oracle.fixture.ts';
import { smallGeometry } from '../geometry.ts';
import { Broken } from '../trace.ts';
import type { Host, SimProcess } from './host.ts';
import { SimLinks } from './sim-link.ts';
import { SimSleep } from './sim-sleep.ts';
import { ClusterWorld } from './world.ts';

const joinerCount = 7;
const ringBytes = 262_144;
const filledKeys = 14;
const troubleMs = 1_500;
const settleMsMax = 60_000;
/** Images that may leave the primary for a crowd of joiners. */
const imagesMax = 2;

interface Node {
  readonly host: Host;
  process: SimProcess;
  links: SimLinks;
  hub: ReplicationHub;
  partition: Partition;
  sleep: SimSleep;
  judgedSeq: number;
}

export class SeedRun {
  readonly world: ClusterWorld;
  readonly #nodes: Node[] = [];
  readonly #map: PartitionMap;
  readonly #oracle: Oracle;
  #epoch = 1;
  #isCalm = true;

  constructor(seed: number, print: ((line: string) => void) | null) {
    this.world = new ClusterWorld({ seed, print });
    for (let i = 0; i <= joinerCount; i++) {
      const host = this.world.addHost(String.fromCharCode(97 + i));
      this.#nodes.push(this.#booted(host));
    }
    const { partition } = this.#primary;
    partition.promote(this.#epoch, this.world.scheduler.nowMs);
    this.#map = new PartitionMap(partition);
    this.#oracle = new Oracle(partition);
    partition.onStep = (step) => {
      if (step === 'publish') this.#oracle.published();
    };
    for (let i = 0; i < filledKeys; i++) this.#write(`fill:${i}`, 60_000);
    this.world.judge = () => this.#judge();
  }

  async run(simulatedMs: number): Promise<void> {
    for (const node of this.#nodes) void node.hub.listen();
    while (this.world.elapsedMs < simulatedMs) {
      this.#isCalm = this.world.random.chance(0.4);
      const sentBefore = this.#imageBytesSent();
      this.#join();
      this.world.trace.count(this.#isCalm ? 'calm rounds' : 'rounds of trouble');
      if (!this.#isCalm) await this.#trouble();
      await this.#settle();
      if (this.#isCalm) this.#judgeBytes(this.#imageBytesSent() - sentBefore);
    }
  }

  get #primary(): Node {
    return this.#nodes[0];
  }

  get #joiners(): Node[] {
    return this.#nodes.slice(1);
  }

  // ------------------------------------------------------------ nodes

  #booted(host: Host): Node {
    const { world } = this;
    const process = host.boot();
    const links = new SimLinks(process, (target) => this.#linksAt(target));
    const sleep = new SimSleep(process);
    const partition = attachPartition(createPartition(smallGeometry(1, ringBytes), 0));
    const hub = new ReplicationHub({
      ...{ nodeId: host.id, incarnation: host.processCount, clusterId: 'simulated' },
      ...{ host: '', port: 1, wake: new Int32Array(2), sleeper: sleep, network: links },
      timers: {
        later: process.later,
        soon: (then) => void process.later(world.random.next() * 0.02, then),
      },
      ...{ nowMs: process.wallMs, monotonicMs: process.nowMs, seedChunksMin: 1 },
      log: (event) => this.#log(process, event),
    });
    hub.attach(partition);
    return { host, process, links, hub, partition, sleep, judgedSeq: -1 };
  }

  #linksAt(target: SimProcess): SimLinks | null {
    return this.#nodes.find(({ process }) => process === target)?.links ?? null;
  }

  #log({ name }: SimProcess, told: ReplicationEvent): void {
    const { event, kind, reason } = told;
    const { trace } = this.world;
    if (event === 'seedStarted') trace.count('copies sent to a follower');
    if (event === 'seedEnded') {
      const isMade = reason === 'the copy is consistent';
      trace.count(isMade ? 'copies made by a follower' : 'sources that failed');
    }
    if (event === 'syncStarted') trace.count(`sync: ${kind}, ${reason}`);
    this.world.note(`${name} ${JSON.stringify(told)}`);
  }

  /** A process without a copy, in place of the one that was. */
  #restart(node: Node): void {
    node.host.kill();
    node.links.die();
    Object.assign(node, this.#booted(node.host));
    void node.hub.listen();
  }

  /** All joiners begin with nothing, within a moment. */
  #join(): void {
    for (const node of this.#joiners) this.#restart(node);
    for (const node of this.#nodes) {
      if (node !== this.#primary) node.partition.setRole(ROLE_FOLLOWER, this.#epoch);
      this.world.after(this.world.random.below(300), () => node.hub.configure(this.#view()));
    }
  }

  #view(): ReplicationView {
    const entries = this.#nodes.map(({ host }): [string, { host: string; port: number }] => [
      host.id,
      { host: '', port: 1 },
    ]);
    const partition = {
      id: 0,
      epoch: this.#epoch,
      primary: this.#primary.host.id,
      followers: this.#joiners.map(({ host }) => host.id),
      primaryAddress: { host: '', port: 1 },
    };
    const lives = this.#nodes.map(({ host }) => [host.id, host.processCount]);
    return {
      mapVersion: 1,
      partitions: [partition],
      incarnations: Object.fromEntries(lives),
      addresses: Object.fromEntries(entries),
    };
  }

  #configure(): void {
    for (const { hub } of this.#nodes) hub.configure(this.#view());
  }

  // ------------------------------------------------------------ what happens

  #write(key: string, bytes: number): void {
    const { random, scheduler } = this.world;
    const value = Buffer.alloc(bytes, random.below(256));
    this.#map.set(Buffer.from(key), value, scheduler.nowMs);
    this.#primary.sleep.written();
  }

  #writeSomething(): void {
    const { random } = this.world;
    if (random.chance(0.2)) this.#write(`fill:${random.below(filledKeys)}`, 60_000);
    else this.#write(`key:${random.below(60)}`, random.below(800));
  }

  async #trouble(): Promise<void> {
    const { world } = this;
    const { random } = world;
    for (let leftMs = troubleMs; leftMs > 0; ) {
      const ms = 1 + random.below(120);
      leftMs -= ms;
      if (random.chance(0.6)) {
        await world.run(ms, () => this.#feeding() !== null);
        await world.run(random.below(8));
        this.#failSource();
      } else await world.run(ms);
      if (random.chance(0.5)) this.#writeSomething();
      if (random.chance(0.15)) this.#goWrong();
    }
  }

  /** Somebody whose copy is sent to others, the primary among them. */
  #feeding(): Node | null {
    const isFed = this.#primary.hub.bulks().running > 0;
    const nodes = this.#joiners.filter(({ hub }) => hub.status()[0].feeds.length > 0);
    return this.world.pick(isFed ? [...nodes, this.#primary] : nodes);
  }

  /** A copy in the making loses its source. */
  #failSource(): void {
    const source = this.#feeding();
    if (source === null) return;
    const { random, trace } = this.world;
    if (source === this.#primary || random.chance(0.5)) {
      trace.count('fault: connections of a source break');
      return source.links.die();
    }
    trace.count('fault: a source dies');
    this.#restart(source);
    source.partition.setRole(ROLE_FOLLOWER, this.#epoch);
    this.#configure();
  }

  #goWrong(): void {
    const { world } = this;
    const { network, random, trace } = world;
    const node = this.#joiners[random.below(joinerCount)];
    const other = this.#nodes[random.below(joinerCount + 1)];
    switch (random.below(4)) {
      case 0:
        trace.count('fault: a joiner dies');
        this.#restart(node);
        node.partition.setRole(ROLE_FOLLOWER, this.#epoch);
        return this.#configure();
      case 1:
        trace.count('fault: a process stands still');
        return node.host.pause(random.below(1_500));
      case 2:
        if (other === node) return;
        trace.count('fault: two nodes are cut off');
        network.cut(node.host.id, other.host.id);
        return network.cut(other.host.id, node.host.id);
      default:
        trace.count('fault: every connection ends, an epoch begins');
        this.#epoch++;
        this.#primary.partition.promote(this.#epoch, world.scheduler.nowMs);
        for (const { partition } of this.#joiners) partition.setRole(ROLE_FOLLOWER, this.#epoch);
        this.#configure();
    }
  }

  async #settle(): Promise<void> {
    const { world } = this;
    world.network.heal();
    const isSettled = (): boolean => this.#joiners.every((node) => this.#isCurrent(node));
    await world.run(settleMsMax, isSettled);
    if (!isSettled()) {
      const behind = this.#joiners.filter((node) => !this.#isCurrent(node));
      throw new Broken('settles', behind.map(({ host }) => host.id).join());
    }
    world.trace.count('crowds that have their copies');
  }

  #isCurrent({ host, partition }: Node): boolean {
    const seen = this.#primary.hub.status()[0].followers.find(({ node }) => node === host.id);
    if (seen?.state !== 'streaming' || !partition.consistent()) return false;
    return partition.checked() && partition.stats().seq === this.#primary.partition.stats().seq;
  }

  // ------------------------------------------------------------ what is claimed

  #judge(): void {
    for (const node of this.#joiners) {
      const { host, partition, hub } = node;
      const isConsistent = partition.consistent();
      if (!isConsistent && hub.status()[0].feeds.length > 0) {
        return this.world.fail(new Broken('fed', `${host.id} feeds and is not consistent`));
      }
      const { seq } = partition.stats();
      if (!isConsistent || seq === node.judgedSeq) continue;
      node.judgedSeq = seq;
      const differs = this.#oracle.differs(partition);
      if (differs !== null) return this.world.fail(new Broken('equal', `${host.id}: ${differs}`));
    }
  }

  #imageBytesSent(): number {
    return this.#primary.hub.counters().chunkBytesSent;
  }

  #judgeBytes(sent: number): void {
    const image = this.#primary.partition.chunksTouched() * CHUNK_BYTES;
    if (sent <= imagesMax * image) return;
    throw new Broken('crowd', `${sent} bytes of an image of ${image} for ${joinerCount} joiners`);
  }
}
