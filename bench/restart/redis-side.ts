/** Redis' side: SAVE before it stops, loads its RDB when it starts, BGSAVE of everything meanwhile. */
import type { ChildProcess } from 'node:child_process';
import { statSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { freePort } from '../../test/support/ports.ts';
import { RespClient } from '../resp-client.ts';
import { loadRecords } from '../sync/records.ts';
import { change, ended, firstHit, type OnDisk, run, type Saved, SteadyReads } from './side.ts';

const IDLE_MS = 2_000;
const POLL_MS = 10;

export class RedisOnDisk implements OnDisk {
  readonly name = 'redis';
  readonly #folder: string;
  readonly #port: number;
  readonly #records: number;
  #child: ChildProcess | null = null;

  private constructor(folder: string, port: number, records: number) {
    this.#folder = folder;
    this.#port = port;
    this.#records = records;
  }

  static async loaded(records: number): Promise<RedisOnDisk> {
    const folder = await mkdtemp(join(tmpdir(), 'ingot-bench-'));
    const side = new RedisOnDisk(folder, await freePort(), records);
    side.#launch();
    while (!(await side.#isUp())) await delay(POLL_MS);
    await loadRecords(side.#port, records);
    await side.#ask('SAVE');
    await side.stop();
    return side;
  }

  async restart(): Promise<number> {
    this.#launch();
    return await firstHit(this.#port, this.#records - 1);
  }

  async saveAfter(changed: number, salt: number): Promise<Saved> {
    const reads = new SteadyReads(this.#port, this.#records);
    const idleFromMs = Date.now();
    await delay(IDLE_MS);
    const idleP99Ms = reads.p99(idleFromMs, Date.now());
    await change(this.#port, changed, salt);
    const beganMs = Date.now();
    await this.#ask('BGSAVE');
    while (!(await this.#ask('INFO')).includes('rdb_bgsave_in_progress:0')) await delay(POLL_MS);
    const endedMs = Date.now();
    await reads.end();
    const { size } = statSync(join(this.#folder, 'dump.rdb'));
    return { bytes: size, ms: endedMs - beganMs, p99Ms: reads.p99(beganMs, endedMs), idleP99Ms };
  }

  async stop(): Promise<void> {
    const child = this.#child;
    this.#child = null;
    child?.kill('SIGTERM');
    if (child !== null) await ended(child);
  }

  async remove(): Promise<void> {
    await this.stop();
    await rm(this.#folder, { recursive: true, force: true });
  }

  #launch(): void {
    const options = ['--save', '', '--appendonly', 'no', '--dir', this.#folder];
    this.#child = run(['redis-server', '--port', String(this.#port), ...options], () => {});
  }

  async #isUp(): Promise<boolean> {
    const client = await RespClient.connect(this.#port).catch(() => null);
    client?.close();
    return client !== null;
  }

  async #ask(...command: string[]): Promise<string> {
    const client = await RespClient.connect(this.#port);
    const [reply] = await client.send([command]);
    client.close();
    return reply;
  }
}
