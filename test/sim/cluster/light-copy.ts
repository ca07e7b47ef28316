/** A copy of a partition without bytes: the list of all that was written, in order.
 *
 *  It has the semantics of replication and nothing else of it: entries have an epoch and a contiguous seq, what was
 *  written under two primaries has a last common entry, and a copy that is being written over is not consistent. */

export interface Entry {
  readonly epoch: number;
  readonly key: string;
  readonly value: string;
}

/** From `seq` on entries are of this epoch. */
interface EpochStart {
  readonly epoch: number;
  readonly seq: number;
}

export class LightCopy {
  readonly partition: number;
  /** Entry i has seq i + 1. */
  readonly entries: Entry[] = [];
  readonly #values = new Map<string, string>();
  #history: EpochStart[] = [];
  /** A copy that holds nothing, and never did, is consistent only as the first of its cluster. */
  consistent = false;
  /** Compared since its last bulk. */
  checked = false;

  constructor(partition: number) {
    this.partition = partition;
  }

  get seq(): number {
    return this.entries.length;
  }

  /** Of the last entry; 0 for none. */
  get lastEpoch(): number {
    return this.entries.at(-1)?.epoch ?? 0;
  }

  get history(): readonly EpochStart[] {
    return this.#history;
  }

  value(key: string): string | null {
    return this.#values.get(key) ?? null;
  }

  append(entry: Entry): void {
    this.entries.push(entry);
    this.#values.set(entry.key, entry.value);
    if (this.#history.at(-1)?.epoch === entry.epoch) return;
    this.#history.push({ epoch: entry.epoch, seq: this.seq });
  }

  /** Everything after `seq` is gone. */
  cutBack(seq: number): void {
    if (seq >= this.seq) return;
    this.entries.length = seq;
    this.#history = this.#history.filter((start) => start.seq <= seq);
    this.#values.clear();
    for (const { key, value } of this.entries) this.#values.set(key, value);
  }

  /** All of it is thrown away. */
  clear(): void {
    this.cutBack(0);
    this.consistent = false;
    this.checked = false;
  }

  /** The last seq up to which this copy and another one, of which these are the facts, hold the same. */
  commonWith(seq: number, history: readonly EpochStart[]): number {
    let shared = 0;
    while (
      shared < history.length &&
      this.#history[shared]?.epoch === history[shared].epoch &&
      this.#history[shared].seq === history[shared].seq
    ) {
      shared++;
    }
    const own = this.#history[shared]?.seq ?? this.seq + 1;
    const other = history[shared]?.seq ?? seq + 1;
    return Math.min(own, other) - 1;
  }
}
