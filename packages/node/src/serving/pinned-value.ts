/** GET of a long value on its primary: the bytes go from the image to the kernel, without a copy. */

import type { Buffer } from 'node:buffer';
import type { Partition, Pin } from '@ingot/store';
import { Counter } from '../metrics/layout.ts';
import type { Args } from '../resp/args.ts';
import type { Lent } from '../resp/reply-writer.ts';
import type { Connection } from './connection.ts';
import type { Desk } from './desk.ts';
import { ITS_VALUE } from './reply-queue.ts';

/** Below this a copy costs less than pinning. */
export const PINNED_BYTES_MIN: number = 16 * 1024;

/** Whoever keeps pinned values for longer than a batch takes, and has to know when they are let go of. */
export interface PinKeeper {
  released(value: PinnedValue): void;
}

/** A value that stays as it was when it was asked for, until it is released. */
export class PinnedValue implements Lent {
  readonly partition: Partition;
  readonly bytes: number;
  readonly views: readonly Buffer[];
  keeper: PinKeeper | null = null;
  /** Monotonic ms; by who keeps it. */
  sinceMs = 0;
  private pin: Pin | null;

  constructor(partition: Partition, pin: Pin) {
    this.partition = partition;
    this.pin = pin;
    this.bytes = pin.bytes;
    this.views = pin.views;
  }

  /** Its bytes may change from now on. To be called again does nothing. */
  release(): void {
    const { pin, keeper } = this;
    if (pin === null) return;
    this.pin = null;
    pin.unpin();
    keeper?.released(this);
  }
}

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
  const value = new PinnedValue(partition, pin);
  if (connection.inSync || connection.repliesDue) {
    const reply = connection.replyPinned(value);
    if (connection.inSync) held.need(partition.id, epoch, false);
    held.settle(ITS_VALUE, reply);
  } else if (!desk.out.lend(value)) value.release();
  return true;
}
