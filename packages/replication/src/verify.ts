/** `verify`: proves by CHECK markers, while writes go on, that every follower's copy of a partition is equal.
 *
 *  One marker per chunk serves all followers. Markers are paced by the slowest of them: at most
 *  `outstandingMarkersMax` are unanswered. A follower that cannot be asked, or stops answering, is given up with the
 *  reason; the others go on.
 *  Owner: the hub, which passes answers and losses in. */
import type { Partition, StableView } from '@ingot/store';
import { type CheckAnswer, outstandingMarkersMax } from './checks.ts';

/** Nobody answered anything for so long: give up on those who owe. */
const answerTimeoutMs = 10_000;

export interface VerifyReport {
  /** Comparisons made: chunks times followers. */
  chunksChecked: number;
  differences: { partition: number; chunk: number; node: string; seq: number }[];
  notChecked: { partition: number; node: string; why: string }[];
}

export class VerifyRun {
  readonly #partition: Partition;
  readonly #report: VerifyReport;
  /** By node: seq of the marker by chunk, for what it has not answered. */
  readonly #owed = new Map<string, Map<number, number>>();
  /** By node: why it was given up. */
  readonly #lost = new Map<string, string>();
  #changed: () => void = () => {};

  constructor(partition: Partition, nodes: readonly string[], report: VerifyReport) {
    this.#partition = partition;
    this.#report = report;
    for (const node of nodes) this.#owed.set(node, new Map());
  }

  /** Walks all chunks in use. `look` reads the partition under an even gate, waiting for one; `wake` gets the
   *  markers sent. Returns the followers that were given up, and why. */
  async run(
    look: () => Promise<StableView>,
    wake: () => void,
  ): Promise<ReadonlyMap<string, string>> {
    const chunkCount = this.#partition.chunksTouched();
    for (let chunk = 0; chunk < chunkCount && this.#owed.size > 0; chunk++) {
      await this.#until(outstandingMarkersMax - 1);
      const { seq } = await look();
      for (const owed of this.#owed.values()) owed.set(chunk, seq);
      if (this.#partition.appendCheck(chunk) === -1) this.#loseAll('the primary has moved');
      wake();
    }
    await this.#until(0);
    return this.#lost;
  }

  answered(partition: number, node: string, answer: CheckAnswer): void {
    if (partition !== this.#partition.id) return;
    const { chunk, seq, expected, actual } = answer;
    const owed = this.#owed.get(node);
    const askedSeq = owed?.get(chunk);
    if (owed === undefined || askedSeq === undefined || seq < askedSeq) return;
    owed.delete(chunk);
    this.#report.chunksChecked++;
    if (expected !== actual) {
      this.#report.differences.push({ partition, chunk, node, seq });
    }
    this.#changed();
  }

  /** The follower can no longer be asked. */
  lost(partition: number, node: string, why: string): void {
    if (partition !== this.#partition.id || !this.#owed.delete(node)) return;
    this.#lost.set(node, why);
    this.#changed();
  }

  #loseAll(why: string): void {
    for (const node of this.#owed.keys()) this.lost(this.#partition.id, node, why);
  }

  /** Waits until nobody owes more than `count` answers. */
  async #until(count: number): Promise<void> {
    while (this.#owes() > count) {
      const { promise, resolve } = Promise.withResolvers<boolean>();
      this.#changed = (): void => resolve(true);
      const timer = setTimeout(() => resolve(false), answerTimeoutMs);
      const progress = await promise;
      clearTimeout(timer);
      if (!progress) this.#giveUp();
    }
  }

  #owes(): number {
    return Math.max(0, ...[...this.#owed.values()].map((owed) => owed.size));
  }

  #giveUp(): void {
    for (const [node, owed] of this.#owed) {
      if (owed.size > 0)
        this.lost(this.#partition.id, node, `no answer for ${answerTimeoutMs / 1_000} s`);
    }
  }
}
