/** LATENCY: how long commands of this node take, by histogram, and its latency events: commands that took
 *  longer than latency-monitor-threshold. */

import { LATENCY_BOUNDS_SECONDS } from '../metrics/layout.ts';
import type { Args } from '../resp/args.ts';
import type { ReplyWriter } from '../resp/reply-writer.ts';
import type { Execution } from '../serving/execution.ts';
import type { CommandFigures, NodeStats } from '../shared/messages.ts';
import type { LatencySample } from '../shared/worker-questions.ts';
import { replyFromEvery } from './ask-workers.ts';
import { container } from './container.ts';
import { latencyGraph } from './latency-graph.ts';
import type { CommandRow, Flag } from './row.ts';

const DOCTOR_OFF =
  'Latency monitoring is off. Use "CONFIG SET latency-monitor-threshold <milliseconds>" to begin it.\n';
const DOCTOR_FINE = 'No command has taken longer than latency-monitor-threshold.\n';

/** LATENCY HISTOGRAM [command ...]: calls by upper bound in microseconds, cumulative. */
function histogram({ worker, session }: Execution, args: Args): void {
  const names: string[] = [];
  for (let i = 2; i < args.count; i++) names.push(args.text(i).toLowerCase());
  const stats = worker.ask('nodeStats') as Promise<NodeStats>;
  session.replyLater(
    stats.then(({ calls }) => (late) => {
      const shown = calls.filter(({ name }) => names.length === 0 || names.includes(name));
      late.map(shown.length);
      for (const figures of shown) writeHistogram(figures, late);
    }),
  );
}

function writeHistogram({ name, calls, buckets }: CommandFigures, out: ReplyWriter): void {
  out.bulkText(name);
  out.map(2);
  out.bulkText('calls');
  out.integer(calls);
  out.bulkText('histogram_usec');
  const filled = buckets.map((count, i) => ({ count, i })).filter(({ count }) => count > 0);
  out.map(filled.length);
  let total = 0;
  for (const { count, i } of filled) {
    total += count;
    out.integer(Math.ceil(boundUs(i)));
    out.integer(total);
  }
}

/** Upper bound of a bucket; the one above all bounds is shown as twice the last. */
export function boundUs(bucket: number): number {
  const last = LATENCY_BOUNDS_SECONDS.length - 1;
  return LATENCY_BOUNDS_SECONDS[Math.min(bucket, last)] * (bucket > last ? 2 : 1) * 1e6;
}

/** Oldest first. */
function byEvent(samples: readonly LatencySample[]): Map<string, LatencySample[]> {
  const events = Map.groupBy(samples, ({ event }) => event);
  for (const list of events.values()) list.sort((a, b) => a.unixSeconds - b.unixSeconds);
  return events;
}

function latest(execution: Execution): void {
  replyFromEvery(execution, 'latencySamples', null, (lists) => (late) => {
    const events = byEvent(lists.flat());
    late.array(events.size);
    for (const [event, samples] of events) {
      const last = samples[samples.length - 1];
      late.array(4);
      late.bulkText(event);
      late.integer(last.unixSeconds);
      late.integer(last.ms);
      late.integer(Math.max(...samples.map(({ ms }) => ms)));
    }
  });
}

function history(execution: Execution, args: Args): void {
  const event = args.text(2);
  replyFromEvery(execution, 'latencySamples', null, (lists) => (late) => {
    const samples = byEvent(lists.flat()).get(event) ?? [];
    late.array(samples.length);
    for (const { unixSeconds, ms } of samples) {
      late.array(2);
      late.integer(unixSeconds);
      late.integer(ms);
    }
  });
}

/** LATENCY RESET [event ...]: how many there were. */
function reset(execution: Execution, args: Args): void {
  const events: string[] = [];
  for (let i = 2; i < args.count; i++) events.push(args.text(i));
  const asked = events.length > 0 ? events : null;
  replyFromEvery(execution, 'resetLatency', asked, (known) => (late) => {
    late.integer(new Set(known.flat()).size);
  });
}

function doctor(execution: Execution): void {
  const isOff = execution.worker.live.values.latencyThresholdMs === 0;
  replyFromEvery(execution, 'latencySamples', null, (lists) => (late) => {
    const events = [...byEvent(lists.flat())];
    if (isOff || events.length === 0) return late.verbatim(isOff ? DOCTOR_OFF : DOCTOR_FINE);
    const lines = events.map(([event, samples]) => {
      const worst = Math.max(...samples.map(({ ms }) => ms));
      return `${event}: ${samples.length} spikes, worst ${worst} ms. SLOWLOG GET shows which commands.\n`;
    });
    late.verbatim(lines.join(''));
  });
}

/** LATENCY GRAPH event: its samples as text, the oldest at the left. */
function graph(execution: Execution, args: Args): void {
  const event = args.text(2);
  const nowSeconds = Math.floor(execution.nowMs / 1000);
  replyFromEvery(execution, 'latencySamples', null, (lists) => (late) => {
    const samples = byEvent(lists.flat()).get(event) ?? [];
    if (samples.length === 0) late.error(`ERR No samples available for event '${event}'`);
    else late.verbatim(latencyGraph(event, samples, nowSeconds));
  });
}

const FLAGS: readonly Flag[] = ['admin', 'noscript', 'loading', 'stale'];

export const LATENCY_COMMAND: CommandRow = container({
  name: 'latency',
  arity: -2,
  flags: [],
  group: 'server',
  categories: { own: null, subcommands: null },
  summary: 'Shows how long commands of this node take.',
  subcommands: [
    {
      word: 'histogram',
      arity: -2,
      flags: FLAGS,
      summary: 'Returns how many calls took how long.',
      run: histogram,
    },
    {
      word: 'latest',
      arity: 2,
      flags: FLAGS,
      summary: 'Returns the latest and the worst sample of each event.',
      run: latest,
    },
    {
      word: 'history',
      arity: 3,
      flags: FLAGS,
      summary: 'Returns the samples of one event.',
      run: history,
    },
    { word: 'reset', arity: -2, flags: FLAGS, summary: 'Forgets events.', run: reset },
    {
      word: 'graph',
      arity: 3,
      flags: FLAGS,
      summary: 'Draws the samples of one event with letters.',
      run: graph,
    },
    { word: 'doctor', arity: 2, flags: FLAGS, summary: 'Sums events up in words.', run: doctor },
  ],
});
