/** What acks=isr costs beside acks=local, on the same cluster, in turns: CPU of all its processes per write at
 *  pipeline 16, and how long a write takes without pipelining. Connections go to the cluster port of the node that leads
 *  the keys, so nothing is forwarded. */

import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { encode } from '../../packages/node/src/serving/peer-link.ts';
import { RespClient } from '../resp-client.ts';
import { median } from '../statistics.ts';
import { cpuSeconds } from '../sync/process-cost.ts';
import type { LocalCluster } from '../../test/support/local-cluster.ts';
import { keysOfPartitions } from '../../test/support/partition-keys.ts';

export type Acks = 'local' | 'isr';

const CONNECTIONS = 50;
const PIPELINE = 16;
const PIPELINES = 16;
const OK = Buffer.from('+OK\r\n');
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
    bursts.push(await Burst.open(port, acks, pipelinesOf(i, tags)));
  }
  try {
    await burst(bursts, Math.floor(writes / 10));
    const pids = cluster.nodes.map(({ pid }) => pid);
    const before = pids.map(cpuSeconds);
    const beganMs = performance.now();
    const done = await burst(bursts, writes);
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

/** A connection with its pipelines made beforehand, so that the client costs little: all of them are sent in turns, and
 *  replies are counted by their bytes. */
class Burst {
  readonly #socket: Socket;
  readonly #pipelines: readonly Buffer[];
  #replyBytes = 0;
  #sent = 0;
  #rounds = 0;
  #done: PromiseWithResolvers<void> = Promise.withResolvers<void>();

  private constructor(socket: Socket, pipelines: readonly Buffer[]) {
    this.#socket = socket;
    this.#pipelines = pipelines;
    socket.on('data', (bytes) => this.#take(bytes));
    socket.once('close', () => this.#done.reject(new Error('the node closed the connection')));
  }

  static async open(port: number, acks: Acks, pipelines: readonly Buffer[]): Promise<Burst> {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    await once(socket, 'connect');
    socket.write(encode(['CLIENT', 'ACKS', acks]));
    const [reply] = (await once(socket, 'data')) as [Buffer];
    if (!reply.equals(OK)) throw new Error(`CLIENT ACKS ${acks}: ${reply.toString()}`);
    return new Burst(socket, pipelines);
  }

  async run(rounds: number): Promise<void> {
    this.#done = Promise.withResolvers<void>();
    this.#replyBytes = 0;
    this.#sent = 0;
    this.#rounds = rounds;
    this.#next();
    await this.#done.promise;
  }

  close(): void {
    this.#done.promise.catch(() => undefined);
    this.#socket.destroy();
  }

  #next(): void {
    this.#socket.write(this.#pipelines[this.#sent++ % this.#pipelines.length]);
  }

  #take(bytes: Buffer): void {
    if (bytes.includes('-')) this.#done.reject(new Error(`refused: ${bytes.toString()}`));
    this.#replyBytes += bytes.length;
    if (this.#replyBytes < this.#sent * PIPELINE * OK.length) return;
    if (this.#sent < this.#rounds) this.#next();
    else this.#done.resolve();
  }
}

/** All connections at once, each with one pipeline under way. */
async function burst(bursts: readonly Burst[], writes: number): Promise<number> {
  const rounds = Math.ceil(writes / bursts.length / PIPELINE);
  await Promise.all(bursts.map((one) => one.run(rounds)));
  return rounds * bursts.length * PIPELINE;
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
