/** The parts of a soak: each runs until its time is over, says how far it is, and returns what broke, or null. */
import fc from 'fast-check';
import { history, runHistory } from '../models/commands.ts';
import { runThreads } from '../threads/run.ts';
import { setLargest } from './large-sets.ts';

export interface Soaking {
  readonly seed: number;
  /** How long the part goes on. */
  readonly ms: number;
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

/** Says whether the part's time is over. */
function timerOf({ ms }: Soaking): () => boolean {
  const untilMs = performance.now() + ms;
  return () => performance.now() >= untilMs;
}

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
  const isOver = timerOf(soaking);
  const sums = { rounds: 0, calls: 0, overlaps: 0, pins: 0, moves: 0, refused: 0 };
  const text = (): string =>
    `threads: ${sums.rounds} rounds, ${sums.calls} calls, ${sums.overlaps} of them while another ` +
    `of the key was under way, ${sums.refused} refused, ${sums.pins} pins, ${sums.moves} records moved`;
  while (!isOver() || sums.rounds === 0) {
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
    sums.refused += verdict.refused;
    progress(text);
  }
  print(`${text()}: no value torn, no increment lost, one order explains each history`);
  return null;
}

/** Histories against a plain Map, a follower and an earlier image. */
async function models(soaking: Soaking): Promise<string | null> {
  const { seed, print } = soaking;
  const progress = progressOf(soaking);
  const isOver = timerOf(soaking);
  const any = fc.property(history(COMMANDS_MAX), (commands) => runHistory(commands));
  let runs = 0;
  while (!isOver() || runs === 0) {
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

/** Values of the largest size on two nodes: nobody may need another full sync than the first. */
async function pair(soaking: Soaking): Promise<string | null> {
  const { ms, print } = soaking;
  const progress = progressOf(soaking);
  const done = await setLargest(ms, (sets) => progress(() => `pair: ${sets} SETs of 10 MiB`));
  print(
    `pair: ${done.sets} SETs of 10 MiB in ${done.seconds.toFixed(1)} s; ${done.fullSyncs} full syncs, ` +
      `${done.fullSyncsAtFirst} of them the first; partial ones since: ${done.partialSyncs}`,
  );
  return done.broken;
}

export const PARTS: Readonly<Record<string, Part>> = { threads, models, pair };
