/** The replication hub of a node: which connections should exist, and what the rest of the node may ask.
 *
 *  Owner: the replication worker. The map (through `configure`) alone says who follows whom; roles
 *  and epochs are read from the partitions. Sleeps on a shared word while nobody writes; after that
 *  steps the senders once per `gatherMs`, until there is nothing left to send. */
import type { Partition } from '@ingot/store';
import type { BulkCounts } from './bulk-slots.ts';
import type { HubCounters } from './counters.ts';
import { Following, type SealedCopy } from './following.ts';
import type { PendingMembers } from './in-sync.ts';
import type { ScrubStatus } from './inspections.ts';
import { Leading } from './leading.ts';
import type { Listener } from './link.ts';
import { type NodeIdentity, NodeState } from './node-state.ts';
import { type Sleep, Sleeper } from './sleeper.ts';
import { type SnapshotOptions, Snapshots, type SnapshotStatus } from './snapshots.ts';
import { emptyReport, type VerifyReport } from './verify.ts';
import type { PartitionReplicationStatus, ReplicationView } from './view.ts';

/** Writes of so long travel together. */
const gatherMs = 1;
/** Deadlines, reconnects and signs of life; also finds writes that nobody announced. */
const tickMs = 200;
/** `verify` waits so long, in all, for copies that are still on their way. */
const copyWaitMs = 30_000;
/** Partitions that one `verify` walks at once. */
const verifyAtOnceMax = 8;

export interface HubOptions extends NodeIdentity {
  readonly host: string;
  /** 0 = any; see `port` after `listen`. */
  readonly port: number;
  /** Shared by the node's threads: see `Sleeper`. */
  readonly wake: Int32Array;
  /** One round of the scrub takes so long; 0, as where nothing is said: off. */
  readonly scrubEveryMs?: number;
  /** Sleeps on `wake` unless given. */
  readonly sleeper?: Sleep;
  /** This node takes snapshots, and has no other copies. */
  readonly snapshots?: SnapshotOptions;
  /** Every 200 ms, once the hub has looked after its connections. */
  readonly ticked?: () => void;
}

export class ReplicationHub {
  readonly #options: HubOptions;
  readonly #state: NodeState;
  readonly #leading: Leading;
  readonly #following: Following;
  readonly #snapshots: Snapshots | null;
  readonly #sleeper: Sleep;
  #listener: Listener | null = null;
  #callOffTick: () => void = () => {};
  #running = false;

  constructor(options: HubOptions) {
    this.#options = options;
    this.#state = new NodeState(options);
    this.#sleeper = options.sleeper ?? new Sleeper(options.wake);
    this.#leading = new Leading(this.#state, () => this.#sleeper.wake(), options.scrubEveryMs ?? 0);
    this.#following = new Following(this.#state);
    const { snapshots } = options;
    this.#snapshots = snapshots === undefined ? null : new Snapshots(this.#state, snapshots);
    this.#state.dropSubscribers = (id) => this.#leading.dropSubscribers(id);
    this.#state.followsPrimary = (id) => this.#following.followsPrimary(id);
  }

