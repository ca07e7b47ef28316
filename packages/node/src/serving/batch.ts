/** Executes everything complete in a receive buffer: this is where the speed is.
 *
 *  1. Parse all commands into flat tables.
 *  2. Plan: per command its row, the hash and partition of its first key.
 *  3. Touch the buckets of all keys, then the slots they point to. These loads do not depend on
 *     each other, so their cache misses overlap; one by one they are most of what a GET costs.
 *  4. Execute in order, appending replies to one buffer. Plain GET and SET, which are most of what
 *     a cache is asked, have paths of their own that allocate nothing and call little.
 *  5. One write to the socket.
 *
 *  A command that must wait puts its connection on hold; the batch ends before it, and the caller
 *  comes back with the rest of the bytes.
 *  Owner: one per worker, used by all its connections in turn; nothing here outlives a call. */

import type { Buffer } from 'node:buffer';
import { performance } from 'node:perf_hooks';
import {
  type Partition,
  partitionOfSlot,
  placeKey,
  Prefetch,
  SET_OK,
  TORN_READS_MAX,
} from '@ingot/store';
import { arityHolds } from '../commands/row.ts';
import { Counter } from '../metrics/layout.ts';
import { Args } from '../resp/args.ts';
import { BATCH_COMMANDS_MAX, type Parser } from '../resp/parser.ts';
import { OneKey } from './command-lookup.ts';
import type { ReplyWriter } from '../resp/reply-writer.ts';
import { PauseMode } from './client-pause.ts';
import type { Connection } from './connection.ts';
import { Hold } from './hold.ts';
import { type Desk, Outcome } from './desk.ts';
import { replyTooLongText } from './limits.ts';
import type { Passage } from './passage.ts';
import { PINNED_BYTES_MIN, PinnedValue } from './pinned-value.ts';
import { ReplyMode } from './session.ts';
import type { Dispatch } from './dispatch.ts';
import { needKind } from './held-replies.ts';

/** A batch hands its output over at this size, so that a long pipeline holds little of it. */
const OUTPUT_BYTES_MAX: number = 256 * 1024;
/** What one connection may send before others have their turn, however fast its client reads: about 500 us. */
export const TURN_BYTES_MAX: number = 2 * 1024 * 1024;

/** For how long one connection executes before others have their turn. */
export const TURN_MS_MAX = 0.5;
/** So many plain commands take about 30 us: the clock is looked at then. */
const LOOK_EVERY = 64;

/** Plans beside the indexes of rows (0 and up). */
const UNKNOWN = -1;
const PLAIN_GET = -2;
const PLAIN_SET = -3;

/** 'get' and 'set' as little-endian words, lower case. */
const WORD_GET = 0x746567;
const WORD_SET = 0x746573;
const LOWER = 0x202020;
const THREE_BYTES = 0xffffff;

const STAR = 0x2a;

/** Imported constants are loaded and checked where they are used; those of a module itself are not. */
const TRIES_MAX: number = TORN_READS_MAX;
const PINNED_FROM: number = PINNED_BYTES_MIN;
const SET_DONE: number = SET_OK;

/** A command with more arguments may take long. */
const FEW_ARGUMENTS = 8;

export class BatchExecutor {
  private readonly desk: Desk;
  private readonly dispatch: Dispatch;
  private readonly out: ReplyWriter;
  private readonly passage: Passage;
  private readonly partitions: readonly (Partition | null)[];
  private readonly parser: Parser;
  private readonly onWrote: () => void;
  private readonly args: Args = new Args();
  private readonly getIndex: number;
  private readonly setIndex: number;

  private readonly plans: Int16Array = new Int16Array(BATCH_COMMANDS_MAX);
  private readonly hashes: Int32Array = new Int32Array(BATCH_COMMANDS_MAX);
  private readonly slots: Uint16Array = new Uint16Array(BATCH_COMMANDS_MAX);
  private readonly partitionIds: Int16Array = new Int16Array(BATCH_COMMANDS_MAX);
  private readonly prefetch: Prefetch = new Prefetch(BATCH_COMMANDS_MAX);
  private connection!: Connection;
  /** There is a lease, at the beginning of the batch, and nobody wants every command looked at. */
  private mayBePlain = false;
  /** Of the partition of the latest plain command of a connection with acks=isr, as it ran. */
  private epoch = 0;
  /** The first of the connection's commands among those that were parsed, and where it begins. */
  private firstCommand = 0;
  private parsedFrom = 0;
  /** The batch's time, boxed once: a field that only ever held doubles would be boxed anew at each call that takes it. */
  private boxedNowMs: number | null = null;
  private hits = 0;
  private misses = 0;
  private sets = 0;
  /** Sent since the batch began. */
  private turnBytes = 0;
  /** When the clock was looked at first in this batch; 0: not yet. */
  private turnSinceMs = 0;

