/** Commands over all partitions: DBSIZE, KEYS, RANDOMKEY, FLUSHALL, FLUSHDB, SCAN.
 *
 *  On the cluster and follower ports they cover what is led here. On the client port they cover the
 *  cluster: the same command goes to every other leader's cluster port, and the answers are joined
 *  by the row's `combine` rule. They are a barrier in their connection: they start when every reply
 *  before them is in, and what follows waits for them, so FLUSHALL between two SETs means what it
 *  says. If the map changed meanwhile, a partition may have been covered twice or not at all, and
 *  the command runs again (each of them may), ROUNDS_MAX times at most.
 *  SCAN's cursor names a partition: that call goes to its leader alone. */

import { Buffer } from 'node:buffer';
import type { Args } from '../resp/args.ts';
import { ReplyWriter } from '../resp/reply-writer.ts';
import type { MapNode } from '../shared/map.ts';
import type { Connection } from './connection.ts';
import { Hold } from './hold.ts';
import { type Desk, Outcome, TRY_AGAIN_TEXT } from './desk.ts';
import { type Command, CURSOR_PARTITION_FACTOR } from './execution.ts';
import { errorLine, isRefusal } from './forwarded-call.ts';
import { elementsOf, integerOf, wholeReply } from './joined-reply.ts';
import { errorOfParts, type PartReply } from './partly-executed.ts';
import { encode } from './peer-link.ts';
import type { ReplySink } from './reply-queue.ts';
import { DOWN_TEXT, NO_SNAPSHOT_TEXT, READ_ONLY_TEXT } from './routing.ts';
import { needKind } from './held-replies.ts';

const ROUNDS_MAX = 200;
const ROUND_MS = 25;
const SCAN_BETWEEN_NODES = 'ingot.scan';
const ERROR = 0x2d;
const LEASE_LOST_TEXT: string =
  'ERR this node was cut off while the command ran; whether it was executed is unknown';
const OK_REPLY: Buffer = Buffer.from('+OK\r\n');
const NIL_REPLIES: readonly string[] = ['$-1\r\n', '_\r\n'];

export function runKeyspace(
  desk: Desk,
  connection: Connection,
  command: Command,
  args: Args,
): Outcome {
  const { execution, out } = desk;
  desk.passage.close();
  if (desk.host.snapshots !== null) return runOnSnapshots(desk, command, args);
  if (command.combine === 'cursor') {
    const whole = connection.listener === 'client' || command.name === SCAN_BETWEEN_NODES;
    if (whole) return runCursor(desk, connection, command, args);
  }
  const unsettled = firstUnsettled(desk);
  if (unsettled >= 0 && connection.isLink) {
    out.error(TRY_AGAIN_TEXT);
    return Outcome.done;
  }
  if (unsettled >= 0) return desk.turnAway(connection, unsettled, { to: 'park' });
  const leaders = connection.listener === 'client' ? otherLeaders(desk) : [];
  if (leaders === null) return desk.turnAway(connection, firstLeaderless(desk), { to: 'park' });
  if (leaders.length === 0) {
    if (lacksReplicas(desk, connection, command)) {
      desk.held.refuse(out, connection.awaits);
      return Outcome.done;
    }
    execution.wholeCluster = connection.listener === 'client';
    command.run(execution, args, out);
    noteAll(desk, connection, command);
    if (writes(command)) desk.passage.wrote = true;
    return Outcome.done;
  }
  if (connection.repliesDue) {
    connection.hold |= Hold.replies;
    return Outcome.held;
  }
  const sink = connection.outbox.reserve();
  connection.hold |= Hold.work;
  new Gathering(desk, connection, command, args.detach(), sink).round();
  return Outcome.done;
}

/** A node that takes snapshots has all partitions, and writes to none. */
function runOnSnapshots(desk: Desk, command: Command, args: Args): Outcome {
  const { execution, out, host } = desk;
  if (writes(command)) out.error(READ_ONLY_TEXT);
  else if (host.map.placement.some((_, id) => desk.partition(id) === null)) {
    out.error(NO_SNAPSHOT_TEXT);
  } else {
    execution.wholeCluster = true;
    command.run(execution, args, out);
  }
  return Outcome.done;
}