  /** Opens the listener and starts. Rejects with the error of the bind. */
  async listen(): Promise<void> {
    const { host, port } = this.#options;
    const { network, security } = this.#state;
    this.#listener = await network.listen(host, port, security, (link) =>
      this.#leading.incoming(link),
    );
    this.#running = true;
    this.#tickLater();
    void this.#sendWhatIsWritten();
  }

  /** The port that is listened on. */
  get port(): number {
    return this.#listener?.port ?? this.#options.port;
  }

  async close(): Promise<void> {
    this.#running = false;
    this.#callOffTick();
    this.#following.close();
    this.#snapshots?.close();
    this.#leading.close();
    this.#sleeper.wake();
    await this.#listener?.close();
  }

  attach(partition: Partition): void {
    this.#state.partitions.set(partition.id, partition);
    this.#update();
  }

  /** Ends every connection that touches the partition's memory before it returns. */
  detach(id: number): void {
    this.#state.partitions.delete(id);
    this.#update();
  }

  configure(view: ReplicationView): void {
    this.#state.views.clear();
    for (const partition of view.partitions) this.#state.views.set(partition.id, partition);
    this.#state.incarnations = view.incarnations;
    this.#state.addresses = view.addresses ?? {};
    this.#state.observers = view.observers ?? [];
    this.#update();
  }

  /** The node goes on as another life: nothing of the former one is connected when this returns. */
  beginLife(incarnation: number): void {
    this.#state.identity = { ...this.#state.identity, incarnation };
    this.#following.close();
    this.#snapshots?.close();
    this.#leading.endSessions('another life of the node begins');
  }

  /** Something was written, or a role has changed. */
  wake(): void {
    if (this.#running) this.#following.update();
    this.#sleeper.wake();
  }

  #update(): void {
    this.#leading.update();
    if (!this.#running) return;
    this.#following.update();
    this.#snapshots?.update();
  }

  // ------------------------------------------------------------ what the node asks

  status(): PartitionReplicationStatus[] {
    return [...this.#state.partitions.values()].map((partition) => {
      const { seq } = partition.stats();
      return {
        id: partition.id,
        role: partition.role(),
        epoch: partition.epoch(),
        seq,
        consistent: partition.consistent(),
        checked: partition.checked(),
        followers: this.#leading.followersOf(partition, seq),
        feeds: this.#leading.feedsOf(partition.id),
      };
    });
  }

  /** Changes when the state of a copy or of a follower does, and not with what counts up: who asks often asks for this
   *  first. */
  digest(): string {
    let text = '';
    for (const partition of this.#state.partitions.values()) {
      const { id } = partition;
      const flags = `${partition.consistent()},${partition.checked()}`;
      const followers = this.#leading.digestOf(id);
      text += `${id},${partition.role()},${partition.epoch()},${flags},${followers};`;
    }
    return this.#snapshots === null
      ? text
      : `${text}snapshots ${this.#snapshots.status().readable}`;
  }

  counters(): HubCounters {
    return structuredClone(this.#state.counters);
  }

  /** Of the rounds here; null where none are taken. */
  snapshotStatus(): SnapshotStatus | null {
    return this.#snapshots?.status() ?? null;
  }

  /** How many bulks run, and how many wait for their turn. */
  bulks(): BulkCounts {
    return this.#leading.bulks;
  }

  /** Resolves true once `node` holds a consistent copy up to `seq`, false after `timeoutMs`. */
  awaitAck(partitionId: number, node: string, seq: number, timeoutMs: number): Promise<boolean> {
    return this.#leading.awaitAck(partitionId, node, seq, timeoutMs);
  }

  /** See `Leading.awaitMembers`. */
  awaitMembers(
    kept: readonly PendingMembers[],
    joining: readonly PendingMembers[],
    timeoutMs: number,
  ): Promise<PendingMembers[]> {
    return this.#leading.awaitMembers(kept, joining, timeoutMs);
  }

  /** Resolves true once the whole in-sync set has `seq`, false after `timeoutMs`. */
  awaitInSync(partitionId: number, seq: number, timeoutMs: number): Promise<boolean> {
    return this.#leading.awaitInSync(partitionId, seq, timeoutMs);
  }

  /** Failover: nothing of these epochs, or of older ones, gets into the copies here once this has
   *  returned. Says how far they are; partitions that are not followed here are left out. */
  sealCopies(partitions: readonly { id: number; epoch: number }[]): SealedCopy[] {
    return this.#following.seal(partitions);
  }

  scrubStatus(): ScrubStatus {
    return this.#leading.scrubStatus;
  }

  /** Compares every chunk in use of these partitions, which must be led here, with all followers, by CHECK markers,
   *  and has what differs repaired. */
  async verify(partitionIds: readonly number[]): Promise<VerifyReport> {
    const report = emptyReport();
    const deadlineMs = this.#options.nowMs() + copyWaitMs;
    const due = [...partitionIds];
    const walk = async (): Promise<void> => {
      for (let id = due.shift(); id !== undefined; id = due.shift()) {
        await this.#leading.verify(id, report, deadlineMs);
      }
    };
    await Promise.all(Array.from({ length: verifyAtOnceMax }, walk));
    report.differences.sort((a, b) => a.partition - b.partition || a.chunk - b.chunk);
    report.notChecked.sort((a, b) => a.partition - b.partition);
    return report;
  }

  // ------------------------------------------------------------ sending

  async #sendWhatIsWritten(): Promise<void> {
    while (this.#running) {
      if (this.#leading.stepAll()) {
        await this.#sleeper.gather(gatherMs);
        continue;
      }
      this.#sleeper.announce(this.#leading.hasFollowers);
      // A write may have come between the last look and the announcement.
      if (this.#leading.stepAll()) continue;
      await this.#sleeper.sleep();
      // Whoever woke us is likely to write more: a wake-up a millisecond costs the writers nothing, one a batch is a
      // fifth of what a SET costs. Who holds replies until followers have answered does not wait.
      await this.#sleeper.gather(gatherMs);
    }
  }

  #tickLater(): void {
    this.#callOffTick = this.#state.timers.later(tickMs, () => {
      this.#tick();
      this.#options.ticked?.();
      if (this.#running) this.#tickLater();
    });
  }

  #tick(): void {
    const nowMs = this.#options.nowMs();
    this.#leading.tick(nowMs);
    this.#following.update();
    this.#snapshots?.update();
    this.#leading.stepAll();
  }
}
