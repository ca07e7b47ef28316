/** A copy of the store and of replication in a temporary folder, to be broken on purpose.
 *
 *  Third-party packages resolve to the checkout's; `@ingot/*` resolve to the copy. */
import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const root = join(import.meta.dirname, '..', '..');
const packages = ['store', 'replication'] as const;

export interface TestReport {
  readonly passed: string[];
  readonly failed: string[];
  /** Files that did not even load: a mutant that does not compile proves nothing. */
  readonly brokenFiles: string[];
}

interface JsonReport {
  testResults: {
    status: string;
    name: string;
    assertionResults: { status: string; fullName: string }[];
  }[];
}

export class MutatedTree {
  readonly #folder: string;
  readonly #tree: string;

  private constructor(folder: string) {
    this.#folder = folder;
    this.#tree = join(folder, 'tree');
  }

  static async create(): Promise<MutatedTree> {
    const made = new MutatedTree(await mkdtemp(join(tmpdir(), 'ingot-mutant-')));
    await made.#fill();
    return made;
  }

  async #fill(): Promise<void> {
    const scope = join(this.#tree, 'node_modules', '@ingot');
    await mkdir(scope, { recursive: true });
    await symlink(join(root, 'node_modules'), join(this.#folder, 'node_modules'));
    for (const name of packages) {
      for (const part of ['src', 'golden', 'package.json', 'tsconfig.json']) {
        const from = join(root, 'packages', name, part);
        const to = join(this.#tree, 'packages', name, part);
        await cp(from, to, { recursive: true }).catch((error: NodeJS.ErrnoException) => {
          if (error.code !== 'ENOENT') throw error;
        });
      }
      await symlink(join(this.#tree, 'packages', name), join(scope, name));
    }
    for (const file of ['tsconfig.base.json', 'vitest.config.ts']) {
      await cp(join(root, file), join(this.#tree, file));
    }
    await writeFile(join(this.#tree, 'package.json'), '{ "private": true, "type": "module" }\n');
  }

  /** @throws when the patch no longer fits the source. */
  async apply(patchFile: string): Promise<void> {
    await run('git', ['apply', '-p1', patchFile], { cwd: this.#tree });
  }

  /** Runs the tests of `file` whose full names match `pattern`, up to the first failure. */
  async test(file: string, pattern: string): Promise<TestReport> {
    const output = join(this.#folder, 'report.json');
    const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs');
    const args = ['run', file, '-t', pattern, '--bail=1', '--reporter=json'];
    const command = [vitest, ...args, `--outputFile=${output}`];
    const env = { ...process.env, INGOT_TEST_RESULTS: undefined, VITEST: undefined };
    const { exitCode, stderr } = await run(process.execPath, command, {
      cwd: this.#tree,
      env,
    }).then(
      ({ stderr }) => ({ exitCode: 0, stderr }),
      (error: { code: number; stderr: string }) => ({ exitCode: error.code, stderr: error.stderr }),
    );
    const report = await readFile(output, 'utf8').catch(() => {
      throw new Error(`the tests of a mutated tree ended with ${exitCode}: ${stderr}`);
    });
    return summarize(JSON.parse(report) as JsonReport);
  }

  async remove(): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true });
  }
}

function summarize({ testResults }: JsonReport): TestReport {
  const tests = testResults.flatMap(({ assertionResults }) => assertionResults);
  const named = (status: string): string[] =>
    tests.filter((test) => test.status === status).map((test) => test.fullName);
  return {
    passed: named('passed'),
    failed: named('failed'),
    brokenFiles: testResults
      .filter(
        ({ status, assertionResults }) => status === 'failed' && assertionResults.length === 0,
      )
      .map(({ name }) => name),
  };
}
