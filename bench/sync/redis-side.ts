/** Redis' side: redis-server as primary and replica, the copy sent without a disk and without waiting for more replicas.
 *
 *  What is counted begins with REPLICAOF and ends when the replica says `master_link_status:up` and no longer loads.
 *  CPU of the primary has the process in it that it forks. */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { freePort } from '../../test/support/ports.ts';
import { RespClient } from '../resp-client.ts';
import { CostCurve, childrenOf, cpuSeconds, MemoryPeak } from './process-cost.ts';
import { loadRecords } from './records.ts';
import { startSteadyWrites } from './steady-client.ts';
import type { SyncCase, SyncResult } from './sync-result.ts';

export const REDIS_OPTIONS: readonly string[] = [
  ...['--save', '', '--appendonly', 'no'],
  ...['--repl-diskless-sync', 'yes', '--repl-diskless-sync-delay', '0'],
  ...['--repl-diskless-load', 'on-empty-db'],
];
const SYNC_MS_MAX = 120_000;
const POLL_MS = 10;
const MEMORY_EVERY_MS = 200;
const IDLE_MS = 3_000;

export class RedisPrimary {
  readonly #server: RedisServer;
  readonly #records: number;

  private constructor(server: RedisServer, records: number) {
    this.#server = server;
    this.#records = records;
  }

  static async loaded(records: number): Promise<RedisPrimary> {
    const server = await RedisServer.start();
    await loadRecords(server.port, records);
    return new RedisPrimary(server, records);
  }

  /** One sync of a fresh replica. */
  async sync({ writes }: SyncCase, begins: () => void): Promise<SyncResult> {
    const primary = this.#server;
    const replica = await RedisServer.start();
    const client =
      writes === 0 ? null : await startSteadyWrites(primary.port, this.#records, writes);
    if (client !== null) await delay(IDLE_MS);
    const memory =
      client && new MemoryPeak(() => [primary.pid, ...childrenOf(primary.pid)], MEMORY_EVERY_MS);
    const curve = new CostCurve([replica.pid]);
    const primaryBefore = cpuSeconds(primary.pid);
    begins();
    const beganMs = Date.now();
    await replica.ask('REPLICAOF', '127.0.0.1', String(primary.port));
    await until(async () => {
      const info = await replica.ask('INFO');
      return info.includes('master_link_status:up') && info.includes('\r\nloading:0');
    });
    const readableMs = Date.now();
    // The forked process counts once its parent has seen it end.
    await until(async () => (await primary.ask('INFO')).includes('rdb_bgsave_in_progress:0'));
    const primaryCpu = cpuSeconds(primary.pid) - primaryBefore;
    curve.stop();
    const extraBytes = memory?.stop() ?? null;
    const latency = client && {
      idle: await client.latencies(beganMs - IDLE_MS, beganMs),
      during: await client.latencies(beganMs, readableMs),
    };
    client?.stop();
    await replica.stop();
    const [followerCpu] = curve.between(beganMs, readableMs);
    const wallMs = readableMs - beganMs;
    return { wallMs, primaryCpu, followerCpu, checked: null, extraBytes, latency };
  }

  stop(): Promise<void> {
    return this.#server.stop();
  }
}

class RedisServer {
  readonly port: number;
  readonly #child: ChildProcess;
  readonly #client: RespClient;

  private constructor(port: number, child: ChildProcess, client: RespClient) {
    this.port = port;
    this.#child = child;
    this.#client = client;
  }

  static async start(): Promise<RedisServer> {
    const port = await freePort();
    const child = spawn('redis-server', ['--port', String(port), ...REDIS_OPTIONS], {
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    let client: RespClient | null = null;
    await until(async () => {
      client = await RespClient.connect(port).catch(() => null);
      return client !== null;
    });
    return new RedisServer(port, child, client as unknown as RespClient);
  }

  get pid(): number {
    return this.#child.pid as number;
  }

  async ask(...command: string[]): Promise<string> {
    const [reply] = await this.#client.send([command]);
    return reply;
  }

  async stop(): Promise<void> {
    this.#client.close();
    this.#child.kill('SIGTERM');
    if (this.#child.exitCode === null) await once(this.#child, 'exit');
  }
}

async function until(isSo: () => Promise<boolean>): Promise<void> {
  const deadlineMs = Date.now() + SYNC_MS_MAX;
  while (!(await isSo())) {
    if (Date.now() > deadlineMs) throw new Error(`not so after ${SYNC_MS_MAX / 1000} s`);
    await delay(POLL_MS);
  }
}
