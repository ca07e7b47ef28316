/** SLOWLOG: the commands of this node that took long, of all its workers. */

import { Buffer } from 'node:buffer';
import type { Args } from '../resp/args.ts';
import type { ReplyWriter } from '../resp/reply-writer.ts';
import type { Execution } from '../serving/execution.ts';
import type { SlowEntry } from '../shared/worker-questions.ts';
import { replyFromEvery } from './ask-workers.ts';
import { container } from './container.ts';
import type { CommandRow, Flag } from './row.ts';

const COUNT_DEFAULT = 10;
const COUNT_TOO_SMALL = 'ERR count should be greater than or equal to -1';

/** SLOWLOG GET [count]: the latest; -1 = all. */
function get(execution: Execution, args: Args, out: ReplyWriter): void {
  const count = args.count > 2 ? args.integer(2) : COUNT_DEFAULT;
  if (!(count >= -1)) return out.error(COUNT_TOO_SMALL);
  const { slowlogMaxLength } = execution.worker.live.values;
  const shown = Math.min(count === -1 ? slowlogMaxLength : count, slowlogMaxLength);
  replyFromEvery(execution, 'slowLog', null, (logs) => (late) => {
    const entries = logs.flat().toSorted((a, b) => b.unixSeconds - a.unixSeconds || b.id - a.id);
    const latest = entries.slice(0, shown);
    late.array(latest.length);
    for (const entry of latest) writeEntry(entry, late);
  });
}

function writeEntry(entry: SlowEntry, out: ReplyWriter): void {
  out.array(6);
  out.integer(entry.id);
  out.integer(entry.unixSeconds);
  out.integer(entry.microseconds);
  out.array(entry.words.length);
  for (const word of entry.words) {
    const bytes = Buffer.from(word, 'latin1');
    out.bulk(bytes, 0, bytes.length);
  }
  out.bulkText(entry.address);
  out.bulkText(entry.clientName);
}

function length(execution: Execution): void {
  const { slowlogMaxLength } = execution.worker.live.values;
  replyFromEvery(execution, 'slowLog', null, (logs) => (late) => {
    late.integer(Math.min(logs.flat().length, slowlogMaxLength));
  });
}

function reset(execution: Execution): void {
  replyFromEvery(execution, 'resetSlowLog', null, () => (late) => late.ok());
}

const FLAGS: readonly Flag[] = ['admin', 'loading', 'stale'];

export const SLOWLOG_COMMAND: CommandRow = container({
  name: 'slowlog',
  arity: -2,
  flags: [],
  group: 'server',
  categories: { own: null, subcommands: null },
  summary: 'Shows the commands of this node that took long.',
  subcommands: [
    { word: 'get', arity: -2, flags: FLAGS, summary: 'Returns the latest of them.', run: get },
    { word: 'len', arity: 2, flags: FLAGS, summary: 'Counts them.', run: length },
    { word: 'reset', arity: 2, flags: FLAGS, summary: 'Forgets them.', run: reset },
  ],
});
