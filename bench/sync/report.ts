/** What `npm run bench:sync` prints. */

import { KEY_BYTES, VALUE_BYTES } from './records.ts';
import { REDIS_OPTIONS } from './redis-side.ts';
import type { SyncCase, SyncResult } from './sync-result.ts';

const MB = 1e6;

export function printWhatIsCounted(records: number, rounds: number, cold: boolean): void {
  const redisOptions = REDIS_OPTIONS.map((option) => option || "''").join(' ');
  console.log(
    `${records} records, keys of ${KEY_BYTES} and random values of ${VALUE_BYTES} bytes, medians of ${rounds} rounds

redis  redis-server ${redisOptions}
       from REPLICAOF to master_link_status:up and loading:0; the primary's CPU with its forked process
ingot  two \`ingot serve --workers 1\`, 64 partitions, no --prealloc
       node 2 is up and the map gives it its copies: from when its connections may open
       to the last of 64 consistent and readable there
       checked: to the last CHECK pass; it proves copies equal, and a copy may lead from then on
CPU    user + system seconds of the whole process, all threads
No process is held to a core. Each round a fresh follower. Memory: ${
      cold ? 'as the machine gives it' : 'touched beforehand, for both alike (warm-memory.ts)'
    }
`,
  );
}

export function printRound(round: number, side: string, name: string, result: SyncResult): void {
  const { wallMs, primaryCpu, followerCpu, checked, extraBytes, latency } = result;
  const parts = [
    `round ${round} ${name} ${side}:`,
    `wall ${seconds(wallMs / 1000)}, CPU ${seconds(primaryCpu)} + ${seconds(followerCpu)}`,
  ];
  if (checked !== null) {
    const { wallMs: checkedMs, primaryCpu: first, followerCpu: second } = checked;
    parts.push(`(checked ${seconds(checkedMs / 1000)}, ${seconds(first)} + ${seconds(second)})`);
  }
  if (extraBytes !== null) parts.push(`memory +${(extraBytes / MB).toFixed(1)} MB`);
  if (latency !== null) {
    const { idle, during } = latency;
    parts.push(`p99 ${idle.p99.toFixed(2)} -> ${during.p99.toFixed(2)} ms`);
  }
  console.log(parts.join(' '));
}

type Field = (result: SyncResult) => number | null | undefined;
type Row = readonly [name: string, unit: string, field: Field];

const ROWS: readonly Row[] = [
  ['wall', 's', ({ wallMs }) => wallMs / 1000],
  ['primary CPU', 's', ({ primaryCpu }) => primaryCpu],
  ['follower CPU', 's', ({ followerCpu }) => followerCpu],
  ['wall, checked', 's', ({ checked }) => checked && checked.wallMs / 1000],
  ['primary CPU, checked', 's', ({ checked }) => checked?.primaryCpu],
  ['follower CPU, checked', 's', ({ checked }) => checked?.followerCpu],
  ['memory of the primary, more', 'MB', ({ extraBytes }) => extraBytes && extraBytes / MB],
  ['client p50, idle', 'ms', ({ latency }) => latency?.idle.p50],
  ['client p50, during', 'ms', ({ latency }) => latency?.during.p50],
  ['client p99, idle', 'ms', ({ latency }) => latency?.idle.p99],
  ['client p99, during', 'ms', ({ latency }) => latency?.during.p99],
  ['  during / idle', 'x', ({ latency }) => latency && latency.during.p99 / latency.idle.p99],
  ['  from sending, idle', 'ms', ({ latency }) => latency?.idle.p99FromSending],
  ['  from sending, during', 'ms', ({ latency }) => latency?.during.p99FromSending],
];

export function printComparison(
  name: string,
  { writes, syncRate }: SyncCase,
  redis: readonly SyncResult[],
  ingot: readonly SyncResult[],
): void {
  const meanwhile = writes === 0 ? 'nobody writes' : `${writes} SETs a second meanwhile`;
  const rate =
    writes === 0 ? '' : `, ${syncRate === null ? 'default pacing' : `--sync-rate ${syncRate}`}`;
  console.log(`\n${name}: ${meanwhile}${rate}`);
  console.log(
    `${''.padEnd(30)}${'redis'.padStart(10)}${'ingot'.padStart(10)}${'ratio'.padStart(9)}`,
  );
  for (const [row, unit, field] of ROWS) {
    const ours = median(ingot, field);
    const theirs = median(redis, field);
    if (ours === null && theirs === null) continue;
    const ratio = ours === null || theirs === null ? '' : `${(theirs / ours).toFixed(1)}x`;
    console.log(
      `${row}, ${unit}`.padEnd(30),
      (theirs?.toFixed(2) ?? '').padStart(9),
      (ours?.toFixed(2) ?? '').padStart(9),
      ratio.padStart(8),
    );
  }
}

function median(results: readonly SyncResult[], field: Field): number | null {
  const sorted = results
    .map(field)
    .filter((value) => typeof value === 'number')
    .toSorted((a, b) => a - b);
  if (sorted.length === 0) return null;
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

const seconds = (value: number): string => `${value.toFixed(2)} s`;
