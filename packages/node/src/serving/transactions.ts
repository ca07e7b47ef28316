/** MULTI, EXEC, DISCARD, WATCH, UNWATCH.
 *
 *  EXEC is atomic within one partition: all its commands run in one passage, and followers apply it
 *  in one. On the cluster port everything must be of one partition (-CROSSSLOT). On the client port
 *  a transaction without WATCH may span partitions, for clients that only mean to batch: it is cut
 *  by partition, each part atomic by itself, the replies in the order of the commands.
 *  A part that another node leads travels as one internal command (see internal-commands.ts).
 *  WATCH compares, inside that passage, what the key's bucket looked like; a change of owner, or
 *  another key of the same bucket, may abort without need. */

import { Buffer } from 'node:buffer';
import type { Partition } from '@ingot/store';
import { Args } from '../resp/args.ts';
import type { ReplyWriter } from '../resp/reply-writer.ts';
import type { Connection } from './connection.ts';
import { Hold } from './hold.ts';
import { type Desk, Outcome } from './desk.ts';
import type { Command } from './execution.ts';
import { JoinedReply, wholeReply } from './joined-reply.ts';
import { onePartition } from './keys.ts';
import { TRANSACTION_TOO_LARGE_TEXT } from './limits.ts';
import { chooseLink } from './own-links.ts';
import { keepLent } from './pinned-value.ts';
import { Way } from './reply-values.ts';
import type { Route } from './routing.ts';
import { execHere } from './exec-here.ts';
import { countNow, wroteElsewhere } from './wait.ts';
import { readToken } from './watch-token.ts';
import type { QueuedCommand, Transaction, WatchedKey } from './transaction-state.ts';

const CROSSSLOT_TEXT = "CROSSSLOT Keys in request don't hash to the same slot";
const EXECABORT_TEXT = 'EXECABORT Transaction discarded because of previous errors.';

/** Bytes that one connection may queue. */
export const QUEUED_BYTES_MAX: number = 64 * 1024 * 1024;

/** Names of internal commands, as they travel. */
export const EXEC_BETWEEN_NODES = 'INGOT.EXEC';
export const TOKEN_BETWEEN_NODES = 'INGOT.TOKEN';

export class Transactions {
  private readonly desk: Desk;

  constructor(desk: Desk) {
    this.desk = desk;
  }

  /** A row of kind 'transaction'. */
  run(connection: Connection, command: Command, args: Args): Outcome {
    const { out, passage } = this.desk;
    passage.close();
    switch (command.name) {
      case 'multi':
        if (connection.transaction !== null) out.error('ERR MULTI calls can not be nested');
        else {
          connection.transaction = { queued: [], queuedBytes: 0, aborted: false };
          out.ok();
        }
        return Outcome.done;
      case 'discard':
        if (connection.transaction === null) out.error('ERR DISCARD without MULTI');
        else {
          connection.transaction = null;
          connection.watches = null;
          out.ok();
        }
        return Outcome.done;
      case 'unwatch':
        connection.watches = null;
        out.ok();
        return Outcome.done;
      case 'watch':
        return this.watch(connection, args);
      default:
        return this.exec(connection);
    }
  }

  writesQueued({ transaction }: Connection): boolean {
    const { commands } = this.desk.lookup;
    return transaction?.queued.some(({ index }) => commands[index].kind === 'write') === true;
  }

  forget(connection: Connection): void {
    connection.transaction = null;
    connection.watches = null;
  }

  /** A command between MULTI and EXEC that exists and has the right number of arguments. */
  queue(connection: Connection, index: number, command: Command, args: Args): Outcome {
    const transaction = connection.transaction as Transaction;
    const refused = this.whyNotQueued(connection, transaction, command, args);
    if (refused !== null) {
      this.desk.out.error(refused);
      transaction.aborted = true;
      return Outcome.done;
    }
    const keyed = command.keys.first > 0;
    const partitionId = keyed ? this.desk.partitionOf(args, command.keys.first) : -1;
    const own = connection.keepsCommand(args) ? args.share() : args.detach();
    transaction.queuedBytes += own.span;
    transaction.queued.push({ index, args: own, partitionId });
    this.desk.out.simple('QUEUED');
    return Outcome.done;
  }

