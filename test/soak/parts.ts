/** The parts of a soak: each runs until its time is over, says how far it is, and returns what broke, or null. */
import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { history, runHistory } from '../models/commands.ts';
import { ioredis } from '../support/clients.ts';
import { CLEAN, ingotVerify } from '../support/ingot.ts';
import { LocalCluster } from '../support/local-cluster.ts';
import { keysOfPartitions } from '../support/partition-keys.ts';
import { runThreads } from '../threads/run.ts';

export interface Soaking {
  readonly seed: number;
  /** By performance.now(). */
  readonly untilMs: number;
  /** One of test/threads/faults.ts, to see the soak fail. */
  readonly fault: string | undefined;
  readonly print: (line: string) => void;
}

export type Part = (soaking: Soaking) => Promise<string | null>;

const PROGRESS_MS = 5_000;
const THREADS = [2, 3, 4];
const ROUND_CALLS = 60_000;
const ROUND_MS = 3_000;
const FAULTY_THREADS = 2;
const MODELS_PER_BATCH = 100;
const COMMANDS_MAX = 60;

const CAPACITY = '640mb';
const PARTITIONS = 4;
/** A 16th of a partition. */
const VALUE_MAX_BYTES = 10 * 2 ** 20;
const COPIES = 2;

const isOver = ({ untilMs }: Soaking): boolean => performance.now() >= untilMs;

/** Prints now and then. */
function progressOf({ print }: Soaking): (text: () => string) => void {
  let dueMs = performance.now() + PROGRESS_MS;
  return (text) => {
    if (performance.now() < dueMs) return;
    dueMs = performance.now() + PROGRESS_MS;
    print(text());
  };
}

/** Threads on one map, round after round, each with a seed of its own; what they saw is judged after each. */
async function threads(soaking: Soaking): Promise<string | null> {
  const { seed, fault, print } = soaking;
  const progress = progressOf(soaking);
  const sums = { rounds: 0, calls: 0, overlaps: 0, pins: 0, moves: 0 };
  const text = (): string =>
    `threads: ${sums.rounds} rounds, ${sums.calls} calls, ${sums.overlaps} of them while another ` +
    `of the key was under way, ${sums.pins} pins, ${sums.moves} records moved`;
  while (!isOver(soaking) || sums.rounds === 0) {
    const threadCount =
      fault === undefined ? THREADS[sums.rounds % THREADS.length] : FAULTY_THREADS;
    const verdict = await runThreads({
      ...{ seed: seed + sums.rounds, threads: threadCount, calls: ROUND_CALLS, ms: ROUND_MS },
      ...(fault === undefined ? {} : { fault }),
    });
    if (verdict.claim !== null) {
      return `${verdict.claim} (round ${sums.rounds}, ${threadCount} threads): ${verdict.text}`;
    }
    sums.rounds++;
    sums.calls += verdict.calls;
    sums.overlaps += verdict.overlaps;
    sums.pins += verdict.pins;
    sums.moves += verdict.moves;
    progress(text);
  }
  print(`${text()}: no value torn, no increment lost, one order explains each history`);
  return null;
}

/** Histories against a plain Map, a follower and an earlier image. */
async function models(soaking: Soaking): Promise<string | null> {
  const { seed, print } = soaking;
  const progress = progressOf(soaking);
  const any = fc.property(history(COMMANDS_MAX), (commands) => runHistory(commands));
  let runs = 0;
  while (!isOver(soaking) || runs === 0) {
    const details = fc.check(any, { seed: seed + runs, numRuns: MODELS_PER_BATCH });
    if (details.failed)
      return `${String(details.errorInstance)}\n${fc.defaultReportMessage(details)}`;
    runs += details.numRuns;
    progress(() => `models: ${runs} histories`);
    await new Promise((resolve) => setImmediate(resolve));
  }
  print(`models: ${runs} histories, all as a plain Map, the same bytes on every copy`);
  return null;
}

/** SETs of the largest size through both nodes of a pair, and who follows: nobody may need another full sync than the first. */
async function pair(soaking: Soaking): Promise<string | null> {
  const cluster = await LocalCluster.start({
    ...{ nodes: 2, copies: COPIES, capacity: CAPACITY, partitions: PARTITIONS },
  });
  try {
    return await setAway(cluster, soaking);
  } finally {
    await cluster.stop();
  }
}

async function setAway(cluster: LocalCluster, soaking: Soaking): Promise<string | null> {
  const progress = progressOf(soaking);
  const fullSyncs = (): Promise<number> => cluster.sum('ingot_full_syncs_total');
  const partialSyncs = (): Promise<number> => cluster.sum('ingot_partial_syncs_total');
  const before = await fullSyncs();
  const partialBefore = await partialSyncs();
  const keys = keysOfPartitions(PARTITIONS);
  const value = randomBytes(VALUE_MAX_BYTES);
  const startMs = performance.now();
  let sets = 0;
  let refused: string | null = null;
  const rate = (): string => {
    const seconds = (performance.now() - startMs) / 1_000;
    const mibs = (sets * VALUE_MAX_BYTES) / 2 ** 20;
    return `pair: ${sets} SETs of 10 MiB in ${seconds.toFixed(0)} s, ${(mibs / seconds).toFixed(0)} MiB/s`;
  };
  const write = async (port: number, first: number): Promise<void> => {
    const client = ioredis(port);
    for (let i = first; !isOver(soaking) && refused === null; i++) {
      const key = keys[i % keys.length];
      const reply = await client.call(['SET', `{${key}}${i % 3}`, value]);
      if (reply !== 'OK') refused = `a SET was answered ${JSON.stringify(reply)}`;
      sets++;
      progress(rate);
    }
    await client.close();
  };
  await Promise.all(cluster.nodes.map(({ ports }, i) => write(ports.client, i)));
  if (refused !== null) return refused;
  await cluster.replicated();
  const after = await fullSyncs();
  const partial = (await partialSyncs()) - partialBefore;
  const { exitCode, report } = await ingotVerify(cluster.node(1).ports.control);
  soaking.print(
    `${rate()}; ${after} full syncs, ${before} of them the first; ${partial} partial ones since; ` +
      `ingot verify ends with ${exitCode}`,
  );
  if (after !== before || after !== PARTITIONS) return `${after} full syncs, ${before} at first`;
  const isClean = exitCode === CLEAN.exitCode && report.differences.length === 0;
  return isClean ? null : `the copies differ: ${JSON.stringify(report)}`;
}

export const PARTS: Readonly<Record<string, Part>> = { threads, models, pair };
