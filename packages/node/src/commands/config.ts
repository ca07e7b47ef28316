/** CONFIG GET: Redis' parameters as far as clients and tools read them, answered from the map and
 *  the settings. Nothing can be set here: settings are given at start. */

import type { Args } from '../resp/args.ts';
import type { ReplyWriter } from '../resp/reply-writer.ts';
import type { Execution } from '../serving/execution.ts';
import { container } from './container.ts';
import { globMatches } from './glob.ts';
import { partitionTotals } from './partition-totals.ts';
import { POLICY_NAMES } from './policy-names.ts';
import type { CommandRow } from './row.ts';

const PARAMETERS: readonly {
  readonly name: string;
  readonly value: (execution: Execution) => string | number;
}[] = [
  { name: 'appendonly', value: () => 'no' },
  { name: 'bind', value: ({ worker }) => worker.settings.host },
  {
    name: 'cluster-enabled',
    value: ({ session }) => (session.listener === 'client' ? 'no' : 'yes'),
  },
  { name: 'databases', value: () => 1 },
  { name: 'dir', value: ({ worker }) => worker.settings.dataDir },
  { name: 'io-threads', value: ({ worker }) => worker.settings.workers },
  { name: 'maxmemory', value: ({ worker }) => partitionTotals(worker).capacityBytes },
  { name: 'maxmemory-policy', value: ({ worker }) => POLICY_NAMES[worker.map.eviction] },
  { name: 'notify-keyspace-events', value: () => '' },
  { name: 'port', value: ({ worker, session }) => worker.settings.ports[session.listener] },
  { name: 'proto-max-bulk-len', value: ({ worker }) => worker.settings.limits.maxBulkBytes },
  { name: 'requirepass', value: () => '' },
  { name: 'save', value: () => '' },
  { name: 'timeout', value: () => 0 },
];

/** CONFIG GET pattern [pattern ...]; patterns ignore case, as in Redis. */
function get(execution: Execution, args: Args, out: ReplyWriter): void {
  const patterns: Buffer[] = [];
  for (let i = 2; i < args.count; i++) patterns.push(Buffer.from(args.text(i).toLowerCase()));
  const found = PARAMETERS.filter(({ name }) =>
    patterns.some((pattern) => globMatches(pattern, Buffer.from(name), 0, name.length)),
  );
  out.map(found.length);
  for (const { name, value } of found) {
    out.bulkText(name);
    out.bulkText(String(value(execution)));
  }
}

export const CONFIG_COMMAND: CommandRow = container({
  name: 'config',
  arity: -2,
  flags: [],
  group: 'server',
  categories: { own: null, subcommands: null },
  summary: 'Shows configuration.',
  subcommands: [
    {
      word: 'get',
      arity: -3,
      flags: ['admin', 'noscript', 'loading', 'stale'],
      summary: 'Returns the parameters whose names match.',
      run: get,
    },
  ],
});
