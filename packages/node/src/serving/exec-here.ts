/** The one passage of a transaction on a partition of this node. */

import type { Partition } from '@ingot/store';
import { Counter } from '../metrics/layout.ts';
import type { ReplyWriter } from '../resp/reply-writer.ts';
import type { Connection } from './connection.ts';
import type { Desk } from './desk.ts';
import type { Way } from './reply-values.ts';
import type { QueuedCommand, WatchedKey } from './transaction-state.ts';
import { areUnchanged, knownKey } from './watch-token.ts';
import { needKind } from './held-replies.ts';

const ERROR = 0x2d;

/** Answers an array of replies, or the absent array when a watched key changed. False when the
 *  partition is not served here (any more): nothing was executed or written. `way` says what is made of long
 *  values in the replies. */
export function execHere(
  desk: Desk,
  partition: Partition,
  queued: readonly QueuedCommand[],
  watched: readonly WatchedKey[],
  out: ReplyWriter,
  way: Way,
): boolean {
  const { execution, passage, lookup, held } = desk;
  const { awaits, written } = execution.session as Connection;
  const writes = queued.some(({ index }) => lookup.commands[index].kind === 'write');
  const known = watched.map(knownKey);
  passage.close();
  if (awaits !== 0 && writes && !held.suffice(partition.id, awaits)) {
    held.refuse(out, awaits);
    return true;
  }
  if (!passage.open(partition)) return false;
  if (execution.staged?.holdsAt(partition) === false) {
    passage.close();
    return false;
  }
  if (awaits !== 0) held.need(partition.id, partition.epoch(), needKind(awaits, writes));
  if (writes) written[partition.id] = 1;
  if (!areUnchanged(partition, known, execution.nowMs)) {
    passage.close();
    out.nilArray();
    return true;
  }
  execution.partition = partition;
  execution.hits = 0;
  execution.misses = 0;
  execution.forgetHash();
  execution.values.begin(way, execution.nowMs);
  partition.beginTransaction();
  out.array(queued.length);
  for (const { index, args } of queued) {
    const from = out.mark();
    lookup.commands[index].run(execution, args, out);
    const counted = lookup.owners[index];
    desk.calls.count(counted);
    if (out.length > from && out.buffer[from] === ERROR)
      desk.calls.error(counted, out.buffer, from);
  }
  partition.endTransaction();
  passage.close();
  // What was not done is answered with an error; nobody comes back to it.
  execution.forgetUndone();
  desk.host.counters.add(Counter.hits, execution.hits);
  desk.host.counters.add(Counter.misses, execution.misses);
  return true;
}
