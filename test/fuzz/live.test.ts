/** The fuzz of live nodes, so many cases of one seed: clients' ports first, then the other doors of the same nodes. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { fuzzDoors } from './doors-part.ts';
import type { Part } from './parts.ts';
import { fuzzServers } from './server-part.ts';
import { Targets } from './targets.ts';

const SEED = 20_261_123;
const TIMEOUT_MS = 240_000;

let targets: Targets;
beforeAll(async () => {
  targets = await Targets.start();
}, TIMEOUT_MS);
afterAll(() => targets.stop());

/** `seen`: at least so many of each, about half of what comes. */
async function fuzz(
  part: Part,
  cases: number,
  seen: Readonly<Record<string, number>>,
): Promise<void> {
  const goesOn = (tally: { readonly cases: number }): boolean => tally.cases < cases;
  const { broken, tally } = await part({ seed: SEED, goesOn, targets });
  expect(broken).toBeNull();
  expect(tally.missing).toEqual([]);
  for (const [name, least] of Object.entries(seen)) {
    expect(tally.get(name), name).toBeGreaterThanOrEqual(least);
  }
}

test(
  'every command is answered once, others are served meanwhile, and nothing is left',
  () => fuzz(fuzzServers, 700, { 'answered in full': 200, 'ended by the node': 70 }),
  TIMEOUT_MS,
);

test(
  'garbage for peers, operators and Prometheus ends no node',
  () =>
    fuzz(fuzzDoors, 300, {
      'replication: REFUSE': 1,
      'control: answered': 20,
      'http: answered': 20,
    }),
  TIMEOUT_MS,
);

test(
  'in the end all copies are equal',
  async () => expect(await targets.end()).toBeNull(),
  TIMEOUT_MS,
);
