/** WAIT followers ms: how many followers have acknowledged everything this connection wrote.
 *
 *  What it wrote is known by partition, so the answer may wait for other clients' writes to the same
 *  ones, too. A partition that another node leads is asked about there (INGOT.SEQS, INGOT.ACKED):
 *  not through a reply that stays away, because other clients' replies come behind it, but by asking
 *  again. Where nobody answers, or the lead has moved, whoever leads it then is asked. The count is the smallest of all partitions. The connection stands still meanwhile, as in
 *  Redis; earlier replies come first, so what was forwarded has been executed.
 *  Between MULTI and EXEC it waits for nobody: it counts what the followers have of what came before
 *  the transaction. Other nodes are asked once. */

import { Buffer } from 'node:buffer';
import type { Args } from '../resp/args.ts';
import { ReplyWriter } from '../resp/reply-writer.ts';
import { NO_TIMEOUT, NOT_AN_INTEGER, TIMEOUT_NEGATIVE } from '../commands/errors.ts';
import type { MapNode } from '../shared/map.ts';
import type { Blocked } from './client-state.ts';
import type { Connection } from './connection.ts';
import { Hold } from './hold.ts';
import { type Desk, Outcome } from './desk.ts';
import type { BoardWaiter } from './held-replies.ts';
import { integerOf, wholeReply } from './joined-reply.ts';
import { encode } from './peer-link.ts';
import type { ReplySink } from './reply-queue.ts';

const ASK_AGAIN_MS = 10;
const FOLLOW_AGAIN_MS = 50;
const UNBLOCKED = 'UNBLOCKED client unblocked via CLIENT UNBLOCK';
const COLON = 0x3a;
const PLUS = 0x2b;

export function runWait(desk: Desk, connection: Connection, args: Args): Outcome {
  const { out } = desk;
  const malformed = whyMalformed(args);
  if (malformed !== null) {
    out.error(malformed);
    return Outcome.done;
  }
  const wanted = args.integer(1);
  const timeoutMs = args.integer(2);
  desk.passage.close();
  if (connection.repliesDue) {
    connection.hold |= Hold.replies;
    return Outcome.held;
  }
  const { here, elsewhere } = writtenBy(desk, connection);
  const tokens = here.map((id) => seqToken(desk, id));
  if (elsewhere.size === 0) {
    const count = ackedBy(desk, tokens);
    if (count >= wanted) {
      out.integer(count);
      return Outcome.done;
    }
  }
  const sink = connection.outbox.reserve();
  connection.hold |= Hold.work;
  const deadlineMs =
    timeoutMs === 0 ? Number.POSITIVE_INFINITY : desk.host.monotonicMs() + timeoutMs;
  const waiting = new Waiting(desk, connection, tokens, wanted, deadlineMs, sink);
  for (const [node, partitions] of elsewhere) waiting.follow(node, partitions);
  waiting.begin();
  return Outcome.done;
}

/** Whether `countNow` has to ask other nodes. */
export function wroteElsewhere(desk: Desk, connection: Connection): boolean {
  return writtenBy(desk, connection).elsewhere.size > 0;
}

/** WAIT in a transaction: `sink` gets an array of its one reply. */
export function countNow(desk: Desk, connection: Connection, args: Args, sink: ReplySink): void {
  const malformed = whyMalformed(args);
  if (malformed !== null) {
    sink.settle(Buffer.from(`*1\r\n-${malformed}\r\n`));
    return;
  }
  const { here, elsewhere } = writtenBy(desk, connection);
  const counts =
    here.length > 0
      ? [
          ackedBy(
            desk,
            here.map((id) => seqToken(desk, id)),
          ),
        ]
      : [];
  let missing = elsewhere.size;
  const settle = (): void => {
    if (missing > 0) return;
    const count = counts.length > 0 ? Math.min(...counts) : 0;
    sink.settle(Buffer.from(`*1\r\n:${count}\r\n`));
  };
  settle();
  for (const [node, partitions] of elsewhere) {
    const answered = (count: number): void => {
      counts.push(count);
      missing--;
      settle();
    };
    askSeqs(desk, connection, node, partitions, (tokens) => {
      if (tokens === null) answered(0);
      else askAcked(desk, connection, node, tokens, (count) => answered(count ?? 0));
    });
  }
}

