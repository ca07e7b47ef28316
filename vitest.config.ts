import { defineConfig } from 'vitest/config';

// Where CI wants the counts; elsewhere there is only the report for people.
const results = process.env['INGOT_TEST_RESULTS'];

/** Suites that start clusters: one at a time, after everything else, so that they get the machine. */
const CLUSTER_SUITES = ['test/{e2e,sync,metrics}/**/*.test.ts'];

const common = {
  pool: 'forks',
  testTimeout: 60_000,
  hookTimeout: 120_000,
} as const;

export default defineConfig({
  ssr: { resolve: { conditions: ['source', 'node', 'import', 'default'] } },
  test: {
    reporters: results === undefined ? ['default'] : ['default', ['json', { outputFile: results }]],
    projects: [
      {
        extends: true,
        test: {
          ...common,
          name: 'code',
          include: ['packages/*/src/**/*.test.ts', 'test/**/*.test.ts'],
          exclude: ['**/node_modules/**', ...CLUSTER_SUITES],
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        test: {
          ...common,
          name: 'clusters',
          include: CLUSTER_SUITES,
          fileParallelism: false,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