/** SCAN: to the leader of the cursor's partition; a copy does not say what moves on. */
function runCursor(desk: Desk, connection: Connection, command: Command, args: Args): Outcome {
  const { execution, out } = desk;
  const partitionId = Math.floor(args.integer(1) / CURSOR_PARTITION_FACTOR);
  // A cursor that is none: the command itself says what is wrong with it.
  const known = partitionId >= 0 && partitionId < desk.host.map.partitions;
  const to = known ? desk.route(connection, partitionId, 0, false) : null;
  if (to === null || to.to === 'here') {
    execution.wholeCluster = true;
    command.run(execution, args, out);
    noteAll(desk, connection, command);
    return Outcome.done;
  }
  if (to.to !== 'peer') return desk.turnAway(connection, partitionId, to);
  const waits = desk.awaitRoom(connection, to);
  if (waits !== null) return waits;
  const sink = connection.outbox.reserve();
  desk.forwarding.forward(to.node, connection, partitionId, 'INGOT.SCAN', args, 1, sink);
  return Outcome.forwarded;
}

/** A partition that the map gives to this node, and that this node does not serve yet, or not without
 *  a lease; or -1. */
function firstUnsettled(desk: Desk): number {
  const { map, nodeId, lease } = desk.host;
  const isServed = (id: number): boolean => lease.holds && desk.partition(id)?.mayWrite() === true;
  return map.placement.findIndex((entry, id) => entry.primary === nodeId && !isServed(id));
}

/** A partition without a leader that is up. */
function firstLeaderless(desk: Desk): number {
  const { map } = desk.host;
  return map.placement.findIndex(
    ({ primary }) => !map.nodes.some(({ id, state }) => id === primary && state === 'up'),
  );
}

/** The other nodes that lead something, or null when a partition has no leader that is up. */
function otherLeaders(desk: Desk): MapNode[] | null {
  const { map, nodeId } = desk.host;
  const leaders: Set<MapNode> = new Set();
  for (const entry of map.placement) {
    if (entry.primary === nodeId) continue;
    const node = map.nodes.find(({ id, state }) => id === entry.primary && state === 'up');
    if (node === undefined) return null;
    leaders.add(node);
  }
  return [...leaders];
}

function writes(command: Command): boolean {
  return command.flags.includes('write');
}

/** A reply that waits does so for all partitions that are led here. */
function noteAll(desk: Desk, connection: Connection, command: Command): void {
  if (writes(command)) connection.written.fill(1);
  const { awaits } = connection;
  if (awaits !== 0) desk.held.needAll(needKind(awaits, writes(command)));
}

/** Of what it covers, as far as the map of this node tells: then no node may begin. */
function lacksReplicas(desk: Desk, connection: Connection, command: Command): boolean {
  const { awaits } = connection;
  if (awaits === 0 || !writes(command)) return false;
  const { map, nodeId } = desk.host;
  const whole = connection.listener === 'client';
  return map.placement.some(
    ({ primary }, id) => (whole || primary === nodeId) && !desk.held.suffice(id, awaits),
  );
}

/** One such command on its way through the cluster. */
class Gathering {
  private readonly desk: Desk;
  private readonly connection: Connection;
  private readonly command: Command;
  private readonly args: Args;
  private readonly sink: ReplySink;
  private rounds = 0;
  private mapVersion = 0;
  private replies: Buffer[] = [];
  /** Whose replies they are, this node first. */
  private nodes: string[] = [];
  /** Nodes on which a round has written. */
  private readonly done: Set<string> = new Set();
  private missing = 0;

  constructor(desk: Desk, connection: Connection, command: Command, args: Args, sink: ReplySink) {
    this.desk = desk;
    this.connection = connection;
    this.command = command;
    this.args = args;
    this.sink = sink;
  }

