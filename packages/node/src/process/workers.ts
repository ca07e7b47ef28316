/** The worker threads of one node: N data workers, one for replication, one for storage. Owner:
 *  process/node.ts, which hears of three things: a message that is the node's business, a log line,
 *  and a thread that died. Messages to all go out in one order. */

import { AckBoard, type PendingMembers, type VerifyReport } from '@ingot/replication';
import type { PartitionHandle } from '@ingot/store';
import type { PartitionEpoch, SealedCopy } from '../control/types.ts';
import { createCounters, WorkerCounters } from '../metrics/layout.ts';
import type { ThreadUse } from '../metrics/sources.ts';
import type { ClusterMap } from '../shared/map.ts';
import type {
  AskMessage,
  CheckpointStatus,
  CommonMessage,
  FromDataWorker,
  FromLogWorker,
  FromReplicationWorker,
  FromStorageWorker,
  LogMessage,
  RedoLogStatus,
  ReplicationStatus,
  SnapshotMemory,
  ToDataWorker,
  ToLogWorker,
  ToReplicationWorker,
  ToStorageWorker,
  WorkerData,
} from '../shared/messages.ts';
import { LogBoard } from '../redo-log/log-board.ts';
import type { LogStart } from '../redo-log/log-writer.ts';
import type { Settings } from '../shared/settings.ts';
import type { WorkerQuestion } from '../shared/worker-questions.ts';
import { WorkerThread } from './worker-thread.ts';

/** A sync of many gigabytes leaves only short-lived objects: without a bound V8 would grow the heap
 *  for them by more than all that the sync itself needs. */
const REPLICATION_YOUNG_HEAP_MB = 4;
/** What commands leave behind is gone with their batch: more room for it is only memory lost. */
const YOUNG_HEAP_MB = 24;
/** A last checkpoint that takes longer is given up: the former one stays. */
const LAST_CHECKPOINT_MS = 120_000;

export interface WorkersOptions {
  readonly settings: Settings;
  readonly incarnation: number;
  /** see lease/lease-word.ts */
  readonly lease: SharedArrayBuffer;
  readonly map: ClusterMap;
  readonly handles: readonly PartitionHandle[];
  readonly snapshots?: SnapshotMemory | null;
  /** Copies that have been sealed already. */
  readonly sealed: readonly PartitionEpoch[];
  readonly onLog: (worker: string, message: LogMessage) => void;
  readonly onReplicationStatus: (status: ReplicationStatus) => void;
  readonly onCheckpoints: (status: CheckpointStatus) => void;
  /** What was found in the redo log. */
  readonly logStart: LogStart;
  readonly onRedoLog: (status: RedoLogStatus) => void;
  readonly answer: (question: AskMessage) => Promise<unknown>;
  readonly died: (worker: string, error: Error) => void;
}

type DataWorker = WorkerThread<ToDataWorker, FromDataWorker>;

export class Workers {
  readonly counters: readonly WorkerCounters[];
  readonly #data: readonly DataWorker[];
  readonly #replication: WorkerThread<ToReplicationWorker, FromReplicationWorker>;
  readonly #storage: WorkerThread<ToStorageWorker, FromStorageWorker>;
  /** null: this node keeps no redo log. */
  readonly #log: WorkerThread<ToLogWorker, FromLogWorker> | null;

