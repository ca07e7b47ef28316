/** A node of a simulated cluster: one process, put together as the product is.
 *
 *  Everything that decides about maps, leads, in-sync sets, copies and replies is the product's. What stands for the
 *  supervisor is here: heartbeats carry reports to the acceptors, maps that are chosen are announced, a map that has
 *  come is applied to the copies, and the other threads are told of it, each a moment later. */
import type { PartitionReplicationStatus } from '@ingot/replication';
import { attachPartition, type Partition, ROLE_PRIMARY } from '@ingot/store';
import { InSyncKeeper } from '../../../packages/node/src/acks/in-sync-keeper.ts';
import { Coordinator } from '../../../packages/node/src/control/coordinator.ts';
import type { JoinRequest } from '../../../packages/node/src/control/registration.ts';
import { SealGuard } from '../../../packages/node/src/control/seal-guard.ts';
import type {
  ControlLog,
  Heartbeat,
  NodeCallbacks,
  PartitionEpoch,
  SealedCopy,
  SealOutcome,
} from '../../../packages/node/src/control/types.ts';
import { LocalPartitions } from '../../../packages/node/src/process/local-partitions.ts';
import {
  NO_REPLICATION,
  partitionStatuses,
} from '../../../packages/node/src/process/node-report.ts';
import { SweepRounds } from '../../../packages/node/src/process/sweep-rounds.ts';
import { nextAcceptors } from '../../../packages/node/src/register/acceptor-choice.ts';
import { type ClusterMap, type Life, nodeOf } from '../../../packages/node/src/shared/map.ts';
import { smallGeometry } from '../geometry.ts';
import { Broken } from '../trace.ts';
import type { ClusterMachine, ClusterRun } from './cluster-run.ts';
import { mapNode } from './founding.ts';
import type { SimProcess } from './host.ts';
import { ReplicationThread } from './replication-thread.ts';
import { Serving } from './serving.ts';
import { SimBoard } from './sim-board.ts';
import { SimLinks } from './sim-link.ts';
import { Voter } from './voter.ts';

const stepMs = 200;
const statusMs = 200;
const sweepMs = 300;
const threadMsMax = 3;
const joinRetryMs = 250;
const callMs = 1_000;
const joinMs = 8_000;
const lateJoinShare = 0.2;
const lateJoinMsMax = 3_000;
const sealAckMs = 1_000;
const inSyncMs = 200;
const sealCopiesMs = 300;
const drainMs = 10_000;
const drainRetryMs = 100;
const stoppedMs = 1_000;
const joiningAckMs = 500;
const ringBytes = 131_072;

export class ClusterNode {
  readonly run: ClusterRun;
  readonly machine: ClusterMachine;
  readonly process: SimProcess;
  readonly voter: Voter;
  readonly links: SimLinks;
  readonly serving: Serving;
  readonly partitions: LocalPartitions;
  readonly keeper: InSyncKeeper;
  readonly coordinator: Coordinator;
  readonly seals: SealGuard;
  readonly #board: SimBoard;
  readonly #sweeps = new SweepRounds();
  readonly #sealed = new Map<number, SealedCopy & { readonly through: number }>();
  /** From the first life on. */
  replication: ReplicationThread | null = null;
  /** What the role words agree with. */
  applied: ClusterMap;
  joined = false;
  /** Its memory is that of this life; 0: it begins with none. */
  #memoryOf = 0;
  /** Of the join that is under way. */
  #joinId = '';
  #status: readonly PartitionReplicationStatus[] = [];

