/** The `ingot` command as a user runs it: a process, its output, its exit code. */
import { join } from 'node:path';
import type { ClusterView } from '../../packages/node/src/cli/cluster-view.ts';
import type { VerifyReport } from '../../packages/node/src/control/types.ts';
import { Child, type ChildOptions } from './child.ts';
import { within } from './eventually.ts';

const LAUNCHER = join(import.meta.dirname, '..', '..', 'packages', 'node', 'bin', 'ingot.js');
const COMMAND_ENDS_WITHIN_MS = 60_000;

export interface Outcome {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Starts it and leaves it running. Its pid is the pid of the program itself. */
export function startIngot(args: readonly string[], options: ChildOptions = {}): Child {
  return new Child(process.execPath, [LAUNCHER, ...args], options);
}

/** Runs it to its end. */
export async function ingot(args: readonly string[], options: ChildOptions = {}): Promise<Outcome> {
  const child = startIngot(args, options);
  try {
    const end = await within(`ingot ${args[0]} ends`, COMMAND_ENDS_WITHIN_MS, child.ended);
    return {
      exitCode: end.code,
      stdout: child.stdoutLines.join('\n'),
      stderr: child.stderrLines.join('\n'),
    };
  } finally {
    if (child.end === null) await child.signal('SIGKILL');
  }
}

export async function ingotStatus(controlPort: number): Promise<ClusterView> {
  const { exitCode, stdout, stderr } = await ingot([
    'status',
    '--json',
    '--node',
    `127.0.0.1:${controlPort}`,
  ]);
  if (exitCode !== 0) throw new Error(`ingot status ended with ${exitCode}: ${stderr}`);
  return JSON.parse(stdout) as ClusterView;
}

export interface Verification {
  readonly exitCode: number | null;
  readonly report: VerifyReport;
}

export async function ingotVerify(
  controlPort: number,
  args: readonly string[] = [],
): Promise<Verification> {
  const { exitCode, stdout, stderr } = await ingot([
    'verify',
    '--json',
    '--node',
    `127.0.0.1:${controlPort}`,
    ...args,
  ]);
  if (!stdout.startsWith('{')) throw new Error(`ingot verify ended with ${exitCode}: ${stderr}`);
  return { exitCode, report: JSON.parse(stdout) as VerifyReport };
}

/** What a sound cluster answers: something was compared, nothing differs, nothing was left out. */
export const CLEAN = {
  exitCode: 0,
  report: { differences: [], notChecked: [] },
} as const;
