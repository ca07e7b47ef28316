/** Calls of the running batch, by command, so that shared counters are written once per batch and a
 *  clock is read twice per batch rather than twice per command. */

import type { WorkerCounters } from '../metrics/layout.ts';

export class CallCounts {
  private readonly calls: Int32Array;
  private readonly errors: Int32Array;
  /** Commands that occurred, each once. */
  private readonly seen: Int32Array;
  private seenCount = 0;
  private total = 0;

  constructor(commandCount: number) {
    this.calls = new Int32Array(commandCount);
    this.errors = new Int32Array(commandCount);
    this.seen = new Int32Array(commandCount);
  }

  count(index: number): void {
    const before = this.calls[index];
    if (before === 0) this.seen[this.seenCount++] = index;
    this.calls[index] = before + 1;
    this.total++;
  }

  /** The call that was counted last for this command was answered with an error. */
  error(index: number): void {
    this.errors[index] = this.errors[index] + 1;
  }

  /** Each call took its share of the batch. */
  flush(counters: WorkerCounters, batchSeconds: number): void {
    const seconds = batchSeconds / this.total;
    for (let i = 0; i < this.seenCount; i++) {
      const index = this.seen[i];
      counters.command(index, this.calls[index], seconds);
      this.calls[index] = 0;
      const failed = this.errors[index];
      if (failed > 0) counters.commandError(index, failed);
      this.errors[index] = 0;
    }
    this.seenCount = 0;
    this.total = 0;
  }
}
