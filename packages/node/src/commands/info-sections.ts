/** The sections of INFO as rows: which fields each has and where they come from.
 *  Fields are those that redis-cli, ioredis, node-redis and redis_exporter read, under Redis'
 *  names; what has no meaning here says what Redis says when the thing is unused. `ingot_` fields
 *  are ours. */

import { createHash } from 'node:crypto';
import { totalmem } from 'node:os';
import { type Budget, IMAGE_LINES, type PartitionStats, SCRATCH_LINES } from '@ingot/store';
import type { WorkerContext } from '../serving/execution.ts';
import { LIMIT_NAMES, LIMITS, type LimitName } from '../serving/limits.ts';
import type { ListenerKind } from '../serving/session.ts';
import { nodeOf } from '../shared/map.ts';
import { snakeCase } from '../shared/snake-case.ts';
import type { SnapshotReport } from '../control/types.ts';
import type { NodeStats } from '../shared/messages.ts';
import type { WorkerAnswer } from '../shared/worker-questions.ts';
import { commandstats, errorReplies, errorstats, latencystats } from './info-figures.ts';
import { POLICY_NAMES } from './policy-names.ts';
import { INGOT_VERSION, REDIS_VERSION } from './version.ts';

export interface InfoSource {
  readonly worker: WorkerContext;
  readonly listener: ListenerKind;
  readonly nowMs: number;
  readonly node: NodeStats;
  readonly workers: readonly WorkerAnswer<'clientFigures'>[];
  readonly totals: PartitionStats;
  readonly budget: Budget;
}

export type Fields = readonly (readonly [name: string, value: string | number])[];

export interface InfoSection {
  readonly name: string;
  /** In `INFO all`, or by name alone. */
  readonly isExtra?: boolean;
  readonly fields: (source: InfoSource) => Fields;
}

/** Those that have a field of Redis' name. */
const REDIS_LIMITS: ReadonlySet<LimitName> = new Set([
  'clients',
  'clientsMemory',
  'queryBuffer',
  'output',
]);
const MICROSECONDS = 1e6;
const SECONDS_PER_DAY = 86_400;

function server({ worker, listener, nowMs, node }: InfoSource): Fields {
  const uptimeSeconds = Math.max(0, Math.floor((nowMs - node.startedAtMs) / 1000));
  const { settings } = worker;
  return [
    ['redis_version', REDIS_VERSION],
    ['redis_mode', listener === 'client' ? 'standalone' : 'cluster'],
    ['ingot_version', INGOT_VERSION],
    ['ingot_node', worker.nodeId],
    ['ingot_incarnation', worker.incarnation],
    ['redis_git_sha1', '00000000'],
    ['redis_git_dirty', 0],
    ['redis_build_id', 0],
    ['os', `${process.platform} ${process.arch}`],
    ['monotonic_clock', 'POSIX clock_gettime'],
    ['multiplexing_api', 'libuv'],
    ['hz', 10],
    ['configured_hz', 10],
    ['process_supervised', 'no'],
    ['arch_bits', 64],
    ['node_version', process.version],
    ['process_id', process.pid],
    ['run_id', runId(worker)],
    ['tcp_port', settings.ports[listener]],
    ['server_time_usec', nowMs * 1000],
    ['uptime_in_seconds', uptimeSeconds],
    ['uptime_in_days', Math.floor(uptimeSeconds / SECONDS_PER_DAY)],
    ['io_threads_active', settings.workers > 1 ? 1 : 0],
    ['executable', process.execPath],
    ['config_file', ''],
  ];
}

/** 40 hex digits that change with each life of the node, as Redis' run id does. */
function runId({ map, nodeId, incarnation }: WorkerContext): string {
  return createHash('sha1').update(`${map.clusterId}/${nodeId}/${incarnation}`).digest('hex');
}

function clients({ worker, node, workers }: InfoSource): Fields {
  return [
    ['connected_clients', node.counters.connections],
    ['cluster_connections', 0],
    ['maxclients', worker.live.values.maxClients],
    ['client_recent_max_input_buffer', 0],
    ['client_recent_max_output_buffer', 0],
    ['blocked_clients', workers.reduce((sum, { blocked }) => sum + blocked, 0)],
    ['clients_in_timeout_table', 0],
    ['tracking_clients', 0],
  ];
}

