/** What goes wrong in a simulated cluster, drawn from the seed: one row per kind of fault. */
import type { ClusterMachine, ClusterRun } from './cluster-run.ts';
import { mayLose } from './may-lose.ts';

interface FaultRow {
  readonly name: string;
  /** How often it is drawn, beside the others. */
  readonly share: number;
  /** False where it could not happen now. */
  readonly happen: (faults: ClusterFaults) => boolean;
}

const FAULTS: readonly FaultRow[] = [
  { name: 'process dies', share: 6, happen: (faults) => faults.die(false) },
  { name: 'disk wiped', share: 2, happen: (faults) => faults.die(true) },
  { name: 'pause', share: 6, happen: (faults) => faults.pause() },
  { name: 'one-way cut', share: 5, happen: (faults) => faults.cut() },
  { name: 'node isolated', share: 6, happen: (faults) => faults.isolate() },
  { name: 'wall clock set', share: 1, happen: (faults) => faults.setClock() },
  { name: 'weather changes', share: 2, happen: (faults) => faults.changeWeather() },
  { name: 'node leaves', share: 1, happen: (faults) => faults.leave() },
  { name: 'node joins', share: 2, happen: (faults) => faults.joinIn() },
  { name: 'node drains and stops', share: 4, happen: (faults) => faults.drain() },
  { name: 'burst of writes', share: 3, happen: (faults) => faults.burst() },
  { name: 'lead moved by hand', share: 2, happen: (faults) => faults.promote() },
];
const shares = FAULTS.reduce((sum, { share }) => sum + share, 0);

const burstWrites = 40;

export class ClusterFaults {
  readonly #run: ClusterRun;
  /** Faults that come by themselves may come now. */
  active = false;

  constructor(run: ClusterRun) {
    this.#run = run;
  }

  strike(): void {
    const { random, trace } = this.#run.world;
    let left = random.below(shares);
    for (const { name, share, happen } of FAULTS) {
      left -= share;
      if (left >= 0) continue;
      if (happen(this)) trace.count(`fault: ${name}`);
      return;
    }
  }

  changeWeather(): boolean {
    const { random, network } = this.#run.world;
    network.weather = {
      lossShare: random.chance(0.5) ? 0 : random.next() * 0.05,
      doubleShare: random.next() * 0.05,
      slowShare: random.next() * 0.06,
      slowMsMax: 50 + random.below(1_500),
    };
    return true;
  }

