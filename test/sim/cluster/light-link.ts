/** One connection between a simulated primary and one of its followers: messages arrive in order or not at all.
 *  What is on its way when it ends is lost, and each end learns of that in its own time. */
import type { SimProcess } from './host.ts';
import type { ClusterWorld } from './world.ts';

const signOfLifeMs = 500;
const noticeMsMax = 60;
/** An end that cannot be told notices by the silence. */
const silenceMs = 3_000;

export interface LinkEnd {
  readonly process: SimProcess;
  closed(): void;
}

export class LightLink {
  readonly #world: ClusterWorld;
  #ends: readonly LinkEnd[] = [];
  readonly #told = new Set<LinkEnd>();
  readonly #lastAtMs = new Map<LinkEnd, number>();
  open = true;

  constructor(world: ClusterWorld) {
    this.#world = world;
  }

  join(a: LinkEnd, b: LinkEnd): void {
    this.#ends = [a, b];
    for (const end of this.#ends) this.#sayAlive(end);
  }

  #sayAlive(end: LinkEnd): void {
    end.process.later(signOfLifeMs, () => {
      this.send(end, () => undefined);
      if (this.open) this.#sayAlive(end);
    });
  }

  /** To the other end, after everything that was sent before. */
  send(from: LinkEnd, arrives: () => void): void {
    if (!this.open) return;
    const { scheduler, network, wires } = this.#world;
    const to = this.#other(from);
    if (network.isCut(from.process.host.id, to.process.host.id)) return this.#end(null);
    // A process that is gone takes its end with it.
    if (!to.process.alive) return this.#end(null);
    const atMs = Math.max(scheduler.nowMs + network.delayMs(), this.#lastAtMs.get(to) ?? 0);
    this.#lastAtMs.set(to, atMs + 0.001);
    scheduler.after(atMs - scheduler.nowMs, wires, () => {
      if (!this.open) return;
      if (network.isCut(from.process.host.id, to.process.host.id)) return this.#end(null);
      scheduler.after(0, to.process.thread, () => {
        if (!this.#told.has(to)) arrives();
      });
    });
  }

  /** One end closes it. */
  close(by: LinkEnd): void {
    this.#end(by);
  }

  #end(by: LinkEnd | null): void {
    if (!this.open) return;
    this.open = false;
    for (const end of this.#ends) {
      if (end === by) this.#tell(end);
      else
        this.#world.scheduler.after(this.#noticeMs(end), end.process.thread, () => this.#tell(end));
    }
  }

  #noticeMs(end: LinkEnd): number {
    const { network, random } = this.#world;
    const other = this.#other(end).process;
    const isReachable = !network.isCut(other.host.id, end.process.host.id) && other.alive;
    return isReachable ? random.next() * noticeMsMax : silenceMs * (0.5 + random.next());
  }

  #tell(end: LinkEnd): void {
    if (this.#told.has(end)) return;
    this.#told.add(end);
    end.closed();
  }

  #other(end: LinkEnd): LinkEnd {
    const [a, b] = this.#ends;
    return end === a ? b : a;
  }
}
