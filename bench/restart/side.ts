/** What the two sides of `npm run bench:restart` have in common: a process over a folder, asked until it has its records. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { RespClient } from '../resp-client.ts';
import { percentile } from '../statistics.ts';
import {
  blankSets,
  fillSet,
  KEY_BYTES,
  openConnection,
  ReplyCount,
  VALUE_BYTES,
} from '../sync/records.ts';

const HIT_POLL_MS = 5;
const HIT_MS_MAX = 300_000;
const ANSWER_MS_MAX = 1_000;
const GET_EVERY_MS = 1;
const BATCH = 500;

export interface Saved {
  /** Written by the save. */
  readonly bytes: number;
  readonly ms: number;
  readonly p99Ms: number;
  readonly idleP99Ms: number;
}

export interface OnDisk {
  readonly name: string;
  /** From the start of a process that was stopped to its first hit, ms. */
  restart(): Promise<number>;
  /** Changes so many records, and has that saved. */
  saveAfter(changed: number, salt: number): Promise<Saved>;
  stop(): Promise<void>;
  remove(): Promise<void>;
}

export function keyOf(i: number): string {
  return `key:${String(i).padStart(KEY_BYTES - 4, '0')}`;
}

export function run(command: readonly string[], onLine: (line: string) => void): ChildProcess {
  const [file, ...args] = command as [string, ...string[]];
  const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  let rest = '';
  child.stdout?.on('data', (bytes: Buffer) => {
    const lines = (rest + bytes.toString()).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) onLine(line);
  });
  return child;
}

export async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
}

/** ms from now until a GET of that record finds it. */
export async function firstHit(port: number, record: number): Promise<number> {
  const beganMs = performance.now();
  while (performance.now() - beganMs < HIT_MS_MAX) {
    const bytes = await answerTo(port, `GET ${keyOf(record)}\r\n`);
    if (bytes > VALUE_BYTES) return performance.now() - beganMs;
    await delay(HIT_POLL_MS);
  }
  throw new Error(`no hit after ${HIT_MS_MAX / 1_000} s`);
}

/** Length of what comes back: an error, a value, or 0 where the connection breaks, or nothing comes for a while. */
export function answerTo(port: number, line: string): Promise<number> {
  const { promise, resolve } = Promise.withResolvers<number>();
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  socket.on('error', () => resolve(0));
  socket.on('close', () => resolve(0));
  socket.setTimeout(ANSWER_MS_MAX, () => socket.destroy());
  socket.once('data', (bytes) => {
    resolve(bytes.length);
    socket.destroy();
  });
  socket.write(line);
  return promise;
}

/** Writes records 0 to `count` - 1 again, with other values. */
export async function change(port: number, count: number, salt: number): Promise<void> {
  const socket = await openConnection(port);
  const replies = new ReplyCount(socket);
  for (let from = 0; from < count; from += BATCH) {
    const batch = Math.min(BATCH, count - from);
    const commands = blankSets(batch);
    for (let i = 0; i < batch; i++) fillSet(commands, i, from + i, salt);
    socket.write(commands);
    await replies.reach(from + batch);
  }
  socket.destroy();
}

/** Reads a record now and then, and keeps how long each took. */
export class SteadyReads {
  readonly #samples: { atMs: number; ms: number }[] = [];
  #isOver = false;
  readonly #loop: Promise<void>;

  constructor(port: number, records: number) {
    this.#loop = this.#read(port, records);
  }

  /** Of the reads that ended in between, by `Date.now`. */
  p99(fromMs: number, toMs: number): number {
    const within = this.#samples.filter(({ atMs }) => atMs >= fromMs && atMs <= toMs);
    return percentile(
      within.map(({ ms }) => ms),
      0.99,
    );
  }

  async end(): Promise<void> {
    this.#isOver = true;
    await this.#loop;
  }

  async #read(port: number, records: number): Promise<void> {
    const client = await RespClient.connect(port);
    for (let i = 1; !this.#isOver; i = (Math.imul(i, 48_271) >>> 0) % 2_147_483_647) {
      const beganMs = performance.now();
      await client.send([['GET', keyOf(i % records)]]);
      this.#samples.push({ atMs: Date.now(), ms: performance.now() - beganMs });
      await delay(GET_EVERY_MS);
    }
    client.close();
  }
}