  /** `onWrote` is called after a batch that wrote: replication may be asleep. */
  constructor(desk: Desk, dispatch: Dispatch, parser: Parser, onWrote: () => void) {
    this.desk = desk;
    this.dispatch = dispatch;
    this.out = desk.out;
    this.passage = desk.passage;
    this.partitions = desk.host.partitions;
    this.parser = parser;
    this.onWrote = onWrote;
    this.getIndex = desk.lookup.indexOf('get');
    this.setIndex = desk.lookup.indexOf('set');
  }

  /** Executes what is complete in [start, end) for this connection; returns how far it came. */
  run(connection: Connection, buffer: Buffer, start: number, end: number): number {
    const { desk, parser, out } = this;
    if (!this.begin(connection)) return start;
    this.firstCommand = 0;
    let at = start;
    for (;;) {
      if (desk.host.auth.required) parser.restrict(!connection.authenticated);
      this.parsedFrom = at;
      parser.parse(buffer, at, end, connection.long);
      connection.long = parser.long;
      connection.wanted = parser.wanted;
      const before = at;
      const count = parser.commands;
      if (count > 0) {
        this.plan(count);
        if (count > 1) this.prefetch.run(this.partitions, this.partitionIds, this.hashes, count);
        const done = this.execute(0, count);
        if (done > 0) this.noteLast(this.plans[done - 1]);
        if (done < count) {
          if (done > 0) at = parser.ends[done - 1];
          // What is still arriving is not the next thing to parse: it will be found again.
          connection.long = null;
          break;
        }
      }
      at = parser.consumed;
      if (parser.skipped > 0) this.dispatch.refuseSkipped(connection, parser.skipped);
      if (connection.hold !== 0 || connection.closing) break;
      if (parser.error !== null) {
        desk.host.counters.add(Counter.protocolErrors, 1);
        if (parser.broken !== null) desk.host.limits.strike(parser.broken, connection);
        out.error(parser.error);
        connection.closeAfterReplies();
        break;
      }
      if (at === before || at === end || this.isTurnOver()) break;
    }

    this.end();
    return at;
  }

  /** Commands of several connections are to be planned together, all of them in `buffer`. */
  beginPlan(buffer: Buffer): void {
    const { parser } = this;
    const { auth, snapshots } = this.desk.host;
    if (snapshots !== null) snapshots.look();
    if (auth.required) parser.restrict(false);
    parser.parse(buffer, 0, 0, null);
  }

  /** How many commands have been added. */
  get planned(): number {
    return this.parser.commands;
  }

  /** Adds what a connection was sent, if that is whole commands and nothing else. */
  addToPlan(start: number, end: number): boolean {
    return this.parser.add(start, end);
  }

  finishPlan(): void {
    const count = this.parser.commands;
    this.plan(count);
    if (count > 1) this.prefetch.run(this.partitions, this.partitionIds, this.hashes, count);
  }

  /** Executes the commands [from, to) of those that were planned, this connection's, the first of which begins at
   *  `start`; returns before which byte it came to an end, or -1: it executed them all. */
  runPlanned(connection: Connection, start: number, from: number, to: number): number {
    if (!this.begin(connection)) return start;
    this.firstCommand = from;
    this.parsedFrom = start;
    const done = this.execute(from, to);
    if (done > from) this.noteLast(this.plans[done - 1]);
    this.end();
    if (done === to) return -1;
    return done > from ? this.parser.ends[done - 1] : start;
  }

  /** False: it has to wait. */
  private begin(connection: Connection): boolean {
    const { execution, out, host } = this.desk;
    const { live, pause, lease, turn } = host;
    if (pause.mode === PauseMode.all && !connection.isLink) {
      connection.hold |= Hold.paused;
      return false;
    }
    turn.begin();
    const { nowMs } = turn;
    const isHere = lease.holds && host.snapshots === null;
    this.mayBePlain = isHere && !live.precise && pause.mode === PauseMode.none;
    this.connection = connection;
    this.turnBytes = 0;
    this.turnSinceMs = 0;
    connection.lastActiveAtMs = nowMs;
    execution.nowMs = nowMs;
    this.boxedNowMs = nowMs;
    execution.session = connection;
    out.protocol = connection.protocol;
    return true;
  }

