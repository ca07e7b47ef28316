/** Every command but plain GET and SET: by the kind of its row, to whoever runs that kind.
 *  Settles what `Command.run` may rely on: arity, one partition, an owner who may answer. */

import { Buffer } from 'node:buffer';
import { type Partition, partitionOfSlot } from '@ingot/store';
import {
  execAborted,
  NOT_AUTHENTICATED,
  unknownCommand,
  valueTooLarge,
  wrongArity,
} from '../commands/errors.ts';
import { arityHolds } from '../commands/row.ts';
import type { Args } from '../resp/args.ts';
import { PauseMode } from './client-pause.ts';
import type { Connection } from './connection.ts';
import { Hold } from './hold.ts';
import { type Desk, Outcome } from './desk.ts';
import type { Command } from './execution.ts';
import { runSplit } from './fan-out.ts';
import { GatherReads } from './gather.ts';
import { isInternal, runInternal } from './internal-commands.ts';
import { onePartition } from './keys.ts';
import { runKeyspace } from './keyspace.ts';
import { LargeValues, PLAIN_SPAN_MAX } from './large-values.ts';
import { runHere, runOnCopy } from './local-run.ts';
import { chooseLink, LINK_REPLY_BYTES_MAX, refuseLong, sinkOf } from './own-links.ts';
import { keepLent, sendPinned } from './pinned-value.ts';
import type { Route } from './routing.ts';
import { runWait } from './wait.ts';
import type { Transactions } from './transactions.ts';

const CROSSSLOT_TEXT = "CROSSSLOT Keys in request don't hash to the same slot";
/** To clients that know nothing of slots. */
const NEEDS_TAG_TEXT = `${CROSSSLOT_TEXT} (give them one {tag}, as in {a}1 and {a}2)`;
/** What a browser sends first. Redis closes such connections without an answer, so that a web page
 *  cannot make a visitor's browser write into a cache on the visitor's network; so do we. */
const HTTP_WORDS: readonly string[] = ['POST', 'HOST:'];
/** Commands that are not queued between MULTI and EXEC. */
const NEVER_QUEUED: ReadonlySet<string> = new Set([
  'multi',
  'exec',
  'discard',
  'watch',
  'quit',
  'reset',
]);

const ERROR = 0x2d;
/** What such a reply begins with. */
const VALUE_TOO_LARGE: Buffer = Buffer.from('-ERR value of ');

export class Dispatch {
  private readonly desk: Desk;
  private readonly transactions: Transactions;
  private readonly gather: GatherReads;

  constructor(desk: Desk, transactions: Transactions) {
    this.desk = desk;
    this.transactions = transactions;
    this.gather = new GatherReads(desk);
    desk.large = new LargeValues(desk);
  }

  /** One command; `named` is its row, or -1. Counts it, unless held, forwarded or refused. */
  run(connection: Connection, named: number, args: Args): Outcome {
    const { desk } = this;
    const { out, calls } = desk;
    const index = desk.lookup.settle(named, args);
    const command = desk.lookup.commands[index];
    if (command === undefined) {
      this.unknown(connection, args);
      return Outcome.done;
    }
    const from = out.mark();
    if (desk.host.pause.mode !== PauseMode.none && this.pauses(connection, command))
      return Outcome.held;
    const queueing = connection.transaction !== null && !NEVER_QUEUED.has(command.name);
    const outcome = this.execute(connection, index, command, args, queueing);
    if (outcome !== Outcome.done || queueing) return outcome;
    calls.count(named);
    if (out.length > from && out.buffer[from] === ERROR) {
      calls.error(named, out.buffer, from);
      if (
        out.buffer.compare(
          VALUE_TOO_LARGE,
          0,
          VALUE_TOO_LARGE.length,
          from,
          from + VALUE_TOO_LARGE.length,
        ) === 0
      )
        this.noteTooLarge(connection, args.span);
    }
    return outcome;
  }

  private execute(
    connection: Connection,
    index: number,
    command: Command,
    args: Args,
    queueing: boolean,
  ): Outcome {
    const { desk } = this;
    if (!arityHolds(command, args.count)) {
      this.reject(connection, command, wrongArity(command.name));
      return Outcome.done;
    }
    if (!connection.authenticated && !command.flags.includes('no_auth')) {
      this.reject(connection, command, NOT_AUTHENTICATED);
      return Outcome.done;
    }
    if (queueing) return this.transactions.queue(connection, index, command, args);
    switch (command.kind) {
      case 'transaction':
        return this.transactions.run(connection, command, args);
      case 'keyspace':
        return runKeyspace(desk, connection, command, args);
      case 'connection':
        if (isInternal(command)) return runInternal(desk, connection, command, args);
        if (command.name === 'wait') return runWait(desk, connection, args);
        desk.passage.close();
        command.run(desk.execution, args, desk.out);
        return Outcome.done;
      default:
        return this.keyed(connection, command, args);
    }
  }

  private noteTooLarge(connection: Connection, bytes: number): void {
    this.desk.passage.close();
    this.desk.host.limits.strike('value', connection, { bytes });
  }

  private pauses(connection: Connection, command: Command): boolean {
    const holds = this.desk.host.pause.holds(connection, command, () =>
      this.transactions.writesQueued(connection),
    );
    if (holds) connection.hold |= Hold.paused;
    return holds;
  }

