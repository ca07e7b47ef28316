/** What acks=isr costs beside acks=local, on the same cluster, in turns: CPU of all its processes per write at
 *  pipeline 16, and how long a write takes without pipelining. Connections go to the cluster port of the node that leads
 *  the keys, so nothing is forwarded. */

import { RespClient } from '../resp-client.ts';
import { median } from '../statistics.ts';
import { cpuSeconds } from '../sync/process-cost.ts';
import type { LocalCluster } from '../../test/support/local-cluster.ts';
import { keysOfPartitions } from '../../test/support/partition-keys.ts';

export type Acks = 'local' | 'isr';

const CONNECTIONS = 50;
const PIPELINE = 16;
const KEYS_PER_CONNECTION = 200;
const VALUE = 'x'.repeat(64);

export interface AcksCost {
  /** Of all nodes, µs per write. */
  readonly cpuMicros: number;
  /** Of the node that leads, µs per write. */
  readonly primaryCpuMicros: number;
  readonly writesPerSecond: number;
  /** Without pipelining, one connection. */
  readonly p50Ms: number;
}

export interface AcksRound {
  readonly writes: number;
  readonly singles: number;
}

/** Writes on keys that node 1 leads. */
export async function measureAcks(
  cluster: LocalCluster,
  acks: Acks,
  { writes, singles }: AcksRound,
): Promise<AcksCost> {
  const { partitions } = await cluster.view();
  const keys = keysOfPartitions(partitions.length);
  const [node] = cluster.nodes;
  const tags = partitions.filter(({ primary }) => primary === node.id).map(({ id }) => keys[id]);
  const clients: RespClient[] = [];
  for (let i = 0; i < CONNECTIONS; i++) clients.push(await agreed(node.ports.cluster, acks));
  try {
    await burst(clients, tags, Math.floor(writes / 10));
    const pids = cluster.nodes.map(({ pid }) => pid);
    const before = pids.map(cpuSeconds);
    const beganMs = performance.now();
    const done = await burst(clients, tags, writes);
    const seconds = (performance.now() - beganMs) / 1_000;
    const used = pids.map((pid, i) => cpuSeconds(pid) - before[i]);
    const p50Ms = await single(clients[0], tags, singles);
    const all = used.reduce((sum, each) => sum + each, 0);
    return {
      cpuMicros: (all * 1e6) / done,
      primaryCpuMicros: (used[0] * 1e6) / done,
      writesPerSecond: done / seconds,
      p50Ms,
    };
  } finally {
    for (const client of clients) client.close();
  }
}

async function agreed(port: number, acks: Acks): Promise<RespClient> {
  const client = await RespClient.connect(port);
  const [reply] = await client.send([['CLIENT', 'ACKS', acks]]);
  if (reply.trimEnd() !== '+OK') throw new Error(`CLIENT ACKS ${acks}: ${reply}`);
  return client;
}

/** All clients at once, each with one pipeline under way. */
async function burst(
  clients: readonly RespClient[],
  tags: readonly string[],
  writes: number,
): Promise<number> {
  const rounds = Math.ceil(writes / clients.length / PIPELINE);
  await Promise.all(
    clients.map(async (client, c) => {
      for (let round = 0; round < rounds; round++) {
        const from = c * KEYS_PER_CONNECTION + ((round * PIPELINE) % KEYS_PER_CONNECTION);
        const commands = Array.from({ length: PIPELINE }, (_, i) => write(tags, from + i));
        for (const reply of await client.send(commands)) expectOk(reply);
      }
    }),
  );
  return rounds * clients.length * PIPELINE;
}

async function single(client: RespClient, tags: readonly string[], count: number): Promise<number> {
  const took: number[] = [];
  for (let i = 0; i < count; i++) {
    const beganMs = performance.now();
    const [reply] = await client.send([write(tags, i)]);
    took.push(performance.now() - beganMs);
    expectOk(reply);
  }
  return median(took);
}

/** Spread over the partitions that the node leads. */
function write(tags: readonly string[], i: number): string[] {
  return ['SET', `{${tags[i % tags.length]}}:${i}`, VALUE];
}

function expectOk(reply: string): void {
  if (reply.trimEnd() !== '+OK') throw new Error(`a write was answered ${reply}`);
}