  private end(): void {
    const { desk, connection } = this;
    desk.passage.close();
    connection.outbox.endBatch(desk.out);
    desk.forwarding.flushSoon();
    this.tellOfWrites();
  }

  private plan(count: number): void {
    const { parser, desk, plans, hashes, slots, partitionIds } = this;
    const { buffer, view, args, firstArgs, argCounts } = parser;
    const { partitions } = desk.host.map;
    for (let i = 0; i < count; i++) {
      const first = firstArgs[i] << 1;
      const argCount = argCounts[i];
      const nameStart = args[first];
      const nameBytes = args[first + 1];
      let plan = UNKNOWN;
      let keyAt = 1;
      if (nameBytes === 3) {
        // Behind a name there is a line's end at least, or the rest of the buffer for words.
        const word = (view.getInt32(nameStart, true) & THREE_BYTES) | LOWER;
        if (word === WORD_GET && argCount === 2) plan = PLAIN_GET;
        else if (word === WORD_SET && argCount === 3) plan = PLAIN_SET;
      }
      if (plan === UNKNOWN) {
        plan = desk.lookup.find(buffer, nameStart, nameBytes);
        keyAt = plan < 0 ? 0 : desk.lookup.firstKeys[plan];
        if (keyAt >= argCount) keyAt = 0;
      }
      plans[i] = plan;
      if (keyAt === 0) {
        partitionIds[i] = -1;
        continue;
      }
      const keyStart = args[first + (keyAt << 1)];
      const keyBytes = args[first + (keyAt << 1) + 1];
      placeKey(view, keyStart, keyBytes, hashes, slots, i);
      partitionIds[i] = partitionOfSlot(slots[i], partitions);
    }
  }

  /** The first look begins to count: most batches are over before. */
  private isTurnOver(): boolean {
    const nowMs = performance.now();
    if (this.turnSinceMs === 0) this.turnSinceMs = nowMs;
    if (nowMs - this.turnSinceMs < TURN_MS_MAX) return false;
    this.desk.passage.close();
    this.connection.yieldTurn();
    return true;
  }

  /** Executes the commands [from, count); returns before which one it came to an end, because the connection was put on
   *  hold. */
  private execute(from: number, count: number): number {
    const { connection, plans, desk, parser, args, out } = this;
    for (let i = from; i < count; i++) {
      if (i % LOOK_EVERY === LOOK_EVERY - 1 && this.isTurnOver()) return i;
      const written = out.length + out.lentBytes;
      if (written > OUTPUT_BYTES_MAX) {
        desk.passage.close();
        connection.outbox.emit(desk.out);
        this.turnBytes += written;
        if (this.turnBytes > TURN_BYTES_MAX) connection.yieldTurn();
        if (connection.hold !== 0 || connection.closing) return i;
      }
      const plan = plans[i];
      if (connection.plain && this.mayBePlain) {
        const mark = out.length;
        if (plan === PLAIN_GET) {
          if (this.get(i)) {
            if (connection.awaits !== 0) this.noteAwaits(i, false, mark);
            continue;
          }
        } else if (plan === PLAIN_SET) {
          if (this.set(i)) {
            if (connection.awaits !== 0) this.noteAwaits(i, true, mark);
            continue;
          }
        }
        if (this.pass(i)) {
          if (connection.hold !== 0) return i + 1;
          continue;
        }
      }
      const first = parser.firstArgs[i];
      args.aim(parser.buffer, parser.args, first, parser.argCounts[i]);
      if (this.general(plan, i) === Outcome.held) return i;
      if (connection.hold !== 0 || connection.closing) return i + 1;
      if (i + 1 < count && this.mayBeLong(plan) && this.isTurnOver()) return i + 1;
    }
    return count;
  }

  private indexOf(plan: number): number {
    return plan === PLAIN_GET ? this.getIndex : plan === PLAIN_SET ? this.setIndex : plan;
  }

  /** The command in hand. */
  private mayBeLong(plan: number): boolean {
    if (this.args.count > FEW_ARGUMENTS) return true;
    return plan >= 0 && this.desk.lookup.commands[plan].mayBeSlow === true;
  }

