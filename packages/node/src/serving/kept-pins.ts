/** Long values that a connection's replies need after their batch: those that wait, and those that the socket writes.
 *
 *  They stay in the image as they were until the client has read them, which must not take for ever.
 *  Owner: one connection. */

import type { PinKeeper, PinnedValue } from './pinned-value.ts';

/** Where a partition is sealed, a client that has not read a value for so long is not waited for. */
export const SEALED_PIN_MS_MAX = 100;

export class KeptPins implements PinKeeper {
  private readonly pinned: Set<PinnedValue> = new Set();
  private writing: PinnedValue[] = [];
  private readonly monotonicMs: () => number;
  private readonly onSome: (some: boolean) => void;

  /** `onSome` is told when there are any, and when there are none any more. */
  constructor(monotonicMs: () => number, onSome: (some: boolean) => void) {
    this.monotonicMs = monotonicMs;
    this.onSome = onSome;
  }

  get isWriting(): boolean {
    return this.writing.length > 0;
  }

  /** It stays pinned after the batch. */
  keep(value: PinnedValue): void {
    if (value.keeper !== null) return;
    value.keeper = this;
    value.sinceMs = this.monotonicMs();
    this.pinned.add(value);
    this.onSome(true);
  }

  /** The socket reads these until it says that it has written everything. */
  keepWriting(values: readonly PinnedValue[]): void {
    for (const value of values) {
      this.writing.push(value);
      this.keep(value);
    }
  }

  /** The socket has written everything. */
  written(): void {
    const { writing } = this;
    if (writing.length === 0) return;
    this.writing = [];
    for (const value of writing) value.release();
  }

  /** Nobody reads the replies any more. What the socket still writes is let go of when it says that it has. */
  close(): void {
    const writing = new Set(this.writing);
    for (const value of this.pinned) if (!writing.has(value)) value.release();
  }

  released(value: PinnedValue): void {
    this.pinned.delete(value);
    if (this.pinned.size === 0) this.onSome(false);
  }

  /** For how long a value has been pinned that was not read in time (`pinMaxMs`, 0 = any), or whose bytes are about to
   *  change; -1: none. */
  overdueMs(nowMs: number, pinMaxMs: number): number {
    const longestMs = pinMaxMs || Number.POSITIVE_INFINITY;
    for (const { sinceMs, partition } of this.pinned) {
      const ageMs = nowMs - sinceMs;
      const sealed = partition?.sealed() === true;
      const isInTime = ageMs < (sealed ? SEALED_PIN_MS_MAX : longestMs);
      if (isInTime && (sealed || partition === null || partition.mayWrite())) continue;
      return ageMs;
    }
    return -1;
  }
}