  die(wantsWipe: boolean): boolean {
    const { world, history } = this.#run;
    const machine = this.#victim();
    if (machine === null) return false;
    if (wantsWipe && !mayLose(history.pending(), this.#votersBut(machine))) return false;
    this.#run.kill(machine);
    if (wantsWipe) {
      machine.disk.wipe();
      machine.incarnation = 0;
    }
    const { random } = world;
    const awayMs = random.chance(0.3) ? random.below(300) : random.below(9_000);
    world.after(awayMs, () => {
      if (!machine.isOut) this.#run.start(machine);
    });
    return true;
  }

  /** SIGTERM: it hands over, ends in order, and comes back. */
  drain(): boolean {
    const { world } = this.#run;
    const machine = this.#victim();
    const node = machine?.node ?? null;
    if (machine === null || node?.joined !== true) return false;
    machine.isDraining = true;
    void node.drain().then((isDone) => {
      if (!isDone) world.trace.count('drains that took too long');
      else if (this.#run.history.latest.placement.every(({ primary }) => primary !== node.id)) {
        world.trace.count('drains after which a node led nothing');
      }
      this.#run.stop(machine);
      world.after(world.random.below(4_000), () => {
        if (!machine.isOut) this.#run.start(machine);
      });
    });
    return true;
  }

  /** Cuts a primary off from its followers, lets clients talk to it a little longer, and kills it. */
  lastWords(machine: ClusterMachine): boolean {
    const { world, machines } = this.#run;
    const { random, network, trace } = world;
    if (!this.active || !random.chance(0.015) || !this.#isCovered(machine)) return false;
    const { id } = machine.host;
    for (const { host } of machines) if (host.id !== id) network.cut(id, host.id);
    const { process } = machine.host;
    // Where no clock ends its lease it may as well go on, and learn of its end later.
    const livesOn = world.clocksAreWild && random.chance(0.5);
    world.after(livesOn ? 1_000 + random.below(4_000) : 25, () => {
      for (const { host } of machines) network.mend(id, host.id);
      if (livesOn) return;
      if (machine.host.process !== process) return;
      this.#run.kill(machine);
      world.after(500 + random.below(3_000), () => {
        if (!machine.isOut) this.#run.start(machine);
      });
    });
    trace.count('fault: primary dies with a write of its own');
    return true;
  }

  /** The same, cut off from one follower before it has all that others need not have. */
  lastJoin(machine: ClusterMachine, joining: string): boolean {
    const { world } = this.#run;
    if (!this.active || !world.random.chance(0.1)) return false;
    const { id, process } = machine.host;
    world.network.cut(id, joining);
    world.after(350 + world.random.below(300), () => {
      world.network.mend(id, joining);
      if (machine.host.process === null || machine.host.process !== process) return;
      this.#run.kill(machine);
      world.after(500 + world.random.below(3_000), () => {
        if (!machine.isOut) this.#run.start(machine);
      });
    });
    world.trace.count('fault: primary dies after a follower was late to join');
    return true;
  }

  /** The same, cut off from one follower that is about to be in sync. */
  lastChange(machine: ClusterMachine, joining: string): boolean {
    const { world } = this.#run;
    if (!this.active || !world.random.chance(0.15)) return false;
    const { id, process } = machine.host;
    world.network.cut(id, joining);
    world.after(40, () => {
      world.network.mend(id, joining);
      if (machine.host.process === null || machine.host.process !== process) return;
      this.#run.kill(machine);
      world.after(500 + world.random.below(3_000), () => {
        if (!machine.isOut) this.#run.start(machine);
      });
    });
    world.trace.count('fault: primary dies while its in-sync set grows');
    return true;
  }

  pause(): boolean {
    const { random } = this.#run.world;
    const ms = random.chance(0.5) ? random.below(700) : random.below(7_000);
    const machine = ms < 700 ? this.#anybody() : this.#victim();
    machine?.host.pause(ms);
    return machine !== null;
  }

  cut(): boolean {
    const { world, machines } = this.#run;
    const from = world.pick(machines)?.host.id ?? '';
    const to = world.pick(machines)?.host.id ?? '';
    world.network.cut(from, to);
    world.after(world.random.below(8_000), () => world.network.mend(from, to));
    return from !== to;
  }

  /** All that it sends, or all that it is sent, or both. */
  isolate(): boolean {
    const { world, machines } = this.#run;
    const { random, network } = world;
    const machine = this.#victim();
    if (machine === null) return false;
    const { id } = machine.host;
    const choice = random.below(3);
    const ms = 500 + random.below(8_000);
    const sides = random.chance(0.3) ? [...machines.map(({ host }) => host.id), 'clients'] : null;
    for (const other of sides ?? machines.map(({ host }) => host.id)) {
      if (other === id) continue;
      if (choice !== 0) network.cut(id, other);
      if (choice !== 1) network.cut(other, id);
      world.after(ms, () => {
        network.mend(id, other);
        network.mend(other, id);
      });
    }
    if (sides === null) {
      for (const share of [0.5, 0.7, 0.9]) {
        world.after(ms * share, () => this.#askWhoWasIsolated(machine));
      }
    }
    return true;
  }

  /** Others may lead by now what it led: clients that still reach it must not be told what was. */
  #askWhoWasIsolated({ host: { id }, node }: ClusterMachine): void {
    const { world, history, clients } = this.#run;
    for (const partition of node?.applied.placement.keys() ?? []) {
      const { primary } = history.latest.placement[partition];
      if (primary === id || primary === null || node?.applied.placement[partition].primary !== id) {
        continue;
      }
      const key = clients.writeAt(primary, partition);
      for (const ms of [20, 60, 120]) {
        world.after(ms, () => clients.readAt(id, partition, key));
      }
      world.trace.count('reads of a node whose partition others lead');
    }
  }

  setClock(): boolean {
    const { world } = this.#run;
    const machine = this.#anybody();
    if (machine === null || machine.host.clock.maySuspend) return false;
    machine.host.clock.jumpWall(world.random);
    return true;
  }

  leave(): boolean {
    const run = this.#run;
    const machine = this.#victim();
    const staying = run.machines.filter((other) => other !== machine && !other.isOut);
    if (machine?.node?.joined !== true || staying.length < 3) return false;
    if (!mayLose(run.history.pending(), this.#votersBut(machine))) return false;
    machine.isOut = true;
    if (!run.letGo(machine)) machine.isOut = false;
    return machine.isOut;
  }

  joinIn(): boolean {
    const out = this.#run.machines.filter(({ isOut, host }) => isOut && host.process === null);
    const machine = this.#run.world.pick(out);
    if (machine !== null) this.#run.start(machine);
    return machine !== null;
  }

  promote(): boolean {
    const { world, history } = this.#run;
    const partition = world.random.below(history.latest.partitions);
    const to = world.pick(history.latest.placement[partition].followers);
    const active = this.#run.nodes().find(({ coordinator }) => coordinator.isActive());
    if (to === null || active === undefined) return false;
    active.coordinator.promote(partition, to, false).then(
      () => world.trace.count('leads moved by hand'),
      () => undefined,
    );
    return true;
  }

  /** More than the ring of the partition holds. */
  burst(): boolean {
    const { world, history } = this.#run;
    const partition = world.random.below(history.latest.partitions);
    const { primary } = history.latest.placement[partition];
    if (primary !== null) this.#run.clients.burst(primary, partition, burstWrites);
    return primary !== null;
  }

  /** Acceptors that go on, or come back, without this one. Who is to leave is not started again. */
  #votersBut(machine: ClusterMachine): string[] {
    const staying = this.#run.machines.filter((other) => other !== machine && !other.isOut);
    return staying.map(({ disk }) => disk.id);
  }

  #anybody(): ClusterMachine | null {
    return this.#run.world.pick(this.#run.machines.filter(({ host }) => host.process !== null));
  }

  /** Mostly one without whom every partition still has a copy in sync. */
  #victim(): ClusterMachine | null {
    const machine = this.#anybody();
    if (machine === null || this.#run.world.random.chance(0.1)) return machine;
    return this.#isCovered(machine) ? machine : null;
  }

  #isCovered(machine: ClusterMachine): boolean {
    const { network } = this.#run.world;
    const sound = this.#run
      .nodes()
      .filter(({ id, process, joined }) => {
        const others = this.#run.machines.filter(({ host }) => host.id !== id);
        const isHeard = others.every(({ host }) => network.joins(host, process.host));
        return id !== machine.host.id && process.runs && joined && isHeard;
      })
      .map(({ life }) => life);
    return this.#run.history
      .pending()
      .every(({ placement }) =>
        placement.every(({ inSync }) =>
          inSync.some((life) =>
            sound.some((one) => one.node === life.node && one.incarnation === life.incarnation),
          ),
        ),
      );
  }
}
