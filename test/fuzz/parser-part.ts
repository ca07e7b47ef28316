/** Damaged streams to the parser: whatever the cuts, they are what the reference says they are, and every call keeps the
 *  parser's rules (feeding.ts). */
import type { Buffer } from 'node:buffer';
import { DEFAULT_LIMITS, LINE_BYTES_MAX } from '../../packages/node/src/resp/limits.ts';
import { randomFrom } from '../support/random.ts';
import { corpusOf } from './corpus.ts';
import { byteByByte, cutAtRandom, Feeder, type Feeding, RuleBroken, whole } from './feeding.ts';
import { minimal, vectorText } from './minimal.ts';
import { mutated, MUTATOR_NAMES } from './mutators.ts';
import { differenceOf } from './outcome.ts';
import { referenceOf } from './reference.ts';
import type { Fuzzed, Fuzzing } from './parts.ts';
import { Tally } from './tally.ts';

const CUTS_PER_CASE = 2;
const BYTE_BY_BYTE_MAX = 300;
const BYTE_BY_BYTE_SHARE = 0.5;
const UNKNOWN_SHARE = 0.15;

/** Each way to feed: a client that has said who it is, a stranger, and small limits, which damage reaches more often. */
const FEEDINGS: readonly Feeding[] = [
  { limits: { ...DEFAULT_LIMITS, valueBytesMax: LINE_BYTES_MAX }, unknown: false },
  { limits: DEFAULT_LIMITS, unknown: true },
];

/** How many of the cases must have come to this outcome, by name: 0 of any means that the fuzzer has gone blind. */
const OUTCOMES = [
  ...['whole', 'waits', 'commands', 'inline', 'many arguments', 'too long', 'stranger'],
  ...['expected CRLF after a bulk', "expected '$', got", 'invalid bulk length'],
  ...['invalid multibulk length', 'too big inline request', 'unbalanced quotes in request'],
  ...['unauthenticated bulk length', 'unauthenticated multibulk length'],
];
const MANY_ARGUMENTS = 66;

export async function fuzzParser({ seed, goesOn }: Fuzzing): Promise<Fuzzed> {
  const random = randomFrom(seed);
  const corpus = corpusOf(seed, random);
  const feeders = FEEDINGS.map((feeding) => new Feeder(feeding));
  const tally = new Tally([...OUTCOMES, ...MUTATOR_NAMES.map((name) => `damage: ${name}`)]);
  do {
    const bytes = mutated(corpus, random, (name) => tally.count(`damage: ${name}`));
    const which = random() < UNKNOWN_SHARE ? 1 : 0;
    const cutsSeed = Math.floor(random() * 2 ** 31);
    const problem = problemOf(feeders[which], FEEDINGS[which], bytes, cutsSeed);
    if (problem !== null) {
      const fails = (shorter: Buffer): boolean =>
        problemOf(new Feeder(FEEDINGS[which]), FEEDINGS[which], shorter, cutsSeed) !== null;
      const shortest = await minimal(bytes, fails);
      const why = problemOf(new Feeder(FEEDINGS[which]), FEEDINGS[which], shortest, cutsSeed);
      const who = FEEDINGS[which].unknown ? 'of a stranger' : '';
      return {
        broken: `${why ?? problem} (case ${tally.cases}) ${who}\n${vectorText(shortest)}`,
        tally,
      };
    }
    noteOutcome(tally, bytes, FEEDINGS[which]);
  } while (goesOn(tally));
  return { broken: null, tally };
}

function problemOf(
  feeder: Feeder,
  feeding: Feeding,
  bytes: Buffer,
  cutsSeed: number,
): string | null {
  const expected = referenceOf(bytes, feeding);
  const random = randomFrom(cutsSeed);
  const ways = [whole(bytes)];
  for (let i = 0; i < CUTS_PER_CASE; i++) ways.push(cutAtRandom(bytes, random));
  if (bytes.length <= BYTE_BY_BYTE_MAX && random() < BYTE_BY_BYTE_SHARE)
    ways.push(byteByByte(bytes));
  for (const [i, cuts] of ways.entries()) {
    const how = i === 0 ? 'whole' : `cut at ${cuts.slice(0, 10).join(', ')}`;
    try {
      const difference = differenceOf(feeder.feed(bytes, cuts), expected);
      if (difference !== null) return `${how}: ${difference}`;
    } catch (error) {
      if (error instanceof RuleBroken) return `${how}: ${error.message}`;
      return `${how}: it throws ${String(error)}`;
    }
  }
  return null;
}

function noteOutcome(tally: Tally, bytes: Buffer, feeding: Feeding): void {
  const { commands, error, waits } = referenceOf(bytes, feeding);
  tally.case();
  if (feeding.unknown) tally.count('stranger');
  if (waits) tally.count('waits');
  if (error === null && !waits) tally.count('whole');
  tally.count('commands', commands.length);
  if (bytes.length > 0 && bytes[0] !== 0x2a && commands.length > 0) tally.count('inline');
  if (commands.some(({ length }) => length > MANY_ARGUMENTS)) tally.count('many arguments');
  if (commands.some(([name]) => name.startsWith('too long: '))) tally.count('too long');
  if (error === null) return;
  const text = error.replace('ERR Protocol error: ', '');
  tally.count(text.startsWith("expected '$'") ? "expected '$', got" : text);
}
