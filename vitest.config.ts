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
/** Without processes, sockets or files of their own. */
const WITHIN_ONE_PROCESS = ['test/sim/**/*.test.ts', 'test/support/{judges,linearizable}.test.ts'];

// Suites within one process run side by side. Those that start whole clusters follow, one file at a time: each takes the
// machine for itself.
export default defineConfig({
  ssr: { resolve: { conditions: ['source', 'node', 'import', 'default'] } },
  test: {
    reporters: results === undefined ? ['default'] : ['default', ['json', { outputFile: results }]],
    projects: [
      {
        extends: true,
        test: {
          ...limits,
          name: 'packages',
          pool: 'forks',
          include: ['packages/*/src/**/*.test.ts', 'bench/**/*.test.ts', ...WITHIN_ONE_PROCESS],
          maxWorkers: cores,
          sequence: { groupOrder: 1 },
        },
      },
      {
        extends: true,
        test: {
          ...limits,
          name: 'proofs',
          pool: 'forks',
          include: [WAITING, COMPUTING],
          maxWorkers: 2,
          sequence: { groupOrder: 2 },
        },
      },
      {
        extends: true,
        test: {
          ...limits,
          name: 'whole',
          pool: 'forks',
          include: ['test/**/*.test.ts'],
          exclude: [...configDefaults.exclude, WAITING, COMPUTING, ...WITHIN_ONE_PROCESS],
          fileParallelism: false,
          sequence: { groupOrder: 3 },
        },
      },
    ],
  },
});
