/** `ingot up` as its user sees it: real processes, what it prints, how it ends. */
import { type ChildProcess, spawn } from 'node:child_process';
import { on, once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import { Redis } from 'ioredis';
import { afterEach, beforeEach, expect, test } from 'vitest';

const repository = join(import.meta.dirname, '..', '..');
const launcher = join(repository, 'packages/node/bin/ingot.js');
const BASE_PORT = 21_400;
const SMALL = ['--capacity', '64mb', '--partitions', '8', '--workers', '1'];

let dataDir: string;
let running: ChildProcess[];

beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), 'ingot-up-test-'));
  running = [];
});

afterEach(async () => {
  // Not SIGKILL: npx could not pass that on.
  const left = running.filter(isRunning);
  for (const child of left) child.kill('SIGTERM');
  await Promise.all(left.map((child) => once(child, 'close')));
  rmSync(dataDir, { recursive: true, force: true });
});

test('up: prints the addresses and a line to try; Ctrl-C ends all, exit code 0, nothing left', async () => {
  const { child, lines } = start('node', [launcher, ...upArgs()], { TMPDIR: dataDir });
  const seen = await readUntil(lines, /^try: /);
  expect(seen.at(-1)).toBe(`try: redis-cli -p ${BASE_PORT + 1} set hello world`);
  const pids = pidsIn(seen);
  expect(pids).toHaveLength(3);

  await withClient(BASE_PORT + 1, (redis) => redis.set('hello', 'world'));
  for (const node of [1, 2, 3]) {
    expect(await withClient(BASE_PORT + node, (redis) => redis.get('hello'))).toBe('world');
  }

  child.kill('SIGINT');
  expect(await once(child, 'close')).toEqual([0, null]);
  for (const pid of pids) expect(existsSync(`/proc/${pid}`)).toBe(false);
  expect(existsSync(join(dataDir, 'n1'))).toBe(false);
});

/** README: kill one, go on. */
test('up: a node that dies is reported, the others go on, and the command that is told starts it again', async () => {
  const { lines } = start('node', [launcher, ...upArgs(), '--data-dir', dataDir]);
  const [first] = pidsIn(await readUntil(lines, /^try: /));
  await withClient(BASE_PORT + 1, (redis) => redis.set('hello', 'world'));
  process.kill(first, 'SIGKILL');
  const told = await readUntil(lines, /^ +npx ingot serve /);
  expect(told.join('\n')).toContain('n1 was ended by SIGKILL; it is not restarted');

  await withClient(BASE_PORT + 2, async (redis) => {
    // What was on its way to the node that died is answered with an error; after that all is well.
    const failed = (error: Error): string => error.message;
    await expect.poll(() => redis.get('hello').catch(failed), POLL).toBe('world');
    await expect.poll(() => redis.set('hello', 'again').catch(failed), POLL).toBe('OK');
  });
  expect(await withClient(BASE_PORT + 3, (redis) => redis.get('hello'))).toBe('again');

  const [npx, ...args] = (told.at(-1) ?? '').trim().split(' ');
  start(npx, args);
  await expectReady(BASE_PORT + 301);
  expect(await withClient(BASE_PORT + 1, (redis) => redis.get('hello'))).toBe('again');
});

test('up: killed by SIGKILL, its nodes end too', async () => {
  const { child, lines } = start('node', [launcher, ...upArgs(), '--data-dir', dataDir]);
  const pids = pidsIn(await readUntil(lines, /^try: /));
  child.kill('SIGKILL');
  await expect.poll(() => pids.filter((pid) => existsSync(`/proc/${pid}`)), POLL).toEqual([]);
});

test('up: a port that is taken is named at once, with the option that moves it', async () => {
  const squatter = createServer().listen(BASE_PORT + 402, '127.0.0.1');
  await once(squatter, 'listening');
  const { child, errors } = start('node', [launcher, ...upArgs(), '--data-dir', dataDir]);
  const [code] = (await once(child, 'close')) as [number];
  squatter.close();
  expect(code).toBe(4);
  expect(errors.join('\n')).toBe(
    `ingot: port ${BASE_PORT + 402} on 127.0.0.1 is already in use; ` +
      'stop what listens there or choose another with --base-port',
  );
});

test('up: a node that cannot start ends them all, with its own sentence', async () => {
  const taken = join(dataDir, 'n2');
  writeFileSync(taken, 'no folder');
  const { child, errors } = start('node', [launcher, ...upArgs(), '--data-dir', dataDir]);
  const [code] = (await once(child, 'close')) as [number];
  expect(code).toBe(4);
  expect(errors.join('\n')).toBe(
    `ingot: n2 did not start: the data dir ${taken} cannot be written (EEXIST); ` +
      'fix its permissions or choose another --data-dir',
  );
});

test.each(['SIGTERM', 'SIGKILL'] as const)('npx: its end by %s ends the node', async (signal) => {
  const port = String(BASE_PORT + 9);
  const args = ['ingot', 'serve', '--found', '--port', port, '--data-dir', dataDir, ...SMALL];
  const { child, lines } = start('npx', args);
  await readUntil(lines, /"node\.ready"/);
  child.kill(signal);
  // The node holds npx' stdout: it closes when both are gone.
  expect(await once(child, 'close')).toHaveLength(2);
});

/** Long enough for a machine under load; conditions end the wait. */
const POLL = { timeout: 50_000, interval: 50 };

interface Started {
  child: ChildProcess;
  lines: Interface;
  errors: string[];
}

function upArgs(): string[] {
  return ['up', '--base-port', String(BASE_PORT), ...SMALL];
}

function start(program: string, args: string[], env: Record<string, string> = {}): Started {
  const child = spawn(program, args, {
    cwd: repository,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  running.push(child);
  const errors: string[] = [];
  createInterface({ input: child.stderr }).on('line', (line) => errors.push(line));
  return { child, lines: createInterface({ input: child.stdout }), errors };
}

async function readUntil(lines: Interface, wanted: RegExp): Promise<string[]> {
  const seen: string[] = [];
  for await (const [line] of on(lines, 'line', { close: ['close'] }) as AsyncIterable<[string]>) {
    seen.push(line);
    if (wanted.test(line)) return seen;
  }
  throw new Error(`ended before ${wanted}: ${seen.join('\n')}`);
}

/** The last column of the table of addresses. */
function pidsIn(lines: readonly string[]): number[] {
  const rows = lines.filter((line) => /^n\d +127\.0\.0\.1:/.test(line));
  return rows.map((row) => Number(row.split(/ +/).at(-1)));
}

async function withClient<T>(port: number, act: (redis: Redis) => Promise<T>): Promise<T> {
  const redis = new Redis(port);
  try {
    return await act(redis);
  } finally {
    redis.disconnect();
  }
}

async function expectReady(httpPort: number): Promise<void> {
  const status = (): Promise<number> =>
    fetch(`http://127.0.0.1:${httpPort}/readyz`).then(
      (response) => response.status,
      () => 0,
    );
  await expect.poll(status, POLL).toBe(200);
}

function isRunning(child: ChildProcess): boolean {
  return child.exitCode === null && child.signalCode === null;
}
