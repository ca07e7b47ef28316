/** CLUSTER: the map in the words of Redis Cluster clients.
 *  SLOTS and SHARDS list primaries at their cluster ports and followers at their follower ports:
 *  SLOTS those that may be asked, SHARDS all of them, with their health;
 *  NODES lists each node once, as a master at its cluster port. Answered on every listener, so that
 *  a cluster client may begin at any port. */

import { slotOfKey, HASH_SLOTS, partitionOfSlot } from '@ingot/store';
import type { Args } from '../resp/args.ts';
import type { ReplyWriter } from '../resp/reply-writer.ts';
import type { Execution } from '../serving/execution.ts';
import { type ClusterMap, isUp, type MapNode } from '../shared/map.ts';
import { type Copy, redisNodeId, slotCount, slotMapOf, type SlotRange } from './slot-map.ts';
import { container } from './container.ts';
import { INVALID_SLOT, NOT_AN_INTEGER } from './errors.ts';
import { KeyList } from './key-list.ts';
import { KeyWalk } from './key-walk.ts';
import type { CommandRow, Flag } from './row.ts';

const INVALID_SLOT_OR_COUNT = 'ERR Invalid slot or number of keys';

function slots(execution: Execution, _args: Args, out: ReplyWriter): void {
  const { map } = execution.worker;
  const { served } = slotMapOf(map);
  out.array(served.length);
  for (const { from, to, primary, followers } of served) {
    out.array(3 + followers.length);
    out.integer(from);
    out.integer(to);
    writeEndpoint(map, primary, primary.ports.cluster, out);
    for (const node of followers) writeEndpoint(map, node, node.ports.follower, out);
  }
}

function writeEndpoint(map: ClusterMap, node: MapNode, port: number, out: ReplyWriter): void {
  out.array(4);
  out.bulkText(node.advertise);
  out.integer(port);
  out.bulkText(redisNodeId(map, node.id));
  out.map(0);
}

function shards(execution: Execution, _args: Args, out: ReplyWriter): void {
  const { map } = execution.worker;
  const all = slotMapOf(map).shards;
  out.array(all.length);
  for (const shard of all) {
    out.map(2);
    out.bulkText('slots');
    out.array(shard.ranges.length * 2);
    for (const { from, to } of shard.ranges) {
      out.integer(from);
      out.integer(to);
    }
    out.bulkText('nodes');
    const { primary, followers } = shard;
    out.array(followers.length + (primary === null ? 0 : 1));
    if (primary !== null) writeShardNode(map, primary, true, out);
    for (const follower of followers) writeShardNode(map, follower, false, out);
  }
}

function writeShardNode(
  map: ClusterMap,
  { node, health }: Copy,
  leads: boolean,
  out: ReplyWriter,
): void {
  const fields: readonly [string, string | number][] = [
    ['id', redisNodeId(map, node.id)],
    ['port', leads ? node.ports.cluster : node.ports.follower],
    ['ip', node.advertise],
    ['endpoint', node.advertise],
    ['role', leads ? 'master' : 'replica'],
    ['replication-offset', 0],
    ['health', health],
  ];
  out.map(fields.length);
  for (const [name, value] of fields) {
    out.bulkText(name);
    if (typeof value === 'number') out.integer(value);
    else out.bulkText(value);
  }
}

function nodes(execution: Execution, _args: Args, out: ReplyWriter): void {
  const { map, nodeId } = execution.worker;
  const lines = map.nodes.map((node) => describeNode(map, node, node.id === nodeId));
  out.verbatim(lines.join(''));
}

/** One line of CLUSTER NODES: id, address, flags, master, ping, pong, epoch, link, slots. */
function describeNode(map: ClusterMap, node: MapNode, isMyself: boolean): string {
  const isUp = node.state === 'up';
  const flags = `${isMyself ? 'myself,' : ''}master${isUp ? '' : ',fail'}`;
  const ranges = slotMapOf(map).rangesLed.get(node.id) ?? [];
  const fields = [
    redisNodeId(map, node.id),
    `${node.advertise}:${node.ports.cluster}@${node.ports.control}`,
    flags,
    '-',
    '0',
    '0',
    String(node.incarnation),
    isUp ? 'connected' : 'disconnected',
    ...ranges.map(describeRange),
  ];
  return `${fields.join(' ')}\n`;
}

function describeRange({ from, to }: SlotRange): string {
  return from === to ? String(from) : `${from}-${to}`;
}

/** A node without a lease is cut off: it says so of what the map gives to it (pfail), because by
 *  now somebody else may serve that. */
