/** Leases and fences alone, over the real register: everybody suspects everybody, often wrongly, and takes the lead
 *  once the life that has it is fenced. Machines pause, crash, lose disks; acceptors change. */
import { isSameSet } from '../../../packages/node/src/register/acceptor-set.ts';
import {
  type AcceptorRef,
  type AcceptorSet,
  type ClusterMap,
  type Life,
  nodeOf,
} from '../../../packages/node/src/shared/map.ts';
import { Broken } from '../trace.ts';
import { AcceptorDisk } from './acceptor-disk.ts';
import { foundingMap } from './founding.ts';
import type { Host, SimProcess } from './host.ts';
import { mayLose } from './may-lose.ts';
import { RegisterHistory } from './register-history.ts';
import { judgeLeases, Voter } from './voter.ts';
import { ClusterWorld } from './world.ts';

const machineCount = 4;
const founders = 3;
const settleMsMax = 30_000;
const troubleMsMax = 25_000;
const suspicionMsMax = 500;

interface Machine {
  readonly host: Host;
  readonly disk: AcceptorDisk;
  voter: Voter | null;
  /** What its data dir remembers. */
  incarnation: number;
}

export class LeaseRun {
  readonly world: ClusterWorld;
  readonly #machines: Machine[];
  readonly #history: RegisterHistory;
  #healing = false;
  /** How often whoever suspects somebody changes the acceptors first. */
  #changeShare = 0.05;