  private whyNotQueued(
    connection: Connection,
    transaction: Transaction,
    command: Command,
    args: Args,
  ): string | null {
    if (transaction.queuedBytes > QUEUED_BYTES_MAX) {
      this.desk.host.limits.strike('transaction', connection);
      return TRANSACTION_TOO_LARGE_TEXT;
    }
    if (command.kind === 'keyspace') {
      return `ERR '${command.name}' covers all partitions and cannot be part of a transaction`;
    }
    if (command.keys.first === 0) return null;
    const partitionId = onePartition(this.desk, command, args);
    if (partitionId < 0) return CROSSSLOT_TEXT;
    if (connection.listener === 'client') return null;
    const other = transaction.queued.find((queued) => queued.partitionId >= 0);
    if (other !== undefined && other.partitionId !== partitionId) return CROSSSLOT_TEXT;
    const slot = this.desk.slotOf(args, command.keys.first);
    const to = this.desk.route(connection, partitionId, slot, false);
    return to.to === 'refuse' ? to.text : null;
  }

  private watch(connection: Connection, args: Args): Outcome {
    const { desk } = this;
    const { out } = desk;
    if (connection.transaction !== null) {
      out.error('ERR WATCH inside MULTI is not allowed');
      return Outcome.done;
    }
    const routes: { i: number; partitionId: number; to: Route }[] = [];
    for (let i = 1; i < args.count; i++) {
      const partitionId = desk.partitionOf(args, i);
      const to = desk.route(connection, partitionId, desk.slotOf(args, i), false);
      if (to.to === 'refuse' || to.to === 'park' || to.to === 'behind') {
        return desk.turnAway(connection, partitionId, to);
      }
      routes.push({ i, partitionId, to });
    }
    const waits = desk.awaitRoomForAll(
      connection,
      routes.map(({ to }) => to),
    );
    if (waits !== null) return waits;
    connection.watches ??= { keys: [] };
    const { keys } = connection.watches;
    let missing = routes.filter(({ to }) => to.to === 'peer').length;
    if (missing === 0) out.ok();
    // EXEC must find all tokens in place: what follows waits until they are.
    const done = missing === 0 ? null : connection.outbox.reserve();
    if (done !== null) connection.hold |= Hold.work;
    let failed: Buffer | null = null;
    for (const { i, partitionId, to } of routes) {
      const key = args.copy(i);
      if (to.to !== 'peer') {
        const token = readToken(desk, desk.partition(partitionId) as Partition, key);
        keys.push({ key, partitionId, token });
        continue;
      }
      const question = Args.of(TOKEN_BETWEEN_NODES, key);
      desk.forwarding.forward(to.node, connection, partitionId, null, question, 0, {
        settle: (reply) => {
          if (reply[0] === 0x2b) {
            keys.push({ key, partitionId, token: reply.toString('latin1', 1, reply.length - 2) });
          } else failed = reply;
          missing--;
          if (missing > 0) return;
          done?.settle(failed ?? Buffer.from('+OK\r\n'));
          connection.release(Hold.work);
        },
      });
    }
    return Outcome.done;
  }