function info(execution: Execution, _args: Args, out: ReplyWriter): void {
  const { map, nodeId, hasLease } = execution.worker;
  const { slotsServed, rangesLed, epochMax } = slotMapOf(map);
  const suspect = hasLease || !isUp(map, nodeId) ? 0 : slotCount(rangesLed.get(nodeId) ?? []);
  const lines: readonly [string, string | number][] = [
    ['cluster_state', hasLease && slotsServed === HASH_SLOTS ? 'ok' : 'fail'],
    ['cluster_slots_assigned', HASH_SLOTS],
    ['cluster_slots_ok', slotsServed - suspect],
    ['cluster_slots_pfail', suspect],
    ['cluster_slots_fail', HASH_SLOTS - slotsServed],
    ['cluster_known_nodes', map.nodes.length],
    ['cluster_size', rangesLed.size],
    ['cluster_current_epoch', epochMax],
    ['cluster_my_epoch', execution.worker.incarnation],
    ['cluster_stats_messages_sent', 0],
    ['cluster_stats_messages_received', 0],
    ['ingot_map_version', map.version],
  ];
  out.verbatim(lines.map(([name, value]) => `${name}:${value}\r\n`).join(''));
}

function myid(execution: Execution, _args: Args, out: ReplyWriter): void {
  out.bulkText(redisNodeId(execution.worker.map, execution.worker.nodeId));
}

function keyslot(_execution: Execution, args: Args, out: ReplyWriter): void {
  out.integer(slotOfKey(args.buf, args.start(2), args.bytes(2)));
}

/** Keys of a slot, `max` at most and a few more, by walking its partition; none where this node holds
 *  no copy of it. */
function keysOfSlot({ worker, nowMs }: Execution, slot: number, max: number): KeyList {
  const keys = new KeyList();
  const partition = worker.partitions[partitionOfSlot(slot, worker.map.partitions)];
  if (!partition) return keys;
  const walk = new KeyWalk(
    keys,
    nowMs,
    (image, start, bytes) => slotOfKey(image, start, bytes) === slot,
  );
  let bucket = 0;
  do bucket = walk.bucket(partition, bucket);
  while (bucket !== 0 && keys.count < max);
  return keys;
}

function countkeysinslot(execution: Execution, args: Args, out: ReplyWriter): void {
  const slot = args.integer(2);
  if (!(slot >= 0 && slot < HASH_SLOTS)) return out.error(INVALID_SLOT);
  out.integer(keysOfSlot(execution, slot, Number.POSITIVE_INFINITY).count);
}

function getkeysinslot(execution: Execution, args: Args, out: ReplyWriter): void {
  const [slot, max] = [args.integer(2), args.integer(3)];
  if (Number.isNaN(slot) || Number.isNaN(max)) return out.error(NOT_AN_INTEGER);
  if (slot < 0 || slot >= HASH_SLOTS || max < 0) return out.error(INVALID_SLOT_OR_COUNT);
  keysOfSlot(execution, slot, max).writeAndClear(out, max);
}

const FLAGS: readonly Flag[] = ['stale'];

export const CLUSTER_COMMAND: CommandRow = container({
  name: 'cluster',
  arity: -2,
  flags: [],
  group: 'cluster',
  categories: { own: null, subcommands: null },
  summary: 'Describes the cluster to cluster clients.',
  subcommands: [
    {
      word: 'slots',
      arity: 2,
      flags: FLAGS,
      summary: 'Returns which nodes serve which slots.',
      run: slots,
    },
    {
      word: 'shards',
      arity: 2,
      flags: FLAGS,
      summary: 'Returns slots and nodes, grouped by the nodes that hold the same slots.',
      run: shards,
    },
    {
      word: 'nodes',
      arity: 2,
      flags: FLAGS,
      summary: 'Describes every node in one line.',
      run: nodes,
    },
    {
      word: 'info',
      arity: 2,
      flags: FLAGS,
      summary: 'Describes the state of the cluster.',
      run: info,
    },
    {
      word: 'myid',
      arity: 2,
      flags: FLAGS,
      summary: 'Returns the id of this node.',
      run: myid,
    },
    {
      word: 'keyslot',
      arity: 3,
      flags: FLAGS,
      summary: 'Returns the slot of a key.',
      run: keyslot,
    },
    {
      word: 'countkeysinslot',
      arity: 3,
      flags: FLAGS,
      summary: 'Returns how many keys of a slot this node holds.',
      run: countkeysinslot,
    },
    {
      word: 'getkeysinslot',
      arity: 4,
      flags: FLAGS,
      summary: 'Returns so many keys of a slot that this node holds.',
      run: getkeysinslot,
    },
  ],
});
