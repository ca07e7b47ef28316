/** Tells of values that stay pinned: their memory is not used again. Connections that pin are ended after --pin-max, so
 *  whatever is older has leaked, or its thread stands still. Owner: the storage worker. Ends nothing. */

import type { Partition } from '@ingot/store';
import type { NodeLog } from './log.ts';

/** What it takes to end a connection and hear that its last write is over, generously. */
const ENDING_MS_MAX = 5_000;
/** The same partition is told of this often. */
const REPEAT_MS = 60_000;

export class PinWatch {
  readonly #limitMs: number;
  readonly #log: NodeLog;
  /** By partition: when it was told of last. */
  readonly #toldMs = new Map<number, number>();

  /** `pinMaxMs` 0: connections may hold pins for ever, and nothing is old. */
  constructor(pinMaxMs: number, log: NodeLog) {
    this.#limitMs = pinMaxMs === 0 ? Number.POSITIVE_INFINITY : pinMaxMs + ENDING_MS_MAX;
    this.#log = log;
  }

  /** Unix ms, as those who pin say it. */
  look(partition: Partition, nowMs: number): void {
    const { pins, oldestPinMs } = partition.values.pinStats(nowMs);
    if (oldestPinMs <= this.#limitMs) {
      this.#toldMs.delete(partition.id);
      return;
    }
    const toldMs = this.#toldMs.get(partition.id);
    if (toldMs !== undefined && nowMs - toldMs < REPEAT_MS) return;
    this.#toldMs.set(partition.id, nowMs);
    const seconds = Math.round(oldestPinMs / 1_000);
    this.#log('error', 'pins.leaked', { partition: partition.id, pins, seconds });
  }
}