  constructor(seed: number, print: ((line: string) => void) | null) {
    this.world = new ClusterWorld({ seed, print });
    this.#machines = Array.from({ length: machineCount }, (_, i) => {
      const host = this.world.addHost(String.fromCharCode(97 + i));
      return { host, disk: new AcceptorDisk(host), voter: null, incarnation: 1 };
    });
    const founding = foundingMap(
      this.#machines.map(({ host, disk }) => ({ id: host.id, acceptor: disk.id })),
      { current: this.#machines.slice(0, founders).map(refOf), next: null },
      { placement: [leadBy('a', 1, 1)] },
    );
    this.#history = new RegisterHistory(this.world, founding);
    for (const { disk } of this.#machines.slice(0, founders)) disk.found(founding);
    for (const machine of this.#machines) this.#boot(machine, founding);
    this.world.judge = () => judgeLeases(this.#voters(), this.#history.latest);
  }

  async run(simulatedMs: number): Promise<void> {
    while (this.world.elapsedMs < simulatedMs) {
      await this.#trouble();
      await this.#heal();
    }
  }

  #voters(): Voter[] {
    return this.#machines.flatMap(({ voter }) => (voter === null ? [] : [voter]));
  }

  // ------------------------------------------------------------ lives

  #boot(machine: Machine, map: ClusterMap): void {
    const { host, disk } = machine;
    const process = host.boot();
    const life = { node: host.id, incarnation: machine.incarnation };
    const voterAt = (target: SimProcess): Voter | null => this.#machineOf(target).voter;
    const voter = new Voter({ process, disk, history: this.#history, voterAt, map, life });
    machine.voter = voter;
    voter.onLifeOver = () => this.#beginAgain(machine, voter);
    this.#suspectSoon(voter);
  }

  #machineOf({ host }: SimProcess): Machine {
    return this.#machines[this.world.hosts.indexOf(host)];
  }

  /** The process goes on as a new life, which it enters into the map by itself. */
  #beginAgain(machine: Machine, voter: Voter): void {
    const incarnation = voter.life.incarnation + 1;
    machine.incarnation = incarnation;
    voter.begin({ node: machine.host.id, incarnation });
    this.#enterSoon(voter);
  }

  #enterSoon(voter: Voter): void {
    voter.process.later(this.world.random.below(300), () => {
      const { node, incarnation } = voter.life;
      const change = (map: ClusterMap): ClusterMap => withLife(map, voter.life);
      voter.proposer.propose(change).then(
        (map) => voter.learn(map),
        () => voter.life.incarnation === incarnation && this.#enterSoon(voter),
      );
      this.world.note(`${node} enters life ${incarnation}`);
    });
  }

  // ------------------------------------------------------------ suspicion

  #suspectSoon(voter: Voter): void {
    voter.process.later(this.world.random.below(suspicionMsMax), () => {
      const again = (): void => this.#suspectSoon(voter);
      this.#suspect(voter).then(again, again);
    });
  }

  async #suspect(voter: Voter): Promise<void> {
    const { random, trace } = this.world;
    if (random.chance(this.#changeShare)) await this.#changeAcceptors(voter);
    const leader = leaderIn(voter.map);
    if (leader.node === voter.life.node) return;
    const set = await voter.leases.fence(leader);
    trace.count('fences');
    if (random.chance(0.3)) await this.#dawdle(voter);
    const taken = await voter.proposer.propose((map) => {
      if (!isSameSet(map.acceptors, set) || leaderIn(map).node !== leader.node) return map;
      if (leaderIn(map).incarnation !== leader.incarnation) return map;
      return withLead(map, leader, voter.life);
    });
    voter.learn(taken);
    if (leaderIn(taken).node === voter.life.node) trace.count('failovers');
  }

  /** Between a fence and the map change that rests on it. */
  #dawdle(voter: Voter): Promise<void> {
    const { random } = this.world;
    if (random.chance(0.5) && !this.#healing) {
      // What they forget now may be heard again by whom they have just ended.
      this.#restartMost(voter);
      for (const { id } of this.world.hosts) {
        const { node } = leaderIn(this.#history.latest);
        this.world.network.mend(id, node);
        this.world.network.mend(node, id);
      }
    }
    return new Promise((resolve) => {
      voter.process.later(random.below(1_500), resolve);
    });
  }

  async #changeAcceptors(voter: Voter): Promise<void> {
    const { random } = this.world;
    const drawn = this.#machines
      .map((machine) => ({ at: random.next(), ref: refOf(machine) }))
      .sort((a, b) => a.at - b.at)
      .map(({ ref }) => ref);
    const next = drawn.slice(0, random.chance(0.35) ? 1 : 3);
    const isThere = (ref: AcceptorRef): boolean =>
      this.#machines.some(({ disk }) => disk.id === ref.id);
    const changed = await voter.proposer.propose((map) => {
      // A disk may have been wiped since.
      if (!next.every(isThere)) return map;
      const acceptors: AcceptorSet =
        map.acceptors.next === null
          ? { current: map.acceptors.current, next }
          : { current: map.acceptors.next, next: null };
      return { ...map, acceptors };
    });
    this.world.trace.count(`acceptor sets: ${changed.acceptors.next === null ? 'final' : 'joint'}`);
    voter.learn(changed);
  }

  // ------------------------------------------------------------ trouble

  async #trouble(): Promise<void> {
    const { world } = this;
    const { random, network } = world;
    network.weather = {
      lossShare: random.next() * 0.06,
      doubleShare: random.next() * 0.05,
      slowShare: random.next() * 0.08,
      slowMsMax: 50 + random.below(3_000),
    };
    this.#changeShare = random.chance(0.4) ? 0.15 : 0.02;
    const untilMs = world.elapsedMs + random.below(troubleMsMax);
    while (world.elapsedMs < untilMs) {
      await world.run(random.below(2_000));
      this.#strike(this.#machines[random.below(machineCount)]);
    }
  }

  #strike(machine: Machine): void {
    const { random, trace, network } = this.world;
    const { host } = machine;
    const choice = random.next();
    if (choice < 0.25) {
      trace.count('fault: pause');
      host.pause(random.below(6_000));
    } else if (choice < 0.35) {
      this.#isolateLeader();
    } else if (choice < 0.38) {
      this.#restartMost();
    } else if (choice < 0.55) {
      trace.count('fault: crash');
      this.#restart(machine, random.below(1_500), choice < 0.4);
    } else if (choice < 0.6 && !host.clock.maySuspend) {
      trace.count('fault: wall clock set');
      host.clock.jumpWall(random);
    } else {
      trace.count('fault: one-way cut');
      const other = this.#machines[random.below(machineCount)].host;
      network.cut(host.id, other.id);
      this.world.after(random.below(6_000), () => network.mend(host.id, other.id));
    }
  }

  /** It is not heard, or hears nobody, by most or by all. */
  #isolateLeader(): void {
    const { random, trace, network, hosts } = this.world;
    const { node } = leaderIn(this.#history.latest);
    const isHeard = random.chance(0.5);
    const ms = 1_000 + random.below(5_000);
    trace.count('fault: leader isolated');
    for (const { id } of hosts) {
      if (id === node || random.chance(0.1)) continue;
      const [from, to] = isHeard ? [id, node] : [node, id];
      network.cut(from, to);
      this.world.after(ms, () => network.mend(from, to));
    }
  }

  /** All but the one that leads and one more, and they are back at once. */
  #restartMost(spared: Voter | null = null): void {
    const { node } = leaderIn(this.#history.latest);
    this.world.trace.count('fault: most acceptors crash');
    for (const machine of this.#machines) {
      if (machine.voter === spared) continue;
      if (machine.host.id !== node) this.#restart(machine, this.world.random.below(60), false);
    }
  }

  #restart(machine: Machine, afterMs: number, wantsWipe: boolean): void {
    const { host, disk } = machine;
    if (host.process === null) return;
    host.kill();
    machine.voter = null;
    disk.disk.crash();
    const others = this.#machines.filter((other) => other !== machine);
    if (
      wantsWipe &&
      mayLose(
        this.#history.pending(),
        others.map(({ disk }) => disk.id),
      )
    ) {
      this.world.trace.count('fault: disk wiped');
      disk.wipe();
    }
    machine.incarnation++;
    this.world.after(afterMs, () => {
      this.#boot(machine, this.#history.latest);
      if (machine.voter !== null) this.#enterSoon(machine.voter);
    });
  }

  async #heal(): Promise<void> {
    const { world } = this;
    world.network.heal();
    this.#healing = true;
    this.#changeShare = 0.05;
    await world.run(settleMsMax, () => this.#isLed());
    if (!this.#isLed()) throw new Broken('settles', 'nobody leads although everything is well');
    world.trace.count('healings after which somebody leads');
    this.#healing = false;
  }

  #isLed(): boolean {
    const { latest } = this.#history;
    const { node, incarnation } = leaderIn(latest);
    return this.#voters().some(
      ({ life, holder, process }) =>
        process.runs && life.node === node && life.incarnation === incarnation && holder.isHeld(),
    );
  }
}

function refOf({ host, disk }: Machine): AcceptorRef {
  return { id: disk.id, node: host.id };
}

function leadBy(node: string, incarnation: number, epoch: number): ClusterMap['placement'][0] {
  const inSync = [{ node, incarnation }];
  return { epoch, primary: node, followers: [], inSync, lost: false, lossy: false };
}

function leaderIn(map: ClusterMap): Life {
  return map.placement[0].inSync[0];
}

function withLife(map: ClusterMap, { node, incarnation }: Life): ClusterMap {
  const known = nodeOf(map, node);
  if (known === null || known.incarnation >= incarnation) return map;
  const nodes = map.nodes.map((other) => (other.id === node ? { ...other, incarnation } : other));
  return { ...map, nodes };
}

function withLead(map: ClusterMap, fenced: Life, to: Life): ClusterMap {
  const nodes = map.nodes.map((node) =>
    node.id === fenced.node
      ? { ...node, fencedThrough: Math.max(node.fencedThrough, fenced.incarnation) }
      : node,
  );
  const placement = [leadBy(to.node, to.incarnation, map.placement[0].epoch + 1)];
  return { ...withLife({ ...map, nodes }, to), placement };
}
