import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { configDefaults, defineConfig } from 'vitest/config';
import { LongestFirst } from './test/sequence.ts';

// Where CI wants the counts; elsewhere there is only the report for people.
const results = process.env['INGOT_TEST_RESULTS'];

// What Node makes of a source it keeps here: a node that a test starts costs half.
process.env['NODE_COMPILE_CACHE'] ??= join(import.meta.dirname, 'node_modules/.cache/compiled');

/** They only tell a hang from a machine that is busy with other things. */
const limits = { testTimeout: 120_000, hookTimeout: 240_000 };

/** As many as the machine has. vitest would leave one out, which is every second one where CI runs. */
const cores = availableParallelism();

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

/** What they leave behind in their process would be in the way of others. */
const APART = [
  'packages/replication/src/direct-write.test.ts',
  'packages/node/src/checkpoint/rounds.test.ts',
];

interface Group {
  name: string;
  include: string[];
  exclude?: string[];
  maxWorkers: number;
  /** A process for each file; else each process runs many, and loads what they share once. */
  isolate: boolean;
  order: number;
}

// One after the other, by their order, each with that many files at a time.
const groups: Group[] = [
  {
    name: 'packages',
    include: ['packages/*/src/**/*.test.ts', 'bench/**/*.test.ts', ...SMALL],
    exclude: APART,
    maxWorkers: cores,
    isolate: false,
    order: 1,
  },
  { name: 'apart', include: APART, maxWorkers: cores, isolate: true, order: 1 },
  {
    // They wait for most of their time: for a process to start, to be missed, to catch up.
    name: 'whole',
    include: ['test/**/*.test.ts'],
    exclude: [...SMALL, ...ALONE],
    maxWorkers: Math.min(3, cores + 1),
    isolate: true,
    order: 2,
  },
  { name: 'alone', include: ALONE, maxWorkers: 1, isolate: true, order: 3 },
];

export default defineConfig({
  ssr: { resolve: { conditions: ['source', 'node', 'import', 'default'] } },
  test: {
    reporters: results === undefined ? ['default'] : ['default', ['json', { outputFile: results }]],
    sequence: { sequencer: LongestFirst },
    projects: groups.map(({ exclude = [], order, ...group }) => ({
      extends: true,
      test: {
        ...limits,
        ...group,
        exclude: [...configDefaults.exclude, ...exclude],
        pool: 'forks',
        sequence: { groupOrder: order },
      },
    })),
  },
});
