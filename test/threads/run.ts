/** Threads that hammer one shared map, and the judgement of all that they saw. The claims, in the order in which they are
 *  looked at: no value is ever *torn*, *pinned* bytes stay, no other *error*, no increment is *lost*, one *order* explains
 *  each key's history, and the map keeps its rules (*verify*). */
import { Worker } from 'node:worker_threads';
import { attachPartition, createMap, type SharedMap } from '@ingot/store';
import type { Call } from './calls.ts';
import { FAULTS } from './faults.ts';
import type { HammerReport, HammerTask } from './hammer.ts';
import { historyBroken } from './one-by-one.ts';
import { COUNT_KEY } from './ways.ts';

export type Claim = 'torn' | 'pinned' | 'error' | 'lost' | 'order' | 'verify';

export interface Run {
  readonly seed: number;
  readonly threads: number;
  /** Of each thread, at most so many, within so many milliseconds. */
  readonly calls: number;
  readonly ms: number;
  /** Planted in the first of two or more threads, which then do what the fault needs. */
  readonly fault?: string;
}

export interface Verdict {
  /** Null: all held. */
  readonly claim: Claim | null;
  readonly text: string;
  readonly calls: number;
  /** Calls that began while another call of the same key was under way. */
  readonly overlaps: number;
  readonly pins: number;
  /** Records that changed their slot, so that a chunk came free. */
  readonly moves: number;
  readonly refused: number;
}

/** The least that there is, so that it runs short. */
const CAPACITY_BYTES = 8 * 2 ** 20;

export async function runThreads(run: Run): Promise<Verdict> {
  const clock = (): number => 1_000;
  const map = createMap({
    ...{ capacityBytes: CAPACITY_BYTES, partitions: 1, eviction: 'noeviction', clock },
  });
  const control = new Int32Array(new SharedArrayBuffer(12));
  control[2] = run.threads;
  const reports = await Promise.all(tasksOf(run, map, control).map(hammer));
  const calls = reports.flatMap((report) => report.calls);
  const [claim, text] = judge(map, reports, calls);
  return {
    ...{ claim, text, calls: calls.length, overlaps: overlapsOf(calls), moves: movesOf(map) },
    pins: reports.reduce((sum, { pins }) => sum + pins, 0),
    refused: reports.reduce((sum, { refused }) => sum + refused, 0),
  };
}

function tasksOf(run: Run, { handle }: SharedMap, control: Int32Array): HammerTask[] {
  const fault = run.fault === undefined ? null : FAULTS[run.fault];
  return Array.from({ length: run.threads }, (_, client) => ({
    ...{ handle, control, client, seed: run.seed * 31 + client, ms: run.ms },
    calls: fault === null ? run.calls : fault.calls,
    ...{ does: 'all', key: null },
    fault: client === 0 || fault?.everywhere === true ? (run.fault ?? null) : null,
    ...(fault !== null && client > 0 ? fault.others[(client - 1) % fault.others.length] : {}),
    ...(fault !== null && client === 0 ? fault.faulty : {}),
  }));
}

function hammer(workerData: HammerTask): Promise<HammerReport> {
  const worker = new Worker(new URL('hammer.ts', import.meta.url), {
    workerData,
    execArgv: ['--conditions=source'],
  });
  return new Promise((resolve, reject) => {
    worker.once('message', resolve);
    worker.once('error', reject);
  });
}

function judge(
  map: SharedMap,
  reports: readonly HammerReport[],
  calls: readonly Call[],
): [Claim | null, string] {
  const saw = (what: 'torn' | 'changed' | 'error'): string | undefined =>
    reports.map((report) => report[what]).find((text) => text !== null) ?? undefined;
  const torn = saw('torn');
  if (torn !== undefined) return ['torn', torn];
  const changed = saw('changed');
  if (changed !== undefined) return ['pinned', changed];
  const error = saw('error');
  if (error !== undefined) return ['error', error];
  const added = calls.filter(({ key, operation }) => key === COUNT_KEY && operation.kind === 'add');
  const sum = Number(map.get(COUNT_KEY) ?? '0');
  if (sum !== added.length) return ['lost', `${added.length} increments made ${sum}`];
  const order = historyBroken(calls);
  if (order !== null) return ['order', order];
  const { pins } = map.stats();
  const broken = pins === 0 ? map.verify() : `${pins} pins are left`;
  return broken === null ? [null, 'all held'] : ['verify', broken];
}

function movesOf({ handle }: SharedMap): number {
  return attachPartition(handle.partitions[0]).stats().moves;
}

function overlapsOf(calls: readonly Call[]): number {
  let overlaps = 0;
  for (const ofKey of Map.groupBy(calls, ({ key }) => key).values()) {
    let latestEnd = -1;
    for (const { start, end } of ofKey.sort((a, b) => a.start - b.start)) {
      if (start < latestEnd) overlaps++;
      latestEnd = Math.max(latestEnd, end);
    }
  }
  return overlaps;
}
