/** Which commands need work on a large value before they run (see large-work.ts), and what is made of it
 *  when they are met again. Everything but the sizes is left to those who run commands. */

import {
  APPEND,
  CHUNK_BYTES,
  type Partition,
  RECORD_HEADER_BYTES,
  SET_OK,
  VOID,
} from '@ingot/store';
import { Counter } from '../metrics/layout.ts';
import { refusal, tooLarge } from '../commands/records.ts';
import type { Args } from '../resp/args.ts';
import type { Connection } from './connection.ts';
import { type Desk, type LargeCommands, Outcome } from './desk.ts';
import { type Command, type EditRequest, GROW, type MadeValue } from './execution.ts';
import { Copying, ROUNDS_MAX } from './copy-work.ts';
import { Scanning, type ValueScan } from './value-scan.ts';
import { keyIndexes } from './keys.ts';
import { Editing, type LargeValue, Staging } from './large-work.ts';
import type { QueuedCommand } from './transaction-state.ts';
import { needKind } from './held-replies.ts';

/** A command that lies in no more bytes has no value that is too large for one passage. */
export const PLAIN_SPAN_MAX: number = CHUNK_BYTES - RECORD_HEADER_BYTES;

/** A change of a part that reaches no further never takes more than one passage. */
const EDIT_BYTES: number = 4 * CHUNK_BYTES;
/** How often the values of a transaction may change while it is prepared. */
const TRIES_MAX = 16;

export class LargeValues implements LargeCommands {
  private readonly desk: Desk;
  /** What was copied for the command that runs. */
  private copying: Copying | null = null;

  constructor(desk: Desk) {
    this.desk = desk;
  }

  /** Null: the command may run now, if it is here that it runs; call `after` then. */
  before(connection: Connection, command: Command, args: Args): Outcome | null {
    const { desk } = this;
    const { large } = connection;
    desk.passage.close();
    if (large !== null) {
      connection.large = null;
      if (large instanceof Copying) {
        this.copying = large;
        desk.execution.values.given = large.copies;
        return null;
      }
      if (large instanceof Scanning) return this.tellScan(connection, large);
      const outcome = this.finish(connection, large);
      if (outcome !== RESTART) return outcome;
    }
    const values: LargeValue[] = [];
    const stays = connection.holdsCommand(args);
    const refused = this.collect(connection, command, args, values, stays);
    if (refused !== null) {
      desk.out.error(refused);
      return Outcome.done;
    }
    return this.start(connection, values);
  }

  /** As `before`, for commands of one transaction that run on partitions of this node. */
  beforeAll(connection: Connection, queued: readonly QueuedCommand[]): Outcome | null {
    const { desk } = this;
    const { large } = connection;
    if (large === null && queued.every((each) => this.isPlain(each))) return null;
    desk.passage.close();
    let tries = 0;
    if (large !== null) {
      connection.large = null;
      if (large instanceof Copying || large instanceof Scanning) large.drop();
      else if (large.result === SET_OK && large instanceof Staging) {
        if (large.isUpToDate() || large.tries >= TRIES_MAX) {
          desk.execution.staged = large;
          return null;
        }
        tries = large.tries + 1;
        large.drop();
      } else if (large.result !== VOID) return null;
    }
    const values: LargeValue[] = [];
    desk.execution.forgetHash();
    for (const { index, args } of queued) {
      const command = desk.lookup.commands[index];
      const refused = this.collect(connection, command, args, values, true);
      if (refused !== null) return null;
      this.collectEdit(connection, command, args, values);
    }
    return this.start(connection, values, tries);
  }

  private isPlain({ index, args }: QueuedCommand): boolean {
    if (args.span > PLAIN_SPAN_MAX) return false;
    const { edits } = this.desk.lookup.commands[index];
    return edits === undefined || edits.offset === 0 || !(args.integer(edits.offset) > EDIT_BYTES);
  }

  /** A change of a part, in a transaction, of more than a passage may take. */
  private collectEdit(
    connection: Connection,
    command: Command,
    args: Args,
    into: LargeValue[],
  ): void {
    const { edits } = command;
    if (edits === undefined) return;
    const bytes = args.bytes(edits.value);
    const offset = edits.offset === 0 ? APPEND : args.integer(edits.offset);
    if (bytes === 0 || Number.isNaN(offset) || offset < APPEND) return;
    if (edits.offset !== 0 && offset < 0) return;
    if (Math.max(offset, 0) + bytes <= EDIT_BYTES) return;
    const partition = this.desk.partition(this.desk.partitionOf(args, 1));
    if (partition === null || !this.isServed(connection, partition)) return;
    into.push({ ...this.valueOf(partition, args, 1, edits.value, true), offset });
  }

  /** A follower's reply lacks long values: they are copied first. Null: the values change all the time, and the
   *  command copies them inside the gate, now. */
  copy(connection: Connection, partition: Partition, command: Command, args: Args): Outcome | null {
    const { desk } = this;
    const round = this.copying === null ? 0 : this.copying.round + 1;
    if (round === ROUNDS_MAX) {
      desk.execution.values.hurried = true;
      return null;
    }
    const keys = keyIndexes(command.keys, args.count).map((i) => args.copy(i));
    const { allowance } = desk.host;
    connection.startLarge(new Copying(desk, partition, keys, allowance, round));
    return Outcome.held;
  }

  /** The command has run, or gone elsewhere. */
  after(): void {
    const { desk } = this;
    if (this.copying !== null) {
      this.copying.drop();
      this.copying = null;
      desk.execution.values.given = null;
      desk.execution.values.hurried = false;
    }
    const { staged } = desk.execution;
    if (staged === null) return;
    desk.execution.staged = null;
    desk.passage.close();
    staged.drop();
  }

