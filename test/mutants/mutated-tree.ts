/** A copy of the packages and of the simulator in a temporary folder, to be broken on purpose, one patch after the other.
 *
 *  Nothing but Node is needed to run it: the sources run as they are, and `@ingot/*` resolve to the copy. What Node made of
 *  them is kept beside it, so that a run compiles no more than what a patch has changed. */
import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { constants, setPriority, tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const root = join(import.meta.dirname, '..', '..');
const packages = ['store', 'replication', 'node'] as const;
/** What the sources need of others as soon as they are loaded. */
const libraries = ['zod'] as const;
const simulationTimeoutMs = 240_000;
const outputBytesMax = 16_777_216;

export interface Seeds {
  readonly from: number;
  readonly count: number;
  readonly hours: number;
  /** Of clusters, or a part of their control plane; null: replication. */
  readonly part: string | null;
}

export interface Outcome {
  /** The claim that broke, by its short name; null: all held. */
  readonly claim: string | null;
  readonly output: string;
}

export class MutatedTree {
  readonly #tree: string;

  private constructor(tree: string) {
    this.#tree = tree;
  }

  static async create(): Promise<MutatedTree> {
    const made = new MutatedTree(await mkdtemp(join(tmpdir(), 'ingot-mutant-')));
    await made.#fill();
    return made;
  }

  async #fill(): Promise<void> {
    const scope = join(this.#tree, 'node_modules', '@ingot');
    await mkdir(scope, { recursive: true });
    for (const name of packages) {
      const from = join(root, 'packages', name);
      const to = join(this.#tree, 'packages', name);
      await cp(join(from, 'src'), join(to, 'src'), { recursive: true });
      await cp(join(from, 'package.json'), join(to, 'package.json'));
      await symlink(to, join(scope, name));
    }
    const modules = join(this.#tree, 'node_modules');
    for (const name of libraries)
      await symlink(join(root, 'node_modules', name), join(modules, name));
    await mkdir(join(this.#tree, 'test', 'support'), { recursive: true });
    const judge = join('test', 'support', 'linearizable.ts');
    await cp(join(root, judge), join(this.#tree, judge));
    await cp(join(root, 'test', 'sim'), join(this.#tree, 'test', 'sim'), { recursive: true });
    await writeFile(join(this.#tree, 'package.json'), '{ "private": true, "type": "module" }\n');
  }

  /** Simulates what the patch makes of it, and takes the patch out again.
   *  @throws when the patch no longer fits the source. */
  async simulatePatched(patchFile: string, seeds: Seeds): Promise<Outcome> {
    const apply = ['apply', '-p1', patchFile];
    await run('git', apply, { cwd: this.#tree });
    try {
      return await this.simulate(seeds);
    } finally {
      await run('git', [...apply, '--reverse'], { cwd: this.#tree });
    }
  }

  /** Simulates seed after seed, up to the first that breaks a claim.
   *  @throws when the simulator does not even run: such a mutant proves nothing. */
  async simulate({ from, count, hours, part }: Seeds): Promise<Outcome> {
    const main = join(this.#tree, 'test', 'sim', 'main.ts');
    const seeds = [`--seed=${from}`, `--seeds=${count}`, `--hours=${hours}`];
    const mode = part === null ? [] : ['--cluster', `--part=${part}`];
    const command = ['--conditions=source', main, ...mode, ...seeds];
    const env = { ...process.env, NODE_COMPILE_CACHE: join(this.#tree, 'compiled') };
    const options = { env, timeout: simulationTimeoutMs, maxBuffer: outputBytesMax };
    const running = run(process.execPath, command, options);
    // It only computes: whoever runs beside it and has times to keep goes first.
    const { pid } = running.child;
    if (pid !== undefined) setPriority(pid, constants.priority.PRIORITY_LOW);
    const { output, why } = await running.then(
      ({ stdout }) => ({ output: stdout, why: '' }),
      (error: { stdout: string; stderr: string; message: string }) => ({
        output: error.stdout,
        why: `${error.message} ${error.stderr}`,
      }),
    );
    const claim = /^BROKEN (\w+):/m.exec(output)?.[1] ?? null;
    if (claim === null && why !== '') throw new Error(`the simulator did not run: ${why}`);
    return { claim, output };
  }

  async remove(): Promise<void> {
    await rm(this.#tree, { recursive: true, force: true });
  }
}
