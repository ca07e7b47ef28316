/** A look at a partition under an even gate, for whoever must not wait for a writer. */
import { newStableView, type Partition, type StableView } from '@ingot/store';

/** A passage lasts microseconds, so a second look often finds the gate even. */
export const gateLooksMax = 16;

export class GateLook {
  readonly #partition: Partition;
  /** What the last look that succeeded saw. */
  readonly view: StableView = newStableView();

  constructor(partition: Partition) {
    this.#partition = partition;
  }

  /** False when a writer is inside. */
  look(): boolean {
    for (let looks = 0; looks < gateLooksMax; looks++) {
      if (this.#partition.tryStable(this.view)) return true;
    }
    return false;
  }
}
