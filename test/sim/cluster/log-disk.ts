/** The disk under a redo log: a transaction is there after a crash once its commit has returned; one that is under way is
 *  there, or not, or where the order of writes is not kept in pieces; and a disk may be full, or say so and have it all the
 *  same. */
import type { Random } from '../../../packages/replication/src/random.fixture.ts';
import type { LogChange, LogStore } from '../../../packages/node/src/redo-log/log-store.ts';

/** The machine went down in the middle of a commit. */
export class Crash extends Error {}

export class LogDisk implements LogStore {
  readonly #random: Random;
  readonly #groups = new Map<number, Buffer>();
  isFull = false;
  /** The next commit is the machine's last. */
  crashes = false;
  /** The last crash left a group in pieces. */
  isTorn = false;

  constructor(random: Random) {
    this.#random = random;
  }

  commit(change: LogChange): void {
    if (this.crashes) {
      this.#tear(change);
      throw new Crash();
    }
    if (this.isFull) {
      if (this.#random.chance(0.3)) this.#apply(change);
      throw new Error('no space left on device');
    }
    this.#apply(change);
  }

  #apply({ group, remove }: LogChange): void {
    if (remove !== null) for (let n = remove.from; n < remove.to; n++) this.#groups.delete(n);
    if (group !== null) this.#groups.set(group.number, Buffer.from(group.bytes));
  }

  #tear(change: LogChange): void {
    const fate = this.#random.next();
    if (fate < 0.4) return;
    this.#apply(change);
    const bytes = change.group === null ? undefined : this.#groups.get(change.group.number);
    if (fate < 0.7 || bytes === undefined) return;
    bytes.fill(0, this.#random.below(bytes.length));
    this.isTorn = true;
  }

  /** Bits of a group turn over, long after. Returns whether there is one. */
  damage(): boolean {
    const numbers = [...this.#groups.keys()];
    const bytes = this.#groups.get(numbers[this.#random.below(numbers.length)]);
    if (bytes === undefined) return false;
    bytes[this.#random.below(bytes.length)] ^= 1 << this.#random.below(8);
    return true;
  }

  get kept(): number {
    return this.#groups.size;
  }

  firstNumber(): number {
    return this.#groups.size === 0 ? 1 : Math.min(...this.#groups.keys());
  }

  lastNumber(): number {
    return Math.max(0, ...this.#groups.keys());
  }

  *groups(): IterableIterator<{ number: number; bytes: Buffer }> {
    for (const number of [...this.#groups.keys()].toSorted((a, b) => a - b)) {
      yield { number, bytes: this.#groups.get(number) as Buffer };
    }
  }

  async close(): Promise<void> {}
}
