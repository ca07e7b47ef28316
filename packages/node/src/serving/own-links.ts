/** Which commands travel on a link of their client's own.
 *
 *  A link that many clients share carries nothing long: a long command would hold up all others, and so would a long
 *  reply that its client does not take. So a long command goes by a link of its client's; and a read whose reply turns out long
 *  is refused by the owner on a shared link, like a command for a partition that moved: it and what its client
 *  sent behind it for the same partition come again, in order, on a link of the client's. There replies leave
 *  as they arrive, and where the client does not take them the link is read no further.
 *  Once no reply is due to the client, its commands travel on the shared link again. */

import type { Buffer } from 'node:buffer';
import { hashKey, type Partition } from '@ingot/store';
import type { Args } from '../resp/args.ts';
import type { Connection } from './connection.ts';
import { Hold } from './hold.ts';
import { type Desk, Outcome } from './desk.ts';
import { LINK_COMMAND_BYTES_MAX } from './forwarding.ts';
import { keyIndexes } from './keys.ts';
import type { ReplySink } from './reply-queue.ts';
import type { QueuedCommand } from './transaction-state.ts';

/** Of a read, on a link that many clients share. */
export const LINK_REPLY_BYTES_MAX: number = 128 * 1024;

const LONG_TEXT = 'TRYAGAIN long reply: ask for it on a link of its own';

/** False: the connection is on hold until it may go. */
export function chooseLink(
  desk: Desk,
  connection: Connection,
  partitionId: number,
  commandBytes: number,
): boolean {
  if (!connection.repliesDue) connection.ownLinks = null;
  if (commandBytes <= LINK_COMMAND_BYTES_MAX) return true;
  if (connection.ownLinks?.has(partitionId) === true) return true;
  if (connection.repliesDue) {
    connection.hold |= Hold.replies;
    return false;
  }
  desk.forwarding.useOwnLink(connection, partitionId);
  return true;
}

/** Keeps the place of the reply. A long command is sent from where it lies, and the next one waits for its reply. */
export function sinkOf(connection: Connection, args: Args): ReplySink {
  const reply = connection.outbox.reserveStream();
  const isLent = args.span > LINK_COMMAND_BYTES_MAX;
  if (!isLent) return reply;
  const release = connection.lendCommand();
  return {
    settle: (bytes: Buffer): void => {
      reply.settle(bytes);
      release();
    },
    piece: (bytes: Buffer, ends: boolean, resume: () => void): boolean => {
      const readsOn = reply.piece(bytes, ends, resume);
      if (ends) release();
      return readsOn;
    },
  };
}

/** Whether a transaction, on a shared link, asks about long values. */
export function asksForLong(
  desk: Desk,
  partition: Partition,
  queued: readonly QueuedCommand[],
): boolean {
  const { nowMs } = desk.execution;
  return queued.some(({ index, args }) =>
    keyIndexes(desk.lookup.commands[index].keys, args.count).some((i) => {
      const key = args.view(i);
      const hash = hashKey(key, 0, key.length);
      // A glance, outside of the gate: torn, it says anything, and then asks for another link without need.
      const ref = partition.find(hash, key, 0, key.length, nowMs);
      return ref !== 0 && partition.valueBytes(ref) > LINK_REPLY_BYTES_MAX;
    }),
  );
}

/** A read, on a shared link. */
export function refuseLong(desk: Desk, connection: Connection, partitionId: number): Outcome {
  desk.held.forgetFresh();
  connection.refuse(partitionId);
  desk.out.error(LONG_TEXT);
  return Outcome.refused;
}
