/** What a simulated hub sleeps with: the words of `Sleeper` as fields, and waits in simulated time. */
import type { Sleep } from '@ingot/replication';
import type { SimProcess } from './host.ts';

type Word = 'awake' | 'asleep' | 'undisturbed' | 'gathering';

export class SimSleep implements Sleep {
  readonly #process: SimProcess;
  #word: Word = 'awake';
  #hurry = false;
  #wakes: () => void = () => {};

  constructor(process: SimProcess) {
    this.#process = process;
  }

  announce(hasFollowers: boolean): void {
    this.#word = hasFollowers ? 'asleep' : 'undisturbed';
  }

  async sleep(): Promise<void> {
    if (this.#word === 'awake') return;
    await new Promise<void>((resolve) => {
      this.#wakes = resolve;
    });
  }

  async gather(ms: number): Promise<void> {
    const isHurried = this.#hurry;
    this.#hurry = false;
    this.#word = isHurried ? 'awake' : 'gathering';
    await new Promise<void>((resolve) => {
      if (!isHurried) this.#wakes = resolve;
      this.#process.later(isHurried ? 0.01 : ms, resolve);
    });
    this.#hurry = false;
  }

  wake(): void {
    this.#word = 'awake';
    this.#wakes();
  }

  /** Something was written. */
  written(): void {
    if (this.#word === 'asleep') this.wake();
  }

  /** The same, and replies wait for it. */
  hurry(): void {
    this.#hurry = true;
    if (this.#word === 'asleep' || this.#word === 'gathering') this.wake();
  }
}
