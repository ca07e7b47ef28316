/** Three nodes on the servers' core, and what a pipelined load costs all of them together: sent to one node as a plain
 *  client does, or each command to its owner as a cluster client does. */

import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { partitionOfSlot, slotOfKey } from '../../packages/store/src/hash.ts';
import { LocalCluster } from '../../test/support/local-cluster.ts';
import { Burst, burst, type Pipelines } from '../burst.ts';
import { CONNECTIONS, keyOf, preload, setsOf, VALUE_BYTES } from '../load.ts';
import { SERVER_CORE } from '../servers.ts';
import { cpuSeconds } from '../sync/process-cost.ts';

export type Command = 'GET' | 'SET';

/** Different pipelines of a load; each connection begins with another. */
const PIPELINE_COUNT = 8_192;
/** Of the operations that are measured: to begin with, for connections and compilers to be warm. */
const WARM_SHARE = 0.2;
const NODES = 3;

/** Commands that go to one port. */
export interface Target {
  readonly port: number;
  readonly keys: readonly number[];
}

/** Numbers of keys by the node that leads them, and the cluster. */
export interface BenchedCluster {
  readonly cluster: LocalCluster;
  readonly keysOf: ReadonlyMap<string, number[]>;
}

/** Three nodes with every key. */
export async function startCluster(copies: number, keys: number): Promise<BenchedCluster> {
  const cluster = await LocalCluster.start({
    nodes: NODES,
    copies,
    capacity: '2gb',
    args: ['--log-level', 'warn'],
  });
  const { partitions } = await cluster.view();
  const keysOf = new Map<string, number[]>(cluster.nodes.map(({ id }) => [id, []]));
  for (let i = 0; i < keys; i++) {
    const key = Buffer.from(keyOf(i));
    const id = partitionOfSlot(slotOfKey(key, 0, key.length), partitions.length);
    keysOf.get(partitions[id].primary ?? '')?.push(i);
  }
  await preload({ port: cluster.node(1).ports.client }, keys);
  await cluster.replicated();
  for (const { pid } of cluster.nodes) holdToCore(pid, SERVER_CORE);
  return { cluster, keysOf };
}

/** All of its threads, where the system can do that. */
export function holdToCore(pid: number, core: number): void {
  if (!existsSync('/usr/bin/taskset') || !existsSync(`/sys/devices/system/cpu/cpu${core}`)) return;
  execFileSync('taskset', ['-acp', String(core), String(pid)], { stdio: 'ignore' });
}

/** CPU microseconds of all the processes per operation. */
export async function costOf(
  pids: readonly number[],
  targets: readonly Target[],
  command: Command,
  pipeline: number,
  operations: number,
): Promise<number> {
  const bursts: Burst[] = [];
  const each = Math.floor(CONNECTIONS / targets.length);
  try {
    for (const { port, keys } of targets) {
      const pipelines = pipelinesOf(command, pipeline, keys, PIPELINE_COUNT / targets.length);
      for (let i = 0; i < each; i++) {
        const from = Math.floor((i * pipelines.commands.length) / each);
        bursts.push(await Burst.open(port, pipelines, from));
      }
    }
    await burst(bursts, (operations * WARM_SHARE) / pipeline);
    const spent = (): number => pids.reduce((sum, pid) => sum + cpuSeconds(pid), 0);
    const before = spent();
    const done = pipeline * (await burst(bursts, operations / pipeline));
    return ((spent() - before) * 1e6) / done;
  } finally {
    for (const one of bursts) one.close();
  }
}

/** Of keys that are drawn from those. */
function pipelinesOf(
  command: Command,
  pipeline: number,
  keys: readonly number[],
  count: number,
): Pipelines {
  const draw = (): number => keys[Math.floor(Math.random() * keys.length)];
  const one = (): Buffer =>
    Buffer.concat(Array.from({ length: pipeline }, () => commandOf(command, draw())));
  const reply = command === 'SET' ? '+OK\r\n' : `$${VALUE_BYTES}\r\n${'x'.repeat(VALUE_BYTES)}\r\n`;
  return {
    commands: Array.from({ length: Math.ceil(count) }, one),
    replyBytes: reply.length * pipeline,
  };
}

function commandOf(command: Command, i: number): Buffer {
  if (command === 'SET') return setsOf(i, i + 1);
  const key = keyOf(i);
  return Buffer.from(`*2\r\n$3\r\nGET\r\n$${key.length}\r\n${key}\r\n`, 'latin1');
}
