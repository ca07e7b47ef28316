/** When and how much to sweep: expired records everywhere slowly and for ever, flushed ones at
 *  once.
 *
 *  A round visits every partition led here, a few chunks per step. Where a step finds something to
 *  remove, the next one comes sooner, and the next round a second after this one began; an idle node
 *  pays for a short round every few seconds. A partition that holds records which a flush made absent
 *  goes first, with a larger budget and without pauses, until they are gone; between rounds it is
 *  looked for twice a second.
 *  Pure but for the partitions it sweeps; whoever owns it waits as long as `step` says. */

import { type Partition, ROLE_PRIMARY } from '@ingot/store';

export const CHUNKS_PER_STEP = 16;
export const CHUNKS_PER_FLUSHED_STEP = 64;
export const STEP_INTERVAL_MS = 200;
export const BUSY_STEP_INTERVAL_MS = 20;
/** Records that all steps together remove or move, at most: twice what a node is meant to keep up
 *  with. Flushed ones do not count: they go at once. */
export const RECORDS_PER_SECOND_MAX = 200_000;
/** The store's units of work for each record moved or removed to make room. */
const WORK_PER_RECORD = 8;
export const ROUND_INTERVAL_MS = 1_000;
/** After a round that found nothing. */
export const IDLE_ROUND_INTERVAL_MS = 3_000;
/** Between rounds. */
export const LOOK_INTERVAL_MS = 500;

export class SweepRounds {
  readonly #partitions = new Map<number, Partition>();
  readonly #cursors = new Map<number, number>();
  /** led here, still to be visited in this round */
  #queue: number[] = [];
  #roundBeganMs = 0;
  #roundIntervalMs = ROUND_INTERVAL_MS;

  attach(partition: Partition): void {
    this.#partitions.set(partition.id, partition);
    this.#cursors.set(partition.id, 0);
  }

  detach(id: number): void {
    this.#partitions.delete(id);
    this.#cursors.delete(id);
  }

  /** Does one step; returns after how many milliseconds the next one is due. */
  step(nowMs: number): number {
    const flushed = this.#led().find(holdsFlushed);
    if (flushed !== undefined) {
      this.#sweep(flushed, CHUNKS_PER_FLUSHED_STEP, nowMs);
      return 0;
    }
    if (this.#queue.length === 0) {
      const dueMs = this.#roundBeganMs + this.#roundIntervalMs;
      if (nowMs < dueMs) return Math.min(dueMs - nowMs, LOOK_INTERVAL_MS);
      this.#roundBeganMs = nowMs;
      this.#roundIntervalMs = IDLE_ROUND_INTERVAL_MS;
      this.#queue = this.#led().map(({ id }) => id);
    }
    const records = this.#visit(nowMs);
    if (records === 0) return STEP_INTERVAL_MS;
    this.#roundIntervalMs = ROUND_INTERVAL_MS;
    return Math.max(BUSY_STEP_INTERVAL_MS, (records * 1_000) / RECORDS_PER_SECOND_MAX);
  }

  /** Spends the budget of one step, on several small partitions or on a part of a large one.
   *  Returns about how many records it removed or moved. */
  #visit(nowMs: number): number {
    let records = 0;
    let budget = CHUNKS_PER_STEP;
    while (budget > 0 && this.#queue.length > 0) {
      const partition = this.#partitions.get(this.#queue[0]);
      if (partition === undefined) {
        this.#queue.shift();
        continue;
      }
      const from = this.#cursors.get(partition.id) ?? 0;
      const before = workOf(partition);
      const next = this.#sweep(partition, budget, nowMs);
      records += workOf(partition) - before;
      if (next === 0) this.#queue.shift();
      budget -= Math.max((next === 0 ? partition.chunksTouched() : next) - from, 1);
    }
    return Math.round(records);
  }

  #sweep(partition: Partition, chunkBudget: number, nowMs: number): number {
    const from = this.#cursors.get(partition.id) ?? 0;
    const next = partition.sweep(from, chunkBudget, nowMs);
    this.#cursors.set(partition.id, next);
    return next;
  }

  #led(): Partition[] {
    return [...this.#partitions.values()].filter((copy) => copy.role() === ROLE_PRIMARY);
  }
}

/** Flushed records still take room, but are no keys any more. */
function holdsFlushed(partition: Partition): boolean {
  const { keys, records } = partition.stats();
  return records > keys && !partition.sealed();
}

function workOf(partition: Partition): number {
  const { expiries, roomWork } = partition.stats();
  return expiries + roomWork / WORK_PER_RECORD;
}