  private exec(connection: Connection): Outcome {
    const { desk } = this;
    const { out } = desk;
    const { transaction } = connection;
    if (transaction === null) {
      out.error('ERR EXEC without MULTI');
      return Outcome.done;
    }
    const watched = connection.watches?.keys ?? [];
    const parts = partsOf(transaction.queued, watched, desk.lookup.firstKeys);
    const refused = transaction.aborted
      ? EXECABORT_TEXT
      : parts.length > 1 && (watched.length > 0 || connection.listener !== 'client')
        ? CROSSSLOT_TEXT
        : null;
    if (refused !== null) {
      connection.transaction = null;
      connection.watches = null;
      out.error(refused);
      return Outcome.done;
    }
    for (const part of parts) {
      part.to = desk.route(connection, part.partitionId, part.slot(desk), false);
      if (part.to.to === 'park' || part.to.to === 'behind') {
        const outcome = desk.turnAway(connection, part.partitionId, part.to);
        if (outcome === Outcome.refused) this.forget(connection);
        return outcome;
      }
    }
    const waits = desk.awaitRoomForAll(
      connection,
      parts.map(({ to }) => to),
    );
    if (waits === Outcome.refused) this.forget(connection);
    if (waits !== null) return waits;
    for (const part of parts) {
      if (part.to.to !== 'peer') continue;
      if (!chooseLink(desk, connection, part.partitionId, part.bytes)) return Outcome.held;
    }
    const outcome = desk.large.beforeAll(connection, transaction.queued);
    if (outcome !== null) return outcome;
    this.forget(connection);
    const down = parts.find((part) => part.to.to === 'refuse');
    if (down !== undefined) {
      desk.large.after();
      return desk.turnAway(connection, down.partitionId, down.to);
    }
    if (parts.some((part) => this.lacksReplicas(connection, part, parts.length === 1))) {
      desk.large.after();
      desk.held.refuse(out, connection.awaits);
      return Outcome.done;
    }
    this.runParts(connection, transaction.queued, parts, watched);
    desk.large.after();
    return Outcome.done;
  }

  /** A part among several is asked about where the map of this node tells: none of them may run. */
  private lacksReplicas(connection: Connection, part: Part, alone: boolean): boolean {
    const { desk } = this;
    if (connection.awaits === 0 || (alone && part.to.to === 'peer')) return false;
    return this.writes(part) && !desk.held.suffice(part.partitionId, connection.awaits);
  }

  private writes({ queued }: Part): boolean {
    return queued.some(({ index }) => this.desk.lookup.commands[index].kind === 'write');
  }

  private runParts(
    connection: Connection,
    queued: readonly QueuedCommand[],
    parts: readonly Part[],
    watched: readonly WatchedKey[],
  ): void {
    const { desk } = this;
    const { out } = desk;
    const isWait = ({ index }: QueuedCommand): boolean =>
      desk.lookup.commands[index].name === 'wait';
    const keyed = queued.filter(({ partitionId }) => partitionId >= 0).length;
    const keyless = positionsOf(queued, (each) => each.partitionId < 0 && !isWait(each));
    const waits = positionsOf(queued, isWait);
    const single = parts.length === 1 && keyed === queued.length ? parts[0] : null;
    if (single !== null && single.to.to === 'peer') {
      const { partitionId, to } = single;
      const command = execArgs(single, watched);
      connection.written[partitionId] = 1;
      const reply = connection.outbox.reserveStream();
      desk.forwarding.forward(to.node, connection, partitionId, null, command, 0, reply);
      return;
    }
    if (single !== null) {
      const mark = out.mark();
      this.runPart(single, watched, out, Way.pin);
      keepLent(desk, connection, mark);
      return;
    }
    const positions = [...parts.map((part) => part.positions), keyless, ...waits.map((i) => [i])];
    const writes = positions.map((_, i) => i < parts.length && this.writes(parts[i]));
    const join = new JoinedReply('gather', positions, connection.protocol, 'command', writes);
    const remote =
      parts.some((part) => part.to.to === 'peer') ||
      (waits.length > 0 && wroteElsewhere(desk, connection));
    if (remote) join.settleInto(connection.outbox.reserve());
    // Before the parts: WAIT counts what came before the transaction, as in Redis.
    waits.forEach((at, i) => {
      countNow(desk, connection, queued[at].args, join.part(parts.length + 1 + i));
    });
    // A transaction that a watched key stopped answers nil as a whole: keyless parts with it.
    join.part(parts.length).settle(this.runKeyless(keyless.map((i) => queued[i])));
    parts.forEach((part, i) => {
      if (part.to.to === 'peer') {
        const { node } = part.to;
        const command = execArgs(part, watched);
        const { partitionId } = part;
        connection.written[partitionId] = 1;
        desk.forwarding.forward(node, connection, partitionId, null, command, 0, join.part(i));
      } else {
        desk.scratch.protocol = connection.protocol;
        this.runPart(part, watched, desk.scratch, Way.copy);
        const reply = wholeReply(desk.scratch);
        if (remote) desk.held.settle(reply, join.part(i));
        else join.part(i).settle(reply);
      }
    });
    if (!remote) join.writeTo(out);
  }

