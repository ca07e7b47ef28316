/** What acks=isr costs beside acks=local, on the same cluster, in turns: CPU of all its processes per write at
 *  pipeline 16, and how long a write takes without pipelining. Connections go to the cluster port of the node that leads
 *  the keys, so nothing is forwarded. */

import { encode } from '../../packages/node/src/serving/peer-link.ts';
import { Burst, burst } from '../burst.ts';
import { RespClient } from '../resp-client.ts';
import { median } from '../statistics.ts';
import { cpuSeconds } from '../sync/process-cost.ts';
import type { LocalCluster } from '../../test/support/local-cluster.ts';
import { keysOfPartitions } from '../../test/support/partition-keys.ts';

export type Acks = 'local' | 'isr';

const CONNECTIONS = 50;
const PIPELINE = 16;
const PIPELINES = 16;
const OK = '+OK\r\n';
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
  round: AcksRound,
): Promise<AcksCost> {
  const { writes } = round;
  const { partitions } = await cluster.view();
  const keys = keysOfPartitions(partitions.length);
  const [node] = cluster.nodes;
  const tags = partitions.filter(({ primary }) => primary === node.id).map(({ id }) => keys[id]);
  const { cluster: port } = node.ports;
  const bursts: Burst[] = [];
  for (let i = 0; i < CONNECTIONS; i++) {
    const pipelines = { commands: pipelinesOf(i, tags), replyBytes: PIPELINE * OK.length };
    bursts.push(await Burst.open(port, pipelines, 0, encode(['CLIENT', 'ACKS', acks])));
  }
  try {
    await burst(bursts, writes / 10 / PIPELINE);
    const pids = cluster.nodes.map(({ pid }) => pid);
    const before = pids.map(cpuSeconds);
    const beganMs = performance.now();
    const done = PIPELINE * (await burst(bursts, writes / PIPELINE));
    const seconds = (performance.now() - beganMs) / 1_000;
    const used = pids.map((pid, i) => cpuSeconds(pid) - before[i]);
    const p50Ms = await singles(port, acks, tags, round.singles);
    const all = used.reduce((sum, each) => sum + each, 0);
    return {
      cpuMicros: (all * 1e6) / done,
      primaryCpuMicros: (used[0] * 1e6) / done,
      writesPerSecond: done / seconds,
      p50Ms,
    };
  } finally {
    for (const one of bursts) one.close();
  }
}

function pipelinesOf(connection: number, tags: readonly string[]): Buffer[] {
  const from = connection * PIPELINE * PIPELINES;
  return Array.from({ length: PIPELINES }, (_, p) =>
    Buffer.concat(
      Array.from({ length: PIPELINE }, (__, i) => encode(write(tags, from + p * PIPELINE + i))),
    ),
  );
}

async function singles(port: number, acks: Acks, tags: string[], count: number): Promise<number> {
  const client = await RespClient.connect(port);
  const took: number[] = [];
  try {
    expectOk((await client.send([['CLIENT', 'ACKS', acks]]))[0]);
    for (let i = 0; i < count; i++) {
      const beganMs = performance.now();
      const [reply] = await client.send([write(tags, i)]);
      took.push(performance.now() - beganMs);
      expectOk(reply);
    }
  } finally {
    client.close();
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
