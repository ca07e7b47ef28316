/** One data worker without its thread: listeners, connections, partitions, the map, the executor.
 *  Owner: data-worker.ts in a node; tests and benchmarks make one on their own thread. Everything
 *  that changes from outside (map, roles, attachments) comes in through a method here, and each
 *  wakes the connections that were waiting for it. */

import { Buffer } from 'node:buffer';
import type { Server, Socket } from 'node:net';
import { performance } from 'node:perf_hooks';
import { AckBoard, hurry } from '@ingot/replication';
import { attachPartition, type Partition, type PartitionHandle } from '@ingot/store';
import { partitionTotals } from '../commands/partition-totals.ts';
import { COMMANDS } from '../commands/table.ts';
import { LeaseWatch } from '../lease/lease-word.ts';
import { Counter, RarePace, WorkerCounters } from '../metrics/layout.ts';
import { Parser } from '../resp/parser.ts';
import { ReplyWriter } from '../resp/reply-writer.ts';
import type { NodeLog } from '../process/log.ts';
import { monotonicMs } from '../process/monotonic-clock.ts';
import { type ClusterMap, isUp } from '../shared/map.ts';
import type { Question, WorkerData } from '../shared/messages.ts';
import { LogBoard } from '../redo-log/log-board.ts';
import type { Settings } from '../shared/settings.ts';
import type { WorkerQuestion } from '../shared/worker-questions.ts';
import { Allowance } from './allowance.ts';
import { Arrivals } from './arrivals.ts';
import { BatchExecutor } from './batch.ts';
import { CallCounts } from './call-counts.ts';
import { ClientAuth } from './client-auth.ts';
import { ClientMemory } from './client-memory.ts';
import { ClientPause } from './client-pause.ts';
import { CommandLookup } from './command-lookup.ts';
import { Connection, type ConnectionHost } from './connection.ts';
import { Hold } from './hold.ts';
import { Desk } from './desk.ts';
import { Dispatch } from './dispatch.ts';
import { Execution, type WorkerContext } from './execution.ts';
import { Forwarding } from './forwarding.ts';
import { HeldReplies } from './held-replies.ts';
import { INTERNAL_COMMANDS } from './internal-commands.ts';
import { LIMIT_LOG_EVERY_MS, LimitWatch } from './limit-watch.ts';
import { MAX_CLIENTS_TEXT } from './limits.ts';
import { LiveSettings } from './live-settings.ts';
import { listenOn } from './listening.ts';
import { Parking } from './parking.ts';
import { Passage } from './passage.ts';
import { Patience } from './patience.ts';
import type { ListenerKind } from './session.ts';
import { SlowLog } from './slow-log.ts';
import { SnapshotView } from './snapshot-view.ts';
import { TEST_COMMANDS } from './test-commands.ts';
import { Transactions } from './transactions.ts';
import { Turn, type TurnHost } from './turn.ts';
import { addressesOf } from './wire.ts';

const RECEIVE_BYTES: number = 64 * 1024;
const TICK_MS = 250;
const LISTENERS: readonly ListenerKind[] = ['client', 'cluster', 'follower'];

/** Words of WorkerData.wake. */
const WAKE_ASLEEP = 0;

export type Ask = (what: Question | WorkerQuestion, asked: unknown) => Promise<unknown>;

export class ServingWorker implements WorkerContext, ConnectionHost, TurnHost {
  readonly nodeId: string;
  readonly auth: ClientAuth;
  readonly live: LiveSettings;
  readonly limits: LimitWatch;
  readonly patience: Patience = new Patience(this);
  readonly clientMemory: ClientMemory = new ClientMemory(this);
  readonly slowLog: SlowLog;
  readonly pause: ClientPause = new ClientPause(() => {
    for (const connection of this.sessions.values()) connection.release(Hold.paused);
  });
  readonly lease: LeaseWatch;
  readonly workerIndex: number;
  readonly settings: Settings;
  readonly counters: WorkerCounters;
  readonly otherCounters: readonly WorkerCounters[];
  readonly partitions: (Partition | null)[];
  readonly snapshots: SnapshotView | null;
  readonly sessions: Map<number, Connection> = new Map();
  readonly receiveBuffer: Buffer = Buffer.allocUnsafeSlow(RECEIVE_BYTES);
  /** Unlimited: each reply in it was bounded when it was made. */
  readonly lateOutput: ReplyWriter = new ReplyWriter(RECEIVE_BYTES, Number.MAX_SAFE_INTEGER);
  readonly maxQueryBufferBytes: number;
  readonly allowance: Allowance;
  map: ClusterMap;

  readonly held: HeldReplies;
  readonly log: LogBoard;
  readonly pinning: Set<Connection> = new Set();
  readonly turn: Turn = new Turn(this);
  originMs: number = performance.timeOrigin;

