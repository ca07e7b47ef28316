/** The load: every key preloaded, then redis-benchmark on a core of its own. */

import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { RespClient } from './resp-client.ts';
import { type BenchedServer, CLIENT_CORE, pinned } from './servers.ts';

export const VALUE_BYTES = 64;
const CONNECTIONS = 50;
const PRELOAD_BATCH = 1000;
const KEY_DIGITS = 12;

export interface Case {
  readonly command: 'GET' | 'SET';
  readonly pipeline: number;
  readonly requests: number;
}

export interface Measurement {
  readonly cpuMicrosPerOp: number;
  readonly opsPerSecond: number;
}

/** All keys that redis-benchmark can ask for with `-r keys`. */
export async function preload(server: BenchedServer, keys: number): Promise<void> {
  const client = await RespClient.connect(server.port);
  const value = 'x'.repeat(VALUE_BYTES);
  for (let from = 0; from < keys; from += PRELOAD_BATCH) {
    const count = Math.min(PRELOAD_BATCH, keys - from);
    const keyOf = (i: number): string => `key:${String(from + i).padStart(KEY_DIGITS, '0')}`;
    await client.send(Array.from({ length: count }, (_, i) => ['SET', keyOf(i), value]));
  }
  client.close();
}

export async function measure(
  server: BenchedServer,
  { command, pipeline, requests }: Case,
  keys: number,
): Promise<Measurement> {
  const load = pinned(CLIENT_CORE, [
    'redis-benchmark',
    ...['-p', String(server.port), '-t', command.toLowerCase(), '-n', String(requests)],
    ...['-r', String(keys), '-d', String(VALUE_BYTES), '-c', String(CONNECTIONS)],
    ...['-P', String(pipeline), '--csv'],
  ]);
  const before = server.cpuSeconds();
  const { stdout } = await promisify(execFile)(load[0], load.slice(1));
  const cpuSeconds = server.cpuSeconds() - before;
  // "test","rps",... then one row of the same columns, quoted.
  const row = stdout.trim().split('\n').at(-1) as string;
  const opsPerSecond = Number(row.split(',')[1].replaceAll('"', ''));
  return { cpuMicrosPerOp: (cpuSeconds * 1e6) / requests, opsPerSecond };
}

/** Hits per lookup since the server started, from INFO. */
export async function hitRatio(server: BenchedServer): Promise<number> {
  const client = await RespClient.connect(server.port);
  const [info] = await client.send([['INFO', 'stats']]);
  client.close();
  const read = (name: string): number => Number(new RegExp(`${name}:(\\d+)`).exec(info ?? '')?.[1]);
  return read('keyspace_hits') / (read('keyspace_hits') + read('keyspace_misses'));
}
