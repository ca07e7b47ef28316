/** What COMMAND tells about commands beyond their rows, as Redis has it: since when there are such
 *  commands, tips for clients of a cluster, and what is done to keys. By name, because most of it is
 *  shared by many; the comparison with redis-server holds every entry of a command in the table. */

import type { Command } from '../serving/execution.ts';

type Named = readonly [what: string, names: string];

/** The version of Redis, or of what else had the command first. */
const SINCE: readonly Named[] = [
  [
    '1.0.0',
    `auth bgsave dbsize debug decr decrby del echo exists expire flushall flushdb get getset incr incrby info
      keys lastsave mget monitor move ping quit randomkey rename renamenx save select set setnx
      shutdown substr ttl type`,
  ],
  ['1.0.1', 'mset msetnx'],
  ['1.2.0', 'exec expireat multi'],
  ['2.0.0', 'append config config|get config|resetstat config|set discard setex'],
  ['2.2.0', 'getbit persist setbit setrange strlen unwatch watch'],
  ['2.2.3', 'object object|encoding object|idletime object|refcount'],
  ['2.2.12', 'slowlog slowlog|get slowlog|len slowlog|reset'],
  ['2.4.0', 'client client|kill client|list getrange'],
  ['2.6.0', 'bitcount bitop dump incrbyfloat pexpire pexpireat psetex pttl restore time'],
  ['2.6.9', 'client|getname client|setname'],
  ['2.8.0', 'config|rewrite scan'],
  ['2.8.7', 'bitpos'],
  ['2.8.12', 'role'],
  [
    '2.8.13',
    `command command|count command|getkeys command|info latency latency|doctor latency|graph
      latency|help latency|history latency|latest latency|reset`,
  ],
  ['2.9.50', 'client|pause'],
  [
    '3.0.0',
    `asking cluster cluster|countkeysinslot cluster|getkeysinslot cluster|info cluster|keyslot
      cluster|myid cluster|nodes cluster|replicas cluster|slaves cluster|slots readonly readwrite
      cluster|count-failure-reports wait`,
  ],
  ['3.2.0', 'bitfield client|reply'],
  ['3.2.1', 'touch'],
  [
    '4.0.0',
    `memory memory|doctor memory|help memory|malloc-stats memory|purge memory|stats memory|usage
      object|freq swapdb unlink`,
  ],
  ['5.0.0', 'client|help client|id client|unblock cluster|help command|help config|help lolwut'],
  [
    '6.0.0',
    `acl acl|cat acl|help acl|whoami bitfield_ro client|caching client|getredir client|tracking hello`,
  ],
  [
    '6.2.0',
    `client|info client|trackinginfo client|unpause copy getdel getex object|help reset slowlog|help`,
  ],
  [
    '7.0.0',
    `client|no-evict cluster|links cluster|shards command|docs command|getkeysandflags command|list
      expiretime latency|histogram lcs pexpiretime`,
  ],
  ['7.2.0', 'client|no-touch client|setinfo cluster|myshardid'],
  ['8.4.0', 'delex digest'],
  ['8.8.0', 'increx'],
  ['Valkey 9.0.0', 'delifeq'],
];

const TIPS: readonly Named[] = [
  ['request_policy:multi_shard', 'mget'],
  ['request_policy:multi_shard response_policy:all_succeeded', 'mset'],
  ['request_policy:multi_shard response_policy:agg_min', 'msetnx'],
  ['request_policy:multi_shard response_policy:agg_sum', 'del exists touch unlink'],
  ['request_policy:all_shards response_policy:agg_sum', 'dbsize'],
  ['request_policy:all_shards response_policy:agg_min', 'wait'],
  ['request_policy:all_shards response_policy:all_succeeded', 'flushall flushdb memory|purge ping'],
  ['request_policy:all_shards nondeterministic_output', 'randomkey'],
  ['request_policy:all_shards nondeterministic_output_order', 'keys'],
  ['nondeterministic_output request_policy:special', 'scan'],
  [
    'nondeterministic_output',
    `client|info client|list cluster|count-failure-reports cluster|getkeysinslot cluster|info
      cluster|links cluster|nodes cluster|replicas cluster|shards cluster|slaves cluster|slots dump
      lastsave object|encoding object|freq object|idletime object|refcount pttl time ttl`,
  ],
  [
    'nondeterministic_output request_policy:all_shards response_policy:special',
    'info memory|doctor memory|malloc-stats memory|stats',
  ],
  [
    'nondeterministic_output request_policy:all_nodes response_policy:special',
    'latency|doctor latency|graph latency|histogram latency|history latency|latest',
  ],
  [
    'request_policy:all_nodes response_policy:all_succeeded',
    'config|set latency|reset slowlog|reset',
  ],
  ['request_policy:all_nodes nondeterministic_output', 'slowlog|get'],
  ['request_policy:all_nodes response_policy:agg_sum nondeterministic_output', 'slowlog|len'],
  ['nondeterministic_output_order', 'command command|docs command|info command|list'],
];

