/** What a primary's end costs its clients: after kill -9, and after SIGTERM. */

import type { LocalCluster } from '../../test/support/local-cluster.ts';
import { keysOfPartitions } from '../../test/support/partition-keys.ts';
import { Probe } from './probe.ts';

const PROBE_EVERY_MS = 5;
const RECOVERED_WITHIN_MS = 60_000;
/** Writers go on after the node has ended. */
const AFTER_MS = 1_000;

export interface KillResult {
  /** Partitions that it led. */
  readonly partitions: number;
  /** From the signal to the first write that is accepted after it, by partition. */
  readonly untilAcceptedMs: readonly number[];
}

export interface HandoverResult {
  readonly writes: number;
  readonly failed: readonly string[];
  readonly longestMs: number;
  /** From the signal to the end of the process. */
  readonly stopMs: number;
}

/** Kills node `victim` (from 1); the probes ask another one. */
export async function killOnce(cluster: LocalCluster, victim: number): Promise<KillResult> {
  const port = survivorOf(cluster, victim);
  const led = await ledBy(cluster, victim);
  const keys = keysOfPartitions((await cluster.view()).partitions.length);
  await cluster.kill(victim);
  const killedMs = performance.now();
  const untilAcceptedMs = await Promise.all(
    led.map((partition) => firstAccepted(port, keys[partition], killedMs)),
  );
  return { partitions: led.length, untilAcceptedMs };
}

function firstAccepted(port: number, key: string, sinceMs: number): Promise<number> {
  return new Promise((resolve, reject) => {
    let last = 'nothing';
    const probe = new Probe(port, key, PROBE_EVERY_MS, ({ reply, answeredMs }) => {
      last = reply;
      if (reply !== '+OK') return;
      clearTimeout(late);
      void probe.stop();
      resolve(answeredMs - sinceMs);
    });
    const late = setTimeout(
      () => reject(new Error(`no write of ${key} accepted; last answer: ${last}`)),
      RECOVERED_WITHIN_MS,
    );
  });
}

/** SIGTERM to node `victim` under one writer per partition. */
export async function endOnce(cluster: LocalCluster, victim: number): Promise<HandoverResult> {
  const port = survivorOf(cluster, victim);
  const keys = keysOfPartitions((await cluster.view()).partitions.length);
  const failed: string[] = [];
  let writes = 0;
  let longestMs = 0;
  const probes = keys.map(
    (key) =>
      new Probe(port, key, PROBE_EVERY_MS, ({ reply, sentMs, answeredMs }) => {
        writes++;
        longestMs = Math.max(longestMs, answeredMs - sentMs);
        if (reply !== '+OK') failed.push(reply);
      }),
  );
  await past(AFTER_MS);
  // Opening the connections is not what is asked about.
  longestMs = 0;
  const signalledMs = performance.now();
  await cluster.node(victim).process.signal('SIGTERM');
  const stopMs = performance.now() - signalledMs;
  await past(AFTER_MS);
  await Promise.all(probes.map((probe) => probe.stop()));
  return { writes, failed, longestMs, stopMs };
}

async function ledBy(cluster: LocalCluster, i: number): Promise<number[]> {
  const { partitions } = await cluster.view();
  const { id } = cluster.node(i);
  return partitions.filter(({ primary }) => primary === id).map((partition) => partition.id);
}

function survivorOf(cluster: LocalCluster, victim: number): number {
  return cluster.node((victim % cluster.nodes.length) + 1).ports.client;
}

function past(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}
