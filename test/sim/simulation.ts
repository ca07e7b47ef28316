/** A run from a seed: rounds of trouble, each followed by a healing after which everything must be equal. */
import { InvariantError } from '@ingot/store';
import { Faults } from './faults.ts';
import { Broken, type Claim } from './trace.ts';
import { Workload } from './workload.ts';
import { World } from './world.ts';

export interface SimulationOptions {
  readonly seed: number;
  readonly simulatedMs: number;
  readonly print?: ((line: string) => void) | null;
}

export interface SimulationReport {
  readonly seed: number;
  readonly simulatedMs: number;
  readonly hash: string;
  readonly counts: ReadonlyMap<string, number>;
  readonly events: number;
}

/** What a failed run says: which claim broke, and how it came to that. */
export class SimulationFailed extends Error {
  readonly claim: Claim;
  readonly seed: number;
  readonly lastLines: readonly string[];

  constructor(seed: number, broken: Broken, lastLines: readonly string[]) {
    super(`seed ${seed}: ${broken.message}`, { cause: broken });
    this.claim = broken.claim;
    this.seed = seed;
    this.lastLines = lastLines;
  }
}

const troubleMsMax = 12_000;
const calmMsMax = 1_500;
const absenceMsMax = 120_000;
export const settleMsMax = 90_000;

/** @throws SimulationFailed */
export function simulate({ seed, simulatedMs, print = null }: SimulationOptions): SimulationReport {
  const simulation = new Simulation(seed, print);
  try {
    withoutWaiting(() => simulation.run(simulatedMs));
  } catch (error) {
    throw new SimulationFailed(seed, brokenBy(error), simulation.world.trace.lastLines);
  }
  const { trace, scheduler } = simulation.world;
  return {
    seed,
    simulatedMs: simulation.elapsedMs,
    hash: trace.hash,
    counts: trace.counts,
    events: scheduler.eventCount,
  };
}

/** There is one thread: whoever waits for a gate here waits for ever. */
export function withoutWaiting(run: () => void): void {
  const { wait } = Atomics;
  Atomics.wait = () => {
    throw new Broken('invariant', 'somebody waits for a gate that is held');
  };
  try {
    run();
  } finally {
    Atomics.wait = wait;
  }
}

export function brokenBy(error: unknown): Broken {
  if (error instanceof Broken) return error;
  if (error instanceof InvariantError || error instanceof RangeError) {
    return new Broken('invariant', error.message);
  }
  throw error;
}

class Simulation {
  readonly world: World;
  readonly #workload: Workload;
  readonly #faults: Faults;
  readonly #startedMs: number;

  constructor(seed: number, print: ((line: string) => void) | null) {
    const nodes = 3 + (seed % 2);
    const partitions = seed % 3 === 0 ? 2 : 1;
    const leaf = seed % 4 < 2;
    this.world = new World({ seed, nodes, partitions, leaf, print });
    this.#workload = new Workload(this.world);
    this.#faults = new Faults(this.world, this.#workload);
    this.#startedMs = this.world.scheduler.nowMs;
    this.world.found();
  }

  get elapsedMs(): number {
    return this.world.scheduler.nowMs - this.#startedMs;
  }

  run(simulatedMs: number): void {
    while (this.elapsedMs < simulatedMs) {
      this.#trouble();
      this.#heal();
    }
  }

  #trouble(): void {
    const { scheduler, random, links } = this.world;
    this.#workload.writing = true;
    const untilMs = scheduler.nowMs + random.below(troubleMsMax);
    while (scheduler.nowMs < untilMs) {
      scheduler.runUntil(scheduler.nowMs + random.below(calmMsMax));
      this.#faults.strike();
    }
    if (!random.chance(0.1)) return;
    const all = [...links.values()];
    const absenceMs = random.below(absenceMsMax);
    this.#faults.breakLink(all[random.below(all.length)], absenceMs);
    this.world.trace.count('fault: long absence');
    scheduler.runUntil(scheduler.nowMs + absenceMs);
  }

  /** No more faults: every link is up, every node comes back, clients pause. */
  #heal(): void {
    const { world } = this;
    const { scheduler } = world;
    world.heal();
    this.#workload.writing = false;
    const limitMs = scheduler.nowMs + settleMsMax;
    scheduler.runUntil(limitMs, () => world.settled());
    const unsettled = world.unsettled();
    if (unsettled !== null) throw new Broken('settles', unsettled);
    world.judgeAtRest();
    world.trace.count('healings after which all was equal');
  }
}
