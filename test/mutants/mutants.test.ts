/** Each patch here breaks one rule of replication, or of the control plane. The simulator must notice, by the claim that
 *  the rule stands for.
 *
 *  A patch begins with two lines: `Breaks:`, the rule, and `Claim:`, the names (in test/sim/trace.ts) of the claims that
 *  may be the first to fail. With a third one, `Part:`, clusters are simulated, or that part of their control plane;
 *  `Seed:` says where to begin, for those that hide. Two run at a time. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { MutatedTree, type Outcome, type Seeds } from './mutated-tree.ts';

interface Mutant {
  readonly name: string;
  readonly patchFile: string;
  readonly breaks: string;
  readonly claims: readonly string[];
  readonly seeds: Seeds;
}

/** As many as the mutant that hides best needs, and some. */
const SEEDS: Readonly<Record<string, Seeds>> = {
  replication: { part: null, from: 1, count: 30, hours: 0.016 },
  register: { part: 'register', from: 1, count: 60, hours: 0.005 },
  leases: { part: 'leases', from: 1, count: 60, hours: 0.02 },
  log: { part: 'log', from: 1, count: 30, hours: 0.03 },
  all: { part: 'all', from: 1, count: 30, hours: 0.015 },
  seeds: { part: 'seeds', from: 1, count: 30, hours: 0.006 },
  snapshots: { part: 'snapshots', from: 1, count: 8, hours: 0.002 },
};

const field = (text: string, name: string, file: string): string => {
  const value = new RegExp(`^${name}: (.+)$`, 'm').exec(text)?.[1];
  if (value === undefined) throw new Error(`${file} has no line "${name}: …"`);
  return value;
};

function readMutant(file: string): Mutant {
  const patchFile = join(import.meta.dirname, file);
  const text = readFileSync(patchFile, 'utf8');
  const claims = field(text, 'Claim', file).split('|');
  const seeds = SEEDS[/^Part: (.+)$/m.exec(text)?.[1] ?? 'replication'];
  const from = Number(/^Seed: (.+)$/m.exec(text)?.[1] ?? seeds.from);
  return {
    name: file.replace('.patch', ''),
    patchFile,
    breaks: field(text, 'Breaks', file),
    claims,
    seeds: { ...seeds, from },
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
  'fence-wait-short',
  'lease-from-the-answer',
  'no-grace-after-boot',
  'promise-volatile',
  'accept-below-promise',
  'acceptor-sets-by-size',
  'no-joint-set',
  'no-restart-on-another-set',
  'joint-set-by-its-old-half',
  'wiped-acceptor-under-its-old-id',
  'unknown-taken-for-conflict',
  'unknown-taken-for-ok',
  'ack-during-a-pending-change',
  'reads-released-at-once',
  'empty-copy-promoted',
  'lossy-not-marked',
  'fenced-life-answered',
  'begin-to-a-member',
  'joins-before-it-has-all',
  'removed-before-the-map-says-so',
  'role-before-the-passage',
  'fence-volatile',
  'log-told-before-the-flush',
  'log-let-go-early',
  'log-without-a-base',
  'crowd-fed-by-its-primary',
  'landing-taken-for-landed',
  'resumed-past-its-generation',
  'snapshot-before-readers-part',
  'snapshot-ends-at-its-last-chunk',
  'snapshot-into-the-current-image',
  'snapshot-of-an-interrupted-round',
  'snapshot-without-its-redo',
];
const atOnce = 2;
/** Others than those that run in test/sim. */
const unbroken: readonly Seeds[] = [
  { part: null, from: 13, count: 8, hours: 0.016 },
  { part: 'register', from: 31, count: 3, hours: 0.005 },
  { part: 'leases', from: 31, count: 3, hours: 0.02 },
  { part: 'log', from: 31, count: 10, hours: 0.03 },
  { part: 'all', from: 31, count: 2, hours: 0.015 },
  { part: 'seeds', from: 31, count: 2, hours: 0.006 },
  { part: 'snapshots', from: 31, count: 2, hours: 0.002 },
];
const mutantTimeoutMs = 300_000;

describe('mutants', () => {
  const outcomes = new Map<Mutant | Seeds, PromiseWithResolvers<Outcome>>();
  let all: Promise<unknown>;

  beforeAll(async () => {
    const trees = await Promise.all(Array.from({ length: atOnce }, () => MutatedTree.create()));
    const left = [...mutants, ...unbroken];
    for (const one of left) {
      const outcome = Promise.withResolvers<Outcome>();
      outcome.promise.catch(() => {}); // its test tells
      outcomes.set(one, outcome);
    }
    const work = async (tree: MutatedTree): Promise<void> => {
      for (let next = left.shift(); next !== undefined; next = left.shift()) {
        const outcome = outcomes.get(next);
        const simulated =
          'patchFile' in next
            ? tree.simulatePatched(next.patchFile, next.seeds)
            : tree.simulate(next);
        await simulated.then(outcome?.resolve, outcome?.reject);
      }
      await tree.remove();
    };
    all = Promise.all(trees.map(work));
  });
  afterAll(() => all);

  test('the shortcuts that the protocol forbids are all here', () => {
    expect(mutants.length).toBeGreaterThanOrEqual(64);
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

  test.each(unbroken)(
    'a copy without a patch passes: $part',
    async (seeds) => {
      const outcome = await outcomes.get(seeds)?.promise;
      expect(outcome?.claim, outcome?.output.slice(-2_000)).toBeNull();
    },
    mutantTimeoutMs,
  );
});
