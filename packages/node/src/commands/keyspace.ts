/** DBSIZE RANDOMKEY FLUSHALL FLUSHDB: over all partitions that this node leads.
 *  On the client port the executor asks the peers too and combines by the row's rule. */

import type { Partition } from '@ingot/store';
import type { Args } from '../resp/args.ts';
import type { ReplyWriter } from '../resp/reply-writer.ts';
import type { Execution } from '../serving/execution.ts';
import { NOT_LED_HERE, SYNTAX_ERROR } from './errors.ts';
import { partitionsLed } from './key-walk.ts';
import { writeKey } from './records.ts';
import { type CommandRow, command, type RowInput } from './row.ts';

function keysIn(partitions: readonly Partition[]): number {
  return partitions.reduce((keys, partition) => keys + partition.stats().keys, 0);
}

function dbsize(execution: Execution, _args: Args, out: ReplyWriter): void {
  out.integer(keysIn(partitionsLed(execution.worker)));
}

/** A key of a partition chosen by how many it has; should all of those be past their time, the
 *  partitions after it are asked in turn. */
function randomkey(execution: Execution, _args: Args, out: ReplyWriter): void {
  const partitions = partitionsLed(execution.worker);
  const mark = out.mark();
  const first = randomIndex(partitions);
  for (let step = 0; step < partitions.length; step++) {
    const partition = partitions[(first + step) % partitions.length];
    const found = partition.readStable(() => {
      out.rewind(mark);
      const ref = partition.randomRef(Math.random(), execution.nowMs);
      if (ref !== 0) writeKey(partition, ref, out);
      return ref !== 0;
    });
    if (found) return;
  }
  out.nil();
}

/** Chooses a partition with a chance proportional to its keys. */
function randomIndex(partitions: readonly Partition[]): number {
  let left = Math.random() * keysIn(partitions);
  const index = partitions.findIndex((partition) => (left -= partition.stats().keys) < 0);
  return Math.max(0, index);
}

/** FLUSHALL and FLUSHDB are one: there is one database. ASYNC and SYNC mean the same too, because a
 *  flush is one mutation and the sweeper frees the memory later. */
function flush(execution: Execution, args: Args, out: ReplyWriter): void {
  const worded = args.count === 2 && (args.is(1, 'ASYNC') || args.is(1, 'SYNC'));
  if (args.count > 1 && !worded) return out.error(SYNTAX_ERROR);
  const { worker, nowMs } = execution;
  for (const [id, { primary }] of worker.map.placement.entries()) {
    const isMine = primary === worker.nodeId;
    const partition = worker.partitions[id];
    if (isMine && !(partition && flushLed(partition, nowMs))) return out.error(NOT_LED_HERE);
  }
  out.ok();
}

/** Flushes a partition in a passage of its own; false when it is not written here now. */
function flushLed(partition: Partition, nowMs: number): boolean {
  partition.enter();
  const mayWrite = partition.mayWrite();
  if (mayWrite) partition.flush(nowMs);
  partition.leave();
  return mayWrite;
}

function keyspace(row: Omit<RowInput, 'kind' | 'category'>): CommandRow {
  return command({ ...row, kind: 'keyspace', category: '@keyspace' });
}

export const KEYSPACE_COMMANDS: readonly CommandRow[] = [
  keyspace({
    name: 'dbsize',
    group: 'server',
    arity: 1,
    flags: ['readonly', 'fast'],
    combine: 'sum',
    summary: 'Returns the number of keys.',
    run: dbsize,
  }),
  keyspace({
    name: 'randomkey',
    group: 'generic',
    arity: 1,
    flags: ['readonly'],
    combine: 'any',
    summary: 'Returns a random key.',
    run: randomkey,
  }),
  keyspace({
    name: 'flushall',
    group: 'server',
    arity: -1,
    flags: ['write'],
    combine: 'ok',
    dangerous: true,
    summary: 'Deletes all keys.',
    run: flush,
  }),
  keyspace({
    name: 'flushdb',
    group: 'server',
    arity: -1,
    flags: ['write'],
    combine: 'ok',
    dangerous: true,
    summary: 'Deletes all keys, as FLUSHALL does.',
    run: flush,
  }),
];
