/** A node of a simulated cluster: one process, with everything that decides about maps, leads and in-sync sets taken
 *  from the product, and copies that are lists.
 *
 *  It is put together as the product is: heartbeats carry reports to the acceptors, maps that are chosen are
 *  announced, a map that has come is applied to the copies and then told to replication, each a moment later. */
import type { PartitionReplicationStatus } from '@ingot/replication';
import { ROLE_FOLLOWER, ROLE_PRIMARY } from '@ingot/store';
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
import { planSteps } from '../../../packages/node/src/process/map-applier.ts';
import { nextAcceptors } from '../../../packages/node/src/register/acceptor-choice.ts';
import {
  type ClusterMap,
  copiesOf,
  type Life,
  nodeOf,
} from '../../../packages/node/src/shared/map.ts';
import { Broken } from '../trace.ts';
import type { ClusterMachine, ClusterRun } from './cluster-run.ts';
import { mapNode } from './founding.ts';
import type { SimProcess } from './host.ts';
import { LightCopy } from './light-copy.ts';
import { LightFollowing } from './light-following.ts';
import { LightLeading } from './light-leading.ts';
import { Serving } from './serving.ts';
import { Voter } from './voter.ts';

const stepMs = 200;
const statusMs = 100;
const threadMsMax = 3;
const joinRetryMs = 250;
const callMs = 1_000;
const joinMs = 8_000;
const sealAckMs = 1_000;
const joiningAckMs = 500;

export interface LeadRole {
  readonly epoch: number;
  sealed: boolean;
}

export class ClusterNode {
  readonly run: ClusterRun;
  readonly machine: ClusterMachine;
  readonly process: SimProcess;
  readonly voter: Voter;
  readonly leading: LightLeading;
  readonly serving: Serving;
  readonly keeper: InSyncKeeper;
  readonly coordinator: Coordinator;
  readonly seals: SealGuard;
  readonly copies = new Map<number, LightCopy>();
  /** The role words: what is led here, at which epoch. */
  readonly leads = new Map<number, LeadRole>();
  readonly #following = new Map<number, LightFollowing>();
  readonly #sealedThrough = new Map<number, number>();
  /** What data workers see, and what the copies agree with. */
  applied: ClusterMap;
  /** What replication has been told: the keeper of in-sync sets must not be ahead of it. */
  told: ClusterMap;
  joined = false;