  /** `execution.edit` says how the command changes more than one passage can. */
  edit(connection: Connection, partition: Partition, args: Args): Outcome {
    const { desk } = this;
    const { execution } = desk;
    const { key, value, offset } = execution.edit as EditRequest;
    execution.edit = null;
    desk.passage.close();
    const grows = value === GROW;
    const stays = connection.holdsCommand(args);
    const whole = this.valueOf(partition, args, key, grows ? key : value, stays);
    const edit = { ...whole, bytes: grows ? 0 : whole.bytes, offset, grows };
    connection.startLarge(new Editing(desk, edit));
    return Outcome.held;
  }

  /** `execution.made` is what the command wants to store. */
  make(connection: Connection, partition: Partition, args: Args): Outcome {
    const { desk } = this;
    const { execution } = desk;
    const { key, value, bytes, stamp } = execution.made as MadeValue;
    execution.made = null;
    desk.passage.close();
    const hash = execution.hash(args, key);
    const made = { partition, hash, key: args.copy(key), source: value, start: 0, bytes, stamp };
    const staging = new Staging(desk, [made]);
    staging.tries = (execution.staged?.tries ?? 0) + 1;
    connection.startLarge(staging);
    return Outcome.held;
  }

  /** `execution.scan` is what the command does with all of a value. */
  scan(connection: Connection, partition: Partition, args: Args): Outcome {
    const { desk } = this;
    const { execution } = desk;
    const scan = execution.scan as ValueScan;
    execution.scan = null;
    desk.passage.close();
    const hash = execution.hash(args, scan.key);
    const key = args.copy(scan.key);
    connection.startLarge(new Scanning(partition, hash, key, execution.nowMs, scan));
    return Outcome.held;
  }

  /** Null: the command finds its way anew. */
  private tellScan(connection: Connection, large: Scanning): Outcome | null {
    const { desk } = this;
    const { partition, epoch, slices, scan } = large;
    if (slices < 0 || epoch !== partition.epoch()) return null;
    if (!this.isServed(connection, partition)) return null;
    const { awaits } = connection;
    if (awaits !== 0) desk.held.need(partition.id, epoch, needKind(awaits, false));
    desk.host.counters.add(Counter.hits, 1);
    scan.tell(desk.out);
    return Outcome.done;
  }

  private start(connection: Connection, values: readonly LargeValue[], tries = 0): Outcome | null {
    if (values.length === 0) return null;
    const staging = new Staging(this.desk, values);
    staging.tries = tries;
    connection.startLarge(staging);
    return Outcome.held;
  }

  private finish(
    connection: Connection,
    large: Staging | Editing,
  ): Outcome | null | typeof RESTART {
    const { desk } = this;
    const { result } = large;
    if (result === VOID) return RESTART;
    if (large instanceof Staging) {
      if (result === SET_OK) {
        desk.execution.staged = large;
        return null;
      }
      const { partition, key, bytes } = large.failed as LargeValue;
      desk.out.error(refusal(result, partition, key.length, bytes));
      return Outcome.done;
    }
    const { partition, epoch, edit } = large;
    if (result >= 0 && edit.grows) return null;
    if (result >= 0) {
      connection.written[partition.id] = 1;
      const { awaits } = connection;
      if (awaits !== 0) desk.held.need(partition.id, epoch, needKind(awaits, true));
      desk.out.integer(result);
    } else desk.out.error(refusal(result, partition, edit.key.length, edit.bytes));
    return Outcome.done;
  }

  /** Values of the command that are too large for one passage, and are led here. Returns why one is too large
   *  for any, or null. */
  private collect(
    connection: Connection,
    command: Command,
    args: Args,
    into: LargeValue[],
    stays: boolean,
  ): string | null {
    const { desk } = this;
    if (command.value === undefined || args.span <= PLAIN_SPAN_MAX) return null;
    const toValue = command.value - command.keys.first;
    for (const key of keyIndexes(command.keys, args.count)) {
      const value = key + toValue;
      if (value >= args.count) continue;
      const keyBytes = args.bytes(key);
      const bytes = args.bytes(value);
      if (RECORD_HEADER_BYTES + keyBytes + bytes <= CHUNK_BYTES) continue;
      const partitionId = desk.partitionOf(args, key);
      const partition = desk.partition(partitionId);
      if (partition === null || !this.isServed(connection, partition)) continue;
      const refused = tooLarge(partition, keyBytes, bytes);
      if (refused !== null) return refused;
      into.push(this.valueOf(partition, args, key, value, stays));
    }
    return null;
  }

  /** Whether the command would run here if it were small. */
  private isServed(connection: Connection, partition: Partition): boolean {
    const { desk } = this;
    if (!partition.mayWrite() || partition.sealed() || !desk.host.lease.holds) return false;
    if (connection.refuses(partition.id) || desk.isBehind(connection, partition.id)) return false;
    const { awaits } = connection;
    return awaits === 0 || desk.held.suffice(partition.id, awaits);
  }

  /** `stays`: the arguments lie in memory that nobody else writes to meanwhile, a queued command's
   *  or the connection's own. What all connections are read into, gathered and unquoted in is
   *  written over at once. */
  private valueOf(
    partition: Partition,
    args: Args,
    key: number,
    value: number,
    stays: boolean,
  ): LargeValue {
    const hash = this.desk.execution.hash(args, key);
    const source = stays ? args.buf : args.copy(value);
    const start = stays ? args.start(value) : 0;
    return { partition, hash, key: args.copy(key), source, start, bytes: args.bytes(value) };
  }
}

const RESTART = -1;
