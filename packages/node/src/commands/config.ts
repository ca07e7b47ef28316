/** CONFIG GET, SET, RESETSTAT: Redis' parameters as far as clients and tools read them, answered from the
 *  map, the settings and what is set live. A parameter is a row: what it is, and either how it is set
 *  while the node serves, or what to do instead. */

import type { Args } from '../resp/args.ts';
import type { ReplyWriter } from '../resp/reply-writer.ts';
import type { Execution } from '../serving/execution.ts';
import { parseRedisBytes } from '../shared/bytes.ts';
import { parseOutputLimit } from '../shared/output-limits.ts';
import type { LiveParameters } from '../shared/worker-questions.ts';
import { askEvery, replyFromEvery } from './ask-workers.ts';
import { container } from './container.ts';
import { configRefused, unknownParameter } from './errors.ts';
import { globMatches } from './glob.ts';
import { partitionTotals } from './partition-totals.ts';
import { POLICY_NAMES } from './policy-names.ts';
import type { CommandRow, Flag } from './row.ts';

export interface Parameter {
  readonly name: string;
  readonly value: (execution: Execution) => string | number;
  /** Set at once, in every worker: what the words change, or what is wrong with them. */
  readonly live?: (args: Args, at: number) => Partial<LiveParameters> | string;
  /** What to do instead of setting it. */
  readonly instead?: string;
}

const AT_START = 'it is given when the node is started';
const NO_FILES =
  'copies are saved by themselves where --checkpoint-every says how often, and other nodes have them';
const ALWAYS_ONE = 'there is one database';
const INT_MAX = 2 ** 31 - 1;

function live(
  name: string,
  field: keyof LiveParameters,
  [min, max]: readonly [number, number],
): Parameter {
  return {
    name,
    value: ({ worker }) => worker.live.values[field],
    live: (args, at) => {
      const value = args.integer(at);
      if (value >= min && value <= max) return { [field]: value };
      return `argument must be between ${min} and ${max} inclusive`;
    },
  };
}

/** Classes of clients that there are none of here: shown as unlimited, and may be set to just that. */
const NO_CLIENTS: readonly string[] = ['slave', 'replica', 'pubsub'];
const UNLIMITED_CLASSES = 'slave 0 0 0 pubsub 0 0 0';

/** `class hard soft seconds`, once per class, as in Redis. */
function outputLimit(args: Args, at: number): Partial<LiveParameters> | string {
  const words = args.text(at).trim().split(/\s+/);
  if (words.length % 4 !== 0) return 'Wrong number of arguments in buffer limit configuration.';
  let changed: Partial<LiveParameters> = {};
  for (let i = 0; i < words.length; i += 4) {
    const name = words[i].toLowerCase();
    const limit = parseOutputLimit(words.slice(i + 1, i + 4), parseRedisBytes);
    if (name !== 'normal' && !NO_CLIENTS.includes(name)) {
      return 'Invalid client class specified in buffer limit configuration.';
    }
    if (limit === null)
      return 'Error in hard, soft or soft_seconds setting in buffer limit configuration.';
    const { hardBytes, softBytes, softSeconds } = limit;
    if (name === 'normal') {
      changed = {
        outputHardBytes: hardBytes,
        outputSoftBytes: softBytes,
        outputSoftSeconds: softSeconds,
      };
    } else if (hardBytes + softBytes + softSeconds > 0) {
      return `there are no clients of class ${name} here; set the limit of class normal alone`;
    }
  }
  return changed;
}

/** Bytes, or per cent of maxmemory, which are kept as a number below 0. */
function clientsMemory(args: Args, at: number): Partial<LiveParameters> | string {
  const words = args.text(at);
  const share = /^(\d{1,3})%$/.exec(words);
  if (share !== null) {
    const percent = Number(share[1]);
    if (percent <= 100) return { clientsBytes: -percent };
    return 'percentage argument must be less or equal to 100';
  }
  const bytes = parseRedisBytes(words);
  if (Number.isSafeInteger(bytes)) return { clientsBytes: bytes };
  return 'argument must be a memory or percent value';
}

export const PARAMETERS: readonly Parameter[] = [
  { name: 'appendonly', value: () => 'no', instead: NO_FILES },
  live('auth-timeout', 'authSeconds', [0, INT_MAX]),
  { name: 'bind', value: ({ worker }) => worker.settings.host, instead: `${AT_START} (--host)` },
  {
    name: 'client-output-buffer-limit',
    value: ({ worker }) => {
      const { outputHardBytes, outputSoftBytes, outputSoftSeconds } = worker.live.values;
      return `normal ${outputHardBytes} ${outputSoftBytes} ${outputSoftSeconds} ${UNLIMITED_CLASSES}`;
    },
    live: outputLimit,
  },
  {
    name: 'client-query-buffer-limit',
    value: ({ worker }) => worker.settings.limits.maxQueryBufferBytes,
    instead: `${AT_START} (--resp-query-max)`,
  },
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
    name: 'maxmemory-clients',
    value: ({ worker }) => {
      const { clientsBytes } = worker.live.values;
      return clientsBytes < 0 ? `${-clientsBytes}%` : clientsBytes;
    },
    live: clientsMemory,
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
    const change = parameter.live(args, i + 1);
    if (typeof change === 'string') return out.error(configRefused(name, change));
    Object.assign(changed, change);
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
