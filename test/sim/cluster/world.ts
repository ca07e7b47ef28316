/** What all simulations of clusters share: simulated time, machines, the network, and the one seed. */
import { Random } from '../../../packages/replication/src/random.fixture.ts';
import { Scheduler, Thread } from '../scheduler.ts';
import { Trace } from '../trace.ts';
import { Host } from './host.ts';
import { Network } from './network.ts';
import { rest } from './rest.ts';

export interface WorldOptions {
  readonly seed: number;
  /** Clocks run as they like. */
  readonly clocksAreWild?: boolean;
  readonly print?: ((line: string) => void) | null;
}

export class ClusterWorld {
  readonly scheduler = new Scheduler();
  readonly trace: Trace;
  readonly random: Random;
  readonly network: Network;
  readonly hosts: Host[] = [];
  /** Faults, clients, the hand of the test. */
  readonly control: Thread = new Thread('control');
  readonly wires: Thread = new Thread('wires');
  readonly startedMs: number;
  readonly clocksAreWild: boolean;
  /** What broke first, wherever that was noticed. */
  #broken: Error | null = null;
  /** After every event and all that followed from it. */
  judge: () => void = () => {};

  constructor({ seed, clocksAreWild = false, print = null }: WorldOptions) {
    this.clocksAreWild = clocksAreWild;
    this.random = new Random(seed);
    this.trace = new Trace(print);
    this.network = new Network(this);
    this.startedMs = this.scheduler.nowMs;
  }

  get elapsedMs(): number {
    return this.scheduler.nowMs - this.startedMs;
  }

  note(what: string): void {
    this.trace.note(this.scheduler.nowMs, what);
  }

  addHost(id: string): Host {
    const host = new Host(id, this);
    this.hosts.push(host);
    return host;
  }

  host(id: string): Host {
    const found = this.hosts.find((host) => host.id === id);
    if (found === undefined) throw new Error(`there is no machine ${id}`);
    return found;
  }

  pick<T>(from: readonly T[]): T | null {
    return from.length === 0 ? null : from[this.random.below(from.length)];
  }

  /** Runs for so long, or until `done`. */
  async run(ms: number, done: () => boolean = () => false): Promise<void> {
    const limitMs = this.scheduler.nowMs + ms;
    while (!done() && this.scheduler.runNext(limitMs)) {
      await rest();
      this.judge();
      if (this.#broken !== null) throw this.#broken;
    }
    if (!done() && this.scheduler.nowMs < limitMs) this.scheduler.nowMs = limitMs;
  }

  /** Ends the run: who notices may be inside of something that takes errors for weather. */
  fail(broken: Error): void {
    this.#broken ??= broken;
  }

  /** Calls back on the hand of the test. */
  after(delayMs: number, run: () => void): void {
    this.scheduler.after(delayMs, this.control, run);
  }
}
