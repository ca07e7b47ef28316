/** Calls of the running batch, by command, so that shared counters are written once per batch and a
 *  clock is read twice per batch rather than twice per command. */

import type { Buffer } from 'node:buffer';
import type { WorkerCounters } from '../metrics/layout.ts';

const ERROR_WORDS_MAX = 128;
const ERROR_WORD_BYTES_MAX = 32;

export class CallCounts {
  /** Error replies by their first word. */
  readonly errorWords: Map<string, number> = new Map();
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

  count(index: number, calls = 1): void {
    if (calls === 0) return;
    const before = this.calls[index];
    if (before === 0) this.seen[this.seenCount++] = index;
    this.calls[index] = before + calls;
    this.total += calls;
  }

  /** The call that was counted last for this command was answered with the error at `at`. */
  error(index: number, replies: Buffer, at: number): void {
    this.errors[index] = this.errors[index] + 1;
    const end = Math.min(at + 1 + ERROR_WORD_BYTES_MAX, replies.length);
    const word = /^\w*/.exec(replies.toString('latin1', at + 1, end))?.[0] ?? '';
    const { errorWords } = this;
    if (errorWords.has(word) || errorWords.size < ERROR_WORDS_MAX) {
      errorWords.set(word, (errorWords.get(word) ?? 0) + 1);
    }
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
