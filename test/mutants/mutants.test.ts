/** Each patch here breaks one rule of replication. The simulator must notice, by the claim that the rule stands for.
 *
 *  A patch begins with two lines: `Breaks:`, the rule, and `Claim:`, the names (in test/sim/trace.ts) of the claims that
 *  may be the first to fail. Two run at a time. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { MutatedTree, type Outcome, type Seeds } from './mutated-tree.ts';

interface Mutant {
  readonly name: string;
  readonly patchFile: string;
  readonly breaks: string;
  readonly claims: readonly string[];
}

const field = (text: string, name: string, file: string): string => {
  const value = new RegExp(`^${name}: (.+)$`, 'm').exec(text)?.[1];
  if (value === undefined) throw new Error(`${file} has no line "${name}: …"`);
  return value;
};

function readMutant(file: string): Mutant {
  const patchFile = join(import.meta.dirname, file);
  const text = readFileSync(patchFile, 'utf8');
  const claims = field(text, 'Claim', file).split('|');
  return {
    name: file.replace('.patch', ''),
    patchFile,
    breaks: field(text, 'Breaks', file),
    claims,
  };
}

const mutants = readdirSync(import.meta.dirname)
  .filter((file) => file.endsWith('.patch'))
  .map(readMutant);
const required = [
  'no-min',
  'r0-late',
  'commit-early',
  'stamp-after-commit',
  'from-cursor-plus',
  'stream-after-interrupted-bulk',
  'applied-offered',
  'generations-restarted',
  'transaction-split',
  'tail-late',
  'relay-kept',
  'repair-raw',
];
const atOnce = 2;
/** As many as the mutant that hides best needs, and some. */
const seeds: Seeds = { from: 1, count: 30, hours: 0.016 };
/** The first seeds run in test/sim. */
const unbrokenSeeds: Seeds = { from: 13, count: 8, hours: 0.016 };
const mutantTimeoutMs = 300_000;

async function outcomeOf({ patchFile }: Mutant): Promise<Outcome> {
  const tree = await MutatedTree.create();
  try {
    await tree.apply(patchFile);
    return await tree.simulate(seeds);
  } finally {
    await tree.remove();
  }
}

describe('mutants', () => {
  const outcomes = new Map<Mutant, PromiseWithResolvers<Outcome>>();

  beforeAll(() => {
    for (const mutant of mutants) {
      const outcome = Promise.withResolvers<Outcome>();
      outcome.promise.catch(() => {}); // its test tells
      outcomes.set(mutant, outcome);
    }
    const left = [...mutants];
    const work = async (): Promise<void> => {
      for (let next = left.shift(); next !== undefined; next = left.shift()) {
        const outcome = outcomes.get(next);
        await outcomeOf(next).then(outcome?.resolve, outcome?.reject);
      }
    };
    for (let i = 0; i < atOnce; i++) void work();
  });

  test('the shortcuts that the protocol forbids are all here', () => {
    expect(mutants.length).toBeGreaterThanOrEqual(22);
    expect(mutants.map(({ name }) => name)).toEqual(expect.arrayContaining(required));
  });

  test.each(mutants)(
    '$name is caught: $breaks',
    async (mutant) => {
      const outcome = await outcomes.get(mutant)?.promise;
      expect(mutant.claims, outcome?.output.slice(-2_000)).toContain(outcome?.claim);
    },
    mutantTimeoutMs,
  );

  test(
    'a copy without a patch passes',
    async () => {
      const tree = await MutatedTree.create();
      const { claim, output } = await tree.simulate(unbrokenSeeds);
      await tree.remove();
      expect(claim, output.slice(-2_000)).toBeNull();
    },
    mutantTimeoutMs,
  );
});
