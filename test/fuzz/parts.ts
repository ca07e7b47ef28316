/** The parts of a fuzz: each goes on as long as it is told to, and returns what broke, if anything did, and what it saw. */
import { fuzzDoors } from './doors-part.ts';
import { fuzzParser } from './parser-part.ts';
import { fuzzServers } from './server-part.ts';
import type { Tally } from './tally.ts';
import type { Targets } from './targets.ts';

export interface Fuzzing {
  readonly seed: number;
  /** Asked after each case. */
  readonly goesOn: (tally: Tally) => boolean;
  /** Live nodes that are there already; else a part starts its own. */
  readonly targets?: Targets;
}

export interface Fuzzed {
  /** What, with the stream of bytes that shows it, or null. */
  readonly broken: string | null;
  readonly tally: Tally;
}

export type Part = (fuzzing: Fuzzing) => Promise<Fuzzed>;

export const PARTS: Readonly<Record<string, Part>> = {
  parser: fuzzParser,
  server: fuzzServers,
  doors: fuzzDoors,
};
