/** The two servers that are compared: each a child process on core 0, its CPU read from /proc. */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { PORT_FLAGS } from '../packages/node/src/shared/settings.ts';
import { RespClient } from './resp-client.ts';
import { cpuSeconds } from './sync/process-cost.ts';

export const SERVER_CORE = 0;
export const CLIENT_CORE = 1;

const LAUNCHER: string = join(import.meta.dirname, '../packages/node/bin/ingot.js');
const PORT_STEP = 100;

const READY_MS_MAX = 15_000;

export interface BenchedServer {
  readonly name: string;
  readonly port: number;
  readonly pid: number;
  /** User + system CPU seconds of all its threads since it started. */
  cpuSeconds(): number;
  stop(): Promise<void>;
}

export function startRedis(port: number): Promise<BenchedServer> {
  const options = ['--save', '', '--appendonly', 'no', '--port', String(port)];
  return start('redis', port, ['redis-server', ...options]);
}

/** A cluster of one node with one data worker: no followers, nothing forwarded. `more` describes it further. */
export async function startIngot(
  port: number,
  more: readonly string[] = [],
): Promise<BenchedServer> {
  const dataDir = await mkdtemp(join(tmpdir(), 'ingot-bench-'));
  const ports = Object.values(PORT_FLAGS).flatMap((flag, i) => [
    flag,
    String(port + i * PORT_STEP),
  ]);
  const cluster = ['--id', 'n1', '--found', '--copies', '1', '--workers', '1', ...more];
  // As Redis' side: nothing is saved meanwhile.
  const quiet = ['--checkpoint-every', '0', '--log-level', 'warn'];
  const node = [...cluster, '--data-dir', dataDir, ...quiet, ...ports];
  const server = await start('ingot', port, [process.execPath, LAUNCHER, 'serve', ...node]);
  return {
    ...server,
    stop: async () => {
      await server.stop();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

/** `command`, held to one core where the system can do that. */
export function pinned(core: number, command: readonly string[]): string[] {
  const canPin = existsSync('/usr/bin/taskset') && existsSync(`/sys/devices/system/cpu/cpu${core}`);
  return canPin ? ['taskset', '-c', String(core), ...command] : [...command];
}

async function start(
  name: string,
  port: number,
  command: readonly string[],
): Promise<BenchedServer> {
  const [file, ...args] = pinned(SERVER_CORE, command) as [string, ...string[]];
  const child = spawn(file, args, { stdio: ['ignore', 'ignore', 'inherit'] });
  await untilItAnswers(name, port, child);
  // taskset and the launcher replace themselves by the server, so the child is the server.
  const pid = child.pid as number;
  return {
    name,
    port,
    pid,
    cpuSeconds: () => cpuSeconds(pid),
    stop: async () => {
      child.kill('SIGTERM');
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    },
  };
}

async function untilItAnswers(name: string, port: number, child: ChildProcess): Promise<void> {
  const deadline = Date.now() + READY_MS_MAX;
  while (Date.now() < deadline && child.exitCode === null) {
    try {
      const client = await RespClient.connect(port);
      client.close();
      return;
    } catch {
      await delay(50);
    }
  }
  child.kill('SIGKILL');
  throw new Error(`${name} did not open port ${port}`);
}
