/** Commands of several keys whose partitions differ, on the client port (MGET, MSET, DEL, ...).
 *  The command is cut into one call per partition, each atomic by itself; local calls run at once,
 *  the others travel, and the replies become one by the command's `split` rule. Before the first
 *  call runs, every partition must have an owner that can be asked, and enough copies in sync as far
 *  as the map of this node tells: a whole call is parked or refused, not half of it. A part that is
 *  refused by its owner all the same, after others ran, makes an error that says so. */

import { Buffer } from 'node:buffer';
import type { Partition } from '@ingot/store';
import { wrongArity } from '../commands/errors.ts';
import { Args } from '../resp/args.ts';
import type { ReplyWriter } from '../resp/reply-writer.ts';
import { type Desk, Outcome } from './desk.ts';
import type { Connection } from './connection.ts';
import type { Command, SplitRule } from './execution.ts';
import { keyIndexes } from './keys.ts';
import { JoinedReply, wholeReply } from './joined-reply.ts';
import { runHere, runOnCopy } from './local-run.ts';
import { keepLent } from './pinned-value.ts';
import type { Route } from './routing.ts';

/** The arguments of one partition's call, and where its results belong in the whole. */
interface Part {
  readonly partitionId: number;
  readonly args: Args;
  readonly positions: number[];
  route: Route;
}

export function runSplit(
  desk: Desk,
  connection: Connection,
  command: Command,
  args: Args,
): Outcome {
  // A key without its value (MSET a 1 b): no part of the call may run.
  if ((args.count - command.keys.first) % command.keys.step !== 0) {
    desk.out.error(wrongArity(command.name));
    return Outcome.done;
  }
  const parts = cut(desk, command, args);
  for (const part of parts) {
    part.route = desk.route(connection, part.partitionId, 0, command.kind === 'read');
    const { to } = part.route;
    if (to === 'refuse' || to === 'park' || to === 'behind') {
      return desk.turnAway(connection, part.partitionId, part.route);
    }
  }
  const waits = desk.awaitRoomForAll(
    connection,
    parts.map(({ route }) => route),
  );
  if (waits !== null) return waits;
  const writes = command.kind === 'write';
  const { awaits } = connection;
  const suffice = parts.every(({ partitionId }) => desk.held.suffice(partitionId, awaits));
  if (writes && awaits !== 0 && !suffice) {
    desk.held.refuse(desk.out, awaits);
    return Outcome.done;
  }
  const rule = command.split as SplitRule;
  const allHere = parts.every(({ route: { to } }) => to === 'here' || to === 'copy');
  const join = new JoinedReply(
    rule,
    parts.map((part) => part.positions),
    connection.protocol,
    'key',
    parts.map(() => writes),
  );
  const { scratch, execution } = desk;
  const mark = desk.out.mark();
  parts.forEach((part, i) => {
    if (part.route.to === 'peer') return;
    scratch.protocol = connection.protocol;
    execution.forgetHash();
    const partition = desk.partition(part.partitionId);
    const ran = partition !== null && runPart(desk, command, partition, part, scratch);
    if (!ran) scratch.error('TRYAGAIN a partition of these keys changed its owner meanwhile');
    const reply = wholeReply(scratch, (written) => join.note(i, written));
    // Where all is here, the whole reply is one of the batch's.
    if (allHere) join.part(i).settle(reply);
    else desk.held.settle(reply, join.part(i));
  });
  if (allHere) {
    join.writeTo(desk.out);
    keepLent(desk, connection, mark);
    return Outcome.done;
  }
  const lent = join.lent();
  const sink = rule === 'gather' ? connection.outbox.replyLent(lent) : connection.outbox.reserve();
  parts.forEach((part, i) => {
    if (part.route.to !== 'peer') return;
    const { node } = part.route;
    const { partitionId } = part;
    if (writes) connection.written[partitionId] = 1;
    desk.forwarding.forward(node, connection, partitionId, null, part.args, 0, join.part(i));
  });
  join.settleInto(sink);
  // Counted where it is executed: here, where any of its keys lives here.
  return parts.every((part) => part.route.to === 'peer') ? Outcome.forwarded : Outcome.done;
}

/** Long values of a copy cannot be sent from where they lie, and are copied inside its gate. */
function runPart(
  desk: Desk,
  command: Command,
  partition: Partition,
  { route, args }: Part,
  scratch: ReplyWriter,
): boolean {
  if (route.to !== 'copy') return runHere(desk, command, partition, args, scratch);
  const { values } = desk.execution;
  values.hurried = true;
  const ran = runOnCopy(desk, command, partition, args, scratch);
  values.hurried = false;
  return ran;
}

function cut(desk: Desk, command: Command, args: Args): Part[] {
  const { step } = command.keys;
  const pieces: Map<number, { args: Uint8Array[]; positions: number[] }> = new Map();
  keyIndexes(command.keys, args.count).forEach((i, position) => {
    const partitionId = desk.partitionOf(args, i);
    let piece = pieces.get(partitionId);
    if (piece === undefined) {
      piece = { args: [Buffer.from(command.name)], positions: [] };
      pieces.set(partitionId, piece);
    }
    for (let k = 0; k < step && i + k < args.count; k++) {
      const start = args.start(i + k);
      piece.args.push(args.buf.subarray(start, start + args.bytes(i + k)));
    }
    piece.positions.push(position);
  });
  return [...pieces].map(([partitionId, piece]) => ({
    partitionId,
    args: Args.from(piece.args),
    positions: piece.positions,
    route: { to: 'here' },
  }));
}