  constructor(options: WorkersOptions) {
    const { settings } = options;
    const wake = new Int32Array(new SharedArrayBuffer(8));
    const acks = AckBoard.create(options.map.partitions, settings.workers).buffer;
    const log = LogBoard.create(options.map.partitions).buffer;
    const blocks = Array.from({ length: settings.workers }, createCounters);
    const dataOf = (workerIndex: number, counters: SharedArrayBuffer): WorkerData => ({
      settings,
      nodeId: settings.id,
      incarnation: options.incarnation,
      lease: options.lease,
      workerIndex,
      map: options.map,
      handles: options.handles,
      sealed: options.sealed,
      wake,
      acks,
      log,
      logStart: options.logStart,
      counters,
      clientCounters: blocks,
      snapshots: options.snapshots ?? null,
    });
    const common = (name: string) => ({
      name,
      died: (error: Error) => options.died(name, error),
    });
    this.counters = blocks.map((block) => new WorkerCounters(block));
    this.#replication = new WorkerThread({
      ...common('replication'),
      entry: entryOf('./replication-worker'),
      data: dataOf(0, createCounters()),
      youngHeapMb: REPLICATION_YOUNG_HEAP_MB,
      onMessage: (message) => {
        if (message.kind === 'log') options.onLog('replication', message);
        else options.onReplicationStatus(message.status);
      },
    });
    this.#storage = new WorkerThread({
      ...common('storage'),
      entry: entryOf('./storage-worker'),
      data: dataOf(0, createCounters()),
      youngHeapMb: YOUNG_HEAP_MB,
      onMessage: (message) => {
        if (message.kind === 'log') options.onLog('storage', message);
        else if (message.kind === 'saved') this.#log?.post(message);
        else options.onCheckpoints(message.status);
      },
    });
    this.#log =
      settings.durability !== 'log'
        ? null
        : new WorkerThread({
            ...common('log'),
            entry: entryOf('./log-worker'),
            data: dataOf(0, createCounters()),
            youngHeapMb: YOUNG_HEAP_MB,
            onMessage: (message) => {
              if (message.kind === 'log') options.onLog('log', message);
              else if (message.kind === 'save') this.#storage.post(message);
              else options.onRedoLog(message.status);
            },
          });
    this.#data = blocks.map((block, index) => {
      const name = `data-${index}`;
      const worker: DataWorker = new WorkerThread({
        ...common(name),
        entry: entryOf('../serving/data-worker'),
        data: dataOf(index, block),
        youngHeapMb: YOUNG_HEAP_MB,
        onMessage: (message) => {
          if (message.kind === 'log') options.onLog(name, message);
          else void answerTo(worker, message, options.answer);
        },
      });
      return worker;
    });
  }

  /** Rejects with the sentence of the first worker that cannot serve. */
  async ready(): Promise<void> {
    await Promise.all(this.#all().map((worker) => worker.ready));
  }

  post(message: CommonMessage): void {
    for (const worker of this.#all()) worker.post(message);
  }

  /** Before the first map that names this life. */
  lifeBegan(incarnation: number): void {
    this.#replication.post({ kind: 'life', incarnation });
    this.#log?.post({ kind: 'life', incarnation });
  }

  /** Clients that wait for a lease may be served again. */
  leaseIsBack(): void {
    for (const worker of this.#data) worker.post({ kind: 'lease' });
  }

  /** What each data worker answers. */
  askEvery(what: WorkerQuestion, asked: unknown): Promise<unknown[]> {
    return Promise.all(
      this.#data.map((worker) => worker.ask((id) => ({ kind: 'question', id, what, asked }))),
    );
  }

  awaitAck(partition: number, node: string, seq: number, timeoutMs: number): Promise<boolean> {
    const answer = this.#replication.ask((id) => ({
      kind: 'awaitAck',
      id,
      partition,
      node,
      seq,
      timeoutMs,
    }));
    return answer as Promise<boolean>;
  }

  awaitInSync(partition: number, seq: number, timeoutMs: number): Promise<boolean> {
    const answer = this.#replication.ask((id) => ({
      ...{ kind: 'awaitInSync', id, partition, seq, timeoutMs },
    }));
    return answer as Promise<boolean>;
  }

  awaitMembers(
    kept: readonly PendingMembers[],
    joining: readonly PendingMembers[],
    timeoutMs: number,
  ): Promise<PendingMembers[]> {
    const answer = this.#replication.ask((id) => ({
      ...{ kind: 'awaitMembers', id, kept, joining, timeoutMs },
    }));
    return answer as Promise<PendingMembers[]>;
  }

  sealCopies(partitions: readonly PartitionEpoch[]): Promise<SealedCopy[]> {
    const answer = this.#replication.ask((id) => ({ kind: 'sealCopies', id, partitions }));
    return answer as Promise<SealedCopy[]>;
  }

  verify(partitions: readonly number[]): Promise<VerifyReport> {
    const answer = this.#replication.ask((id) => ({ kind: 'verify', id, partitions }));
    return answer as Promise<VerifyReport>;
  }

  replicationStatus(): Promise<ReplicationStatus> {
    return this.#replication.ask((id) => ({ kind: 'status', id })) as Promise<ReplicationStatus>;
  }

  /** Event-loop use of each worker since this was last asked. */
  use(): ThreadUse[] {
    return this.#all().map((worker) => ({
      worker: worker.name,
      utilization: worker.loop.busyShare(),
    }));
  }

  /** Data workers first: no write comes in after the others have stopped. Storage last: what it saves then is all
   *  that this life has answered and acknowledged. */
  async stop(endedLife: number): Promise<void> {
    await Promise.all(this.#data.map((worker) => worker.stop({ kind: 'stop' })));
    await this.#replication.stop({ kind: 'stop' });
    await this.#log?.stop({ kind: 'stop' });
    await this.#storage.stop({ kind: 'end', endedLife }, LAST_CHECKPOINT_MS);
  }

  #all(): WorkerThread<CommonMessage, never>[] {
    const log = this.#log === null ? [] : [this.#log];
    return [this.#replication, this.#storage, ...log, ...this.#data] as WorkerThread<
      CommonMessage,
      never
    >[];
  }
}

async function answerTo(
  worker: DataWorker,
  question: AskMessage,
  answer: (question: AskMessage) => Promise<unknown>,
): Promise<void> {
  const { id } = question;
  try {
    worker.post({ kind: 'answer', id, result: await answer(question) });
  } catch (error) {
    worker.post({
      kind: 'answer',
      id,
      error: error instanceof Error ? error.message : String(error),
    });
  }
}

/** Workers run as this module does: from source, or built. */
function entryOf(module: string): URL {
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
  return new URL(`${module}.${extension}`, import.meta.url);
}
