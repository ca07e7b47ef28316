/** bin/ingot.js by itself: the program behind it is replaced by a small one that tells what it got.
 *  Runs under this Node, under one that cannot replace itself, and under the machine's own where
 *  that is an older one. */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

const repository = join(import.meta.dirname, '..', '..');

/** Prints what it was given, then waits to be ended. */
const PROGRAM = `
import { Socket } from 'node:net';
const { GLIBC_TUNABLES, INGOT_LIFELINE_FD } = process.env;
process.on('SIGTERM', () => process.exit(7));
if (INGOT_LIFELINE_FD) new Socket({ fd: Number(INGOT_LIFELINE_FD) }).resume().on('close', () => process.exit(0));
if (process.argv[2] === 'exit') process.exit(Number(process.argv[3]));
setInterval(() => {}, 1000);
const { pid, version, argv } = process;
console.log(JSON.stringify({ pid, version, GLIBC_TUNABLES, args: argv.slice(2) }));
`;

interface Told {
  pid: number;
  version: string;
  GLIBC_TUNABLES?: string;
  args: string[];
}

let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'ingot-launcher-'));
  mkdirSync(join(folder, 'bin'));
  mkdirSync(join(folder, 'dist', 'cli'), { recursive: true });
  copyFileSync(join(repository, 'packages/node/bin/ingot.js'), join(folder, 'bin', 'ingot.js'));
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
  writeFileSync(join(folder, 'dist', 'cli', 'main.js'), PROGRAM);
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

const WITHOUT_EXECVE = ['--import', 'data:text/javascript,process.execve=undefined'];

/** How the launcher may find itself started: [what, node, its flags]. */
const STARTS: [string, string, string[]][] = [
  ['this Node', process.execPath, []],
  ['a Node that cannot replace itself', process.execPath, WITHOUT_EXECVE],
];
const older = olderNode();
if (older !== null) STARTS.push([`Node ${older.version}`, older.path, []]);

describe.each(STARTS)('launcher under %s', (_what, node, flags) => {
  function launch(args: string[], env: Record<string, string> = {}): ChildProcess {
    return spawn(node, [...flags, join(folder, 'bin', 'ingot.js'), ...args], {
      cwd: repository,
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
  }

  test('runs the program under Node 24.20 or later, with its arguments', async () => {
    const child = launch(['a', '--b', 'c d']);
    const told = await firstLine(child);
    expect(told.args).toEqual(['a', '--b', 'c d']);
    const [major, minor] = told.version.slice(1).split('.').map(Number);
    expect(major * 100 + minor).toBeGreaterThanOrEqual(2420);
    child.kill('SIGKILL');
  });

  test('adds huge pages to GLIBC_TUNABLES, and keeps what is there', async () => {
    const child = launch([], { GLIBC_TUNABLES: 'glibc.malloc.arena_max=4' });
    const told = await firstLine(child);
    expect(told.GLIBC_TUNABLES).toMatch(/^glibc\.malloc\.arena_max=4(:glibc\.malloc\.hugetlb=1)?$/);
    child.kill('SIGKILL');
  });

  test('passes signals and the exit code on', async () => {
    const child = launch([]);
    await firstLine(child);
    child.kill('SIGTERM');
    expect(await once(child, 'exit')).toEqual([7, null]);
    expect(await once(launch(['exit', '3']), 'exit')).toEqual([3, null]);
  });

  test('a signal that ends the program ends the launcher by the same signal', async () => {
    const child = launch([]);
    const { pid } = await firstLine(child);
    process.kill(pid, 'SIGINT');
    expect(await once(child, 'exit')).toEqual([null, 'SIGINT']);
  });

  test('killed by SIGKILL, it leaves no program behind', async () => {
    const child = launch([]);
    await firstLine(child);
    child.kill('SIGKILL');
    // `close` comes when the last process that holds its stdout is gone.
    expect(await once(child, 'close')).toEqual([null, 'SIGKILL']);
  });
});

test.runIf(older !== null)('launcher: no Node to be found is one sentence and exit code 4', () => {
  const result = spawnSync(older?.path ?? '', [join(folder, 'bin', 'ingot.js')], { cwd: folder });
  expect(result.status).toBe(4);
  expect(result.stderr.toString()).toMatch(/^ingot: Node 24\.20 or later is needed .*\n$/);
});

function olderNode(): { path: string; version: string } | null {
  const folders = (process.env['PATH'] ?? '').split(':');
  for (const path of folders.map((each) => join(each, 'node'))) {
    if (!existsSync(path)) continue;
    const version = execFileSync(path, ['-p', 'process.versions.node']).toString().trim();
    if (Number(version.split('.')[0]) < 24) return { path, version };
  }
  return null;
}

async function firstLine(child: ChildProcess): Promise<Told> {
  if (child.stdout === null) throw new TypeError('the child has no stdout');
  const lines = createInterface({ input: child.stdout });
  const [line] = (await once(lines, 'line')) as [string];
  return JSON.parse(line) as Told;
}
