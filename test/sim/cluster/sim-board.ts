/** The board of acknowledgements of a simulated node: its data worker sleeps in simulated time. */
import { AckBoard } from '@ingot/replication';
import { Mailbox } from './mailbox.ts';
import type { SimProcess } from './host.ts';

export class SimBoard extends AckBoard {
  readonly #wakes: Mailbox;
  #isAsleep = false;
  #woken: () => void = () => {};

  constructor(process: SimProcess, partitions: number) {
    super(AckBoard.create(partitions, 1).buffer, partitions);
    this.#wakes = new Mailbox(process);
  }

  override announce(): void {
    this.#isAsleep = true;
  }

  override notify(): void {
    if (!this.#isAsleep) return;
    this.#isAsleep = false;
    this.#wakes.post(() => this.#woken());
  }

  override async sleep(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#woken = resolve;
    });
  }
}