/** used_memory is what image chunks in use take; the lines of image and scratch account for all. */
function memory({ worker, node, totals, budget }: InfoSource): Fields {
  const rssBytes = process.memoryUsage.rss();
  return [
    ['used_memory', totals.usedBytes],
    ['used_memory_human', human(totals.usedBytes)],
    ['used_memory_rss', rssBytes],
    ['used_memory_rss_human', human(rssBytes)],
    ['used_memory_dataset', totals.usedBytes],
    ['total_system_memory', totalmem()],
    ['total_system_memory_human', human(totalmem())],
    ['maxmemory', totals.capacityBytes],
    ['maxmemory_human', human(totals.capacityBytes)],
    ['maxmemory_policy', POLICY_NAMES[worker.map.eviction]],
    ['used_memory_peak', totals.usedBytes],
    ['used_memory_peak_human', human(totals.usedBytes)],
    ['used_memory_overhead', 0],
    ['used_memory_startup', 0],
    ['used_memory_lua', 0],
    ['used_memory_scripts', 0],
    ['number_of_cached_scripts', 0],
    ['mem_fragmentation_ratio', (rssBytes / Math.max(totals.usedBytes, 1)).toFixed(2)],
    ['mem_fragmentation_bytes', rssBytes - totals.usedBytes],
    ['mem_not_counted_for_evict', 0],
    ['mem_clients_slaves', 0],
    ['mem_clients_normal', node.counters.clientBytes],
    ['mem_aof_buffer', 0],
    ['active_defrag_running', 0],
    ['lazyfree_pending_objects', 0],
    ['mem_allocator', 'arena'],
    ...IMAGE_LINES.map((line) => [`image_${snakeCase(line)}`, budget[line]] as const),
    ...SCRATCH_LINES.map((line) => [`scratch_${snakeCase(line)}`, budget[line]] as const),
  ];
}

const UNITS = ['B', 'K', 'M', 'G', 'T'];

/** As Redis writes sizes: 1.50M. */
function human(bytes: number): string {
  const power = bytes < 1024 ? 0 : Math.min(4, Math.floor(Math.log2(bytes) / 10));
  return power === 0 ? `${bytes}B` : `${(bytes / 1024 ** power).toFixed(2)}${UNITS[power]}`;
}

/** Nothing is saved: what a Redis without persistence says. */
function persistence({ node }: InfoSource): Fields {
  return [
    ['loading', 0],
    ['async_loading', 0],
    ['rdb_changes_since_last_save', 0],
    ['rdb_bgsave_in_progress', 0],
    ['rdb_last_save_time', Math.floor(node.startedAtMs / 1000)],
    ['rdb_last_bgsave_status', 'ok'],
    ['rdb_last_bgsave_time_sec', -1],
    ['rdb_current_bgsave_time_sec', -1],
    ['rdb_last_cow_size', 0],
    ['aof_enabled', 0],
    ['aof_rewrite_in_progress', 0],
    ['aof_rewrite_scheduled', 0],
    ['aof_last_rewrite_time_sec', -1],
    ['aof_current_rewrite_time_sec', -1],
    ['aof_last_bgrewrite_status', 'ok'],
    ['aof_last_cow_size', 0],
    ['aof_last_write_status', 'ok'],
  ];
}

function stats({ node, workers, totals }: InfoSource): Fields {
  const { counters } = node;
  const syncs = node.replication.counters;
  return [
    ['total_connections_received', counters.connectionsTotal],
    ['total_commands_processed', node.commands],
    ['instantaneous_ops_per_sec', node.commandsPerSecond],
    ['total_net_input_bytes', counters.receivedBytes],
    ['total_net_output_bytes', counters.sentBytes],
    ['instantaneous_input_kbps', '0.00'],
    ['instantaneous_output_kbps', '0.00'],
    ['rejected_connections', counters.connectionsRefused],
    ['client_query_buffer_limit_disconnections', counters.queryBufferEnded],
    ['client_output_buffer_limit_disconnections', counters.outputEnded],
    ['sync_full', syncs.fullSyncs],
    ['sync_partial_ok', syncs.partialSyncs],
    ['sync_partial_err', 0],
    ['expired_keys', totals.expiries],
    ['evicted_keys', totals.evictions],
    ['evicted_clients', counters.clientsEvicted],
    ['keyspace_hits', counters.hits],
    ['keyspace_misses', counters.misses],
    ['pubsub_channels', 0],
    ['pubsub_patterns', 0],
    ['latest_fork_usec', 0],
    ['migrate_cached_sockets', 0],
    ['slave_expires_tracked_keys', 0],
    ['active_defrag_hits', 0],
    ['active_defrag_misses', 0],
    ['active_defrag_key_hits', 0],
    ['active_defrag_key_misses', 0],
    ['unexpected_error_replies', 0],
    ['total_error_replies', errorReplies(workers)],
    ['ingot_forwarded_commands', counters.forwarded],
    ['ingot_follower_reads', counters.followerReads],
    ...LIMIT_NAMES.filter((name) => !REDIS_LIMITS.has(name)).map(
      (name) => [`ingot_limit_${snakeCase(name)}`, counters[LIMITS[name].counter]] as const,
    ),
  ];
}

