/** The register alone: acceptors on machines that crash, forget what they did not flush, and lose disks; everybody
 *  proposes, reads, and changes the set of acceptors, to sets drawn at random. */
import { Acceptor } from '../../../packages/node/src/register/acceptor.ts';
import type { AcceptorCalls } from '../../../packages/node/src/register/acceptor-calls.ts';
import { CasPaxosMapStore } from '../../../packages/node/src/register/caspaxos-map-store.ts';
import type { ClusterMapStore } from '../../../packages/node/src/register/map-store.ts';
import type {
  AcceptorRef,
  AcceptorSet,
  ClusterMap,
} from '../../../packages/node/src/shared/map.ts';
import { Broken } from '../trace.ts';
import { AcceptorDisk } from './acceptor-disk.ts';
import { foundingMap } from './founding.ts';
import type { Host, SimProcess } from './host.ts';
import { mayLose } from './may-lose.ts';
import { RegisterHistory } from './register-history.ts';
import { ClusterWorld } from './world.ts';

const machineCount = 6;
const founders = 3;
/** Less than a phase of a round takes at most: what is slow may still count. */
const answerMs = 450;
const settleMsMax = 20_000;
const troubleMsMax = 8_000;

interface Machine {
  readonly host: Host;
  readonly disk: AcceptorDisk;
  acceptor: Acceptor | null;
}

export class RegisterRun {
  readonly world: ClusterWorld;
  readonly #machines: Machine[];
  readonly #history: RegisterHistory;
  #operations = 0;
  #healing = false;
  /** In some trouble every other promise is the last thing a process does. */
  #isFragile = false;
  /** Since the trouble ended. */
  #settled = 0;

