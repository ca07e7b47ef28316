/** INFO: what this node says of itself, in Redis' sections and fields.
 *  Answered late: the sums over all worker threads come from the main thread. */

import type { Args } from '../resp/args.ts';
import type { ReplyWriter } from '../resp/reply-writer.ts';
import type { Execution } from '../serving/execution.ts';
import type { NodeStats } from '../shared/messages.ts';
import { askEvery } from './ask-workers.ts';
import { INFO_SECTIONS, type InfoSection, type InfoSource } from './info-sections.ts';
import { budgetTotals, partitionTotals } from './partition-totals.ts';
import { type CommandRow, command } from './row.ts';

/** Words that stand for all sections. */
const ALL_SECTIONS = ['ALL', 'EVERYTHING'];

function info(execution: Execution, args: Args, out: ReplyWriter): void {
  const { worker, session, nowMs } = execution;
  const { listener } = session;
  const sections = sectionsAsked(args);
  if (sections.length === 0) return out.verbatim('');
  const stats = worker.ask('nodeStats') as Promise<NodeStats>;
  const figures = askEvery(worker, 'clientFigures', null);
  session.replyLater(
    Promise.all([stats, figures]).then(([node, workers]) => (late) => {
      const totals = partitionTotals(worker);
      const budget = budgetTotals(worker);
      late.verbatim(render(sections, { worker, listener, nowMs, node, workers, totals, budget }));
    }),
  );
}

/** INFO [section ...]: unknown names are left out, as in Redis. */
function sectionsAsked(args: Args): readonly InfoSection[] {
  const asked = (word: string): boolean => {
    for (let i = 1; i < args.count; i++) if (args.is(i, word)) return true;
    return false;
  };
  if (ALL_SECTIONS.some(asked)) return INFO_SECTIONS;
  const byDefault = args.count === 1 || asked('DEFAULT');
  return INFO_SECTIONS.filter(
    ({ name, isExtra }) => (byDefault && isExtra !== true) || asked(name.toUpperCase()),
  );
}

function render(sections: readonly InfoSection[], source: InfoSource): string {
  const blocks = sections.map(({ name, fields }) => {
    const lines = fields(source).map(([field, value]) => `${field}:${value}\r\n`);
    return `# ${name}\r\n${lines.join('')}`;
  });
  return blocks.join('\r\n');
}

export const INFO_COMMAND: CommandRow = command({
  name: 'info',
  arity: -1,
  kind: 'connection',
  flags: ['loading', 'stale'],
  group: 'server',
  dangerous: true,
  summary: 'Describes this node.',
  run: info,
});
