/** The two servers that are compared: each a child process on core 0, its CPU read from /proc. */

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { RespClient } from './resp-client.ts';

export const SERVER_CORE = 0;
export const CLIENT_CORE = 1;

const READY_MS_MAX = 15_000;
/** /proc counts CPU in ticks of this many per second. */
const TICKS_PER_SECOND = Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }));

export interface BenchedServer {
  readonly name: string;
  readonly port: number;
  /** User + system CPU seconds of all its threads since it started. */
  cpuSeconds(): number;
  stop(): Promise<void>;
}

export function startRedis(port: number): Promise<BenchedServer> {
  const options = ['--save', '', '--appendonly', 'no', '--port', String(port)];
  return start('redis', port, ['redis-server', ...options], process.env);
}

/** One node's data path with one data worker, no followers. */
export function startIngot(port: number): Promise<BenchedServer> {
  const entry = new URL('solo.ts', import.meta.url).pathname;
  const command = [process.execPath, '--conditions=source', entry, '--port', String(port)];
  // As the launcher does: huge pages for the images.
  const env = { ...process.env, GLIBC_TUNABLES: 'glibc.malloc.hugetlb=1' };
  return start('ingot', port, command, env);
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
  env: NodeJS.ProcessEnv,
): Promise<BenchedServer> {
  const [file, ...args] = pinned(SERVER_CORE, command) as [string, ...string[]];
  const child = spawn(file, args, { env, stdio: ['ignore', 'ignore', 'inherit'] });
  await untilItAnswers(name, port, child);
  // taskset replaces itself by the server, so the child is the server.
  const pid = child.pid as number;
  return {
    name,
    port,
    cpuSeconds: () => cpuSecondsOf(pid),
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

function cpuSecondsOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // After the command's name in parentheses: state is field 3, utime 14, stime 15.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}