/** RO, RW, OW (written without being read) or RM, and what else is done to the keys; where a command
 *  does not treat its keys alike, what is done to the first, then what to the others. */
const KEY_FLAGS: readonly Named[] = [
  [
    'RO access',
    `get getrange substr getbit bitcount bitpos bitfield_ro ttl pttl expiretime pexpiretime dump mget
      lcs digest`,
  ],
  [
    'RO',
    `strlen type exists touch watch object|encoding object|freq object|idletime object|refcount
      memory|usage`,
  ],
  ['RW access update', 'getset incr decr incrby decrby incrbyfloat increx setbit getex'],
  ['RW access update variable_flags', 'set bitfield'],
  ['RW access delete', 'getdel delifeq'],
  ['RW delete variable_flags', 'delex'],
  ['RW update', 'setrange expire pexpire expireat pexpireat persist'],
  ['RW insert', 'append'],
  ['OW insert', 'setnx msetnx'],
  ['OW update', 'setex psetex restore mset'],
  ['RM delete', 'del unlink'],
  ['OW update, RO access', 'bitop'],
  ['RO access, OW update', 'copy'],
  ['RW access delete, OW update', 'rename'],
  ['RW access delete, OW insert', 'renamenx'],
];

const KEY_NOTES: readonly Named[] = [
  ['RW and ACCESS due to the optional `GET` argument', 'set'],
  ['RW and UPDATE because it changes the TTL', 'getex'],
  ['This command allows both access and modification of the key', 'bitfield'],
];

const since = byName(SINCE);
const tips = byName(TIPS);
const keyFlags = byName(KEY_FLAGS);
const keyNotes = byName(KEY_NOTES);

function byName(table: readonly Named[]): ReadonlyMap<string, string> {
  return new Map(
    table.flatMap(([what, names]) => names.split(/\s+/).map((name) => [name, what] as const)),
  );
}

/** The version of Redis that had it first; null for our own. */
export function sinceOf({ name }: Command): string | null {
  return since.get(name) ?? null;
}

export function tipsOf({ name }: Command): readonly string[] {
  return tips.get(name)?.split(' ') ?? [];
}

/** Some of a command's keys, and what is done to them. */
export interface KeySpec {
  readonly notes: string | null;
  readonly flags: readonly string[];
  /** Argument that is the first of them; how far the last one is behind it, or -1 = the last
   *  argument; from one to the next. */
  readonly first: number;
  readonly lastKey: number;
  readonly step: number;
}

export function keySpecsOf({ name, keys }: Command): readonly KeySpec[] {
  const { first, last, step } = keys;
  const flags = (keyFlags.get(name) ?? '').split(', ').map((words) => words.split(' '));
  if (first === 0 || flags[0][0] === '') return [];
  const notes = keyNotes.get(name) ?? null;
  const reach = (from: number): number => (last < 0 ? last : last - from);
  if (flags.length === 1) return [{ notes, flags: flags[0], first, lastKey: reach(first), step }];
  const second = first + step;
  return [
    { notes, flags: flags[0], first, lastKey: 0, step },
    { notes, flags: flags[1], first: second, lastKey: reach(second), step },
  ];
}