  private readonly wake: Int32Array;
  private readonly askMain: Ask;
  private readonly parking: Parking;
  private readonly forwarding: Forwarding;
  private readonly desk: Desk;
  private readonly executor: BatchExecutor;
  readonly arrivals: Arrivals;
  private readonly servers: Server[] = [];
  private readonly ticker: NodeJS.Timeout;
  private nextSession: number;

  constructor(data: WorkerData, ask: Ask, log: NodeLog = () => {}) {
    this.nodeId = data.nodeId;
    this.auth = new ClientAuth(data.settings.credentials);
    this.live = new LiveSettings(data.settings.limits);
    this.slowLog = new SlowLog(this.live, data.workerIndex, data.settings.workers);
    this.lease = new LeaseWatch(data.lease);
    this.workerIndex = data.workerIndex;
    this.settings = data.settings;
    this.counters = new WorkerCounters(data.counters);
    const pace = new RarePace(data.clientCounters[0], LIMIT_LOG_EVERY_MS);
    this.limits = new LimitWatch(this.counters, pace, log, () => this.monotonicMs());
    this.otherCounters = data.clientCounters
      .filter((_block, i) => i !== data.workerIndex)
      .map((block) => new WorkerCounters(block));
    this.map = data.map;
    this.wake = data.wake;
    this.askMain = ask;
    this.maxQueryBufferBytes = data.settings.limits.maxQueryBufferBytes;
    this.allowance = new Allowance(data.settings.limits.maxTransitBytes);
    this.nextSession = data.workerIndex + 1;
    this.partitions = Array.from({ length: data.map.partitions }, () => null);
    for (const handle of data.handles) this.partitions[handle.id] = attachPartition(handle);
    const { snapshots } = data;
    this.snapshots = snapshots
      ? new SnapshotView(snapshots, data.workerIndex, this.partitions)
      : null;

    const forTests = data.settings.testDoor ? TEST_COMMANDS : [];
    const lookup = new CommandLookup([...COMMANDS, ...INTERNAL_COMMANDS, ...forTests]);
    const { failoverWaitMs } = data.settings;
    this.parking = new Parking((partitionId) => this.unsettled(partitionId), failoverWaitMs);
    this.log = new LogBoard(data.log, data.map.partitions);
    this.held = new HeldReplies(this, new AckBoard(data.acks, data.map.partitions));
    this.forwarding = new Forwarding(this, data.map.partitions);
    this.desk = new Desk(
      this,
      lookup,
      new Execution(this),
      new Passage(this.lease),
      this.forwarding,
      this.parking,
      this.held,
      new CallCounts(lookup.commands.length),
    );
    const dispatch = new Dispatch(this.desk, new Transactions(this.desk));
    const { valueMaxBytes } = data.map;
    const parser = new Parser({ ...data.settings.limits, valueBytesMax: valueMaxBytes });
    this.executor = new BatchExecutor(this.desk, dispatch, parser, () => this.wakeReplication());
    this.arrivals = new Arrivals(this.executor, this.turn);
    this.syncClock();
    this.ticker = setInterval(() => this.tick(), TICK_MS).unref();
  }

  /** Opens the three ports. Rejects with the sentence that says which one could not be opened. */
  async listen(): Promise<void> {
    for (const kind of LISTENERS) {
      const { host, ports } = this.settings;
      const accept = (socket: Socket): void => this.accept(socket, kind);
      const server = await listenOn(kind, host, ports[kind], this.workerIndex, accept);
      if (server !== null) this.servers.push(server);
    }
  }

  /** Ends every connection and link. */
  stop(): void {
    clearInterval(this.ticker);
    for (const server of this.servers) server.close();
    for (const connection of this.sessions.values()) connection.destroy();
    this.forwarding.close();
  }

  mapChanged(map: ClusterMap): void {
    if (map.version < this.map.version) return;
    this.map = map;
    this.parking.changed();
    this.forwarding.mapChanged();
    this.held.look();
    this.checkPins();
  }

  /** Of a partition, or it was sealed, or there is a lease again. */
  roleChanged(): void {
    this.checkPins();
    this.parking.changed();
  }

  /** Where a partition is led no longer, or not for long, its bytes are about to change. */
  private checkPins(): void {
    if (this.pinning.size === 0) return;
    const nowMs = this.monotonicMs();
    let count = 0;
    let longestMs = 0;
    let client: Connection | null = null;
    for (const connection of [...this.pinning]) {
      const pinnedMs = connection.checkPins(nowMs);
      if (pinnedMs < 0) continue;
      count++;
      if (pinnedMs >= longestMs) client = connection;
      longestMs = Math.max(longestMs, pinnedMs);
    }
    if (count > 0) this.limits.strike('pin', client, { seconds: longestMs / 1_000 }, count);
  }

  get incarnation(): number {
    return this.lease.incarnation;
  }

  get hasLease(): boolean {
    return this.lease.holds;
  }

  attach(handle: PartitionHandle): void {
    this.partitions[handle.id] = attachPartition(handle);
    this.parking.changed();
  }

