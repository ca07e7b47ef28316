/** So many replies of random sequences, from a seed. What differs is shrunk to a short list of commands. */
import fc from 'fast-check';
import { show } from './compare.ts';
import { type Sequence, sequence } from './sequences.ts';
import type { ServerPair } from './server-pair.ts';

const SEQUENCES_PER_ROUND = 100;
/** Sets the rounds of different seeds apart. */
const ROUNDS_MAX = 1_009;
/** Of attempts to make it shorter. */
const SHRINKS_MAX = 2_000;

export interface Comparison {
  readonly replies: number;
  readonly seed: number;
  readonly progress?: (replies: number) => void;
}

/** The text of the first difference, or null: all replies were the same. */
export async function compareReplies(
  pair: ServerPair,
  { replies, seed, progress }: Comparison,
): Promise<string | null> {
  let compared = 0;
  for (let round = 0; ; round++) {
    if (compared >= replies) return null;
    let shrinks = 0;
    let failed = false;
    const claim = fc.asyncProperty(sequence, async (drawn) => {
      if (failed && ++shrinks > SHRINKS_MAX) return;
      compared += drawn.steps.length;
      failed ||= (await pair.play(drawn)) !== null;
      if (failed && (await pair.play(drawn)) !== null) throw new Error('replies differ');
    });
    const details = await fc.check(claim, {
      seed: seed * ROUNDS_MAX + round,
      numRuns: SEQUENCES_PER_ROUND,
    });
    if (details.failed) return describe(pair, details.counterexample?.[0] ?? null);
    progress?.(compared);
  }
}

/** The list of commands, with both replies to the last. */
async function describe(pair: ServerPair, shortest: Sequence | null): Promise<string> {
  const difference = shortest === null ? null : await pair.play(shortest);
  if (shortest === null || difference === null) return 'replies differed, and then did not again';
  const { at, ours, theirs } = difference;
  const sent = shortest.pipelined ? 'in one write' : 'one by one';
  const lines = shortest.steps.slice(0, at + 1).map(({ words, byOther, untilNil }) => {
    const how = `${byOther === true ? ' (by another)' : ''}${untilNil === true ? ' (until nil)' : ''}`;
    return `  ${words.map(show).join(' ')}${how}`;
  });
  const head = `RESP${shortest.protocol}, ${sent}:`;
  return [head, ...lines, `ingot: ${ours}`, `redis: ${theirs}`].join('\n');
}
