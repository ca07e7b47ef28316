/** The supervisor: one node, on the main thread.
 *
 *  It starts the control plane, keeps the copies in line with the cluster map, runs the worker
 *  threads and answers for them: to the control plane (reports, seals, verify), to data workers
 *  (questions that span workers) and over HTTP (metrics, health). It serves no client itself.
 *  Invariant: a worker that dies takes the node down at once; nothing goes on with half a node. */

import type { Server } from 'node:http';
import { performance } from 'node:perf_hooks';
import { sealedCopy } from '@ingot/replication';
import { planGeometry } from '@ingot/store';
import { commandNames } from '../commands/table.ts';
import { InSyncKeeper } from '../acks/in-sync-keeper.ts';
import { ControlPlane } from '../control/control-plane.ts';
import { type Identity, openIdentity } from '../control/identity.ts';
import {
  NO_MEMORY,
  type NodeCallbacks,
  type NodeReport,
  type NodeStatus,
  type PartitionEpoch,
  type PartitionStatus,
  type SavedMemory,
  type SealedCopy,
  type SealOutcome,
  type SnapshotReport,
  type VerifyReport,
} from '../control/types.ts';
import { listenHttp } from '../metrics/http.ts';
import { createMetrics } from '../metrics/metrics.ts';
import type { PartitionSample } from '../metrics/sources.ts';
import { EXIT_FOUND_WRONG, EXIT_OK, EXIT_REFUSED } from '../shared/errors.ts';
import { processClocks } from '../lease/clocks.ts';
import { isBefore, type LeaseTime, remainingMs } from '../lease/lease-holder.ts';
import { createLeaseWord, LeaseWriter } from '../lease/lease-word.ts';
import { later } from '../shared/later.ts';
import { createLogger, type Logger } from '../shared/log.ts';
import { type ClusterMap, whoLeads } from '../shared/map.ts';
import type {
  AskMessage,
  CheckpointStatus,
  NodeStats,
  RedoLogStatus,
  ReplicationStatus,
} from '../shared/messages.ts';
import { PORT_FLAGS, type Ports, type Settings } from '../shared/settings.ts';
import type { LogStart } from '../redo-log/log-writer.ts';
import { recoverCopies } from './checkpoint-recovery.ts';
import { NO_LOG, recoverLog, setForeignLogAside } from './log-recovery.ts';
import { LoadingDoors } from './loading-doors.ts';
import { LocalPartitions, samplesOf } from './local-partitions.ts';
import { type NodeLog, nodeLog } from './log.ts';
import { LoopMeter } from './loop-meter.ts';
import { memoryLimit, memoryRefusal } from './memory.ts';
import { monotonicMs } from './monotonic-clock.ts';
import {
  checkpointSummary,
  HeartbeatCopies,
  NO_REPLICATION,
  partitionStatuses,
  scrubStatus,
} from './node-report.ts';
import { NodeFigures } from './node-stats.ts';
import { bindError, checkPorts } from './ports.ts';
import { reasonsNotReady } from './readiness.ts';
import { SnapshotCopies } from './snapshot-copies.ts';
import { flipFollowerByte } from './test-door.ts';
import { Workers } from './workers.ts';

/** How long a handover may keep a partition sealed while the new primary catches up. */
const SEAL_TIMEOUT_MS = 1_000;
/** How much longer it may stay sealed for the sake of replies that wait for the other copies. */
const IN_SYNC_TIMEOUT_MS = 200;
/** How long a node that stops waits for others to take over. */
const DRAIN_TIMEOUT_MS = 10_000;
/** Whoever joins the in-sync set has so long to get what is committed. */
const JOIN_TIMEOUT_MS = 500;
/** Heartbeats tell seqs once per second. */
const REPORT_KEPT_MS = 700;
/** A failover waits no longer for the copies of a node; who is late is not counted. */
const SEAL_COPIES_MS = 300;

export interface RunningNode {
  /** Resolves once every copy held here is consistent. */
  readonly ready: Promise<void>;
  readonly addresses: { readonly host: string; readonly ports: Ports };
  /** Hands over what the node leads, before it is stopped. Bounded; never rejects. */
  drain(): Promise<void>;
  stop(): Promise<void>;
}

