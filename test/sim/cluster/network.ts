/** Calls between simulated processes: each message is on its way for a while, may be lost, may come twice.
 *
 *  Whether messages get from one machine to another is a matter of that direction alone. A call without an answer
 *  rejects on the caller's clock; a dead caller hears nothing. Whoever lives at the address when a message
 *  arrives gets it, be it a later process. */
import type { Random } from '../../../packages/replication/src/random.fixture.ts';
import type { Host, SimProcess } from './host.ts';
import type { ClusterWorld } from './world.ts';

/** How the network is at the moment. */
export interface Weather {
  lossShare: number;
  doubleShare: number;
  /** Of messages that take long. */
  slowShare: number;
  slowMsMax: number;
}

const calm: Readonly<Weather> = { lossShare: 0, doubleShare: 0, slowShare: 0, slowMsMax: 0 };
const quickMsMax = 4;

export interface CallOptions {
  readonly timeoutMs: number;
  /** The request may arrive twice. */
  readonly mayDouble?: boolean;
}

/** What a call rejects with where no answer came. */
export class NoAnswer extends Error {}

export class Network {
  readonly #world: ClusterWorld;
  readonly #random: Random;
  /** Directions in which nothing gets through, "a>b". */
  readonly #cuts = new Set<string>();
  weather: Weather = { ...calm };

  constructor(world: ClusterWorld) {
    this.#world = world;
    this.#random = world.random;
  }

  cut(from: string, to: string): void {
    this.#cuts.add(`${from}>${to}`);
  }

  mend(from: string, to: string): void {
    this.#cuts.delete(`${from}>${to}`);
  }

  isCut(from: string, to: string): boolean {
    return this.#cuts.has(`${from}>${to}`);
  }

  heal(): void {
    this.#cuts.clear();
    this.weather = { ...calm };
  }

  delayMs(): number {
    const { slowShare, slowMsMax } = this.weather;
    if (this.#random.chance(slowShare)) return this.#random.next() * slowMsMax;
    return 0.2 + this.#random.next() * quickMsMax;
  }

  /** One message, or none, or two. `arrives` runs on the process that lives there then. */
  send(
    from: string,
    to: string,
    arrives: (process: SimProcess) => void,
    { mayDouble = false, nobody = () => {} }: { mayDouble?: boolean; nobody?: () => void } = {},
  ): void {
    const { random } = this.#world;
    if (this.isCut(from, to) || random.chance(this.weather.lossShare)) return;
    this.#carry(from, to, arrives, nobody);
    if (!mayDouble || !random.chance(this.weather.doubleShare)) return;
    this.#carry(from, to, arrives, nobody);
  }

  /** `nobody`: the machine is there, and no process on it. */
  #carry(
    from: string,
    to: string,
    arrives: (process: SimProcess) => void,
    nobody: () => void,
  ): void {
    const world = this.#world;
    const arrive = (): void => {
      const process = world.host(to).process;
      if (from !== to && this.isCut(from, to)) return;
      if (process === null) return nobody();
      world.scheduler.after(0, process.thread, () => arrives(process));
    };
    world.scheduler.after(from === to ? 0 : this.delayMs(), world.wires, arrive);
  }

  /** Asks whoever lives at `to`. Rejects with NoAnswer, or with what `answer` rejects with. */
  call<Answer>(
    caller: SimProcess,
    to: string,
    answer: (process: SimProcess) => Promise<Answer>,
    { timeoutMs, mayDouble = false }: CallOptions,
  ): Promise<Answer> {
    const from = caller.host.id;
    return new Promise<Answer>((resolve, reject) => {
      let isOpen = true;
      const close = (settle: () => void): void => {
        if (!isOpen) return;
        isOpen = false;
        callOff();
        settle();
      };
      const callOff = caller.later(timeoutMs, () => {
        close(() => reject(new NoAnswer(`no answer from ${to}`)));
      });
      // An answer is for the process that asked.
      const back = (settle: () => void): void => {
        this.send(to, from, (process) => {
          if (process === caller) close(settle);
        });
      };
      const asked = (process: SimProcess): void => {
        answer(process).then(
          (value) => back(() => resolve(value)),
          (error: Error) => back(() => reject(error)),
        );
      };
      const nobody = (): void => back(() => reject(new NoAnswer(`nobody is at ${to}`)));
      this.send(from, to, asked, { mayDouble, nobody });
    });
  }

  /** Whether two machines can speak to each other. */
  joins(a: Host, b: Host): boolean {
    return !this.isCut(a.id, b.id) && !this.isCut(b.id, a.id);
  }
}
