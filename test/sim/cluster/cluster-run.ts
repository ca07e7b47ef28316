/** A whole cluster under trouble, round after round: each ends with a healing after which everything must settle. */
import type { PendingMembers } from '@ingot/replication';
import type { Partition } from '@ingot/store';
import { ROLE_PRIMARY } from '@ingot/store';
import {
  type ClusterMap,
  copiesOf,
  isUp,
  type Life,
  nodeOf,
} from '../../../packages/node/src/shared/map.ts';
import { Broken } from '../trace.ts';
import { AcceptorDisk } from './acceptor-disk.ts';
import { Clients } from './clients.ts';
import { ClusterFaults } from './cluster-faults.ts';
import { ClusterNode } from './cluster-node.ts';
import { foundingMap } from './founding.ts';
import type { Host, SimProcess } from './host.ts';
import type { Command } from './serving.ts';
import { RegisterHistory } from './register-history.ts';
import { whySettlesNot } from './settled.ts';
import { ClusterWorld } from './world.ts';

const partitions = 3;
const troubleMsMax = 20_000;
const calmMsMax = 3_000;
const settleMsMax = 120_000;
/** For so long nothing may change before it counts as settled. */
const quietMs = 1_500;

export interface WrittenAt {
  readonly epoch: number;
  readonly seq: number;
}

/** A machine of the cluster, with the data dir on it. */
export interface ClusterMachine {
  readonly host: Host;
  readonly disk: AcceptorDisk;
  readonly isWitness: boolean;
  node: ClusterNode | null;
  isDraining: boolean;
  /** What the data dir remembers; 0: it belongs to no cluster. */
  incarnation: number;
  /** It was asked to leave, or never joined. */
  isOut: boolean;
}

export class ClusterRun {
  readonly world: ClusterWorld;
  readonly machines: ClusterMachine[];
  readonly history: RegisterHistory;
  readonly forgetAfterMs = 30_000;
  /** So far: each has an id of its own. */
  joins = 0;
  /** By value: what has been written in this round. */
  readonly written = new Map<string, WrittenAt>();
  readonly clients: Clients;
  readonly #faults: ClusterFaults;
  /** By "partition/epoch": the life that took writes. */
  readonly #writers = new Map<string, string>();

  /** One more machine stands by. Two nodes come with a witness. */
  constructor(seed: number, nodes: number, print: ((line: string) => void) | null) {
    this.world = new ClusterWorld({ seed, clocksAreWild: seed % 4 === 3, print });
    const inside = nodes === 2 ? 3 : nodes;
    this.machines = Array.from({ length: inside + 1 }, (_, i) => {
      const host = this.world.addHost(String.fromCharCode(97 + i));
      const disk = new AcceptorDisk(host);
      const isWitness = nodes === 2 && i === 2;
      return {
        host,
        disk,
        isWitness,
        node: null,
        isDraining: false,
        incarnation: 0,
        isOut: i === inside,
      };
    });
    const founding = this.#foundingMap(nodes, seed % 2 === 0);
    this.history = new RegisterHistory(this.world, founding);
    this.history.onProposal = (base, next) => this.#proposed(base, next);
    this.clients = new Clients(this, partitions);
    this.#faults = new ClusterFaults(this);
    const [founder, ...others] = this.machines;
    founder.disk.found(founding);
    this.boot(founder).found(founding);
    for (const machine of others) {
      if (!machine.isOut)
        this.world.after(this.world.random.below(2_000), () => this.start(machine));
    }
    // Without clocks there are no leases; what acks=isr promises of writes holds all the same.
    this.world.judge = () => {
      if (!this.world.clocksAreWild) this.#judgeLeases();
      this.#judgeCopies();
    };
  }