function whyMalformed(args: Args): string | null {
  const timeoutMs = args.integer(2);
  if (Number.isNaN(args.integer(1))) return NOT_AN_INTEGER;
  if (Number.isNaN(timeoutMs)) return NO_TIMEOUT;
  return timeoutMs < 0 ? TIMEOUT_NEGATIVE : null;
}

/** What is committed of these partitions at the node that leads them; null is no answer. */
function askSeqs(
  desk: Desk,
  connection: Connection,
  node: MapNode,
  partitions: readonly number[],
  answered: (tokens: string[] | null) => void,
): void {
  const question = encode(['INGOT.SEQS', ...partitions.map(String)]);
  const settle = (reply: Buffer): void => {
    const isAnswer = reply[0] === PLUS;
    answered(isAnswer ? reply.toString('latin1', 1, reply.length - 2).split(' ') : null);
  };
  desk.forwarding.ask(node, connection, question, { settle });
  desk.forwarding.flush();
}

/** How many followers have all of that; null is no answer. */
function askAcked(
  desk: Desk,
  connection: Connection,
  node: MapNode,
  tokens: readonly string[],
  answered: (count: number | null) => void,
): void {
  const settle = (reply: Buffer): void => {
    answered(reply[0] === COLON ? integerOf(reply) : null);
  };
  desk.forwarding.ask(node, connection, encode(['INGOT.ACKED', ...tokens]), { settle });
  desk.forwarding.flush();
}

/** `partition.epoch.seq`: what is committed now. */
export function seqToken(desk: Desk, partitionId: number): string {
  const partition = desk.partition(partitionId);
  const epoch = partition?.epoch() ?? 0;
  const seq = partition?.committedSeq() ?? 0;
  // A follower's seq, or one of another epoch, is acknowledged by nobody.
  const leads = partition?.mayWrite() === true && partition.epoch() === epoch;
  return `${partitionId}.${leads ? epoch : 0}.${seq}`;
}

/** How many followers have what all of these tokens say; 0 where one makes no sense. */
export function ackedBy(desk: Desk, tokens: readonly string[]): number {
  const { board } = desk.held;
  let least = Number.POSITIVE_INFINITY;
  for (const token of tokens) {
    const [partitionId, epoch, seq] = token.split('.').map(Number);
    const known = desk.partition(partitionId) !== null && epoch > 0;
    least = Math.min(least, known ? board.countOf(partitionId, epoch, seq) : 0);
  }
  return Number.isFinite(least) ? least : 0;
}

/** Who has written nothing asks about all that is led here. */
function writtenBy(desk: Desk, { written }: Connection): Led {
  const { map, nodeId } = desk.host;
  const any = written.includes(1);
  const ids = map.placement.keys();
  return ledBy(desk, [
    ...ids.filter((id) => (any ? written[id] === 1 : map.placement[id].primary === nodeId)),
  ]);
}

interface Led {
  readonly here: number[];
  readonly elsewhere: Map<MapNode, number[]>;
}

/** By this node, or nobody; and by others. */
function ledBy(desk: Desk, partitions: readonly number[]): Led {
  const { map, nodeId } = desk.host;
  const here: number[] = [];
  const elsewhere: Map<MapNode, number[]> = new Map();
  for (const id of partitions) {
    const { primary } = map.placement[id];
    const node = map.nodes.find((each) => each.id === primary && each.state === 'up');
    if (node === undefined || node.id === nodeId) here.push(id);
    else elsewhere.set(node, [...(elsewhere.get(node) ?? []), id]);
  }
  return { here, elsewhere };
}

/** One WAIT that has not been answered. */
class Waiting implements BoardWaiter, Blocked {
  private readonly desk: Desk;
  private readonly connection: Connection;
  private tokens: readonly string[];
  private readonly wanted: number;
  private readonly deadlineMs: number;
  private readonly sink: ReplySink;
  /** By group of partitions that another node, or nobody, leads: the latest count. */
  private readonly counts: Map<number, number> = new Map();
  private groups = 0;
  private readonly timers: Set<NodeJS.Timeout> = new Set();
  private over = false;