  detach(partitionId: number): void {
    this.partitions[partitionId] = null;
    this.parking.changed();
  }

  nowMs(): number {
    return Math.floor(this.originMs + performance.now());
  }

  monotonicMs(): number {
    return monotonicMs();
  }

  leads(partitionId: number): boolean {
    if (this.snapshots !== null) return this.partitions[partitionId] !== null;
    return this.lease.holds && this.partitions[partitionId]?.mayWrite() === true;
  }

  mayAnswer(): boolean {
    if (this.lease.mayAnswer()) return true;
    this.counters.add(Counter.disowned, 1);
    return false;
  }

  isFresh(partitionId: number): boolean {
    const { staleMaxMs } = this.settings;
    return staleMaxMs === 0 || monotonicMs() - this.held.board.heardMs(partitionId) < staleMaxMs;
  }

  ask(what: string, asked: unknown = null): Promise<unknown> {
    return this.askMain(what as Question | WorkerQuestion, asked);
  }

  get calls(): CallCounts {
    return this.desk.calls;
  }

  execute(connection: Connection, buffer: Buffer, start: number, end: number): number {
    if (this.snapshots !== null) this.snapshots.look();
    return this.executor.run(connection, buffer, start, end);
  }

  executePlanned(connection: Connection, start: number, from: number, to: number): number {
    return this.executor.runPlanned(connection, start, from, to);
  }

  executeArrived(): void {
    this.arrivals.execute();
  }

  settleCounts(seconds: number): void {
    this.executor.settleCounts(seconds);
  }

  emitBatch(connection: Connection): void {
    this.desk.passage.close();
    const { out } = this.desk;
    if (out.length > 0 || connection.outbox.forwarded !== null) connection.outbox.emit(out);
  }

  capacityBytes(): number {
    return partitionTotals(this).capacityBytes;
  }

  received(bytes: number): void {
    this.counters.add(Counter.receivedBytes, bytes);
    this.clientMemory.grew(bytes);
  }

  sent(bytes: number): void {
    this.counters.add(Counter.sentBytes, bytes);
  }

  closed(connection: Connection): void {
    this.sessions.delete(connection.id);
    this.patience.forget(connection);
    this.clientMemory.forget(connection);
    this.parking.forget(connection);
    this.forwarding.forget(connection);
    this.counters.set(Counter.connections, this.sessions.size);
  }

  /** Of the other workers of this node. */
  private clientsElsewhere(): number {
    return this.otherCounters.reduce((sum, block) => sum + block.get(Counter.connections), 0);
  }

  private accept(socket: Socket, kind: ListenerKind): void {
    if (!this.patience.admits(this.clientsElsewhere())) {
      this.limits.strike('clients', { address: addressesOf(socket).remote, name: '' });
      turnDown(socket);
      return;
    }
    const id = this.nextSession;
    this.nextSession += this.settings.workers;
    const connection = new Connection(this, socket, id, kind, this.nowMs());
    this.sessions.set(id, connection);
    this.counters.add(Counter.connectionsTotal, 1);
    this.counters.set(Counter.connections, this.sessions.size);
  }

  /** The map gives it to this node, or it is sealed, or its owner is down, or there is no lease: it
   *  is between two owners. */
  private unsettled(partitionId: number): boolean {
    const partition = this.partitions[partitionId];
    if (partition?.mayWrite() === true) return !this.lease.lookNow();
    const primary = this.map.placement[partitionId]?.primary ?? null;
    if (partition?.sealed() === true || primary === this.nodeId) return true;
    return primary === null || !isUp(this.map, primary);
  }

  private tick(): void {
    this.snapshots?.look();
    this.syncClock();
    const nowMs = this.monotonicMs();
    this.parking.expire(nowMs);
    this.held.look();
    this.checkPins();
    this.forwarding.tick(nowMs);
    this.patience.tick(nowMs);
    this.clientMemory.look();
    for (const holder of this.allowance.stalled(nowMs)) holder.endStalled();
    this.limits.tick(nowMs);
  }

  /** Batches read the monotonic clock only; a wall clock that is set takes effect here. */
  private syncClock(): void {
    this.originMs = Date.now() - performance.now();
  }

  hurryReplication(): void {
    hurry(this.wake);
  }

  /** One load per batch that wrote, and a system call only when the worker sleeps. */
  wakeReplication(): void {
    const { wake } = this;
    if (Atomics.load(wake, WAKE_ASLEEP) !== 1) return;
    Atomics.store(wake, WAKE_ASLEEP, 0);
    Atomics.notify(wake, WAKE_ASLEEP);
  }
}

/** A client too many. Whatever it does next, a broken connection included, is no business of
 *  ours. */
function turnDown(socket: Socket): void {
  socket.on('error', () => socket.destroy());
  socket.end(`-${MAX_CLIENTS_TEXT}\r\n`, () => socket.destroy());
}
