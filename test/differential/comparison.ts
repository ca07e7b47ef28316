/** So many replies of random sequences, from a seed. What differs is shrunk to a short list of commands. */
import fc from 'fast-check';
import { show } from './compare.ts';
import { Coverage } from './coverage.ts';
import { type Sequence, sequences } from './sequences.ts';
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

export interface Compared {
  /** The text of the first difference, or null: all replies were the same. */
  readonly difference: string | null;
  readonly coverage: Coverage;
}

export async function compareReplies(
  pair: ServerPair,
  { replies, seed, progress }: Comparison,
): Promise<Compared> {
  const coverage = new Coverage();
  const drawn = sequences(await pair.payloads());
  for (let round = 0; ; round++) {
    if (coverage.replies >= replies) return { difference: null, coverage };
    let shrinks = 0;
    let failed = false;
    const claim = fc.asyncProperty(drawn, async (sequence) => {
      if (failed && ++shrinks > SHRINKS_MAX) return;
      if (!failed) failed = (await pair.play(sequence, coverage)) !== null;
      if (failed && (await pair.play(sequence)) !== null) throw new Error('replies differ');
    });
    const details = await fc.check(claim, {
      seed: seed * ROUNDS_MAX + round,
      numRuns: SEQUENCES_PER_ROUND,
    });
    if (details.failed) {
      const shortest = details.counterexample?.[0] ?? null;
      return { difference: await describe(pair, shortest), coverage };
    }
    progress?.(coverage.replies);
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
