/** Long values in replies: on a primary the bytes go from the image to the kernel, without a copy. */

import type { Buffer } from 'node:buffer';
import type { Partition, Pin } from '@ingot/store';
import { Counter } from '../metrics/layout.ts';
import type { Args } from '../resp/args.ts';
import type { Lent } from '../resp/reply-writer.ts';
import type { Connection } from './connection.ts';
import type { Desk } from './desk.ts';
import { AS_IT_IS } from './reply-queue.ts';
import { needKind } from './held-replies.ts';

/** Below this a copy costs less than pinning. */
export const PINNED_BYTES_MIN: number = 16 * 1024;

/** Whoever keeps pinned values for longer than a batch takes, and has to know when they are let go of. */
export interface PinKeeper {
  released(value: PinnedValue): void;
}

/** A value that stays as it was when it was asked for, until it is released. */
export class PinnedValue implements Lent {
  /** Whose image its bytes are in; null: a copy. */
  readonly partition: Partition | null;
  readonly bytes: number;
  readonly views: readonly Buffer[];
  keeper: PinKeeper | null = null;
  /** Monotonic ms; by who keeps it. */
  sinceMs = 0;
  private pin: Pick<Pin, 'unpin'> | null;

  /** `views` are `bytes` bytes of what is pinned. */
  constructor(
    partition: Partition | null,
    pin: Pick<Pin, 'unpin'>,
    views: readonly Buffer[],
    bytes: number,
  ) {
    this.partition = partition;
    this.pin = pin;
    this.bytes = bytes;
    this.views = views;
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

/** The reply is in `out`: see `keepLent`. False: nothing was done; the value of argument 1 is short, or absent, or not led here. */
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
  // A pin notes the read.
  if (!host.lease.holds || connection.noTouch) return false;
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
  const { awaits } = connection;
  if (awaits !== 0) held.need(partition.id, epoch, needKind(awaits, false));
  const value = new PinnedValue(partition, pin, pin.views, pin.bytes);
  if (!desk.out.lend(value)) value.release();
  return true;
}

/** The reply that `out` has from `mark` on has lent values: they must not be copied where it cannot leave with its
 *  batch. */
export function keepLent(desk: Desk, connection: Connection, mark: number): void {
  const { out, held } = desk;
  if (out.lentBytes === 0 || (connection.awaits === 0 && !connection.repliesDue)) return;
  if (out.overflowed) return;
  const written = out.cut(mark);
  if (written.lent.length === 0) {
    out.append(written);
    return;
  }
  held.settle(AS_IT_IS, connection.outbox.replyLent(written));
}