  constructor(seed: number, print: ((line: string) => void) | null) {
    this.world = new ClusterWorld({ seed, print });
    this.#machines = Array.from({ length: machineCount }, (_, i) => {
      const host = this.world.addHost(String.fromCharCode(97 + i));
      return { host, disk: new AcceptorDisk(host), acceptor: null };
    });
    const refs = this.#machines.map(refOf);
    const founding = foundingMap(
      this.#machines.map(({ host, disk }) => ({ id: host.id, acceptor: disk.id })),
      { current: refs.slice(0, founders), next: null },
    );
    this.#history = new RegisterHistory(this.world, founding);
    for (const { disk } of this.#machines.slice(0, founders)) disk.found(founding);
    for (const machine of this.#machines) this.#boot(machine, founding);
  }

  async run(simulatedMs: number): Promise<void> {
    while (this.world.elapsedMs < simulatedMs) {
      await this.#trouble();
      await this.#heal();
    }
  }

  // ------------------------------------------------------------ processes

  #boot(machine: Machine, known: ClusterMap): void {
    const process = machine.host.boot();
    const acceptor = new Acceptor(machine.disk.openFor(process));
    machine.acceptor = acceptor;
    const life = { node: machine.host.id, incarnation: machine.host.processCount };
    const store = new CasPaxosMapStore({
      life: () => life,
      proposer: process.name,
      calls: this.#callsOf(process),
      acceptors: (acceptor.accepted ?? known).acceptors,
      later: process.later,
      random: () => this.world.random.next(),
    });
    this.#proposeSoon(process, this.#history.watched(store, process.name));
  }

  #callsOf(process: SimProcess): AcceptorCalls {
    const { network } = this.world;
    const options = { timeoutMs: answerMs, mayDouble: true };
    return {
      prepare: (to, from, ballot) =>
        network.call(
          process,
          to.node,
          async (target) => {
            const answer = (await this.#acceptorOf(target, to)?.prepare(from, ballot)) ?? stranger;
            if (answer.kind === 'promised') this.#hasPromised(target, from.node);
            return answer;
          },
          options,
        ),
      accept: (to, from, ballot, map) =>
        network.call(
          process,
          to.node,
          async (target) => this.#acceptorOf(target, to)?.accept(from, ballot, map) ?? stranger,
          options,
        ),
    };
  }

  #acceptorOf(target: SimProcess, { id }: AcceptorRef): Acceptor | null {
    const acceptor = this.#machine(target.host).acceptor;
    return acceptor?.id === id ? acceptor : null;
  }

  /** Now and then that is the last thing a process does, while who asked is slow to go on. */
  #hasPromised({ host, name }: SimProcess, proposer: string): void {
    const { random, trace } = this.world;
    if (this.#healing || !random.chance(this.#isFragile ? 0.5 : 0.03)) return;
    this.world.after(random.below(this.#isFragile ? 150 : 15), () => {
      if (host.process?.name !== name) return;
      trace.count('fault: crash after a promise');
      if (random.chance(0.5)) this.world.host(proposer).pause(random.below(250));
      this.#restart(this.#machine(host), random.below(5), false);
    });
  }

  #machine(host: Host): Machine {
    return this.#machines[this.world.hosts.indexOf(host)];
  }

  // ------------------------------------------------------------ proposals

  #proposeSoon(process: SimProcess, store: ClusterMapStore): void {
    const pauseMs = this.world.random.below(this.#healing ? 400 : 120);
    process.later(pauseMs, () => {
      const again = (): void => this.#proposeSoon(process, store);
      this.#propose(process, store).then(again, (error: unknown) => {
        if (error instanceof Broken) this.world.fail(error);
        this.world.trace.count('the register could not be asked');
        again();
      });
    });
  }

  async #propose(process: SimProcess, store: ClusterMapStore): Promise<void> {
    const { version, map } = await store.read();
    if (this.#healing) this.#settled++;
    if (this.world.random.chance(0.4)) return;
    const operationId = `${process.name}.${++this.#operations}`;
    const next: ClusterMap = {
      ...map,
      version: map.version + 1,
      acceptors: this.#nextSet(map.acceptors),
      operations: { ...map.operations, [process.host.id]: operationId },
    };
    await store.compareAndSet(version, next, operationId);
  }

  #nextSet(set: AcceptorSet): AcceptorSet {
    const { random, trace } = this.world;
    if (set.next !== null) {
      if (random.chance(0.5)) return set;
      trace.count('acceptor sets: final');
      return { current: set.next, next: null };
    }
    if (random.chance(this.#healing ? 0.5 : 0.85)) return set;
    const drawn = this.#machines.map((machine) => ({ at: random.next(), ref: refOf(machine) }));
    drawn.sort((a, b) => a.at - b.at);
    trace.count('acceptor sets: joint');
    const count = [1, 3, 3, 5][random.below(4)];
    return { current: set.current, next: drawn.slice(0, count).map(({ ref }) => ref) };
  }

  // ------------------------------------------------------------ trouble

  async #trouble(): Promise<void> {
    const { world } = this;
    const { random, network } = world;
    network.weather = {
      lossShare: random.next() * 0.12,
      doubleShare: random.next() * 0.1,
      slowShare: random.next() * 0.4,
      slowMsMax: 30 + random.below(400),
    };
    this.#isFragile = random.chance(0.3);
    const untilMs = world.elapsedMs + random.below(troubleMsMax);
    while (world.elapsedMs < untilMs) {
      await world.run(random.below(600));
      this.#strike(this.#machines[random.below(machineCount)]);
    }
  }

  #strike(machine: Machine): void {
    const { random, trace, network } = this.world;
    const choice = random.next();
    const { host } = machine;
    if (choice < 0.35) {
      trace.count('fault: crash');
      // One that is back at once meets what was sent to the one before.
      const awayMs = random.chance(0.6) ? random.below(20) : random.below(900);
      this.#restart(machine, awayMs, choice < 0.12);
    } else if (choice < 0.45) {
      trace.count('fault: several crash at once');
      for (const other of this.#machines) {
        if (random.chance(0.6)) this.#restart(other, random.below(20), false);
      }
    } else if (choice < 0.6) {
      trace.count('fault: pause');
      host.pause(random.below(1_500));
    } else {
      trace.count('fault: one-way cut');
      const other = this.#machines[random.below(machineCount)].host;
      network.cut(host.id, other.id);
      this.world.after(random.below(2_500), () => network.mend(host.id, other.id));
    }
  }

  #restart(machine: Machine, afterMs: number, wantsWipe: boolean): void {
    const { host, disk } = machine;
    if (host.process === null) return;
    host.kill();
    machine.acceptor = null;
    disk.disk.crash();
    const others = this.#machines.filter((other) => other !== machine);
    if (
      wantsWipe &&
      mayLose(
        this.#history.pending(),
        others.map(({ disk: { id } }) => id),
      )
    ) {
      this.world.trace.count('fault: disk wiped');
      disk.wipe();
    }
    this.world.after(afterMs, () => this.#boot(machine, this.#history.latest));
  }

  async #heal(): Promise<void> {
    const { world } = this;
    world.network.heal();
    this.#healing = true;
    this.#settled = 0;
    await world.run(settleMsMax, () => this.#settled > machineCount);
    if (this.#settled <= machineCount) {
      throw new Broken('settles', 'the register cannot be read although everything is well');
    }
    world.trace.count('healings after which the register answers');
    this.#healing = false;
  }
}

const stranger = { kind: 'stranger' } as const;

function refOf({ host, disk }: Machine): AcceptorRef {
  return { id: disk.id, node: host.id };
}
