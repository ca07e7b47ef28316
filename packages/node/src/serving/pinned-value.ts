/** GET of a long value on its primary: the bytes go from the image to the kernel, without a copy. */

import type { Partition } from '@ingot/store';
import { Counter } from '../metrics/layout.ts';
import type { Args } from '../resp/args.ts';
import type { Connection } from './connection.ts';
import type { Desk } from './desk.ts';

/** Below this a copy costs less than pinning. */
export const PINNED_BYTES_MIN: number = 16 * 1024;

/** False: nothing was done; the value of argument 1 is short, or absent, or not led here. */
export function sendPinned(
  desk: Desk,
  connection: Connection,
  partition: Partition,
  args: Args,
): boolean {
  const { execution, passage, host, held } = desk;
  const hash = execution.hash(args, 1);
  const [start, bytes] = [args.start(1), args.bytes(1)];
  const { nowMs } = execution;
  passage.close();
  if (!host.lease.holds) return false;
  // A glance, to spare short values the pin: torn, it says anything.
  const ref = partition.find(hash, args.buf, start, bytes, nowMs);
  if (ref === 0 || partition.valueBytes(ref) < PINNED_BYTES_MIN) return false;
  const epoch = partition.epoch();
  const pin = partition.values.pin(hash, args.buf, start, bytes, nowMs);
  if (pin === null) return false;
  if (!partition.mayWrite()) {
    pin.unpin();
    return false;
  }
  partition.mark(ref);
  host.counters.add(Counter.hits, 1);
  const reply = connection.replyPinned(partition, pin);
  if (connection.inSync) held.need(partition.id, epoch, false);
  held.settle(reply.header, reply);
  return true;
}