  constructor(run: ClusterRun, machine: ClusterMachine, process: SimProcess, map: ClusterMap) {
    this.run = run;
    this.machine = machine;
    this.process = process;
    this.applied = map;
    const { disk, incarnation } = machine;
    const life = { node: machine.host.id, incarnation: incarnation + 1 };
    const { history } = run;
    const voterAt = (target: SimProcess): Voter | null => run.nodeAt(target)?.voter ?? null;
    this.voter = new Voter({ process, disk, history, voterAt, map, life, hasBegun: false });
    this.links = new SimLinks(process, (target) => run.nodeAt(target)?.links ?? null);
    this.#board = new SimBoard(process, map.partitions);
    this.serving = new Serving(this, this.#board, map);
    this.partitions = this.#newPartitions();
    this.keeper = new InSyncKeeper({
      self: () => this.voter.life,
      map: () => this.applied,
      nowMs: process.nowMs,
      later: process.later,
      awaitMembers: (kept, joining) => {
        for (const each of joining) run.willJoin(this, each);
        return this.#asksHub(({ hub }) => hub.awaitMembers(kept, joining, joiningAckMs));
      },
      propose: (change) => this.voter.propose(change),
      failed: () => run.world.trace.count('in-sync changes that failed'),
    });
    const log = this.#log();
    this.seals = new SealGuard({
      node: this.#callbacks(),
      self: machine.host.id,
      map: () => this.voter.map,
      propose: (change) => this.voter.propose(change),
      later: process.later,
    });
    this.coordinator = new Coordinator(
      {
        self: machine.host.id,
        proposer: { propose: (change) => this.voter.propose(change) } as Voter['proposer'],
        leases: { fence: (ended, byOwner) => this.voter.leases.fence(ended, byOwner) },
        sealCalls: {
          seal: ({ id }, { partition, epoch, to }) =>
            this.#call(id, ({ seals }) => seals.seal(partition, epoch, to)),
          unseal: ({ id }, partition, sealId) =>
            this.#call(id, async ({ seals }) => seals.unseal(partition, sealId)),
        },
        copies: {
          sealCopies: ({ id, incarnation: meant }, partitions) =>
            this.#call(id, async (node) => {
              if (node.voter.life.incarnation !== meant) throw new Error('another life is there');
              return await node.sealCopies(partitions);
            }),
        },
        log,
        savesCopies: false,
        forgetAfterMs: run.forgetAfterMs,
        nextAcceptors,
        nowMs: process.nowMs,
        wallMs: process.wallMs,
        later: process.later,
        nudge: () => void process.later(0, () => this.#step()),
      },
      map,
    );
    this.voter.onMap = (newer) => this.#mapCame(newer);
    this.voter.onLifeOver = () => this.#lifeEnded();
    this.voter.report = () => this.#report();
    this.voter.onBeat = (from) => this.#hear(from);
    process.every(stepMs, () => this.#step());
    process.every(statusMs, () => void this.#askStatus());
    process.every(sweepMs, () => void this.#sweeps.step(process.wallMs()));
  }

  get id(): string {
    return this.machine.host.id;
  }

  get life(): Life {
    return this.voter.life;
  }

  copy(partition: number): Partition | undefined {
    return this.partitions.get(partition);
  }

  /** By the word that data workers look at. */
  get hasLease(): boolean {
    return this.joined && this.voter.holder.isHeld();
  }

  // ------------------------------------------------------------ lives

  /** The first life of the cluster. */
  found(map: ClusterMap): void {
    this.#enters(map);
  }

  join(): void {
    const { run, machine, process } = this;
    if (this.#joinId === '') this.#joinId = `join ${++run.joins}`;
    const request: JoinRequest = {
      ...mapNode(this.id, machine.disk.id),
      witness: machine.isWitness,
      clusterId: machine.incarnation === 0 ? '' : 'simulated',
      lastIncarnation: machine.incarnation,
      memoryOf: this.#memoryOf,
      memoryIn: [],
      started: this.#memoryOf === 0,
      joinId: this.#joinId,
    };
    const others = run.world.hosts.filter(({ id }) => id !== this.id);
    const known = this.coordinator.activeNode()?.id ?? null;
    const asksItself = machine.incarnation > 0 && run.world.random.chance(0.3);
    const at = run.world.random.chance(0.5) ? known : (run.world.pick(others)?.id ?? null);
    const ask = asksItself
      ? this.coordinator.register(request)
      : this.#askToJoin(at ?? this.id, request);
    ask.then(
      (map) => this.#enters(map),
      () => void process.later(joinRetryMs, () => this.join()),
    );
  }

  /** Some requests arrive once more, long after their answer. */
  #askToJoin(at: string, request: JoinRequest): Promise<ClusterMap> {
    const { run, process } = this;
    const { world } = run;
    const asked = async (target: SimProcess): Promise<ClusterMap> => {
      const node = run.nodeAt(target);
      if (node === null || !node.joined) throw new Error('the node is still starting');
      const active = node.coordinator.activeNode();
      if (active === null || active.id === node.id) return node.coordinator.register(request);
      return await node.#call(
        active.id,
        async ({ joined, coordinator }) => {
          if (!joined) throw new Error('the node is still starting');
          return await coordinator.register(request);
        },
        joinMs,
      );
    };
    if (world.random.chance(lateJoinShare)) {
      world.after(world.random.below(lateJoinMsMax), () => {
        world.network.send(this.id, at, (target) => {
          world.trace.count('requests to join that came late');
          asked(target).catch(() => undefined);
        });
      });
    }
    return world.network.call(process, at, asked, { timeoutMs: joinMs });
  }

  #enters(map: ClusterMap): void {
    const own = nodeOf(map, this.id);
    if (own === null || own.incarnation <= this.machine.incarnation) return this.join();
    this.machine.incarnation = own.incarnation;
    this.#memoryOf = own.incarnation;
    this.#joinId = '';
    this.voter.begin({ node: this.id, incarnation: own.incarnation });
    this.#beginReplication(own.incarnation);
    this.joined = true;
    this.run.world.trace.count('lives that joined');
    this.voter.learn(map);
    this.#mapCame(this.voter.map);
  }

  #beginReplication(incarnation: number): void {
    const { replication } = this;
    if (replication !== null) replication.post(() => replication.hub.beginLife(incarnation));
    else {
      const { process, links } = this;
      this.replication = new ReplicationThread(process, links, this.#board, incarnation);
    }
  }

  /** Serves nothing from here on, keeps its copies, and joins again. */
  #lifeEnded(): void {
    if (!this.joined) return;
    this.joined = false;
    this.run.world.trace.count('lives that were ended by others');
    this.partitions.standDown();
    this.#rolesMoved();
    if (nodeOf(this.voter.map, this.id) === null && this.run.hasLeft(this.id)) return;
    this.process.later(1, () => this.join());
  }

