/** Ingot's side: two real `ingot serve` processes. Node 1 founds the cluster and is loaded; node 2 joins it.
 *
 *  What is counted begins when the map has given node 2 its copies (node 1 logs `copy.added`) and node 2 runs
 *  (`node.started`), so that its connections may open: connecting, greeting and every byte. It ends when the last of them is consistent
 *  and readable on node 2 (`syncFinished`); `checked` is the moment at which the last CHECK pass has proved
 *  them equal (`checkPassed`). */

import { setTimeout as delay } from 'node:timers/promises';
import { LocalCluster, type LogLine, type TestNode } from '../../test/support/local-cluster.ts';
import { CostCurve, MemoryPeak } from './process-cost.ts';
import { loadRecords } from './records.ts';
import { startSteadyWrites } from './steady-client.ts';
import type { SyncCase, SyncResult } from './sync-result.ts';

const SYNC_MS_MAX = 120_000;
const POLL_MS = 20;
const MEMORY_EVERY_MS = 25;
/** Of idle writes before the copy begins. */
const IDLE_MS = 3_000;

const atMs = (line: LogLine): number => Number(line.time);

/** `begins` is called when the follower is about to ask for its copies. */
export async function syncIngot(
  { records, writes, syncRate }: SyncCase,
  begins: () => void,
): Promise<SyncResult> {
  const rate = syncRate === null ? [] : ['--sync-rate', syncRate];
  const cluster = await LocalCluster.plan({ nodes: 2, capacity: '2gb', copies: 2, args: rate });
  try {
    const [primary, follower] = cluster.nodes;
    primary.launch();
    await primary.answers('/readyz');
    await loadRecords(primary.ports.client, records);
    await delay(500);
    const client =
      writes === 0 ? null : await startSteadyWrites(primary.ports.client, records, writes);
    if (client !== null) await delay(IDLE_MS);
    const idleToMs = Date.now();
    const memory = client && new MemoryPeak(() => [primary.pid], MEMORY_EVERY_MS);
    follower.launch();
    await follower.answers('/healthz');
    begins();
    const curve = new CostCurve([primary.pid, follower.pid]);
    const { beganMs, readableMs, checkedMs } = await watch(primary, follower);
    curve.stop();
    const extraBytes = memory?.stop() ?? null;
    const latency = client && {
      idle: await client.latencies(idleToMs - IDLE_MS, idleToMs),
      during: await client.latencies(beganMs, readableMs),
    };
    client?.stop();
    const [primaryCpu, followerCpu] = curve.between(beganMs, readableMs);
    const [primaryCheckedCpu, followerCheckedCpu] = curve.between(beganMs, checkedMs);
    return {
      wallMs: readableMs - beganMs,
      primaryCpu,
      followerCpu,
      checked: {
        wallMs: checkedMs - beganMs,
        primaryCpu: primaryCheckedCpu,
        followerCpu: followerCheckedCpu,
      },
      extraBytes,
      latency,
    };
  } finally {
    await cluster.stop();
  }
}

interface Moments {
  readonly beganMs: number;
  readonly readableMs: number;
  readonly checkedMs: number;
}

async function watch(primary: TestNode, follower: TestNode): Promise<Moments> {
  const deadlineMs = Date.now() + SYNC_MS_MAX;
  while (Date.now() < deadlineMs) {
    await delay(POLL_MS);
    const passed = follower.log.filter(({ event }) => event === 'checkPassed');
    const added = primary.log.find(({ event }) => event === 'copy.added');
    const started = follower.log.find(({ event }) => event === 'node.started');
    const partitions = (added?.partitions as number[] | undefined)?.length ?? 0;
    if (added === undefined || started === undefined || passed.length < partitions) continue;
    const finished = follower.log.filter(({ event }) => event === 'syncFinished');
    return {
      beganMs: Math.max(atMs(added), atMs(started)),
      readableMs: Math.max(...finished.map(atMs)),
      checkedMs: Math.max(...passed.map(atMs)),
    };
  }
  throw new Error(`not in sync after ${SYNC_MS_MAX / 1000} s`);
}
