/** Rows of `npm run bench` that are measured together: a few rounds, in each of which every side has its turn, and a
 *  table of medians at the end. */

import type { BenchedServer } from '../servers.ts';
import { median } from '../statistics.ts';

export interface Scale {
  readonly keys: number;
  readonly rounds: number;
  readonly pipelines: readonly number[];
  /** The first of the ports that servers are started on. */
  readonly port: number;
  readonly progress: (line: string) => void;
}

/** Redis and one node of Ingot, both with every key. */
export interface Pair {
  readonly redis: BenchedServer;
  readonly ingot: BenchedServer;
}

export interface Table {
  readonly title: string;
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

export interface Group {
  /** What `--rows` calls it. */
  readonly name: string;
  /** `pair` starts both servers, the first time that it is asked for. */
  measure(scale: Scale, pair: () => Promise<Pair>): Promise<Table[]>;
}

/** What was measured in all rounds, by a name. */
export class Figures {
  private readonly taken: Map<string, number[]> = new Map();

  add(name: string, figure: number): void {
    const list = this.taken.get(name);
    if (list === undefined) this.taken.set(name, [figure]);
    else list.push(figure);
  }

  median(name: string): number {
    return median(this.taken.get(name) ?? []);
  }
}

/** Whoever goes first finds other caches: take turns. */
export function inTurn<Side>(sides: readonly Side[], round: number): readonly Side[] {
  return round % 2 === 0 ? sides : sides.toReversed();
}

export function times(ratio: number): string {
  return `${ratio.toFixed(2)}x`;
}
