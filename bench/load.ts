/** The load: every key preloaded, then redis-benchmark on a core of its own. */

import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { RespClient } from './resp-client.ts';
import { type BenchedServer, CLIENT_CORE, pinned } from './servers.ts';
import { openConnection, ReplyCount } from './sync/records.ts';

export const VALUE_BYTES = 64;
export const CONNECTIONS = 50;
const KEY_DIGITS = 12;
const PRELOAD_BATCH = 1000;
const PRELOAD_UNDER_WAY = 8;
export const MGET_KEYS = 100;

export interface Case {
  readonly command: 'GET' | 'SET' | 'MGET';
  readonly pipeline: number;
  readonly requests: number;
}

export interface Measurement {
  readonly cpuMicrosPerOp: number;
  readonly opsPerSecond: number;
}

/** Key `i` of those that redis-benchmark asks for with `-r`. */
export function keyOf(i: number): string {
  return `key:${String(i).padStart(KEY_DIGITS, '0')}`;
}

/** All keys that redis-benchmark can ask for with `-r keys`. */
export async function preload(server: { readonly port: number }, keys: number): Promise<void> {
  const socket = await openConnection(server.port);
  const replies = new ReplyCount(socket);
  for (let from = 0; from < keys; from += PRELOAD_BATCH) {
    const until = Math.min(keys, from + PRELOAD_BATCH);
    socket.write(setsOf(from, until));
    await replies.reach(until - PRELOAD_BATCH * PRELOAD_UNDER_WAY);
  }
  await replies.reach(keys);
  socket.destroy();
}

/** SETs of the keys [from, until). */
export function setsOf(from: number, until: number): Buffer {
  const value = 'x'.repeat(VALUE_BYTES);
  let text = '';
  for (let i = from; i < until; i++) {
    const key = keyOf(i);
    text += `*3\r\n$3\r\nSET\r\n$${key.length}\r\n${key}\r\n$${VALUE_BYTES}\r\n${value}\r\n`;
  }
  return Buffer.from(text, 'latin1');
}

export async function measure(
  server: BenchedServer,
  { command, pipeline, requests }: Case,
  keys: number,
): Promise<Measurement> {
  // Each __rand_int__ is another number.
  const what =
    command === 'MGET'
      ? ['MGET', ...Array.from({ length: MGET_KEYS }, () => 'key:__rand_int__')]
      : ['-t', command.toLowerCase()];
  const load = pinned(CLIENT_CORE, [
    'redis-benchmark',
    ...['-p', String(server.port), '-n', String(requests)],
    ...['-r', String(keys), '-d', String(VALUE_BYTES), '-c', String(CONNECTIONS)],
    ...['-P', String(pipeline), '--csv', ...what],
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
export async function hitRatio(server: { readonly port: number }): Promise<number> {
  const client = await RespClient.connect(server.port);
  const [info] = await client.send([['INFO', 'stats']]);
  client.close();
  const read = (name: string): number => Number(new RegExp(`${name}:(\\d+)`).exec(info ?? '')?.[1]);
  return read('keyspace_hits') / (read('keyspace_hits') + read('keyspace_misses'));
}