  /** CLIENT LIST shows it: once per batch is enough. */
  private noteLast(plan: number): void {
    if (plan !== UNKNOWN)
      this.connection.lastCommand = this.desk.lookup.commands[this.indexOf(plan)].name;
  }

  private general(plan: number, i: number): Outcome {
    const { desk, connection, args } = this;
    const { execution, out, lookup } = desk;
    const index = this.indexOf(plan);
    if (this.partitionIds[i] !== -1) {
      const keyAt = lookup.firstKeys[index];
      execution.rememberHash(args.start(keyAt), this.hashes[i]);
    } else {
      execution.forgetHash();
    }
    const from = out.mark();
    const isTimed = desk.host.live.watches && index >= 0 && this.isTimed(index);
    const startedMs = isTimed ? performance.now() : 0;
    const outcome =
      connection.replyMode === ReplyMode.on
        ? this.dispatch.run(connection, index, args)
        : this.runMuted(index);
    if (isTimed) this.time(index, startedMs);
    if (connection.replyMode !== ReplyMode.on) this.mute(from, outcome);
    out.protocol = connection.protocol;
    if (out.overflowed) {
      out.rewind(Math.min(from, out.length));
      out.error(replyTooLongText(out.limitBytes));
      desk.host.limits.strike('reply', connection);
    }
    desk.held.noteFresh(Math.min(from, out.length), out.length);
    return outcome;
  }

  /** CLIENT REPLY OFF, or SKIP before this command. */
  private runMuted(index: number): Outcome {
    const { connection } = this;
    if (connection.replyMode === ReplyMode.skipNext) connection.replyMode = ReplyMode.skipping;
    return this.dispatch.run(connection, index, this.args);
  }

  private mute(from: number, outcome: Outcome): void {
    const { connection } = this;
    const { out } = this.desk;
    if (outcome === Outcome.held) {
      if (connection.replyMode === ReplyMode.skipping) connection.replyMode = ReplyMode.skipNext;
      return;
    }
    out.rewind(Math.min(from, out.length));
    if (connection.replyMode === ReplyMode.skipping) connection.replyMode = ReplyMode.on;
  }

  /** What may take long by its nature, or everything where short times are asked for. */
  private isTimed(index: number): boolean {
    const { args, desk } = this;
    const isSlow = desk.lookup.commands[index].mayBeSlow === true || args.count > FEW_ARGUMENTS;
    return isSlow || desk.host.live.precise;
  }

  private time(index: number, startedMs: number): void {
    const { connection, args, desk } = this;
    const { live, slowLog } = desk.host;
    const microseconds = (performance.now() - startedMs) * 1000;
    if (microseconds < live.timedFromUs) return;
    const command = desk.lookup.commands[index];
    slowLog.took(command, args, connection, microseconds, desk.execution.nowMs);
  }

  /** A command about one key that is led by another node goes there as it is; false when somebody else must see to it. */
  private pass(i: number): boolean {
    const { desk, connection, parser } = this;
    const partitionId = this.partitionIds[i];
    if (partitionId < 0 || connection.listener !== 'client') return false;
    const index = this.indexOf(this.plans[i]);
    const oneKey = desk.lookup.oneKey[index];
    if (oneKey === OneKey.no || !arityHolds(desk.lookup.commands[index], parser.argCounts[i])) {
      return false;
    }
    const partition = desk.host.partitions[partitionId];
    if (partition !== null && (partition.mayWrite() || partition.sealed())) return false;
    if (connection.awaits !== 0 || connection.large !== null || desk.out.lentBytes > 0)
      return false;
    const { buffer, ends } = parser;
    const start = i === this.firstCommand ? this.parsedFrom : ends[i - 1];
    if (parser.isInline || buffer[start] !== STAR) return false;
    desk.passage.close();
    const { forwarding, out } = desk;
    if (!forwarding.pass(connection, partitionId, buffer, start, ends[i], out.length)) return false;
    if (oneKey === OneKey.write) connection.written[partitionId] = 1;
    return true;
  }

