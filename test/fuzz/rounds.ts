/** Streams to live nodes, several at a time, round after round; after each round, when all are gone, the nodes are looked
 *  at. Who ends a process is found by saying the latest streams to fresh ones. */
import type { Buffer } from 'node:buffer';
import { within } from '../support/eventually.ts';
import type { Ends } from './exchange.ts';
import { minimal, vectorText } from './minimal.ts';
import type { Fuzzing } from './parts.ts';
import type { Tally } from './tally.ts';
import { type Door, Targets } from './targets.ts';

const AT_ONCE = 8;
const ROUND_CASES = 400;
/** A process ended: so many of the last streams may have done it. */
const SUSPECTS_MAX = 24;
const TRIES_MAX = 60;
/** A hang that was seen once. */
const ONCE_MORE_WITHIN_MS = 5_000;
/** From the first connection that breaks on. */
const ENDS_WITHIN_MS = 5_000;
/** Each case is drawn from a seed of its own: in which order they end is no matter. */
export const CASES_APART = 1_000_003;

export interface Case {
  readonly door: Door;
  readonly bytes: Buffer;
  readonly cutsSeed: number;
  readonly ends: Ends;
}

/** What is said, and what is wrong with the answer. */
export interface Saying {
  readonly doors: readonly Door[];
  /** Case `i`; null where it would spoil the run. */
  readonly draw: (doors: readonly Door[], i: number) => Case | null;
  /** `tally` is left out where a case is said once more. */
  readonly problemOf: (one: Case, tally?: Tally, withinMs?: number) => Promise<string | null>;
}

export class Rounds {
  readonly #targets: Targets;
  readonly #saying: Saying;
  readonly #tally: Tally;
  readonly #latest: Case[] = [];
  #goes = true;
  #drawn = 0;

  constructor(targets: Targets, saying: Saying, tally: Tally) {
    this.#targets = targets;
    this.#tally = tally;
    this.#saying = saying;
  }

  async run(goesOn: Fuzzing['goesOn']): Promise<string | null> {
    const { wrong } = this.#targets;
    while (this.#goes) {
      let left = ROUND_CASES;
      let broken: string | null = null;
      const work = async (): Promise<void> => {
        while (this.#goes && left-- > 0 && broken === null) {
          broken ??= await this.#one();
          this.#goes &&= goesOn(this.#tally);
        }
      };
      const all = Promise.all(Array.from({ length: AT_ONCE }, work));
      const ended = await Promise.race([all.then(() => null), wrong]);
      if (ended !== null) return this.#explained(ended);
      this.#tally.count('witness rounds', this.#targets.rounds - this.#tally.get('witness rounds'));
      broken ??= await this.#targets.check().catch(String);
      if (broken !== null) return this.#explained(broken);
    }
    return null;
  }

  /** What is wrong with what comes of the next stream, or null. */
  async #one(): Promise<string | null> {
    const { doors, draw, problemOf } = this.#saying;
    const next = draw(doors, this.#drawn++);
    if (next === null) return null;
    this.#latest.push(next);
    if (this.#latest.length > SUSPECTS_MAX) this.#latest.shift();
    const problem = await problemOf(next, this.#tally);
    if (problem === null) return null;
    const onceMore = (bytes: Buffer): Promise<string | null> =>
      problemOf({ ...next, bytes }, undefined, ONCE_MORE_WITHIN_MS);
    const fails = async (shorter: Buffer): Promise<boolean> => (await onceMore(shorter)) !== null;
    const shortest = await minimal(next.bytes, fails, TRIES_MAX);
    const why = await onceMore(shortest);
    const again = why === null ? ' (and not again when it was said once more)' : '';
    return `${next.door.name}: ${why ?? problem}${again}\n${vectorText(shortest)}`;
  }

  /** Who was connected may hear of the end of a process before it is over: then its end is what is wrong. */
  async #explained(broken: string): Promise<string> {
    const over = within('a process ends', ENDS_WITHIN_MS, this.#targets.ended);
    const end = await over.catch(() => null);
    return end === null ? broken : this.#blame(end);
  }

  /** Which of the latest streams ends a process, one by one to fresh ones. */
  async #blame(ended: string): Promise<string> {
    process.stdout.write(`${ended}\n`);
    for (const suspect of this.#latest.toReversed()) {
      const ends = (bytes: Buffer): Promise<boolean> => this.#endsProcess({ ...suspect, bytes });
      // Where fresh ones cannot be started, what has ended is still to be told.
      if (!(await ends(suspect.bytes).catch(() => false))) continue;
      const shortest = await minimal(suspect.bytes, ends, TRIES_MAX);
      return `${ended}\nat ${suspect.door.name}: ${vectorText(shortest)}`;
    }
    const all = this.#latest.map(({ door, bytes }) => `${door.name}: ${vectorText(bytes)}`);
    return `${ended}\nby none of these alone:\n${all.join('\n')}`;
  }

  async #endsProcess(suspect: Case): Promise<boolean> {
    const targets = await Targets.start();
    try {
      const all = [...targets.doors, ...targets.innerDoors];
      const door = all.find(({ name }) => name === suspect.door.name) ?? suspect.door;
      await this.#saying.problemOf({ ...suspect, door });
      await Promise.race([targets.wrong, targets.check()]);
      return !door.node.isRunning;
    } finally {
      await targets.stop();
    }
  }
}