  #rolesMoved(): void {
    const { replication } = this;
    replication?.post(() => replication.hub.wake());
    this.serving.rolesMoved();
  }

  // ------------------------------------------------------------ maps

  #mapCame(map: ClusterMap): void {
    this.coordinator.follow(map);
    this.process.later(this.run.world.random.next() * threadMsMax, () => this.#apply());
  }

  #apply(): void {
    const { map, life } = this.voter;
    if (!this.joined || nodeOf(map, this.id)?.incarnation !== life.incarnation) return;
    if (map.version > this.partitions.appliedVersion()) this.#judgeLeads(map);
    this.partitions.apply(map);
  }

  /** Nothing of what it is about to lead may lack what it should hold. */
  #judgeLeads(map: ClusterMap): void {
    for (const [id, { primary, epoch, lost }] of map.placement.entries()) {
      const copy = this.copy(id);
      // What a lost partition begins with may be anything.
      if (primary !== this.id || epoch === 1 || lost) continue;
      if (copy?.role() === ROLE_PRIMARY) continue;
      if (copy?.consistent() === true && copy.checked()) continue;
      const what = copy === undefined ? 'empty' : copy.consistent() ? 'unchecked' : 'inconsistent';
      throw new Broken('promoted', `${this.id} leads ${id} with an ${what} copy`);
    }
  }

  #newPartitions(): LocalPartitions {
    const { run, process, serving } = this;
    const limit = { bytes: Number.MAX_SAFE_INTEGER, of: 'machine' as const };
    return new LocalPartitions(
      this.id,
      limit,
      {
        attach: (handle) => {
          this.replication?.attach(handle);
          serving.attach(handle);
          this.#sweeps.attach(attachPartition(handle));
        },
        publish: (map) => this.#publish(map),
        detach: (id) => {
          const { replication } = this;
          replication?.post(() => replication.hub.detach(id));
          serving.detach(id);
          this.#sweeps.detach(id);
        },
      },
      (_, event, fields) => run.world.note(`${process.name} ${event} ${JSON.stringify(fields)}`),
      {
        nowMs: process.wallMs,
        geometryOf: ({ partitions }) => smallGeometry(partitions, ringBytes),
      },
    );
  }

  #publish(map: ClusterMap): void {
    this.applied = map;
    this.replication?.configure(map);
    this.serving.publish(map);
    this.keeper.look();
  }

  async #askStatus(): Promise<void> {
    const status = await this.replication?.status();
    if (status === undefined) return;
    this.#status = status;
    this.keeper.heard(status);
  }

  /** Never settles where replication has not begun: nothing is led or followed then. */
  #asksHub<Answer>(
    question: (replication: ReplicationThread) => Answer | Promise<Answer>,
  ): Promise<Answer> {
    const { replication } = this;
    if (replication === null) return Promise.reject(new Error('the node is still starting'));
    return replication.ask(() => question(replication));
  }

  // ------------------------------------------------------------ what the control plane asks

  #callbacks(): NodeCallbacks {
    return {
      report: () => this.#report(),
      seal: (partition: number, to: string) => this.#seal(partition, to),
      unseal: (partition: number) => this.#unseal(partition),
      sealCopies: (partitions: readonly PartitionEpoch[]) => this.sealCopies(partitions),
    } as NodeCallbacks;
  }

  async #seal(id: number, to: string): Promise<SealOutcome> {
    const partition = this.copy(id);
    const leads = this.applied.placement[id].primary === this.id;
    if (partition === undefined || !leads) return { ok: false, seq: 0, why: 'it does not lead' };
    const seq = this.serving.overtaken(id, () => partition.seal(true));
    const caughtUp = await this.#asksHub(({ hub }) => hub.awaitAck(id, to, seq, sealAckMs));
    if (caughtUp) {
      await this.#asksHub(({ hub }) => hub.awaitInSync(id, seq, inSyncMs));
      return { ok: true, seq };
    }
    this.#unseal(id);
    return { ok: false, seq: 0, why: 'it was not acknowledged' };
  }

  #unseal(id: number): void {
    this.copy(id)?.seal(false);
    this.#rolesMoved();
  }

  async sealCopies(partitions: readonly PartitionEpoch[]): Promise<SealedCopy[]> {
    const sealed = this.#asksHub(({ hub }) => {
      const copies = hub.sealCopies(partitions);
      for (const copy of copies) {
        const through = partitions.find(({ id }) => id === copy.id)?.epoch ?? 0;
        this.#sealed.set(copy.id, { ...copy, through });
      }
      return copies;
    });
    const late = new Promise<SealedCopy[]>((resolve) => {
      this.process.later(sealCopiesMs, () => resolve([]));
    });
    return await Promise.race([sealed, late]);
  }

  judgeSeals(): void {
    for (const [id, { through, applied }] of this.#sealed) {
      const copy = this.copy(id);
      if (copy === undefined || copy.epoch() > through) this.#sealed.delete(id);
      else if (copy.committedSeq() !== applied) {
        const detail = `${this.id}/${id} was at ${applied}, and is at ${copy.committedSeq()}`;
        throw new Broken('sealed', detail);
      }
    }
  }

  #report(): Heartbeat {
    const { node, incarnation } = this.life;
    const replication = { ...NO_REPLICATION, partitions: [...this.#status] };
    const partitions = partitionStatuses(this.partitions.all(), replication);
    return { node, incarnation, mapVersion: this.partitions.appliedVersion(), partitions };
  }

  /** SIGTERM: hands over what it leads. Resolves false where that took too long. */
  async drain(): Promise<boolean> {
    const { process, life } = this;
    const giveUpMs = process.nowMs() + drainMs;
    while (process.nowMs() < giveUpMs) {
      const leftMs = giveUpMs - process.nowMs();
      try {
        await this.#askActive(leftMs, (coordinator) => coordinator.drain(life));
        await this.#stopLife();
        return true;
      } catch {
        await this.#within(drainRetryMs, new Promise(() => {})).catch(() => undefined);
      }
    }
    return false;
  }

  /** It serves nothing any more, and says so: nobody has to miss it first. */
  async #stopLife(): Promise<void> {
    const { life, voter } = this;
    const leads = voter.map.placement.some(({ primary }) => primary === this.id);
    if (leads || !this.joined) return;
    this.joined = false;
    this.partitions.standDown();
    this.#rolesMoved();
    voter.stopLife();
    await this.#askActive(stoppedMs, (coordinator) => coordinator.stopped(life)).then(
      () => this.run.world.trace.count('lives that ended in order'),
      () => undefined,
    );
  }

  async #askActive(ms: number, ask: (coordinator: Coordinator) => Promise<void>): Promise<void> {
    const active = this.coordinator.activeNode();
    if (active === null) throw new Error('nobody coordinates');
    if (active.id === this.id) await this.#within(ms, ask(this.coordinator));
    else await this.#call(active.id, ({ coordinator }) => ask(coordinator), ms);
  }

  #within<T>(ms: number, what: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.process.later(ms, () => reject(new Error('late')));
      what.then(resolve, reject);
    });
  }

  #hear(report: Heartbeat): void {
    try {
      this.coordinator.hear(report);
    } catch {
      // the lease keeper says it better
    }
  }

  #step(): void {
    if (!this.joined) return;
    this.coordinator.step().catch((error: unknown) => {
      if (error instanceof Broken) this.run.world.fail(error);
      this.run.world.trace.count('steps that failed');
    });
  }

  #call<Answer>(
    to: string,
    ask: (node: ClusterNode) => Promise<Answer>,
    timeoutMs: number = callMs,
  ): Promise<Answer> {
    const asked = async (target: SimProcess): Promise<Answer> => {
      const node = this.run.nodeAt(target);
      if (node === null) throw new Error('the node is still starting');
      return await ask(node);
    };
    return this.run.world.network.call(this.process, to, asked, { timeoutMs });
  }

  #log(): ControlLog {
    const { world } = this.run;
    const note = (fields: { event: string }): void => {
      world.trace.count(`event: ${fields.event}`);
      world.note(`${this.process.name} ${JSON.stringify(fields)}`);
    };
    return { info: note, warn: note, error: note };
  }
}