/** Resolves when the node is in the cluster and listens on all its ports. `signal` ends a start that has not come so far that
 *  others may know of it; one that has is a node that is stopped like any other.
 *  @throws IngotError when it cannot, with everything closed that was open. */
export async function startNode(
  settings: Settings,
  signal: AbortSignal = new AbortController().signal,
): Promise<RunningNode> {
  const node = new NodeProcess(settings);
  try {
    await node.start(signal);
  } catch (error) {
    await node.stop();
    throw error;
  }
  return node;
}

class NodeProcess implements RunningNode, NodeCallbacks {
  readonly ready: Promise<void>;
  readonly addresses: RunningNode['addresses'];
  readonly #settings: Settings;
  readonly #log: NodeLog;
  readonly #logger: Logger;
  readonly #partitions: LocalPartitions;
  readonly #startedAtMs = Date.now();
  readonly #leaseWord = createLeaseWord();
  readonly #lease = new LeaseWriter(this.#leaseWord);
  readonly #becameReady: () => void;
  #identity: Identity | null = null;
  #control: ControlPlane | null = null;
  #workers: Workers | null = null;
  #http: Server | null = null;
  #figures: NodeFigures | null = null;
  #map: ClusterMap | null = null;
  #incarnation = 0;
  /** Lives of the node that began in this process. */
  #lives = 0;
  /** The last one is over, the next is not in the map yet. */
  #isBetweenLives = false;
  /** The newest map that came meanwhile. */
  #missed: ClusterMap | null = null;
  readonly #doors = new LoadingDoors();
  readonly #sealedEarly: PartitionEpoch[] = [];
  #isReady = false;
  #replication: ReplicationStatus = NO_REPLICATION;
  #checkpoints: CheckpointStatus | null = null;
  #redoLog: RedoLogStatus | null = null;
  /** Null: this life did not look for one. */
  #logStart: LogStart | null = null;
  /** With --follow-only: there are no other copies then. */
  #snapshots: SnapshotCopies | null = null;
  readonly #reported = new HeartbeatCopies(REPORT_KEPT_MS);
  #keeper: InSyncKeeper | null = null;
  #stopped: Promise<void> | null = null;