  constructor(run: ClusterRun, machine: ClusterMachine, process: SimProcess, map: ClusterMap) {
    this.run = run;
    this.machine = machine;
    this.process = process;
    this.applied = map;
    this.told = map;
    const { disk, incarnation } = machine;
    const life = { node: machine.host.id, incarnation: incarnation + 1 };
    const { history } = run;
    const voterAt = (target: SimProcess): Voter | null => run.nodeAt(target)?.voter ?? null;
    this.voter = new Voter({ process, disk, history, voterAt, map, life, hasBegun: false });
    this.leading = new LightLeading(process, map.partitions, incarnation, (id) => this.copy(id));
    this.serving = new Serving(this);
    this.leading.onMoved = () => this.serving.look();
    this.keeper = new InSyncKeeper({
      self: () => this.voter.life,
      map: () => this.told,
      nowMs: process.nowMs,
      later: process.later,
      awaitMembers: async (kept, joining) => {
        await this.#otherThread();
        const ready = await this.leading.awaitMembers(kept, joining, joiningAckMs);
        await this.#otherThread();
        return ready;
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
        forgetAfterMs: run.forgetAfterMs,
        nextAcceptors,
        nowMs: process.nowMs,
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
    process.every(statusMs, () => this.keeper.heard(this.#status()));
  }

  get id(): string {
    return this.machine.host.id;
  }

  get life(): Life {
    return this.voter.life;
  }

  copy(partition: number): LightCopy {
    const copy = this.copies.get(partition);
    if (copy === undefined) throw new Error(`${this.id} holds no copy of ${partition}`);
    return copy;
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
    const request: JoinRequest = {
      ...mapNode(this.id, machine.disk.id),
      clusterId: machine.incarnation === 0 ? '' : 'simulated',
      lastIncarnation: machine.incarnation,
      memoryOf: 0,
    };
    const others = run.world.hosts.filter(({ id }) => id !== this.id);
    const known = this.coordinator.activeNode()?.id ?? null;
    const asksItself = machine.incarnation > 0 && run.world.random.chance(0.3);
    const at = run.world.random.chance(0.5) ? known : (run.world.pick(others)?.id ?? null);
    const ask = asksItself
      ? this.coordinator.register(request)
      : run.world.network.call(
          process,
          at ?? this.id,
          async (target) => {
            const node = run.nodeAt(target);
            if (node === null || !node.joined) throw new Error('the node is still starting');
            const active = node.coordinator.activeNode();
            if (active === null || active.id === node.id) return node.coordinator.register(request);
            return await node.#call(
              active.id,
              (other) => other.coordinator.register(request),
              joinMs,
            );
          },
          { timeoutMs: joinMs },
        );
    ask.then(
      (map) => this.#enters(map),
      () => void process.later(joinRetryMs, () => this.join()),
    );
  }

  #enters(map: ClusterMap): void {
    const own = nodeOf(map, this.id);
    if (own === null || own.incarnation <= this.machine.incarnation) return this.join();
    this.machine.incarnation = own.incarnation;
    this.voter.begin({ node: this.id, incarnation: own.incarnation });
    this.joined = true;
    this.run.world.trace.count('lives that joined');
    this.voter.learn(map);
    this.#mapCame(this.voter.map);
  }

  /** Serves nothing from here on, keeps its copies, and joins again. */
  #lifeEnded(): void {
    if (!this.joined) return;
    this.joined = false;
    this.run.world.trace.count('lives that were ended by others');
    this.#demote();
    if (nodeOf(this.voter.map, this.id) === null && this.run.hasLeft(this.id)) return;
    this.process.later(1, () => this.join());
  }

  #demote(): void {
    this.leads.clear();
    for (const following of this.#following.values()) following.stop();
    this.#following.clear();
    this.leading.configure([], {});
    this.serving.look();
  }

  // ------------------------------------------------------------ maps

  #mapCame(map: ClusterMap): void {
    this.coordinator.follow(map);
    this.process.later(this.run.world.random.next() * threadMsMax, () => this.#apply());
  }

  #apply(): void {
    const { map, life } = this.voter;
    if (!this.joined || nodeOf(map, this.id)?.incarnation !== life.incarnation) return;
    if (map.version < this.applied.version) return;
    const local = new Map(
      [...this.copies].map(([id, copy]) => {
        const led = this.leads.get(id);
        const role = led === undefined ? ('follower' as const) : ('primary' as const);
        const epoch = led?.epoch ?? this.#following.get(id)?.source.epoch ?? 0;
        return [id, { role, epoch, consistent: copy.consistent }];
      }),
    );
    for (const step of planSteps(map, this.id, local)) {
      switch (step.kind) {
        case 'create':
          this.copies.set(step.partition, new LightCopy(step.partition));
          break;
        case 'promote':
          this.#lead(step.partition, step.epoch, map);
          break;
        case 'follow':
        case 'retire':
          this.leads.delete(step.partition);
          break;
        case 'refuse':
          throw new Broken('promoted', `${this.id} is to lead ${step.partition} without its data`);
        case 'publish':
          this.applied = map;
          break;
        case 'drop':
          this.#following.get(step.partition)?.stop();
          this.#following.delete(step.partition);
          this.copies.delete(step.partition);
          break;
        default:
      }
    }
    this.#follow();
    this.process.later(this.run.world.random.next() * threadMsMax, () => this.#tellReplication());
    this.serving.look();
  }

  #lead(partition: number, epoch: number, map: ClusterMap): void {
    const copy = this.copy(partition);
    const { lost } = map.placement[partition];
    // What a lost partition begins with may be anything.
    const begins = epoch === 1 || lost;
    if (!begins && !(copy.consistent && copy.checked) && !this.leads.has(partition)) {
      const what = copy.consistent ? 'unchecked' : 'inconsistent';
      throw new Broken('promoted', `${this.id} leads ${partition} with an ${what} copy`);
    }
    copy.consistent = true;
    copy.checked = true;
    this.#following.get(partition)?.stop();
    this.#following.delete(partition);
    this.leads.set(partition, { epoch, sealed: false });
    this.run.world.note(`${this.process.name} leads ${partition} at epoch ${epoch}`);
  }

  #follow(): void {
    for (const [partition, { primary, epoch }] of this.applied.placement.entries()) {
      const following = this.#following.get(partition);
      const copy = this.copies.get(partition);
      const { incarnation } = this.life;
      const isWanted = copy !== undefined && primary !== null && primary !== this.id && this.joined;
      const isSealed = epoch <= (this.#sealedThrough.get(partition) ?? 0);
      const source = { primary: primary ?? '', epoch, incarnation };
      if (isWanted && !isSealed && following?.isFrom(source)) continue;
      following?.stop();
      this.#following.delete(partition);
      if (!isWanted || isSealed) continue;
      const leadingAt = (target: SimProcess): LightLeading | null =>
        this.run.nodeAt(target)?.leading ?? null;
      const opened = new LightFollowing(this.process, copy, source, leadingAt);
      this.#following.set(partition, opened);
    }
  }

  #tellReplication(): void {
    const { applied, life } = this;
    if (!this.joined || nodeOf(applied, this.id)?.incarnation !== life.incarnation) return;
    const views = applied.placement.flatMap((entry, id) => {
      if (!copiesOf(entry).includes(this.id) || !this.copies.has(id)) return [];
      const { epoch, primary, followers, inSync } = entry;
      return [{ id, epoch, primary, followers, inSync, primaryAddress: null }];
    });
    const lives = applied.nodes.map(({ id, incarnation }): [string, number] => [id, incarnation]);
    this.leading.configure(views, Object.fromEntries(lives));
    this.told = applied;
    this.keeper.look();
  }

