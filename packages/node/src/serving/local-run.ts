/** Runs a read or a write on a partition of this node, under the rules of its kind: a read inside
 *  the read protocol, again from a rewound mark when it was torn; a write inside a passage. */

import { type Partition, TORN_READS_MAX } from '@ingot/store';
import { Counter } from '../metrics/layout.ts';
import type { Args } from '../resp/args.ts';
import type { ReplyWriter } from '../resp/reply-writer.ts';
import type { Connection } from './connection.ts';
import type { Desk } from './desk.ts';
import type { Command } from './execution.ts';
import { Way } from './reply-values.ts';
import { readableCopy } from './routing.ts';
import { needKind } from './held-replies.ts';

/** False when the partition is not served here: nothing was executed or written to `out`. */
export function runHere(
  desk: Desk,
  command: Command,
  partition: Partition,
  args: Args,
  out: ReplyWriter,
): boolean {
  const { execution, passage, held } = desk;
  const { awaits, written } = execution.session as Connection;
  const { values } = execution;
  execution.partition = partition;
  execution.hits = 0;
  execution.misses = 0;
  values.begin(Way.pin, execution.nowMs);
  execution.forgetUndone();
  if (command.kind === 'write') {
    if (!passage.open(partition)) return false;
    if (execution.staged?.holdsAt(partition) === false) return false;
    const mark = out.mark();
    written[partition.id] = 1;
    if (command.atomic === true) partition.beginTransaction();
    command.run(execution, args, out);
    if (command.atomic === true) partition.endTransaction();
    if (execution.undone) {
      out.rewind(mark);
      return false;
    }
    if (awaits !== 0) held.need(partition.id, partition.epoch(), needKind(awaits, true));
  } else if (passage.inside === partition) {
    if (awaits !== 0) held.need(partition.id, partition.epoch(), needKind(awaits, false));
    command.run(execution, args, out);
  } else {
    passage.close();
    if (!desk.host.lease.holds) return false;
    const epoch = awaits !== 0 ? partition.epoch() : 0;
    if (!read(desk, command, partition, args, out, isLed)) return false;
    if (awaits !== 0) held.need(partition.id, epoch, needKind(awaits, false));
  }
  countLookups(desk);
  return true;
}

/** A read of a follower copy; false when it is no consistent copy (any more). */
export function runOnCopy(
  desk: Desk,
  command: Command,
  partition: Partition,
  args: Args,
  out: ReplyWriter,
): boolean {
  const { execution } = desk;
  desk.passage.close();
  execution.partition = partition;
  execution.values.asked = false;
  if (!read(desk, command, partition, args, out, readableCopy)) return false;
  countLookups(desk);
  desk.host.counters.add(Counter.followerReads, 1);
  return true;
}

function read(
  desk: Desk,
  command: Command,
  partition: Partition,
  args: Args,
  out: ReplyWriter,
  allowed: (partition: Partition) => boolean,
): boolean {
  const { execution } = desk;
  const { values, nowMs } = execution;
  const mark = out.mark();
  const way = values.given === null ? Way.ask : Way.given;
  for (let tries = 0; tries < TORN_READS_MAX; tries++) {
    const token = partition.readBegin();
    if (!allowed(partition)) return false;
    execution.hits = 0;
    execution.misses = 0;
    execution.readWith(token);
    values.begin(way, nowMs);
    command.run(execution, args, out);
    const isWhole = execution.settled || partition.readEnd(token);
    execution.readWith(-1);
    if (isWhole && execution.scan !== null) {
      out.rewind(mark);
      return false;
    }
    execution.scan = null;
    if (isWhole && !values.asked) return true;
    out.rewind(mark);
    if (isWhole) break;
  }
  partition.enter();
  const permitted = allowed(partition);
  execution.maySlice = false;
  if (permitted) {
    execution.hits = 0;
    execution.misses = 0;
    values.begin(partition.mayWrite() ? Way.pin : values.hurried ? Way.copy : way, nowMs);
    command.run(execution, args, out);
  }
  partition.leave();
  if (!values.asked) return permitted;
  // A follower's values are copied first.
  out.rewind(mark);
  return false;
}

/** Role and seal change in passages only, so the read protocol guards these words too. */
function isLed(partition: Partition): boolean {
  return partition.mayWrite();
}

function countLookups(desk: Desk): void {
  const { execution } = desk;
  const { counters } = desk.host;
  if (execution.hits > 0) counters.add(Counter.hits, execution.hits);
  if (execution.misses > 0) counters.add(Counter.misses, execution.misses);
}
