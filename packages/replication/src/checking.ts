/** The CHECK pass that follows a bulk, and what follows a difference.
 *
 *  Owner: one sender, which steps it while the copy is consistent and no redo waits. Which chunks are left is kept by
 *  `CheckPass`. Chunks that differ are copied again, `checkRepairsMax` times; then the follower is given up. */
import type { Partition } from '@ingot/store';
import { CheckPass, decodeAnswers } from './checks.ts';
import { CHECKED } from './frame.ts';
import type { GateLook } from './gate-look.ts';
import { NO_PAYLOAD, type Outbox } from './outbox.ts';

const checkRepairsMax = 5;
const markersPerStepMax = 8;

export interface CheckingParts {
  readonly partition: Partition;
  readonly gate: GateLook;
  readonly out: Outbox;
  /** These chunks of the copy are to be sent again. */
  readonly copyAgain: (chunks: readonly number[]) => void;
}

export class Checking {
  readonly #parts: CheckingParts;
  readonly #pass: CheckPass;
  #phase: 'no' | 'due' | 'running' = 'no';
  #repairs = 0;

  constructor(parts: CheckingParts) {
    this.#parts = parts;
    this.#pass = new CheckPass(parts.partition.geometry.chunkCount);
  }

  /** A pass is due or running. */
  get pending(): boolean {
    return this.#phase !== 'no';
  }

  /** The chunk has to be vouched for, by the next pass. */
  add(chunk: number): void {
    this.#pass.add(chunk);
  }

  /** A copy that no CHECK pass has vouched for may differ anywhere. */
  addEverything(): void {
    const touched = this.#parts.partition.chunksTouched();
    for (let chunk = 0; chunk < touched; chunk++) this.#pass.add(chunk);
    this.due();
  }

  due(): void {
    this.#phase = 'due';
  }

  /** Goes on with the pass. Returns why the follower must be given up, or null. */
  pursue(): string | null {
    const { gate, out, partition } = this.#parts;
    const pass = this.#pass;
    if (this.#phase === 'due') {
      pass.restart();
      this.#phase = 'running';
    }
    for (let markers = 0; markers < markersPerStepMax; markers++) {
      const chunk = pass.next();
      if (chunk === -1) break;
      if (!gate.look()) {
        out.again();
        return null;
      }
      pass.asked(chunk, gate.view.seq);
      partition.appendCheck(chunk);
      out.again();
    }
    return pass.done ? this.#finish() : null;
  }

  /** Answers have come. Returns the rule that they break, or null. */
  receive(payload: Buffer): string | null {
    const { out, partition } = this.#parts;
    const answers = decodeAnswers(payload, partition.geometry.chunkCount);
    if (typeof answers === 'string') return answers;
    for (const answer of answers) {
      const { chunk, seq, expected, actual } = answer;
      this.#pass.answered(answer);
      out.push({ kind: 'answered', answer });
      if (expected !== actual) out.log('error', 'checkFailed', { chunk, seq, expected, actual });
    }
    return null;
  }

  #finish(): string | null {
    const { copyAgain, out } = this.#parts;
    const { different } = this.#pass;
    if (different.length === 0) {
      this.#phase = 'no';
      this.#repairs = 0;
      out.send(CHECKED, NO_PAYLOAD);
      out.log('info', 'checkPassed', {});
      return null;
    }
    if (this.#repairs === checkRepairsMax) {
      return `chunks still differ after ${checkRepairsMax} repairs`;
    }
    this.#repairs++;
    copyAgain(different);
    return null;
  }
}