  /** Not even tried. An EXEC that is not ends its transaction. */
  private reject(connection: Connection, command: Command, text: string): void {
    const isExec = command.name === 'exec';
    this.desk.out.error(isExec ? execAborted(text) : text);
    if (isExec) this.transactions.forget(connection);
    else if (connection.transaction !== null) connection.transaction.aborted = true;
  }

  private keyed(connection: Connection, command: Command, args: Args): Outcome {
    if (connection.large === null && args.span <= PLAIN_SPAN_MAX) {
      return this.small(connection, command, args);
    }
    const { large } = this.desk;
    const outcome = large.before(connection, command, args);
    if (outcome !== null) return outcome;
    const result = this.small(connection, command, args);
    large.after();
    return result;
  }

  /** Whatever is large about it has been seen to. */
  private small(connection: Connection, command: Command, args: Args): Outcome {
    const { desk } = this;
    const { out } = desk;
    const slot = desk.slotOf(args, command.keys.first);
    const several = command.keys.last !== command.keys.first;
    if (
      command.split === 'gather' &&
      connection.listener === 'client' &&
      connection.large === null
    ) {
      if (this.gather.run(connection, args)) return Outcome.done;
    }
    const partitionId = several
      ? onePartition(desk, command, args)
      : partitionOfSlot(slot, desk.host.map.partitions);
    if (partitionId < 0) {
      if (connection.listener === 'client' && command.split !== undefined) {
        desk.passage.close();
        return runSplit(desk, connection, command, args);
      }
      out.error(connection.listener === 'client' ? NEEDS_TAG_TEXT : CROSSSLOT_TEXT);
      return Outcome.done;
    }
    if (connection.refuses(partitionId)) return desk.turnAway(connection, partitionId, PARK);
    const partition = desk.partition(partitionId);
    if (desk.lacksReplicas(connection, command, partitionId)) {
      desk.passage.close();
      desk.held.refuse(out, connection.awaits);
      return Outcome.done;
    }
    if (partition !== null && !desk.isBehind(connection, partitionId)) {
      const mark = out.mark();
      const { lentBytes } = out;
      desk.execution.maySlice = true;
      const ran =
        (command.sends === 'value' && sendPinned(desk, connection, partition, args)) ||
        runHere(desk, command, partition, args, out);
      desk.execution.maySlice = false;
      if (ran) {
        const bytes = out.length - mark + out.lentBytes - lentBytes;
        if (connection.refusesLong && command.kind === 'read' && bytes > LINK_REPLY_BYTES_MAX) {
          out.rewind(mark);
          return refuseLong(desk, connection, partitionId);
        }
        keepLent(desk, connection, mark);
        return Outcome.done;
      }
      if (desk.execution.scan !== null) return desk.large.scan(connection, partition, args);
      if (desk.execution.made !== null) return desk.large.make(connection, partition, args);
      if (desk.execution.edit !== null) return desk.large.edit(connection, partition, args);
    }
    desk.passage.close();
    const to = desk.route(connection, partitionId, slot, command.kind === 'read');
    switch (to.to) {
      case 'peer': {
        const waits = desk.awaitRoom(connection, to);
        if (waits !== null) return waits;
        if (!chooseLink(desk, connection, partitionId, args.span)) return Outcome.held;
        const sink = sinkOf(connection, args);
        if (command.kind === 'write') connection.written[partitionId] = 1;
        desk.forwarding.forward(to.node, connection, partitionId, null, args, 0, sink);
        return Outcome.forwarded;
      }
      case 'copy':
        if (partition !== null && this.onCopy(connection, command, partition, args)) {
          return Outcome.done;
        }
        if (connection.large !== null) return Outcome.held;
        return desk.turnAway(connection, partitionId, PARK);
      case 'here':
        // It became ours since it was tried: try again.
        return this.keyed(connection, command, args);
      default:
        return desk.turnAway(connection, partitionId, to);
    }
  }

  /** A read of a follower copy; false where it is none, or `connection.large` prepares it. */
  private onCopy(
    connection: Connection,
    command: Command,
    partition: Partition,
    args: Args,
  ): boolean {
    const { desk } = this;
    const { values } = desk.execution;
    const mark = desk.out.mark();
    let ran = runOnCopy(desk, command, partition, args, desk.out);
    if (!ran && values.asked) {
      if (desk.large.copy(connection, partition, command, args) !== null) return false;
      ran = runOnCopy(desk, command, partition, args, desk.out);
    }
    keepLent(desk, connection, mark);
    return ran;
  }

  /** A command with an argument that is longer than any value may be; it was not kept. */
  refuseSkipped(connection: Connection, bytes: number): void {
    this.noteTooLarge(connection, bytes);
    this.desk.out.error(valueTooLarge(bytes, this.desk.host.map.valueMaxBytes));
    if (connection.transaction !== null) connection.transaction.aborted = true;
  }

  private unknown(connection: Connection, args: Args): void {
    if (HTTP_WORDS.some((word) => args.is(0, word))) {
      connection.closing = true;
      connection.destroy();
      return;
    }
    this.desk.out.error(unknownCommand(args));
    if (connection.transaction !== null) connection.transaction.aborted = true;
  }
}

const PARK: Route = { to: 'park' };
