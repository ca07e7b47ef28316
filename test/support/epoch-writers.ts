/** Who accepted writes, by partition and epoch: one life of one node, or the brain is split. */

/** What `INGOT.PUT` answers: who took the write, read inside its passage. */
export interface Taker {
  readonly partition: number;
  readonly epoch: number;
  readonly node: string;
  readonly incarnation: number;
}

const TAKEN = /^(\d+) (\d+) (\S+) (\d+)$/;

/** Null where the write was not taken. */
export function takerOf(reply: string): Taker | null {
  const match = TAKEN.exec(reply);
  if (match === null) return null;
  const [, partition, epoch, node, incarnation] = match;
  return {
    ...{ partition: Number(partition), epoch: Number(epoch) },
    ...{ node, incarnation: Number(incarnation) },
  };
}

export class EpochWriters {
  readonly #lives = new Map<string, Set<string>>();

  saw({ partition, epoch, node, incarnation }: Taker): void {
    const key = `partition ${partition} epoch ${epoch}`;
    const lives = this.#lives.get(key);
    const life = `${node} incarnation ${incarnation}`;
    if (lives === undefined) this.#lives.set(key, new Set([life]));
    else lives.add(life);
  }

  /** Pairs of a partition and an epoch that had writers. */
  get epochs(): number {
    return this.#lives.size;
  }

  /** Those that had more than one. */
  get split(): string[] {
    return [...this.#lives]
      .filter(([, lives]) => lives.size > 1)
      .map(([key, lives]) => `${key}: ${[...lives].join(', ')}`);
  }
}
