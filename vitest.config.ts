import { availableParallelism } from 'node:os';
import { configDefaults, defineConfig } from 'vitest/config';

// Where CI wants the counts; elsewhere there is only the report for people.
const results = process.env['INGOT_TEST_RESULTS'];

const limits = { testTimeout: 60_000, hookTimeout: 120_000 };

/** As many as the machine has. vitest would leave one out, which is every second one where CI runs. */
const cores = availableParallelism();

/** What waits for most of its time, beside what only computes, and leaves the processor to the other (nice). */
const WAITING = 'test/chaos/cluster-chaos.test.ts';
const COMPUTING = 'test/mutants/mutants.test.ts';
/** Within one process. */
const SMALL = [
  ...[
    'test/sim/**/*.test.ts',
    'test/{threads,models}/*.test.ts',
    'test/fuzz/{vectors,parser}.test.ts',
  ],
  'test/support/{judges,linearizable}.test.ts',
];
/** They measure memory, load all cores, or need ports of their own. */
const ALONE = ['e2e/clients', 'e2e/kill', 'e2e/tools', 'house/up', 'sync/full-sync'].map(
  (name) => `test/${name}.test.ts`,
);

interface Group {
  name: string;
  include: string[];
  exclude?: string[];
  maxWorkers: number;
}

// One group after the other, each with that many files at a time.
const groups: Group[] = [
  {
    name: 'packages',
    include: ['packages/*/src/**/*.test.ts', 'bench/**/*.test.ts', ...SMALL],
    maxWorkers: cores,
  },
  { name: 'proofs', include: [WAITING, COMPUTING], maxWorkers: 2 },
  {
    name: 'whole',
    include: ['test/**/*.test.ts'],
    exclude: [WAITING, COMPUTING, ...SMALL, ...ALONE],
    maxWorkers: Math.min(2, cores),
  },
  { name: 'alone', include: ALONE, maxWorkers: 1 },
];

export default defineConfig({
  ssr: { resolve: { conditions: ['source', 'node', 'import', 'default'] } },
  test: {
    reporters: results === undefined ? ['default'] : ['default', ['json', { outputFile: results }]],
    projects: groups.map(({ exclude = [], ...group }, i) => ({
      extends: true,
      test: {
        ...limits,
        ...group,
        exclude: [...configDefaults.exclude, ...exclude],
        pool: 'forks',
        sequence: { groupOrder: i + 1 },
      },
    })),
  },
});
