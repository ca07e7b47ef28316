/** MEMORY: what records take, and what this node has in use. */

import { IMAGE_LINES, SCRATCH_LINES } from '@ingot/store';
import type { Args } from '../resp/args.ts';
import type { ReplyWriter } from '../resp/reply-writer.ts';
import { snakeCase } from '../shared/snake-case.ts';
import type { Execution } from '../serving/execution.ts';
import { container } from './container.ts';
import { NOT_AN_INTEGER, SYNTAX_ERROR } from './errors.ts';
import { budgetTotals, partitionTotals } from './partition-totals.ts';
import { lookUp } from './records.ts';
import type { CommandRow, Flag } from './row.ts';

const NO_FLAGS: readonly Flag[] = [];
const PERCENT = 100;
/** From here on DOCTOR finds the memory full, or full of holes. */
const FULL_SHARE = 0.95;
const WASTED_SHARE = 0.25;

/** SAMPLES is for values of other types: strings are measured whole. */
function usage(execution: Execution, args: Args, out: ReplyWriter): void {
  for (let i = 3; i < args.count; i += 2) {
    if (!args.is(i, 'SAMPLES') || i + 1 >= args.count) return out.error(SYNTAX_ERROR);
    const samples = args.rounded(i + 1);
    if (Number.isNaN(samples)) return out.error(NOT_AN_INTEGER);
    if (samples < 0) return out.error(SYNTAX_ERROR);
  }
  const ref = lookUp(execution, args, 2);
  if (ref === 0) out.nil();
  else out.integer(execution.partition.recordFootprint(ref));
}

/** Redis' names where they mean something here, then the lines of image and scratch. */
function stats({ worker }: Execution, _args: Args, out: ReplyWriter): void {
  const totals = partitionTotals(worker);
  const budget = budgetTotals(worker);
  const dataset = budget.records + budget.extents;
  const overhead = Math.max(totals.usedBytes - dataset, 0);
  const rssBytes = process.memoryUsage.rss();
  const fields: readonly (readonly [name: string, bytes: number])[] = [
    ['total.allocated', totals.usedBytes],
    ['startup.allocated', 0],
    ['replication.backlog', budget.ring],
    ['overhead.total', overhead],
    ['keys.count', totals.keys],
    ['keys.bytes-per-key', totals.keys === 0 ? 0 : Math.floor(totals.usedBytes / totals.keys)],
    ['dataset.bytes', dataset],
    ...IMAGE_LINES.map((line) => [`image.${snakeCase(line)}`, budget[line]] as const),
    ...SCRATCH_LINES.map((line) => [`scratch.${snakeCase(line)}`, budget[line]] as const),
  ];
  out.map(fields.length + 2);
  for (const [name, bytes] of fields) {
    out.bulkText(name);
    out.integer(bytes);
  }
  out.bulkText('dataset.percentage');
  out.double((dataset / Math.max(totals.usedBytes, 1)) * PERCENT);
  out.bulkText('fragmentation');
  out.double(rssBytes / Math.max(totals.usedBytes, 1));
}

function doctor({ worker }: Execution, _args: Args, out: ReplyWriter): void {
  const { usedBytes, capacityBytes, evictions } = partitionTotals(worker);
  const { rounding, freeSlots, tails } = budgetTotals(worker);
  const findings: string[] = [];
  if (usedBytes > capacityBytes * FULL_SHARE) {
    findings.push(
      `${usedBytes} of ${capacityBytes} bytes are in use, and ${evictions} keys were evicted so ` +
        'far: raise the limit with ingot capacity if keys are missed.',
    );
  }
  const wasted = rounding + freeSlots + tails;
  if (wasted > usedBytes * WASTED_SHARE) {
    findings.push(
      `${wasted} of ${usedBytes} bytes in use hold no record: that is usual while there are few ` +
        'keys, and after many were deleted; other sizes of values get that memory as they need it.',
    );
  }
  out.verbatim(findings.length === 0 ? 'No problem was found.' : findings.join('\n'));
}

export const MEMORY_COMMAND: CommandRow = container({
  name: 'memory',
  arity: -2,
  flags: NO_FLAGS,
  group: 'server',
  categories: { own: null, subcommands: null },
  summary: 'Tells about memory.',
  subcommands: [
    {
      word: 'usage',
      arity: -3,
      flags: ['readonly'],
      kind: 'read',
      keys: { first: 2, last: 2, step: 1 },
      summary: 'Returns how many bytes a record takes: its slot, its extents and its entry.',
      run: usage,
    },
    {
      word: 'stats',
      arity: 2,
      flags: NO_FLAGS,
      summary: 'Returns what this node has in use for what it leads.',
      run: stats,
    },
    {
      word: 'doctor',
      arity: 2,
      flags: NO_FLAGS,
      summary: 'Says in a sentence or two what is wrong with the memory.',
      run: doctor,
    },
    {
      word: 'purge',
      arity: 2,
      flags: NO_FLAGS,
      summary: 'Does nothing: memory is given back by itself.',
      run: (_execution, _args, out) => out.ok(),
    },
    {
      word: 'malloc-stats',
      arity: 2,
      flags: NO_FLAGS,
      summary: 'Says that there is no allocator to tell about.',
      run: (_execution, _args, out) =>
        out.bulkText('Stats not supported for the current allocator'),
    },
  ],
});