  constructor(
    desk: Desk,
    connection: Connection,
    tokens: readonly string[],
    wanted: number,
    deadlineMs: number,
    sink: ReplySink,
  ) {
    this.desk = desk;
    this.connection = connection;
    this.tokens = tokens;
    this.wanted = wanted;
    this.deadlineMs = deadlineMs;
    this.sink = sink;
  }

  begin(): void {
    const { desk } = this;
    this.connection.blockedOn = this;
    const leftMs = this.deadlineMs - desk.host.monotonicMs();
    if (Number.isFinite(leftMs)) this.later(leftMs, () => this.end());
    if (!this.look()) desk.held.wait(this);
  }

  follow(node: MapNode, partitions: readonly number[]): void {
    const { desk, connection } = this;
    const group = this.newGroup();
    askSeqs(desk, connection, node, partitions, (tokens) => {
      if (tokens !== null) this.poll(node, group, partitions, tokens);
      else this.followAgain(group, partitions);
    });
  }

  /** Nothing is acknowledged there before somebody says so. */
  private newGroup(): number {
    const group = this.groups++;
    this.counts.set(group, 0);
    return group;
  }

  /** Nobody has answered for these: in a while, whoever leads them then is asked what is committed there. */
  private followAgain(group: number, partitions: readonly number[]): void {
    if (this.over) return;
    this.later(FOLLOW_AGAIN_MS, () => {
      const { desk } = this;
      this.counts.delete(group);
      const { here, elsewhere } = ledBy(desk, partitions);
      for (const [node, ids] of elsewhere) this.follow(node, ids);
      this.tokens = [...this.tokens, ...here.map((id) => seqToken(desk, id))];
      this.look();
    });
  }

  /** What was led here when it was looked at, and is not any more, is somebody else's by now, or nobody's. */
  private dropStale(): void {
    const { desk } = this;
    const isLed = (token: string): boolean => {
      const [id, epoch] = token.split('.').map(Number);
      const partition = desk.partition(id);
      return partition?.mayWrite() === true && partition.epoch() === epoch;
    };
    if (this.tokens.every(isLed)) return;
    const stale = this.tokens.filter((token) => !isLed(token));
    this.tokens = this.tokens.filter(isLed);
    const ids = stale.map((token) => Number(token.split('.')[0]));
    this.followAgain(this.newGroup(), ids);
  }

  look(): boolean {
    if (this.over) return true;
    this.dropStale();
    if (this.connection.gone || this.count() >= this.wanted) this.end();
    return this.over;
  }

  private poll(
    node: MapNode,
    group: number,
    partitions: readonly number[],
    tokens: readonly string[],
  ): void {
    if (this.over) return;
    const { desk, connection } = this;
    const hasMoved = partitions.some((id) => desk.host.map.placement[id].primary !== node.id);
    if (hasMoved) {
      this.followAgain(group, partitions);
      return;
    }
    askAcked(desk, connection, node, tokens, (count) => {
      if (count !== null) this.counts.set(group, count);
      if (!this.look()) this.later(ASK_AGAIN_MS, () => this.poll(node, group, partitions, tokens));
    });
  }

  private later(ms: number, then: () => void): void {
    const timer = setTimeout(() => {
      this.timers.delete(timer);
      then();
    }, ms);
    this.timers.add(timer);
  }

  private count(): number {
    const others = Math.min(Number.POSITIVE_INFINITY, ...this.counts.values());
    if (this.tokens.length === 0) return Number.isFinite(others) ? others : 0;
    return Math.min(others, ackedBy(this.desk, this.tokens));
  }

  /** CLIENT UNBLOCK: as if its time were over, or with an error. */
  unblock(withError: boolean): void {
    this.end(withError);
  }

  private end(withError = false): void {
    if (this.over) return;
    this.over = true;
    this.connection.blockedOn = null;
    for (const timer of this.timers) clearTimeout(timer);
    const out = new ReplyWriter(128);
    if (withError) out.error(UNBLOCKED);
    else out.integer(this.count());
    this.sink.settle(wholeReply(out));
    this.connection.release(Hold.work);
  }
}
