/** A simulated machine, and the process of a node on it.
 *
 *  A machine has clocks and outlives its processes. Everything that a process does runs on its thread, so
 *  that it can be paused and killed as one; what it waited for never comes, and its promises are forgotten with it. */
import { Thread } from '../scheduler.ts';
import { SimClock } from './clock.ts';
import type { ClusterWorld } from './world.ts';

export class Host {
  readonly id: string;
  readonly world: ClusterWorld;
  readonly clock: SimClock;
  process: SimProcess | null = null;
  processCount = 0;

  constructor(id: string, world: ClusterWorld) {
    this.id = id;
    this.world = world;
    this.clock = new SimClock(world.random, world.clocksAreWild);
  }

  /** A process begins; there is none. */
  boot(): SimProcess {
    this.process = new SimProcess(this, ++this.processCount);
    this.world.note(`${this.process.name} begins`);
    return this.process;
  }

  kill(): void {
    const { process } = this;
    if (process === null) return;
    this.world.note(`${process.name} is killed`);
    for (const thread of process.threads) thread.dead = true;
    this.process = null;
  }

  /** Nothing of it runs for so long. */
  pause(ms: number): void {
    const { process, world, clock } = this;
    if (process === null) return;
    const { nowMs } = world.scheduler;
    const suspends = clock.maySuspend && world.random.chance(0.5);
    // A pause within a pause ends with the longer one.
    const untilMs = Math.max(process.thread.pausedUntilMs, nowMs + ms);
    const addedMs = untilMs - Math.max(process.thread.pausedUntilMs, nowMs);
    for (const thread of process.threads) thread.pausedUntilMs = untilMs;
    if (suspends) clock.stoodStill(addedMs);
    world.note(`${process.name} stands still for ${ms}${suspends ? ', and its clock' : ''}`);
    if (suspends) world.trace.count('fault: a monotonic clock stood still');
  }
}

export class SimProcess {
  readonly host: Host;
  readonly name: string;
  readonly thread: Thread;
  /** Runs commands. Nothing but a gate keeps it from what the other one does. */
  readonly worker: Thread;
  readonly threads: readonly Thread[];
  readonly startedAtMs: number;

  constructor(host: Host, count: number) {
    this.host = host;
    this.name = `${host.id}#${count}`;
    this.thread = new Thread(this.name);
    this.worker = new Thread(`${this.name} worker`);
    this.threads = [this.thread, this.worker];
    this.startedAtMs = this.nowMs();
  }

  get alive(): boolean {
    return !this.thread.dead;
  }

  get runs(): boolean {
    return this.alive && this.thread.pausedUntilMs <= this.host.world.scheduler.nowMs;
  }

  /** Monotonic. */
  readonly nowMs = (): number => this.host.clock.monotonicMs(this.host.world.scheduler.nowMs);

  readonly wallMs = (): number => this.host.clock.wallMs(this.host.world.scheduler.nowMs);

  readonly later = (delayMs: number, then: () => void): (() => void) => {
    let isDue = true;
    const dueAtMs = this.nowMs() + delayMs;
    const wait = (leftMs: number): void => {
      const trueMs = Math.max(leftMs, 0) / this.host.clock.rate;
      this.host.world.scheduler.after(trueMs, this.thread, () => {
        if (!isDue) return;
        // The clock stood still meanwhile: not yet.
        const stillMs = dueAtMs - this.nowMs();
        if (stillMs > 0.001) return wait(stillMs);
        isDue = false;
        then();
      });
    };
    wait(delayMs);
    return () => {
      isDue = false;
    };
  };

  onWorker(run: () => void): void {
    const { scheduler, random } = this.host.world;
    scheduler.after(random.next(), this.worker, run);
  }

  /** Again and again, with some irregularity, as long as the process lives. */
  every(intervalMs: number, run: () => void): void {
    const { random } = this.host.world;
    const wait = (): void => {
      this.later(intervalMs * (0.95 + 0.1 * random.next()), () => {
        run();
        wait();
      });
    };
    this.later(random.next() * intervalMs, () => {
      run();
      wait();
    });
  }
}