  constructor(settings: Settings) {
    this.#settings = settings;
    this.addresses = { host: settings.advertise, ports: settings.ports };
    this.#logger = createLogger(settings);
    this.#log = nodeLog(this.#logger);
    const ready = Promise.withResolvers<void>();
    this.ready = ready.promise;
    this.#becameReady = ready.resolve;
    this.#partitions = new LocalPartitions(
      settings.id,
      memoryLimit(),
      {
        attach: (handle) => this.#workers?.post({ kind: 'attach', handle }),
        publish: (map) => this.#publish(map),
        detach: (partition) => this.#workers?.post({ kind: 'detach', partition }),
      },
      this.#log,
    );
  }

  async start(signal: AbortSignal): Promise<void> {
    const settings = this.#settings;
    await checkPorts(settings);
    this.#identity = await openIdentity(settings.dataDir, settings.id);
    if (settings.found && this.#identity.membership() === null) refuseLargeCluster(settings);
    const control = new ControlPlane({
      settings,
      credentials: settings.credentials,
      identity: this.#identity,
      log: this.#logger,
      node: this,
    });
    this.#control = control;
    const { map, incarnation } = await control.start(signal);
    this.#apply(map);
    const refusal = this.#partitions.refusal();
    if (refusal !== null) throw refusal;
    if (settings.followOnly) this.#snapshots = this.#takeSnapshots(map);
    await this.#doors.close();
    this.#workers = this.#startWorkers(map);
    await this.#workers.ready();
    this.#keeper = this.#keepInSync(this.#workers, control);
    await this.#doors.closeHttp();
    this.#http = await this.#listenHttp(this.#workers, control);
    control.onMap((newer) => this.#apply(newer));
    this.#apply(control.map());
    this.#log('info', 'node.started', { incarnation, mapVersion: map.version, ...settings.ports });
    this.#checkReady();
  }

  async drain(): Promise<void> {
    await this.#control?.drain(DRAIN_TIMEOUT_MS);
  }

  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  // ---- the control plane asks

  report(): NodeReport {
    return {
      node: this.#settings.id,
      incarnation: this.#incarnation,
      mapVersion: this.#partitions.appliedVersion(),
      partitions: this.#reported.of(this.#partitions.all(), this.#replication, performance.now()),
    };
  }

  async status(): Promise<NodeStatus> {
    await this.#refreshReplication();
    return {
      ...this.report(),
      partitions: this.#copies(),
      scrub: scrubStatus(this.#replication),
      snapshots: this.#snapshotReport(),
      checkpoints: checkpointSummary(this.#settings, this.#checkpoints, Date.now()),
    };
  }

  async recover(map: ClusterMap, signal: AbortSignal): Promise<SavedMemory> {
    const settings = this.#settings;
    if (settings.checkpointEveryMs === 0) return NO_MEMORY;
    const { client, cluster, follower } = settings.ports;
    await this.#doors.open(settings.host, [client, cluster, follower]);
    await this.#doors.openHttp(settings.host, settings.ports.http);
    const { handles, memory } = await recoverCopies({
      ...{ settings, map, limit: memoryLimit(), log: this.#log, signal },
      onProgress: (share) => this.#doors.progressed(share),
    });
    const logged = await recoverLog({
      ...{ settings, map, handles, limit: memoryLimit(), log: this.#log, signal },
    });
    this.#logStart = logged.start;
    this.#partitions.recover(logged.handles);
    return memory;
  }

  async seal(id: number, to: string): Promise<SealOutcome> {
    const partition = this.#partitions.get(id);
    if (partition === undefined || this.#workers === null || !this.#leads(id)) {
      return { ok: false, seq: 0, why: `partition ${id} is not led by ${this.#settings.id}` };
    }
    const seq = partition.seal(true);
    // Whoever holds its bytes is not to hold up the handover.
    this.#workers.post({ kind: 'role', partition: id });
    const caughtUp = await this.#workers
      .awaitAck(id, to, seq, SEAL_TIMEOUT_MS)
      .catch((error: Error) => this.#log('warn', 'seal.failed', { partition: id, error }));
    if (caughtUp === true) {
      // Replies that wait for other copies leave before the epoch ends, where that is soon.
      await this.#workers.awaitInSync(id, seq, IN_SYNC_TIMEOUT_MS).catch(() => false);
      return { ok: true, seq };
    }
    this.unseal(id);
    return { ok: false, seq: 0, why: `${to} did not acknowledge seq ${seq} in time` };
  }

  unseal(id: number): void {
    this.#partitions.get(id)?.seal(false);
    this.#workers?.post({ kind: 'role', partition: id });
  }

  async sealCopies(partitions: readonly PartitionEpoch[]): Promise<SealedCopy[]> {
    if (this.#workers === null) return this.#sealEarly(partitions);
    await this.#workers.ready();
    // Who is late is waited for; who said that it has no copies might lose what it has.
    return await withinMs(SEAL_COPIES_MS, this.#workers.sealCopies(partitions));
  }

  /** There is no thread yet that could change a copy; the one that will knows of it from its start. */
  #sealEarly(partitions: readonly PartitionEpoch[]): SealedCopy[] {
    this.#sealedEarly.push(...partitions);
    return partitions.flatMap(({ id }) => {
      const partition = this.#partitions.get(id);
      return partition === undefined ? [] : [sealedCopy(partition)];
    });
  }

  leaseRenewed(servedUntil: LeaseTime): void {
    const hadLease = isBefore(processClocks, this.#lease.until());
    this.#lease.extend(servedUntil);
    if (hadLease) return;
    this.#log('info', 'lease.granted', { incarnation: this.#incarnation });
    this.#workers?.leaseIsBack();
    this.#checkReady();
  }

  lifeEnded(): void {
    this.#lease.begin(0);
    this.#isBetweenLives = true;
    this.#partitions.standDown();
    for (const { id } of this.#partitions.all())
      this.#workers?.post({ kind: 'role', partition: id });
  }

  lifeBegan(incarnation: number): void {
    this.#incarnation = incarnation;
    this.#lease.begin(incarnation);
    this.#workers?.lifeBegan(incarnation);
    this.#lives++;
    this.#isBetweenLives = false;
    if (this.#missed !== null) this.#partitions.apply(this.#missed);
    this.#missed = null;
  }

  async verify(partitions: number[]): Promise<VerifyReport> {
    if (this.#workers === null) throw new Error('the node is still starting');
    return await this.#workers.verify(partitions);
  }

  retired(reason: string): void {
    this.#log('error', 'node.retired', { text: reason });
    void this.stop().finally(() => process.exit(EXIT_REFUSED));
  }

  left(): void {
    const text = 'the node has left the cluster, as it was told to, and ends';
    this.#log('info', 'membership.ended', { text });
    void this.stop().finally(() => process.exit(EXIT_OK));
  }

  // ---- the parts

  #beginLog(): LogStart {
    if (this.#logStart !== null) return this.#logStart;
    const { durability, dataDir } = this.#settings;
    if (durability === 'log') setForeignLogAside(dataDir, this.#log);
    return NO_LOG;
  }

  #startWorkers(map: ClusterMap): Workers {
    return new Workers({
      settings: this.#settings,
      incarnation: this.#incarnation,
      lease: this.#leaseWord,
      map,
      handles: this.#partitions.handles(),
      snapshots: this.#snapshots?.memory ?? null,
      sealed: this.#sealedEarly,
      onLog: (worker, { level, event, fields }) => this.#log(level, event, { worker, ...fields }),
      onReplicationStatus: (status) => {
        this.#replication = status;
        this.#keeper?.heard(status.partitions);
        this.#checkReady();
      },
      logStart: this.#beginLog(),
      onRedoLog: (status) => {
        this.#redoLog = status;
      },
      onCheckpoints: (status) => {
        this.#checkpoints = status;
      },
      answer: (question) => this.#answer(question),
      died: (worker, error) => this.#workerDied(worker, error),
    });
  }

  #keepInSync(workers: Workers, control: ControlPlane): InSyncKeeper {
    return new InSyncKeeper({
      self: () => ({ node: this.#settings.id, incarnation: this.#incarnation }),
      map: () => this.#map ?? control.map(),
      nowMs: () => performance.now(),
      later,
      awaitMembers: (kept, joining) => workers.awaitMembers(kept, joining, JOIN_TIMEOUT_MS),
      propose: (change) => control.propose(change),
      failed: (error) => this.#log('warn', 'inSync.failed', { error }),
    });
  }

  async #listenHttp(workers: Workers, control: ControlPlane): Promise<Server> {
    const { host, ports } = this.#settings;
    const mainLoop = new LoopMeter(() => performance.eventLoopUtilization());
    const registry = createMetrics({
      commands: commandNames,
      counters: workers.counters,
      map: () => control.map(),
      partitions: () => this.#samples(),
      gone: () => this.#partitions.gone(),
      budget: () => this.#snapshots?.budget() ?? this.#partitions.budget(),
      inSync: () => ({
        node: this.#settings.id,
        changes: this.#keeper?.changes ?? { added: 0, removed: 0 },
      }),
      replication: () => this.#replication,
      controlRefusals: () => control.refusals(),
      failovers: () => control.failovers(),
      lease: () => ({
        remainingMs: remainingMs(processClocks, this.#lease.until()),
        fences: control.fences(),
        lives: this.#lives,
      }),
      checkpoints: () => this.#checkpoints,
      redoLog: () => this.#redoLog,
      snapshots: () => this.#snapshotReport(),
      threads: () => [...workers.use(), { worker: 'main', utilization: mainLoop.busyShare() }],
    });
    const routes = {
      contentType: registry.contentType,
      metrics: async () => {
        await this.#refreshReplication();
        return registry.metrics();
      },
      notReady: () => this.#reasonsNotReady(),
      flip: this.#settings.testDoor ? (query: URLSearchParams) => this.#flip(query) : null,
    };
    try {
      return await listenHttp(routes, host, ports.http);
    } catch (error) {
      throw bindError(error as NodeJS.ErrnoException, PORT_FLAGS.http, host, ports.http);
    }
  }

  #flip(query: URLSearchParams): string {
    const [partition, chunk, byte] = ['partition', 'chunk', 'byte'].map((n) =>
      Number(query.get(n)),
    );
    return flipFollowerByte(this.#partitions.get(partition), chunk, byte);
  }

  /** Between two lives a map might give back what the former one led. */
  #apply(map: ClusterMap): void {
    if (this.#isBetweenLives) this.#missed = map;
    else this.#partitions.apply(map);
  }

  /** Role words agree with `map`: tell everyone, and take up what waited for it. */
  #publish(map: ClusterMap): void {
    this.#map = map;
    this.#snapshots?.follow(map);
    this.#workers?.post({ kind: 'map', map });
    this.#keeper?.look();
    this.#log('debug', 'map.applied', { version: map.version });
    this.#checkReady();
  }

  #checkReady(): void {
    if (this.#isReady || this.#workers === null || this.#reasonsNotReady().length > 0) return;
    this.#isReady = true;
    this.#log('info', 'node.ready');
    this.#becameReady();
  }

  #reasonsNotReady(): string[] {
    const refusal = this.#partitions.refusal()?.message ?? null;
    const hasLease = isBefore(processClocks, this.#lease.until());
    const copies = this.#copies();
    const reasons = reasonsNotReady(this.#map, this.#settings.id, copies, refusal, hasLease);
    const missing = this.#snapshots?.whyNotReady() ?? null;
    return missing === null ? reasons : [...reasons, missing];
  }

  #takeSnapshots(map: ClusterMap): SnapshotCopies {
    const { workers } = this.#settings;
    return new SnapshotCopies(map, workers, memoryLimit(), this.#log);
  }

  #snapshotReport(): SnapshotReport | null {
    return this.#snapshots?.report(this.#replication.snapshots ?? null, monotonicMs()) ?? null;
  }

  #samples(): PartitionSample[] {
    if (this.#snapshots === null) return this.#partitions.samples();
    return samplesOf(this.#snapshots.current());
  }

  #copies(): PartitionStatus[] {
    const held = this.#snapshots?.current() ?? this.#partitions.all();
    return partitionStatuses(held, this.#replication);
  }

  #leads(id: number): boolean {
    return this.#map !== null && whoLeads(this.#map, id) === this.#settings.id;
  }

  async #answer({ what, asked }: AskMessage): Promise<unknown> {
    const workers = this.#workers;
    if (workers === null) throw new Error('the node is still starting');
    switch (what) {
      case 'nodeStats':
        return this.#nodeStats(workers);
      case 'resetStats':
        this.#figuresOf(workers).reset();
        return null;
      case 'stopNode':
        process.kill(process.pid, 'SIGTERM');
        return null;
      default:
        return workers.askEvery(what, asked);
    }
  }

  #figuresOf(workers: Workers): NodeFigures {
    this.#figures ??= new NodeFigures(workers.counters, commandNames);
    return this.#figures;
  }

  async #refreshReplication(): Promise<void> {
    if (this.#workers !== null) this.#replication = await this.#workers.replicationStatus();
  }

  async #nodeStats(workers: Workers): Promise<NodeStats> {
    await this.#refreshReplication();
    return {
      startedAtMs: this.#startedAtMs,
      dataWorkers: this.#settings.workers,
      ...this.#figuresOf(workers).look(performance.now()),
      replication: this.#replication,
      snapshots: this.#snapshotReport(),
    };
  }

  #workerDied(worker: string, error: Error): void {
    this.#logger.fatal(
      { event: 'worker.died', worker, err: error },
      `worker ${worker} died (${error.message}); the node ends here, start it again`,
    );
    process.exit(EXIT_FOUND_WRONG);
  }

  /** The control plane goes first, while what it hands over can still be sent. */
  async #stop(): Promise<void> {
    await this.#doors.close();
    await this.#doors.closeHttp();
    this.#keeper?.close();
    await this.#control?.stop();
    this.#http?.close();
    this.#http?.closeAllConnections();
    await this.#workers?.stop(this.#incarnation);
    await this.#identity?.close();
    if (this.#http !== null) this.#log('info', 'node.stopped');
  }
}

/** What `work` resolves to; rejects when that takes longer. */
async function withinMs<T>(ms: number, work: Promise<T>): Promise<T> {
  const { promise, reject } = Promise.withResolvers<T>();
  const timer = setTimeout(() => reject(new Error(`no answer within ${ms} ms`)), ms);
  try {
    return await Promise.race([work, promise]);
  } finally {
    clearTimeout(timer);
  }
}

/** A founder leads every partition until others join. Asked before the cluster is founded, because
 *  its capacity is part of it ever after. */
function refuseLargeCluster(settings: Settings): void {
  const refusal = memoryRefusal(planGeometry(settings), settings.partitions, memoryLimit());
  if (refusal !== null) throw refusal;
}