  round(): void {
    const { desk, args, connection } = this;
    this.rounds++;
    this.mapVersion = desk.host.map.version;
    // No batch is running that would have looked.
    desk.host.lease.lookNow();
    const leaders = otherLeaders(desk);
    // What ran without a partition, one that was sealed meanwhile, would not be the whole.
    if (leaders === null || firstUnsettled(desk) >= 0) {
      if (this.rounds < ROUNDS_MAX) this.again();
      else this.fail(errorLine(leaders === null ? DOWN_TEXT : TRY_AGAIN_TEXT));
      return;
    }
    if (lacksReplicas(desk, connection, this.command)) {
      desk.held.refuse(desk.scratch, connection.awaits);
      this.fail(wholeReply(desk.scratch));
      return;
    }
    this.nodes = [desk.host.nodeId, ...leaders.map(({ id }) => id)];
    this.replies = [];
    this.missing = this.nodes.length;
    const own = this.runHere();
    noteAll(desk, connection, this.command);
    desk.held.settle(own, this.reply(0));
    const parts = Array.from({ length: args.count }, (_, i) => args.copy(i));
    const question = encode(parts);
    leaders.forEach((node, i) => {
      desk.forwarding.ask(node, connection, question, this.reply(1 + i));
    });
    desk.forwarding.flush();
  }

  private reply(i: number): ReplySink {
    return {
      settle: (reply) => {
        this.replies[i] = reply;
        this.missing--;
        if (this.missing === 0) this.roundEnded();
      },
    };
  }

  private roundEnded(): void {
    if (writes(this.command)) {
      this.replies.forEach((reply, i) => {
        if (reply[0] !== ERROR) this.done.add(this.nodes[i]);
      });
    }
    const unsettled = this.replies.some((reply) => isRefusal(reply, 0));
    const moved = this.mapVersion !== this.desk.host.map.version;
    if ((unsettled || moved) && this.rounds < ROUNDS_MAX) {
      this.again();
      return;
    }
    this.finish(this.joined());
  }

  /** It cannot go on; earlier rounds may have written. */
  private fail(reply: Buffer): void {
    const rest = { names: ['the rest'], writes: true, reply };
    this.finish(errorOfParts('node', [...[...this.done].map(donePart), rest]) ?? reply);
  }

  private again(): void {
    setTimeout(() => this.round(), ROUND_MS);
  }

  private finish(reply: Buffer): void {
    this.sink.settle(reply);
    this.connection.release(Hold.work);
  }

  private runHere(): Buffer {
    const { execution, scratch, host } = this.desk;
    execution.session = this.connection;
    execution.nowMs = host.nowMs();
    execution.wholeCluster = true;
    execution.forgetHash();
    scratch.protocol = this.connection.protocol;
    this.command.run(execution, this.args, scratch);
    // No batch is running that would do it.
    if (writes(this.command)) host.wakeReplication();
    const reply = wholeReply(scratch);
    return host.lease.mayAnswer() ? reply : errorLine(LEASE_LOST_TEXT);
  }

  private joined(): Buffer {
    const { replies, nodes, done } = this;
    const parts = replies.map((reply, i) => ({
      names: [nodes[i]],
      writes: writes(this.command),
      reply,
    }));
    const now = nodes.filter((_, i) => replies[i][0] !== ERROR);
    const earlier = [...done].filter((node) => !now.includes(node));
    const failed = errorOfParts('node', [...earlier.map(donePart), ...parts]);
    if (failed !== null) return failed;
    const out = new ReplyWriter(1024);
    switch (this.command.combine) {
      case 'sum':
        out.integer(replies.reduce((sum, reply) => sum + integerOf(reply), 0));
        break;
      case 'concat': {
        const elements = replies.flatMap((reply) => elementsOf(reply));
        out.array(elements.length);
        for (const element of elements) out.raw(element, 0, element.length);
        break;
      }
      case 'any':
        return anyOf(replies);
      default:
        out.ok();
    }
    return wholeReply(out);
  }
}

function donePart(node: string): PartReply {
  return { names: [node], writes: true, reply: OK_REPLY };
}

/** One of the replies that are not nil, where there is one. */
function anyOf(replies: readonly Buffer[]): Buffer {
  const found = replies.filter((reply) => !NIL_REPLIES.includes(reply.toString('latin1')));
  const choices = found.length > 0 ? found : replies;
  return choices[Math.floor(Math.random() * choices.length)];
}