  /** Plain GET of a key that is led here; false when somebody else must see to it. */
  private get(i: number): boolean {
    const { parser, desk, out, passage, connection } = this;
    const partitionId = this.partitionIds[i];
    const partition = this.partitions[partitionId];
    if (partition === null) return false;
    if (connection.repliesDue && desk.isBehind(connection, partitionId)) return false;
    const { buffer, args } = parser;
    const cell = (parser.firstArgs[i] + 1) << 1;
    const keyStart = args[cell];
    const keyBytes = args[cell + 1];
    const hash = this.hashes[i];
    const nowMs = this.boxedNowMs as number;
    const mark = out.length;
    // Inside a passage of ours the gate is odd: the read protocol would wait for ourselves.
    if (passage.inside !== null) passage.close();
    for (let tries = 0; tries < TRIES_MAX; tries++) {
      const token = partition.readBegin();
      if (!partition.mayWrite()) return false;
      const ref = partition.find(hash, buffer, keyStart, keyBytes, nowMs);
      if (connection.awaits !== 0) this.epoch = partition.epoch();
      if (ref === 0) {
        if (!partition.readEnd(token)) continue;
        out.nil();
        this.misses++;
        return true;
      }
      const valueBytes = partition.valueBytes(ref);
      if (valueBytes >= PINNED_FROM) {
        // A link of many clients refuses it where it is long.
        if (connection.refusesLong) return false;
        return this.getPinned(partition, ref, token);
      }
      if (!partition.isInOnePiece(ref)) return false;
      const image = partition.imageBuffer;
      const valueStart = partition.valueOffset(ref);
      // Torn, these may say anything; the copy must stay inside the image all the same.
      if (valueStart + valueBytes <= image.length)
        out.bulkOf(image, partition.imageView, valueStart, valueBytes);
      if (partition.readEnd(token)) {
        partition.mark(ref);
        this.hits++;
        return true;
      }
      out.rewind(mark);
    }
    return false;
  }

  /** A long value is sent from where it lies; false where the read was torn, or the value cannot leave with its batch:
   *  it is looked at once more. */
  private getPinned(partition: Partition, ref: number, token: number): boolean {
    const { connection, desk } = this;
    if (connection.awaits !== 0 || connection.repliesDue) return false;
    const pin = partition.values.pinRead(ref, token, desk.execution.nowMs);
    if (pin === null) return false;
    const value = new PinnedValue(partition, pin, pin.views, pin.bytes);
    if (!desk.out.lend(value)) {
      value.release();
      return false;
    }
    this.hits++;
    return true;
  }

  /** Plain SET of a key that is led here; false when somebody else must see to it. */
  private set(i: number): boolean {
    const { parser, desk, connection } = this;
    const partitionId = this.partitionIds[i];
    const partition = this.partitions[partitionId];
    if (partition === null) return false;
    if (connection.repliesDue && desk.isBehind(connection, partitionId)) return false;
    const { awaits, written } = connection;
    if (awaits !== 0 && !desk.held.suffice(partitionId, awaits)) return false;
    if (!this.passage.open(partition)) return false;
    if (awaits !== 0) this.epoch = partition.epoch();
    written[partitionId] = 1;
    const { buffer, args } = parser;
    const cell = (parser.firstArgs[i] + 1) << 1;
    const code = partition.set(
      this.hashes[i],
      buffer,
      args[cell],
      args[cell + 1],
      buffer,
      args[cell + 2],
      args[cell + 3],
      0,
      this.boxedNowMs as number,
    );
    // The general path finds the words for a refusal; nothing was changed.
    if (code !== SET_DONE) return false;
    this.out.ok();
    this.sets++;
    return true;
  }

  /** The plain command `i` was answered with what the output has from `from` on. */
  private noteAwaits(i: number, writes: boolean, from: number): void {
    const { desk, partitionIds, connection } = this;
    const kind = needKind(connection.awaits, writes);
    desk.held.note(partitionIds[i], this.epoch, kind, from, desk.out.length);
  }

  /** What was counted since the last time took so long. */
  settleCounts(seconds: number): void {
    const { desk } = this;
    const { counters } = desk.host;
    // The plain ones.
    desk.calls.count(this.getIndex, this.hits + this.misses);
    desk.calls.count(this.setIndex, this.sets);
    desk.calls.flush(counters, seconds);
    if (this.hits > 0) counters.add(Counter.hits, this.hits);
    if (this.misses > 0) counters.add(Counter.misses, this.misses);
    this.hits = 0;
    this.misses = 0;
    this.sets = 0;
  }

  private tellOfWrites(): void {
    const { desk } = this;
    if (!desk.passage.wrote) return;
    desk.passage.wrote = false;
    if (this.connection.awaits !== 0) desk.held.hurrySoon(this.connection.awaits);
    else this.onWrote();
  }
}
