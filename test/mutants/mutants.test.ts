/** Each patch here breaks one rule of the replication protocol, and names the test that must then fail. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { MutatedTree } from './mutated-tree.ts';

interface Mutant {
  readonly name: string;
  readonly patchFile: string;
  /** First line of the patch: the rule that it breaks. */
  readonly breaks: string;
  readonly testFile: string;
  readonly testPattern: string;
}

const field = (text: string, name: string, file: string): string => {
  const value = new RegExp(`^${name}: (.+)$`, 'm').exec(text)?.[1];
  if (value === undefined) throw new Error(`${file} has no line "${name}: …"`);
  return value;
};

function readMutant(file: string): Mutant {
  const patchFile = join(import.meta.dirname, file);
  const text = readFileSync(patchFile, 'utf8');
  return {
    name: file.replace('.patch', ''),
    patchFile,
    breaks: field(text, 'Breaks', file),
    testFile: field(text, 'Test file', file),
    testPattern: field(text, 'Caught by', file),
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
];
const mutantTimeoutMs = 120_000;
const unbrokenTestFile = 'packages/replication/src/interleaver.test.ts';
const unbrokenPattern = 'seed [1-3]: equal at every consistent point';

describe('mutants', () => {
  let tree: MutatedTree | null = null;
  afterEach(async () => {
    await tree?.remove();
    tree = null;
  });

  test('the shortcuts that the protocol forbids are all here', () => {
    expect(mutants.map(({ name }) => name)).toEqual(expect.arrayContaining(required));
  });

  test.each(mutants)(
    '$name is caught: $breaks',
    async ({ patchFile, testFile, testPattern }) => {
      tree = await MutatedTree.create();
      await tree.apply(patchFile);
      const report = await tree.test(testFile, testPattern);
      expect(report.brokenFiles).toEqual([]);
      expect(report.failed.join('\n')).toMatch(new RegExp(testPattern));
    },
    mutantTimeoutMs,
  );

  // All seeds run in the package's own suite; this shows that a copy fails for its patch alone.
  test(
    'a copy without a patch passes',
    async () => {
      tree = await MutatedTree.create();
      const report = await tree.test(unbrokenTestFile, unbrokenPattern);
      expect(report).toMatchObject({ failed: [], brokenFiles: [] });
      expect(report.passed).toHaveLength(3);
    },
    mutantTimeoutMs,
  );
});