  #otherThread(): Promise<void> {
    return new Promise((resolve) => {
      this.process.later(this.run.world.random.next() * threadMsMax, resolve);
    });
  }

  // ------------------------------------------------------------ what the control plane asks

  #callbacks(): NodeCallbacks {
    return {
      report: () => this.#report(),
      seal: (partition: number, to: string) => this.#seal(partition, to),
      unseal: (partition: number) => {
        const led = this.leads.get(partition);
        if (led !== undefined) led.sealed = false;
      },
      sealCopies: (partitions: readonly PartitionEpoch[]) => this.sealCopies(partitions),
    } as NodeCallbacks;
  }

  async #seal(partition: number, to: string): Promise<SealOutcome> {
    const led = this.leads.get(partition);
    if (led === undefined) return { ok: false, seq: 0, why: 'it does not lead' };
    led.sealed = true;
    const { seq } = this.copy(partition);
    this.leading.written(partition);
    const has = (): boolean =>
      this.leading.ackedBy(partition, to) >= seq && this.leading.inSync.has(partition, seq);
    if (await this.leading.until(has, sealAckMs)) return { ok: true, seq };
    led.sealed = false;
    return { ok: false, seq: 0, why: 'it was not acknowledged' };
  }

  async sealCopies(partitions: readonly PartitionEpoch[]): Promise<SealedCopy[]> {
    await this.#otherThread();
    for (const { id, epoch } of partitions) {
      this.#sealedThrough.set(id, Math.max(epoch, this.#sealedThrough.get(id) ?? 0));
    }
    this.#follow();
    const sealed = partitions.flatMap(({ id }) => {
      const copy = this.copies.get(id);
      if (copy === undefined || this.leads.has(id)) return [];
      const consistent = copy.consistent && copy.checked;
      return [{ id, epoch: copy.lastEpoch, applied: copy.seq, consistent }];
    });
    await this.#otherThread();
    return sealed;
  }

  #report(): Heartbeat {
    const partitions = this.#status().map(
      ({ id, role, epoch, seq, consistent, checked, followers }) => ({
        ...{ id, epoch, seq, consistent, checked },
        role: role === ROLE_PRIMARY ? ('primary' as const) : ('follower' as const),
        followers: followers.map(({ node, state, ackedSeq }) => ({
          ...{ node, state, ackedSeq },
          checked: state === 'streaming',
        })),
      }),
    );
    const { node, incarnation } = this.life;
    return { node, incarnation, mapVersion: this.applied.version, partitions };
  }

  #status(): PartitionReplicationStatus[] {
    return [...this.copies].map(([id, { seq, consistent, checked }]) => {
      const led = this.leads.get(id);
      return {
        id,
        role: led === undefined ? ROLE_FOLLOWER : ROLE_PRIMARY,
        epoch: led?.epoch ?? this.#following.get(id)?.source.epoch ?? 0,
        ...{ seq, consistent, checked },
        followers: led === undefined ? [] : this.leading.status(id),
      };
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
