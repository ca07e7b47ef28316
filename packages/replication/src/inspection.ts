/** What is asked of the followers of one partition about single chunks, by CHECK markers, and what follows.
 *
 *      inspect -> asked --all answered, all equal------------------------------------------> done
 *                   |                                                                         ^
 *                   +--somebody differs--> decided --refused--> alarm ------------------------+
 *                                             |                                               |
 *                                             +--> repaired by a mutation --> asked again ----+
 *
 *  One marker serves all followers. Repairs go one after the other, so that they do not fill the redo ring. A follower
 *  that can no longer answer, or is silent for `answerTimeoutMs`, is left out with the reason.
 *  Owner: the hub, for `ingot verify` and the scrub alike; it passes answers, losses and time in, and performs the
 *  actions. A chunk is inspected once at a time: who asks for it meanwhile gets the same result. */
import type { Partition } from '@ingot/store';
import type { CheckAnswer } from './checks.ts';
import type { ReplicationEvent } from './events.ts';
import { decideRepair } from './repair-decision.ts';

/** So long may a follower owe an answer. */
export const answerTimeoutMs = 10_000;

export interface Difference {
  readonly node: string;
  readonly seq: number;
  readonly expected: number;
  readonly actual: number;
}

export interface Inspected {
  readonly partition: number;
  readonly chunk: number;
  readonly equal: readonly string[];
  readonly different: readonly Difference[];
  /** Of those that differed: found equal after the repair. */
  readonly repaired: readonly string[];
  /** Why nothing was repaired, or not to the end; empty where all is well. */
  readonly why: string;
  /** An operator has to look: the primary's bytes are not supported, or a repair did not help. */
  readonly refused: boolean;
  /** Who did not answer, and why. */
  readonly lost: ReadonlyMap<string, string>;
}

export type InspectionAction =
  /** There is new redo. */
  | { readonly kind: 'wake' }
  | { readonly kind: 'log'; readonly event: ReplicationEvent }
  | { readonly kind: 'inspected'; readonly result: Inspected };

interface Inquiry {
  readonly chunk: number;
  readonly equal: string[];
  readonly different: Difference[];
  readonly repaired: string[];
  readonly lost: Map<string, string>;
  /** Who has not answered the marker that stands at or behind `seq` and says `expected`. */
  owing: Set<string>;
  seq: number;
  expected: number;
  askedMs: number;
  stage: 'asked' | 'queued' | 'askedAgain';
  why: string;
  refused: boolean;
}

export class Inspection {
  readonly #partition: Partition;
  readonly #inquiries = new Map<number, Inquiry>();
  readonly #queue: Inquiry[] = [];
  #repairing: Inquiry | null = null;
  #out: InspectionAction[] = [];
  #nowMs = 0;

  constructor(partition: Partition) {
    this.#partition = partition;
  }

  /** Chunks under inspection. */
  get underWay(): number {
    return this.#inquiries.size;
  }

  /** Has the chunk compared by these followers. */
  inspect(chunk: number, followers: readonly string[], nowMs: number): InspectionAction[] {
    this.#begin(nowMs);
    if (!this.#inquiries.has(chunk)) {
      const inquiry: Inquiry = {
        chunk,
        equal: [],
        different: [],
        repaired: [],
        lost: new Map(),
        owing: new Set(),
        seq: 0,
        expected: 0,
        askedMs: nowMs,
        stage: 'asked',
        why: '',
        refused: false,
      };
      this.#inquiries.set(chunk, inquiry);
      this.#ask(inquiry, followers);
    }
    return this.#out;
  }

  /** An answer to some marker; to ours where the seq and the primary's sum say so. */
  answered(node: string, answer: CheckAnswer, nowMs: number): InspectionAction[] {
    this.#begin(nowMs);
    const inquiry = this.#inquiries.get(answer.chunk);
    const isOurs =
      inquiry !== undefined && answer.seq >= inquiry.seq && answer.expected === inquiry.expected;
    if (isOurs && inquiry.owing.delete(node)) {
      this.#note(inquiry, node, answer);
      this.#settle(inquiry);
    }
    return this.#out;
  }

