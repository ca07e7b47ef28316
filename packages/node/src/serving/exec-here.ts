/** The one passage of a transaction on a partition of this node. */

import { hashKey, type Partition } from '@ingot/store';
import { Counter } from '../metrics/layout.ts';
import type { ReplyWriter } from '../resp/reply-writer.ts';
import type { Desk } from './desk.ts';
import type { QueuedCommand, WatchedKey } from './transaction-state.ts';
import { tokenNow } from './watch-token.ts';

/** Answers an array of replies, or the absent array when a watched key changed. False when the
 *  partition is not served here (any more): nothing was executed or written. */
export function execHere(
  desk: Desk,
  partition: Partition,
  queued: readonly QueuedCommand[],
  watched: readonly WatchedKey[],
  out: ReplyWriter,
): boolean {
  const { execution, passage, lookup } = desk;
  const hashes = watched.map(({ key }) => hashKey(key, 0, key.length));
  passage.close();
  if (!passage.open(partition)) return false;
  const changed = watched.some(
    (each, i) => tokenNow(partition, each.key, hashes[i], execution.nowMs) !== each.token,
  );
  if (changed) {
    passage.close();
    out.nilArray();
    return true;
  }
  execution.partition = partition;
  execution.hits = 0;
  execution.misses = 0;
  execution.forgetHash();
  partition.beginTransaction();
  out.array(queued.length);
  for (const { index, args } of queued) {
    lookup.commands[index].run(execution, args, out);
  }
  partition.endTransaction();
  passage.close();
  for (const { index } of queued) desk.calls.count(index);
  desk.host.counters.add(Counter.hits, execution.hits);
  desk.host.counters.add(Counter.misses, execution.misses);
  return true;
}
