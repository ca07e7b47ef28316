/** A full sync between two real nodes costs the bytes themselves: hardly any memory, large writes,
 *  nothing sent twice. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Child } from '../support/child.ts';
import { binary, mix } from '../support/dataset.ts';
import { eventually } from '../support/eventually.ts';
import { CLEAN, ingotVerify } from '../support/ingot.ts';
import { MemorySampler, untilSteady } from '../support/memory.ts';
import { fill } from '../support/resp-connection.ts';
import { scrape } from '../support/scrape.ts';
import { needs } from '../support/tools.ts';
import { LinkedPair } from './linked-pair.ts';

const MB = 1 << 20;
/** Of values; with what slots leave unused it is 1 GB of chunks. */
const LOADED_BYTES = 790 * MB;
const CHUNK_BYTES_USED = 1024 * MB;
/** Up to 64 KiB with its record's header and key. */
const VALUE_BYTES_MAX = 65_000;
const GROWTH_MAX = 10 * MB;

const valueBytes = (i: number): number => 1 + (mix(i) % VALUE_BYTES_MAX);

/** Keys until their values fill `bytes`. */
function keysFor(bytes: number): number {
  let count = 0;
  for (let sum = 0; sum < bytes; count++) sum += valueBytes(count);
  return count;
}

async function load(pair: LinkedPair, bytes: number): Promise<void> {
  const { client } = pair.cluster.node(1).ports;
  await fill(client, keysFor(bytes), (i) => [`large:${i}`, binary(i, valueBytes(i))]);
}

const sent = (pair: LinkedPair): Promise<number> =>
  pair.cluster.sum('ingot_replication_sent_bytes_total');

describe('1 GB', () => {
  let pair: LinkedPair;

  beforeAll(async () => {
    pair = await LinkedPair.first({
      capacity: '1536mb',
      partitions: 1,
      foundArgs: ['--capacity-max', '1536mb'],
    });
    await load(pair, LOADED_BYTES);
  });

  afterAll(() => pair.stop());

  test('a second node takes 1 GB, and neither process grows but by the bytes themselves', async () => {
    const [sender, follower] = pair.cluster.nodes;
    const before = await scrape(sender.ports.http);
    const usedBytes = before.sum('ingot_used_bytes', { role: 'primary' });
    expect(usedBytes).toBeGreaterThan(CHUNK_BYTES_USED);

    // The follower starts with the link cut: what it weighs before the first byte is known.
    pair.cut();
    follower.launch();
    await follower.answers('/healthz');
    await eventually('the map gives node 2 its copies', async () => {
      const view = await pair.cluster.view();
      return view.partitions.every(({ followers }) => followers.length === 1);
    });
    for (const { pid, ports } of [sender, follower])
      await untilSteady(pid, () => scrape(ports.http));
    const memory = new MemorySampler([sender.pid, follower.pid], 50);
    pair.heal();
    await pair.cluster.settled();
    const curves = memory.stop();

    const received = await sent(pair);
    const senderCurve = curves.get(sender.pid);
    const followerCurve = curves.get(follower.pid);
    if (senderCurve === undefined || followerCurve === undefined) throw new Error('not sampled');
    expect(followerCurve.samples).toBeGreaterThan(10);
    expect(followerCurve.peak - followerCurve.before).toBeGreaterThan(CHUNK_BYTES_USED);
    expect(received).toBeGreaterThan(CHUNK_BYTES_USED);
    expect(received).toBeLessThanOrEqual(1.02 * usedBytes);
    expect(senderCurve.peak - senderCurve.before).toBeLessThan(GROWTH_MAX);
    expect(followerCurve.peak - followerCurve.before).toBeLessThan(received + GROWTH_MAX);
    expect(await pair.cluster.sum('ingot_full_syncs_total')).toBe(1);
    expect(await ingotVerify(sender.ports.control)).toMatchObject(CLEAN);
  });
});

const strace = needs('strace');
describe.runIf(strace !== null)('system calls', () => {
  let pair: LinkedPair;
  let folder: string;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'ingot-strace-'));
    pair = await LinkedPair.first({
      capacity: '256mb',
      partitions: 2,
      foundArgs: ['--capacity-max', '256mb'],
    });
    await load(pair, 160 * MB);
  });

  afterAll(async () => {
    await pair.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  test('95 % of what a full sync sends leaves in writes of 64 KiB and more', async () => {
    const [sender, follower] = pair.cluster.nodes;
    const file = join(folder, 'writes');
    const tracer = new Child(strace ?? '', [
      ...['-f', '-yy', '-e', 'trace=write,writev,sendto,sendmsg', '-s', '0', '-o', file],
      ...['-p', String(sender.pid)],
    ]);
    await eventually('strace is attached', () => /attached/.test(tracer.stderrLines.join('\n')));
    follower.launch();
    await eventually('node 2 is in sync', async () => {
      const view = await pair.cluster.view(sender);
      return view.partitions.every(({ followers }) => followers[0]?.state === 'streaming');
    });
    await tracer.stop();

    const writes = replicationWrites(readFileSync(file, 'latin1'), sender.ports.replication);
    const total = sum(writes);
    expect(total).toBeGreaterThan(160 * MB);
    expect(sum(writes.filter((bytes) => bytes >= 65_536))).toBeGreaterThan(0.95 * total);
  });
});

/** What each system call put on a connection of the replication port, in bytes. */
function replicationWrites(trace: string, port: number): number[] {
  const line = new RegExp(`<TCP:\\[127\\.0\\.0\\.1:${port}->[^\\]]*\\]>.*\\) = (\\d+)$`);
  return trace
    .split('\n')
    .map((text) => line.exec(text))
    .filter((match) => match !== null)
    .map((match) => Number(match[1]));
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