  /** The follower can no longer be asked. */
  lost(node: string, why: string, nowMs: number): InspectionAction[] {
    this.#begin(nowMs);
    for (const inquiry of this.#inquiries.values()) this.#lose(inquiry, node, why);
    return this.#out;
  }

  /** Now and then: gives up those who are silent. */
  tick(nowMs: number): InspectionAction[] {
    this.#begin(nowMs);
    for (const inquiry of this.#inquiries.values()) {
      if (nowMs - inquiry.askedMs < answerTimeoutMs) continue;
      const why = `no answer for ${answerTimeoutMs / 1_000} s`;
      for (const node of inquiry.owing) this.#lose(inquiry, node, why);
    }
    return this.#out;
  }

  /** Nobody is asked any more. */
  close(why: string, nowMs: number): InspectionAction[] {
    this.#begin(nowMs);
    this.#queue.length = 0;
    for (const inquiry of this.#inquiries.values()) this.#giveUp(inquiry, why);
    return this.#out;
  }

  // ------------------------------------------------------------ asking

  #begin(nowMs: number): void {
    this.#out = [];
    this.#nowMs = nowMs;
  }

  #ask(inquiry: Inquiry, followers: readonly string[]): void {
    inquiry.owing = new Set(followers);
    inquiry.askedMs = this.#nowMs;
    inquiry.seq = this.#partition.stats().seq;
    const sum = this.#partition.appendCheck(inquiry.chunk);
    if (sum === -1) return this.#giveUp(inquiry, 'the primary has moved');
    inquiry.expected = sum >>> 0;
    this.#out.push({ kind: 'wake' });
    this.#settle(inquiry);
  }

  #note(inquiry: Inquiry, node: string, { seq, expected, actual }: CheckAnswer): void {
    const isEqual = expected === actual;
    if (inquiry.stage === 'asked') {
      if (isEqual) inquiry.equal.push(node);
      else inquiry.different.push({ node, seq, expected, actual });
    } else if (isEqual) {
      inquiry.repaired.push(node);
      this.#log('warn', 'repaired', { node, chunk: inquiry.chunk, seq });
    } else this.#refuse(inquiry, 'it still differs after its repair');
  }

  #lose(inquiry: Inquiry, node: string, why: string): void {
    if (!inquiry.owing.delete(node)) return;
    inquiry.lost.set(node, why);
    this.#settle(inquiry);
  }

  #giveUp(inquiry: Inquiry, why: string): void {
    for (const node of inquiry.owing) inquiry.lost.set(node, why);
    inquiry.owing.clear();
    if (inquiry.different.length > inquiry.repaired.length) inquiry.why = why;
    this.#finish(inquiry);
  }

  // ------------------------------------------------------------ deciding

  /** Everybody has answered, or is lost. */
  #settle(inquiry: Inquiry): void {
    if (inquiry.owing.size > 0 || inquiry.stage === 'queued') return;
    if (inquiry.stage === 'asked' && inquiry.different.length > 0) return this.#decide(inquiry);
    if (inquiry.different.length > inquiry.repaired.length && inquiry.why === '') {
      inquiry.why = 'the follower was lost before its repair was checked';
    }
    this.#finish(inquiry);
  }

  #decide(inquiry: Inquiry): void {
    const { chunk, equal, different } = inquiry;
    const decision = decideRepair({
      equal: equal.length,
      different: different.map(({ actual }) => actual),
      brokenRule: () => this.#partition.verifyChunk(chunk),
    });
    if (!decision.repair) {
      this.#refuse(inquiry, decision.why);
      return this.#finish(inquiry);
    }
    inquiry.stage = 'queued';
    this.#queue.push(inquiry);
    this.#repairNext();
  }

  #refuse(inquiry: Inquiry, why: string): void {
    const { chunk, different } = inquiry;
    const nodes = different.map(({ node }) => node).join(', ');
    inquiry.why = why;
    inquiry.refused = true;
    this.#log('error', 'repairRefused', { node: nodes, chunk, why });
  }

  #repairNext(): void {
    if (this.#repairing !== null) return;
    const inquiry = this.#queue.shift();
    if (inquiry === undefined) return;
    this.#repairing = inquiry;
    if (this.#partition.repairChunk(inquiry.chunk, this.#nowMs) === -1) {
      return this.#giveUp(inquiry, 'the primary takes no writes now');
    }
    inquiry.stage = 'askedAgain';
    this.#ask(
      inquiry,
      inquiry.different.map(({ node }) => node),
    );
  }

  #finish(inquiry: Inquiry): void {
    const { chunk, equal, different, repaired, why, refused, lost } = inquiry;
    this.#inquiries.delete(chunk);
    const result = {
      partition: this.#partition.id,
      chunk,
      equal,
      different,
      repaired,
      why,
      refused,
      lost,
    };
    this.#out.push({ kind: 'inspected', result });
    if (this.#repairing !== inquiry) return;
    this.#repairing = null;
    this.#repairNext();
  }

  #log(
    level: ReplicationEvent['level'],
    event: ReplicationEvent['event'],
    fields: Record<string, string | number>,
  ): void {
    this.#out.push({
      kind: 'log',
      event: { level, event, partition: this.#partition.id, ...fields },
    });
  }
}