  #foundingMap(nodes: number, isStrict: boolean): ClusterMap {
    const { host, disk } = this.machines[0];
    const entry = {
      epoch: 1,
      primary: host.id,
      followers: [],
      inSync: [{ node: host.id, incarnation: 1 }],
      lost: false,
      lossy: false,
    };
    return foundingMap(
      [{ id: host.id, acceptor: disk.id }],
      { current: [{ id: disk.id, node: host.id }], next: null },
      {
        partitions,
        copies: nodes === 2 ? 2 : nodes === 3 ? 2 + this.world.random.below(2) : 3,
        minIsr: isStrict ? 2 : 1,
        uncleanFailover: !isStrict,
        placement: Array.from({ length: partitions }, () => entry),
      },
    );
  }

  nodeAt({ host, name }: SimProcess): ClusterNode | null {
    const node = this.machines[this.world.hosts.indexOf(host)]?.node ?? null;
    return node?.process.name === name ? node : null;
  }

  nodes(): ClusterNode[] {
    return this.machines.flatMap(({ node }) => (node === null ? [] : [node]));
  }

  hasLeft(id: string): boolean {
    return this.machines.some(({ host, isOut }) => host.id === id && isOut);
  }

  primaryCopy(partition: number): Partition | null {
    const { primary } = this.history.latest.placement[partition];
    const node = this.nodes().find(({ id }) => id === primary);
    return node?.copy(partition) ?? null;
  }

  async run(simulatedMs: number): Promise<void> {
    while (this.world.elapsedMs < simulatedMs) {
      await this.#trouble();
      await this.#heal();
    }
  }

  // ------------------------------------------------------------ processes

  boot(machine: ClusterMachine): ClusterNode {
    const process = machine.host.boot();
    machine.node = new ClusterNode(this, machine, process, this.history.latest);
    return machine.node;
  }

  start(machine: ClusterMachine): void {
    if (machine.host.process !== null) return;
    machine.isOut = false;
    this.boot(machine).join();
  }

  /** Asks whoever coordinates to let a node leave; false where nobody does. */
  letGo(machine: ClusterMachine): boolean {
    const active = this.nodes().find(({ coordinator, joined }) => joined && coordinator.isActive());
    active?.coordinator.leave(machine.host.id).then(
      () => {
        if (machine.isOut) this.#hasLeft(machine);
      },
      () => {
        machine.isOut = false;
      },
    );
    return active !== undefined;
  }

  #hasLeft(machine: ClusterMachine): void {
    if (machine.host.process !== null) this.kill(machine);
    machine.disk.wipe();
    machine.incarnation = 0;
    this.world.trace.count('nodes that have left');
  }

  kill(machine: ClusterMachine): void {
    this.#end(machine);
    machine.disk.disk.crash();
  }

  /** It ends in order. */
  stop(machine: ClusterMachine): void {
    this.#end(machine);
    machine.disk.disk.close();
  }

  #end(machine: ClusterMachine): void {
    machine.host.kill();
    machine.node?.links.die();
    machine.node = null;
    machine.isDraining = false;
  }

  // ------------------------------------------------------------ claims

  tookWrite(partition: number, epoch: number, { node, incarnation }: Life): void {
    const key = `${partition}/${epoch}`;
    const life = `${node}:${incarnation}`;
    const writer = this.#writers.get(key);
    if (writer === undefined) this.#writers.set(key, life);
    else if (writer !== life) {
      const detail = `partition ${partition}, epoch ${epoch}: ${writer} and ${life}`;
      this.world.fail(new Broken('oneWriter', detail));
    }
  }

  /** What it wrote is there as long as this seq is of this epoch. */
  wrote({ value }: Command, at: WrittenAt): void {
    this.written.set(value, at);
  }

  /** Now and then a primary takes a write that somebody lacks who is about to be in sync with it. */
  willJoin({ machine, id }: ClusterNode, { partition, lives }: PendingMembers): void {
    const [joining] = lives;
    if (this.#faults.lastJoin(machine, joining.node)) this.clients.writeInside(id, partition);
  }

  /** Now and then the primary dies before it knows that the set has grown, with a write that the new member lacks. */
  #joins(partition: number, { primary, inSync }: ClusterMap['placement'][0]): void {
    const machine = this.machines.find(({ host }) => host.id === primary);
    const joining = inSync.at(-1);
    if (machine === undefined || joining === undefined || joining.node === primary) return;
    if (this.#faults.lastChange(machine, joining.node)) {
      this.clients.writeAt(machine.host.id, partition);
    }
  }

  /** Now and then it is the last thing that a primary does: nobody else gets to have it, and somebody reads it. */
  wroteInSync({ machine, id }: ClusterNode, partition: number, key: string): void {
    if (!this.#faults.lastWords(machine)) return;
    this.clients.readAt(id, partition, key);
  }

  /** Where the lead goes to a copy that was not in sync, the map has to say so. */
  #proposed(base: ClusterMap, next: ClusterMap): void {
    for (const [partition, entry] of next.placement.entries()) {
      const before = base.placement[partition];
      if (before === undefined || entry.epoch < before.epoch) continue;
      if (entry.epoch === before.epoch) {
        if (entry.inSync.length > before.inSync.length) this.#joins(partition, entry);
        continue;
      }
      const { primary } = entry;
      const incarnation = nodeOf(next, primary ?? '')?.incarnation;
      const wasInSync = before.inSync.some(
        (life) => life.node === primary && life.incarnation === incarnation,
      );
      // A primary that is sealed hands over what its successor has acknowledged.
      const isHandOver = before.primary !== null && isUp(next, before.primary);
      if (wasInSync || isHandOver) continue;
      this.world.trace.count(entry.lossy ? 'lossy epochs' : 'lost epochs');
      if (entry.lossy || entry.lost) this.clients.newEra(partition);
      else {
        const detail = `${primary} gets partition ${partition}, unmarked, and was not in sync`;
        this.world.fail(new Broken('marked', detail));
      }
    }
  }

  #judgeCopies(): void {
    const { latest } = this.history;
    for (const node of this.nodes()) {
      if (!node.joined) continue;
      node.judgeSeals();
      const { incarnation } = node.life;
      for (const [partition, { inSync, epoch }] of latest.placement.entries()) {
        const copy = node.copy(partition);
        if (copy === undefined || copy.consistent() || copy.epoch() !== epoch) continue;
        const isMember = (life: Life): boolean =>
          life.node === node.id && life.incarnation === incarnation;
        if (!inSync.some(isMember)) continue;
        throw new Broken('inSync', `${node.id}:${incarnation} of partition ${partition}`);
      }
    }
  }

  #judgeLeases(): void {
    const { latest } = this.history;
    const leaders = new Map<number, ClusterNode>();
    for (const node of this.nodes()) {
      if (!node.process.runs || !node.joined || !node.voter.holdsLease) continue;
      const { id, life } = node;
      if ((nodeOf(latest, id)?.fencedThrough ?? 0) >= life.incarnation) {
        throw new Broken('fenced', `life ${life.incarnation} of ${id} is fenced and has a lease`);
      }
      for (const copy of node.partitions.all()) {
        if (copy.role() !== ROLE_PRIMARY || copy.sealed()) continue;
        const partition = copy.id;
        const other = leaders.get(partition);
        leaders.set(partition, node);
        if (other === undefined) continue;
        throw new Broken('onePrimary', `partition ${partition} is led by ${other.id} and ${id}`);
      }
    }
  }

  // ------------------------------------------------------------ rounds

  async #trouble(): Promise<void> {
    const { world } = this;
    this.#faults.changeWeather();
    this.#faults.active = true;
    const untilMs = world.elapsedMs + world.random.below(troubleMsMax);
    while (world.elapsedMs < untilMs) {
      await world.run(world.random.below(calmMsMax));
      this.#faults.strike();
    }
  }

  async #heal(): Promise<void> {
    const { world } = this;
    this.#faults.active = false;
    world.network.heal();
    for (const machine of this.machines) if (!machine.isOut) this.start(machine);
    let quietSinceMs = world.elapsedMs;
    let version = -1;
    let askedMs = 0;
    const isSettled = (): boolean => {
      const { elapsedMs } = world;
      if (this.history.latest.version !== version || whySettlesNot(this) !== null) {
        quietSinceMs = elapsedMs;
        version = this.history.latest.version;
      }
      if (elapsedMs - quietSinceMs > quietMs) return true;
      if (elapsedMs - askedMs > 10_000) {
        askedMs = elapsedMs;
        this.#operatorLooks();
      }
      return false;
    };
    await world.run(settleMsMax, isSettled);
    const why = whySettlesNot(this);
    if (why !== null) throw new Broken('settles', why);
    await this.clients.judge(() => this.#whyNotEqual());
    world.trace.count('healings after which all was settled');
  }

  /** Where no copy in sync is left and the cluster may not choose by itself, a person does; and asks once more whoever
   *  is to leave, since the node that coordinated may have ended meanwhile. */
  #operatorLooks(): void {
    const { latest } = this.history;
    const active = this.nodes().find(({ joined, coordinator }) => joined && coordinator.isActive());
    for (const machine of this.machines) {
      if (machine.isOut && nodeOf(latest, machine.host.id) !== null) this.letGo(machine);
    }
    for (const [partition, { primary, followers }] of latest.placement.entries()) {
      if (primary !== null || active === undefined) continue;
      const whole = this.nodes().filter((node) => node.copy(partition)?.consistent() === true);
      const able = followers.filter((id) => whole.some((node) => node.id === id));
      const node = this.world.pick(able.length > 0 ? able : followers);
      if (node === null) continue;
      this.world.note(`the operator promotes ${node} for ${partition}`);
      active.coordinator.promote(partition, node, true).then(
        () => this.world.trace.count('promotions by the operator'),
        () => this.world.trace.count('promotions by the operator that were refused'),
      );
    }
  }

  #whyNotEqual(): string | null {
    for (const [partition, entry] of this.history.latest.placement.entries()) {
      const truth = this.primaryCopy(partition);
      for (const id of copiesOf(entry)) {
        const copy = this.nodes()
          .find((node) => node.id === id)
          ?.copy(partition);
        if (truth === null || copy === undefined) return `${id}/${partition} is not there`;
        if (!copy.consistent()) return `${id}/${partition} is not consistent`;
        if (!copy.imageBuffer.equals(truth.imageBuffer)) return `${id}/${partition} is different`;
        const unsound = copy.verify();
        if (unsound !== null) throw new Broken('sound', `${id}/${partition}: ${unsound}`);
      }
    }
    return null;
  }
}
