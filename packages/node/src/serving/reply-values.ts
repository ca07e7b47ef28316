/** How values come into the reply of the command that runs: the long ones without a copy.
 *
 *  A command that replies with a value says `put`; what comes of it depends on how it runs:
 *  - copy: the bytes go into the reply, long or not.
 *  - ask: `asked` is set instead, and the reply does not count: whoever runs the command has it run in another way.
 *    Reads begin like that, so that no long value is copied for a read that turns out torn.
 *  - pin: inside a passage of the primary, views of the bytes are pinned and lent to the reply.
 *  - given: copies were made before (of a follower's values), and are lent while their records are the same.
 *  Owner: the Execution of a worker. */

import type { Buffer } from 'node:buffer';
import type { Partition } from '@ingot/store';
import type { ReplyWriter } from '../resp/reply-writer.ts';
import { PINNED_BYTES_MIN, PinnedValue } from './pinned-value.ts';

export const Way = { copy: 0, ask: 1, pin: 2, given: 3 } as const;
export type Way = (typeof Way)[keyof typeof Way];

/** A value that was copied while its record had this seq. */
export interface GivenValue {
  readonly seq: number;
  readonly value: Buffer;
  /** Another reply has it; call what is returned when it has left. */
  readonly use: () => () => void;
}

export class ReplyValues {
  way: Way = Way.copy;
  /** The reply lacks a value. */
  asked = false;
  given: readonly GivenValue[] | null = null;
  /** Copies made before were out of date too often: they are made within the gate. */
  hurried = false;
  private nowMs = 0;

  begin(way: Way, nowMs: number): void {
    this.way = way;
    this.asked = false;
    this.nowMs = nowMs;
  }

  /** A bulk of bytes [from, from + bytes) of the value; inside the read protocol or a passage. */
  put(partition: Partition, ref: number, from: number, bytes: number, out: ReplyWriter): void {
    if (this.way === Way.copy || bytes < PINNED_BYTES_MIN) copy(partition, ref, from, bytes, out);
    else if (this.way === Way.ask) this.asked = true;
    else if (out.lentBytes + bytes > out.limitBytes) out.overflowed = true;
    else if (this.way === Way.pin) this.pin(partition, ref, from, bytes, out);
    else this.give(partition, ref, from, bytes, out);
  }

  private pin(
    partition: Partition,
    ref: number,
    from: number,
    bytes: number,
    out: ReplyWriter,
  ): void {
    const pin = partition.values.pinInside(ref, this.nowMs);
    const views = bytes === pin.bytes ? pin.views : part(pin.views, from, bytes);
    lend(new PinnedValue(partition, pin, views, bytes), out);
  }

  private give(
    partition: Partition,
    ref: number,
    from: number,
    bytes: number,
    out: ReplyWriter,
  ): void {
    const seq = partition.recordSeq(ref);
    const given = this.given?.find((each) => each.seq === seq);
    if (given === undefined || given.value.length !== partition.valueBytes(ref)) {
      this.asked = true;
      return;
    }
    const view = given.value.subarray(from, from + bytes);
    lend(new PinnedValue(null, { unpin: given.use() }, [view], bytes), out);
  }
}

function lend(value: PinnedValue, out: ReplyWriter): void {
  if (!out.lend(value)) value.release();
}

function copy(
  partition: Partition,
  ref: number,
  from: number,
  bytes: number,
  out: ReplyWriter,
): void {
  if (partition.isInOnePiece(ref)) {
    // A torn read may ask for anything: that reply is thrown away, but must not leave the image.
    const image = partition.imageBuffer;
    const start = partition.valueOffset(ref) + from;
    if (bytes < 0 || start + bytes > image.length) out.nil();
    else out.bulk(image, start, bytes);
    return;
  }
  const at = out.bulkSpace(bytes);
  if (at !== -1) partition.copyValue(ref, from, bytes, out.buffer, at);
}

/** Bytes [from, from + bytes) of what these show. */
function part(views: readonly Buffer[], from: number, bytes: number): Buffer[] {
  const parts: Buffer[] = [];
  let at = 0;
  for (const view of views) {
    const start = Math.max(from - at, 0);
    const end = Math.min(from + bytes - at, view.length);
    if (start < end) parts.push(view.subarray(start, end));
    at += view.length;
  }
  return parts;
}
