/** Progress on stderr: on a terminal one line that is rewritten, else now and then a line. */

const TERMINAL_EVERY_MS = 250;
const ELSEWHERE_EVERY_MS = 5_000;

export class ProgressLine {
  readonly #isTerminal: boolean = process.stderr.isTTY;
  readonly #nowMs: () => number;
  #shownMs: number;
  #width = 0;

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
    this.#shownMs = nowMs();
  }

  show(text: () => string): void {
    const nowMs = this.#nowMs();
    if (nowMs - this.#shownMs < (this.#isTerminal ? TERMINAL_EVERY_MS : ELSEWHERE_EVERY_MS)) return;
    this.#shownMs = nowMs;
    const line = text();
    if (!this.#isTerminal) {
      process.stderr.write(`${line}\n`);
      return;
    }
    process.stderr.write(`\r${line.padEnd(this.#width)}`);
    this.#width = line.length;
  }

  /** What is written next begins on a line of its own. */
  end(): void {
    if (this.#width > 0) process.stderr.write('\n');
    this.#width = 0;
  }
}