  private runPart(part: Part, watched: readonly WatchedKey[], out: ReplyWriter, way: Way): void {
    const partition = this.desk.partition(part.partitionId) as Partition;
    if (!execHere(this.desk, partition, part.queued, watched, out, way)) {
      out.error('TRYAGAIN the partition of these keys changed its owner meanwhile');
    }
  }

  /** PING and the like: outside of any passage, they may look at partitions themselves. */
  private runKeyless(queued: readonly QueuedCommand[]): Buffer {
    const { scratch, execution, lookup } = this.desk;
    const connection = execution.session as Connection;
    scratch.protocol = connection.protocol;
    scratch.array(queued.length);
    connection.laterRefusal = scratch;
    for (const { index, args } of queued) {
      lookup.commands[index].run(execution, args, scratch);
    }
    connection.laterRefusal = null;
    return wholeReply(scratch);
  }
}

/** What one EXEC does on one partition. */
class Part {
  readonly partitionId: number;
  readonly queued: QueuedCommand[] = [];
  readonly positions: number[] = [];
  private readonly anyKey: Args;
  to: Route = { to: 'here' };

  constructor(partitionId: number, anyKey: Args) {
    this.partitionId = partitionId;
    this.anyKey = anyKey;
  }

  get bytes(): number {
    return this.queued.reduce((sum, { args }) => sum + args.span, 0);
  }

  slot(desk: Desk): number {
    return desk.slotOf(this.anyKey, 0);
  }
}

function positionsOf(
  queued: readonly QueuedCommand[],
  are: (each: QueuedCommand) => boolean,
): number[] {
  return queued.flatMap((each, position) => (are(each) ? [position] : []));
}

function partsOf(
  queued: readonly QueuedCommand[],
  watched: readonly WatchedKey[],
  firstKeys: Int16Array,
): Part[] {
  const parts: Map<number, Part> = new Map();
  const partOf = (partitionId: number, key: () => Uint8Array): Part => {
    let part = parts.get(partitionId);
    if (part === undefined) {
      part = new Part(partitionId, Args.of(key()));
      parts.set(partitionId, part);
    }
    return part;
  };
  for (const { partitionId, key } of watched) partOf(partitionId, () => key);
  queued.forEach((each, position) => {
    if (each.partitionId < 0) return;
    const part = partOf(each.partitionId, () => each.args.copy(firstKeys[each.index]));
    part.queued.push(each);
    part.positions.push(position);
  });
  return [...parts.values()];
}

/** INGOT.EXEC partition watches (key token)* (argumentCount argument*)* */
function execArgs(part: Part, watched: readonly WatchedKey[]): Args {
  const words: (string | Uint8Array)[] = [EXEC_BETWEEN_NODES, String(part.partitionId)];
  words.push(String(watched.length));
  for (const { key, token } of watched) words.push(key, token);
  for (const { args } of part.queued) {
    words.push(String(args.count));
    for (let i = 0; i < args.count; i++) words.push(args.view(i));
  }
  return Args.from(words);
}
