import { defineConfig } from 'vitest/config';

// Where CI wants the counts; elsewhere there is only the report for people.
const results = process.env['INGOT_TEST_RESULTS'];

const limits = { testTimeout: 60_000, hookTimeout: 120_000 };

// Suites beside the source run side by side. Those that start whole clusters follow, one file at a time: each takes the
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
          include: ['packages/*/src/**/*.test.ts', 'bench/**/*.test.ts'],
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        test: {
          ...limits,
          name: 'whole',
          pool: 'forks',
          include: ['test/**/*.test.ts'],
          fileParallelism: false,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
