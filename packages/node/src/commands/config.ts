/** CONFIG GET, SET, RESETSTAT: Redis' parameters as far as clients and tools read them, answered from the
 *  map, the settings and what is set live. A parameter is a row: what it is, and either how it is set
 *  while the node serves, or what to do instead. */

import type { Args } from '../resp/args.ts';
import type { ReplyWriter } from '../resp/reply-writer.ts';
import type { Execution } from '../serving/execution.ts';
import type { LiveParameters } from '../shared/worker-questions.ts';
import { askEvery, replyFromEvery } from './ask-workers.ts';
import { container } from './container.ts';
import { configRefused, unknownParameter } from './errors.ts';
import { globMatches } from './glob.ts';
import { partitionTotals } from './partition-totals.ts';
import { POLICY_NAMES } from './policy-names.ts';
import type { CommandRow, Flag } from './row.ts';

interface Parameter {
  readonly name: string;
  readonly value: (execution: Execution) => string | number;
  /** Set at once, in every worker: a whole number within these bounds. */
  readonly live?: {
    readonly field: keyof LiveParameters;
    readonly min: number;
    readonly max: number;
  };
  /** What to do instead of setting it. */
  readonly instead?: string;
}

const AT_START = 'it is given when the node is started';
const NO_FILES = 'nothing is saved to disk: other nodes keep what is written (--copies)';
const ALWAYS_ONE = 'there is one database';
const INT_MAX = 2 ** 31 - 1;

function live(
  name: string,
  field: keyof LiveParameters,
  [min, max]: readonly [number, number],
): Parameter {
  const bounds = { field, min, max };
  return { name, value: ({ worker }) => worker.live.values[field], live: bounds };
}

const PARAMETERS: readonly Parameter[] = [
  { name: 'appendonly', value: () => 'no', instead: NO_FILES },
  { name: 'bind', value: ({ worker }) => worker.settings.host, instead: `${AT_START} (--host)` },
  {
    name: 'cluster-enabled',
    value: ({ session }) => (session.listener === 'client' ? 'no' : 'yes'),
    instead: 'cluster clients connect to the cluster port',
  },
  { name: 'databases', value: () => 1, instead: ALWAYS_ONE },
  {
    name: 'dir',
    value: ({ worker }) => worker.settings.dataDir,
    instead: `${AT_START} (--data-dir)`,
  },
  {
    name: 'io-threads',
    value: ({ worker }) => worker.settings.workers,
    instead: `${AT_START} (--workers)`,
  },
  live('latency-monitor-threshold', 'latencyThresholdMs', [0, INT_MAX]),
  live('maxclients', 'maxClients', [1, INT_MAX]),
  {
    name: 'maxmemory',
    value: ({ worker }) => partitionTotals(worker).capacityBytes,
    instead: 'run: ingot capacity SIZE',
  },
  {
    name: 'maxmemory-policy',
    value: ({ worker }) => POLICY_NAMES[worker.map.eviction],
    instead: 'it is chosen when the cluster is founded (--eviction)',
  },
  {
    name: 'notify-keyspace-events',
    value: () => '',
    instead: 'there is no publish and subscribe',
  },
  {
    name: 'port',
    value: ({ worker, session }) => worker.settings.ports[session.listener],
    instead: `${AT_START} (--port)`,
  },
  {
    name: 'proto-max-bulk-len',
    value: ({ worker }) => worker.settings.limits.maxBulkBytes,
    instead: `${AT_START} (--resp-bulk-max)`,
  },
  {
    name: 'requirepass',
    // Told to whoever knows it anyway, as in Redis.
    value: ({ worker }) => worker.settings.credentials.password ?? '',
    instead: `${AT_START} (--password-file)`,
  },
  { name: 'save', value: () => '', instead: NO_FILES },
  live('slowlog-log-slower-than', 'slowlogSlowerThanUs', [-1, Number.MAX_SAFE_INTEGER]),
  live('slowlog-max-len', 'slowlogMaxLength', [0, 100_000]),
  live('timeout', 'idleSeconds', [0, INT_MAX]),
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

/** CONFIG SET parameter value [...]: all of them or none. */
function set(execution: Execution, args: Args, out: ReplyWriter): void {
  if (args.count % 2 !== 0) return out.error(unknownParameter(args, args.count - 1));
  const changed: { -readonly [K in keyof LiveParameters]?: number } = {};
  const seen = new Set<string>();
  for (let i = 2; i < args.count; i += 2) {
    const parameter = PARAMETERS.find(({ name }) => args.is(i, name.toUpperCase()));
    if (parameter === undefined) return out.error(unknownParameter(args, i));
    const { name } = parameter;
    if (seen.has(name)) return out.error(configRefused(name, 'duplicate parameter'));
    seen.add(name);
    if (parameter.live === undefined) {
      // Setting what is set already is no change: scripts do that.
      if (args.text(i + 1) === String(parameter.value(execution))) continue;
      return out.error(configRefused(name, `can't set immutable config; ${parameter.instead}`));
    }
    const { field, min, max } = parameter.live;
    const value = args.integer(i + 1);
    if (!(value >= min && value <= max)) {
      return out.error(configRefused(name, `argument must be between ${min} and ${max} inclusive`));
    }
    changed[field] = value;
  }
  replyFromEvery(execution, 'setLive', changed, () => (late) => late.ok());
}

/** What INFO counts begins at 0 again; metrics for Prometheus go on. */
function resetstat({ worker, session }: Execution): void {
  const done = Promise.all([worker.ask('resetStats'), askEvery(worker, 'resetFigures', null)]);
  session.replyLater(done.then(() => (late) => late.ok()));
}

const FLAGS: readonly Flag[] = ['admin', 'noscript', 'loading', 'stale'];

export const CONFIG_COMMAND: CommandRow = container({
  name: 'config',
  arity: -2,
  flags: [],
  group: 'server',
  categories: { own: null, subcommands: null },
  summary: 'Shows configuration, and sets what can change while the node serves.',
  subcommands: [
    {
      word: 'get',
      arity: -3,
      flags: FLAGS,
      summary: 'Returns the parameters whose names match.',
      run: get,
    },
    {
      word: 'set',
      arity: -4,
      flags: FLAGS,
      summary: 'Sets parameters of this node until it ends.',
      run: set,
    },
    {
      word: 'resetstat',
      arity: 2,
      flags: FLAGS,
      summary: 'Lets what INFO counts begin at 0.',
      run: resetstat,
    },
    {
      word: 'rewrite',
      arity: 2,
      flags: FLAGS,
      summary: 'Refused: there is no configuration file.',
      run: (_execution, _args, out) => out.error('ERR The server is running without a config file'),
    },
  ],
});