/** The node as a master whose replicas are the nodes that follow any of its partitions; a replica's
 *  offset is the sum of what it has acknowledged, its lag the worst of its partitions. */
function replication({ worker, node, totals }: InfoSource): Fields {
  const led = node.replication.partitions.filter(({ id }) => worker.leads(id));
  const replicas = new Map<string, { offset: number; lagSeconds: number; online: boolean }>();
  for (const { followers } of led) {
    for (const { node: id, state, ackedSeq, lagSeconds } of followers) {
      const replica = replicas.get(id) ?? { offset: 0, lagSeconds: 0, online: true };
      replica.offset += ackedSeq;
      replica.lagSeconds = Math.max(replica.lagSeconds, lagSeconds);
      replica.online &&= state === 'streaming';
      replicas.set(id, replica);
    }
  }
  const lines = [...replicas].map(([id, { offset, lagSeconds, online }], i) => {
    const address = nodeOf(worker.map, id);
    const state = online ? 'online' : 'send_bulk';
    const lag = Math.round(lagSeconds);
    return [
      `slave${i}`,
      `ip=${address?.advertise},port=${address?.ports.follower},state=${state},offset=${offset},lag=${lag}`,
    ] as const;
  });
  const { snapshots } = node;
  if (snapshots) return edgeReplication(snapshots, totals.seq);
  return [
    ['role', 'master'],
    ['connected_slaves', replicas.size],
    ...lines,
    ['master_failover_state', 'no-failover'],
    ['master_replid', runId(worker)],
    ['master_replid2', '0'.repeat(40)],
    ['master_repl_offset', totals.seq],
    ['second_repl_offset', -1],
    ['repl_backlog_active', 1],
  ];
}

/** A replica without a link that stays: what it is told by is how old its data is. */
function edgeReplication(snapshots: SnapshotReport, seq: number): Fields {
  const { ageSeconds, everySeconds, partitions, readable, rounds, interrupted } = snapshots;
  const isWhole = ageSeconds !== null;
  return [
    ['role', 'slave'],
    ['master_host', ''],
    ['master_port', 0],
    ['master_link_status', isWhole ? 'up' : 'down'],
    ['master_last_io_seconds_ago', isWhole ? Math.floor(ageSeconds) : -1],
    ['master_sync_in_progress', isWhole ? 0 : 1],
    ['slave_read_repl_offset', seq],
    ['slave_repl_offset', seq],
    ['slave_priority', 0],
    ['slave_read_only', 1],
    ['connected_slaves', 0],
    ['master_repl_offset', seq],
    ['ingot_snapshot_age_seconds', isWhole ? ageSeconds.toFixed(3) : -1],
    ['ingot_snapshot_every_seconds', everySeconds],
    ['ingot_snapshot_partitions', partitions],
    ['ingot_snapshot_partitions_readable', readable],
    ['ingot_snapshot_rounds', rounds],
    ['ingot_snapshot_rounds_interrupted', interrupted],
  ];
}

function cpu(): Fields {
  const { system, user } = process.cpuUsage();
  return [
    ['used_cpu_sys', (system / MICROSECONDS).toFixed(6)],
    ['used_cpu_user', (user / MICROSECONDS).toFixed(6)],
    ['used_cpu_sys_children', '0.000000'],
    ['used_cpu_user_children', '0.000000'],
  ];
}

function cluster({ worker, listener }: InfoSource): Fields {
  return [
    ['cluster_enabled', listener === 'client' ? 0 : 1],
    ['ingot_map_version', worker.map.version],
    ['ingot_partitions', worker.map.partitions],
    ['ingot_nodes', worker.map.nodes.length],
  ];
}

/** Absent without keys, as in Redis. How many of them expire is not counted. */
function keyspace({ totals }: InfoSource): Fields {
  return totals.keys === 0 ? [] : [['db0', `keys=${totals.keys},expires=0,avg_ttl=0`]];
}

export const INFO_SECTIONS: readonly InfoSection[] = [
  { name: 'Server', fields: server },
  { name: 'Clients', fields: clients },
  { name: 'Memory', fields: memory },
  { name: 'Persistence', fields: persistence },
  { name: 'Stats', fields: stats },
  { name: 'Replication', fields: replication },
  { name: 'CPU', fields: cpu },
  { name: 'Commandstats', fields: ({ node }) => commandstats(node), isExtra: true },
  { name: 'Errorstats', fields: ({ workers }) => errorstats(workers) },
  { name: 'Latencystats', fields: ({ node }) => latencystats(node), isExtra: true },
  { name: 'Cluster', fields: cluster },
  { name: 'Keyspace', fields: keyspace },
];
