/** npm run bench:failover: what a failover costs, on three nodes with two copies of everything and 1 GB of data each.
 *
 *    -- --kills 100 --terms 20 --rounds 5 --gb 1
 *
 *  kill -9 of a primary to the next accepted write on all its partitions; SIGTERM under writers; how fast a change of
 *  the map is known everywhere; acks=isr beside acks=local. Prints what was asked beside what was reached. */

import { parseArgs } from 'node:util';
import { LocalCluster } from '../test/support/local-cluster.ts';
import { type Acks, type AcksCost, measureAcks } from './failover/acks.ts';
import { endOnce, type HandoverResult, killOnce } from './failover/kills.ts';
import { MapSpread } from './failover/map-spread.ts';
import { median, percentile } from './statistics.ts';
import { figure, textTable } from './stream/text-table.ts';
import { loadRecords } from './sync/records.ts';

const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '100' },
    terms: { type: 'string', default: '20' },
    rounds: { type: 'string', default: '5' },
    gb: { type: 'string', default: '1' },
    writes: { type: 'string', default: '1000000' },
    markdown: { type: 'boolean', default: false },
  },
});
const [kills, terms, rounds, gb, writes] = [
  ...[values.kills, values.terms, values.rounds, values.gb, values.writes].map(Number),
];
if ([kills, terms, rounds, gb, writes].some((value) => !(value >= 0))) {
  process.stderr.write('--kills, --terms, --rounds, --gb and --writes take numbers\n');
  process.exit(2);
}

const NODES = 3;
const COPIES = 2;
/** A record of 16 + 256 bytes, with its header and its part of the index. */
const BYTES_PER_RECORD = 320;
const SINGLES = 2_000;
const ALL_ACKS: readonly Acks[] = ['local', 'isr'];

const print = (line: string): void => void process.stdout.write(`${line}\n`);
const cluster = await LocalCluster.start({
  nodes: NODES,
  copies: COPIES,
  capacity: `${Math.max(1, Math.ceil(gb * 3))}gb`,
  args: ['--log-level', 'debug'],
});
const killedMs: number[] = [];
const handovers: HandoverResult[] = [];
const spreads: number[] = [];
const costs: Record<Acks, AcksCost[]> = { local: [], isr: [] };
try {
  const records = Math.round(((gb * 2 ** 30) / BYTES_PER_RECORD) * (NODES / COPIES));
  await loadRecords(cluster.node(1).ports.client, records);
  await cluster.replicated();
  print(`${records} records, ${gb} GB of data per node\n`);
  for (let round = 0; round < rounds; round++) {
    for (const acks of round % 2 === 0 ? ALL_ACKS : ALL_ACKS.toReversed()) {
      const cost = await measureAcks(cluster, acks, { writes, singles: SINGLES });
      costs[acks].push(cost);
      print(
        `acks=${acks}: ${figure(cost.cpuMicros)} µs of CPU per write (${figure(cost.primaryCpuMicros)} of the primary), ` +
          `${figure(cost.writesPerSecond)}/s, p50 ${figure(cost.p50Ms)} ms`,
      );
    }
  }
  for (let i = 0; i < terms; i++) {
    const victim = 1 + (i % NODES);
    const handover = await endOnce(cluster, victim);
    handovers.push(handover);
    const { longestMs, failed, stopMs, writes: count } = handover;
    print(
      `SIGTERM n${victim}: longest write ${figure(longestMs)} ms, ${failed.length} of ${count} failed ` +
        `${[...new Set(failed)].join('; ')} (ended after ${figure(stopMs)} ms)`,
    );
    await back(victim);
  }
  for (let i = 0; i < kills; i++) {
    const victim = 1 + (i % NODES);
    const { untilAcceptedMs, partitions } = await killOnce(cluster, victim);
    const allMs = Math.max(...untilAcceptedMs);
    killedMs.push(allMs);
    print(
      `kill -9 n${victim}: ${partitions} partitions, all written again after ${figure(allMs)} ms`,
    );
    await back(victim);
  }
  report();
} finally {
  await cluster.stop();
}

/** Starts it again, and waits until everything is as before. */
async function back(victim: number): Promise<void> {
  const beganMs = performance.now();
  cluster.restart(victim);
  await cluster.node(victim).answers('/healthz');
  const spread = new MapSpread(cluster.nodes);
  await cluster.settled();
  spreads.push(...spread.taken());
  print(
    `  n${victim} is back, and all is spread again, after ${figure((performance.now() - beganMs) / 1_000)} s`,
  );
}

function report(): void {
  const of = (acks: Acks, value: (cost: AcksCost) => number): number =>
    median(costs[acks].map(value));
  const cpu = of('isr', (cost) => cost.cpuMicros) / of('local', (cost) => cost.cpuMicros);
  const ofPrimary =
    of('isr', (cost) => cost.primaryCpuMicros) / of('local', (cost) => cost.primaryCpuMicros);
  const failures = handovers.reduce((sum, { failed }) => sum + failed.length, 0);
  const longest = Math.max(...handovers.map(({ longestMs }) => longestMs));
  const seconds = (share: number): string => `${figure(percentile(killedMs, share) / 1_000)} s`;
  const rows = [
    [
      `kill -9 to the next accepted write on all partitions, p50 of ${kills}`,
      '2.3 s',
      seconds(0.5),
    ],
    ['the same, p99', '3.5 s', seconds(0.99)],
    [`SIGTERM, longest write of ${terms} handovers`, '500 ms', `${figure(longest)} ms`],
    ['SIGTERM, writes that failed', '0', String(failures)],
    [
      `a map change known by all nodes, p50 of ${spreads.length}`,
      '50 ms',
      `${figure(percentile(spreads, 0.5))} ms`,
    ],
    ['the same, p99', '', `${figure(percentile(spreads, 0.99))} ms`],
    [
      'acks=isr against acks=local, pipeline 16, CPU of all nodes per write',
      '1.4x',
      `${figure(cpu)}x`,
    ],
    ['the same, CPU of the primary', '', `${figure(ofPrimary)}x`],
    ['acks=isr, no pipelining, p50', '1 ms', `${figure(of('isr', (cost) => cost.p50Ms))} ms`],
    ['acks=local, no pipelining, p50', '', `${figure(of('local', (cost) => cost.p50Ms))} ms`],
  ];
  print(`\n${textTable(['what', 'asked', 'reached'], rows, values.markdown)}`);
}
