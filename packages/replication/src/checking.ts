/** The CHECK pass that follows a bulk, and what follows a difference.
 *
 *      due -> running -> passed: the copy may be promoted
 *                ^  |
 *                |  +-- a few chunks differ --> repairing, one by one, by mutations --+
 *                |  +-- many -----------------> a bulk of them ---------------------- +
 *                +--------------------------------------------------------------------+
 *                   +-- what is here is no better -> refused, until it may have changed
 *
 *  Owner: one sender, which steps it while the copy is consistent and no redo waits. Which chunks are left is kept by
 *  `CheckPass`. Chunks that still differ after `checkRepairsMax` rounds: the follower is given up. */
import type { Partition } from '@ingot/store';
import { CheckPass, decodeAnswers } from './checks.ts';
import { CHECKED } from './frame.ts';
import type { GateLook } from './gate-look.ts';
import { NO_PAYLOAD, type Outbox } from './outbox.ts';
import type { Pacer } from './pacer.ts';
import { decideRepair } from './repair-decision.ts';

const checkRepairsMax = 5;
const markersPerStepMax = 8;
/** As many chunks as differ at most are repaired by mutations: more are cheaper as a bulk. */
export const mutationRepairsMax = 16;
/** A repair that was refused is thought over after so long. */
const refusedPauseMs = 60_000;
/** A checksum on either side takes about as long as to send so many bytes of a chunk. */
const bytesPerMarker = 16_384;
/** A pass begins after so long, whatever else is copied. */
const giveWayMaxMs = 30_000;

export interface CheckingParts {
  readonly partition: Partition;
  readonly gate: GateLook;
  readonly out: Outbox;
  readonly pacer: Pacer;
  /** Other copies still wait for their bytes, and may not be read yet: this one may be, so its pass gives way. */
  readonly givesWay: () => boolean;
  /** These chunks of the copy are to be sent again. */
  readonly copyAgain: (chunks: readonly number[]) => void;
}

export class Checking {
  readonly #parts: CheckingParts;
  readonly #pass: CheckPass;
  #phase: 'no' | 'due' | 'running' | 'repairing' | 'refused' = 'no';
  #rounds = 0;
  /** Chunks whose repair is due, and those whose repair is under way or made: counted once a pass finds them equal. */
  #toRepair: number[] = [];
  #repaired: number[] = [];
  /** Seq of the newest repair; the next one waits for its acknowledgement, so that repairs do not fill the ring. */
  #repairSeq = 0;
  #refusedMs = 0;
  #dueSinceMs = 0;

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
    this.#dueSinceMs = this.#parts.out.nowMs;
    this.#toRepair = [];
  }

  /** Goes on, with a follower that has acknowledged `ackedSeq`. Returns why it must be given up, or null. */
  pursue(ackedSeq: number): string | null {
    if (this.#phase === 'refused') {
      if (this.#parts.out.nowMs - this.#refusedMs < refusedPauseMs) return null;
      this.#phase = 'due';
    }
    if (this.#phase === 'repairing' && !this.#repairNext(ackedSeq)) return null;
    if (this.#phase !== 'running') {
      if (this.#givesWay()) return null;
      this.#pass.restart();
      this.#phase = 'running';
    }
    return this.#mark();
  }

  #givesWay(): boolean {
    const { givesWay, out } = this.#parts;
    return givesWay() && out.nowMs - this.#dueSinceMs < giveWayMaxMs;
  }

  #mark(): string | null {
    const { gate, out, pacer, partition } = this.#parts;
    const pass = this.#pass;
    for (let markers = 0; markers < markersPerStepMax; markers++) {
      const chunk = pass.next();
      if (chunk === -1) break;
      if (!pacer.allows(out.nowMs)) {
        out.push({ kind: 'paced' });
        return null;
      }
      pacer.spend(bytesPerMarker);
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
    this.#countRepaired(different);
    if (different.length === 0) {
      this.#phase = 'no';
      this.#rounds = 0;
      out.send(CHECKED, NO_PAYLOAD);
      out.log('info', 'checkPassed', {});
      return null;
    }
    if (this.#rounds === checkRepairsMax) {
      return `chunks still differ after ${checkRepairsMax} repairs`;
    }
    this.#rounds++;
    if (different.length > mutationRepairsMax) copyAgain(different);
    else this.#decide(different);
    return null;
  }

  /** The follower has these bytes from here, over a wire that vouches for nothing: it is no witness against them. */
  #decide(different: readonly number[]): void {
    const { out, partition } = this.#parts;
    const brokenRule = (chunk: number) => () => partition.verifyChunk(chunk);
    const refused = different.filter((chunk) => {
      const decision = decideRepair({ equal: 0, different: [0], brokenRule: brokenRule(chunk) });
      if (decision.repair) return false;
      out.log('error', 'repairRefused', { chunk, why: decision.why });
      out.push({ kind: 'repairRefused' });
      return true;
    });
    this.#toRepair = different.filter((chunk) => !refused.includes(chunk));
    this.#repairSeq = 0;
    this.#phase = 'repairing';
    if (this.#toRepair.length === 0) {
      this.#phase = 'refused';
      this.#refusedMs = out.nowMs;
      this.#rounds = 0;
    }
    out.again();
  }

  /** Returns whether all repairs are made and have arrived. A sealed partition takes none: it is asked again. */
  #repairNext(ackedSeq: number): boolean {
    const { out, partition } = this.#parts;
    if (ackedSeq < this.#repairSeq) return false;
    const chunk = this.#toRepair[0];
    if (chunk === undefined) return true;
    const seq = partition.repairChunk(chunk, out.nowMs);
    if (seq === -1) return false;
    this.#repairSeq = seq;
    this.#toRepair.shift();
    this.#repaired.push(chunk);
    out.again();
    return false;
  }

  #countRepaired(different: readonly number[]): void {
    const { out } = this.#parts;
    for (const chunk of this.#repaired) {
      if (different.includes(chunk)) continue;
      out.log('warn', 'repaired', { chunk, seq: this.#repairSeq });
      out.push({ kind: 'repaired' });
    }
    this.#repaired = [];
  }
}
