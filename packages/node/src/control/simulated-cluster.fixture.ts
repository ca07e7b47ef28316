/** Control nodes over a memory store, simulated nodes, and a clock that stands still unless it is
 *  told. Everything that happens is a call: heartbeats, the arrival of a map, a follower catching
 *  up, a primary that tends its in-sync sets. */
import { servedShare, leaseMs } from '../lease/authority.ts';
import { MemoryLeases } from '../lease/memory-leases.ts';
import { nextAcceptors } from '../register/acceptor-choice.ts';
import { membersOf } from '../register/acceptor-set.ts';
import { MapProposer } from '../register/map-proposer.ts';
import type { ClusterMapStore } from '../register/map-store.ts';
import { MemoryMapStore } from '../register/memory-map-store.ts';
import { plainNode } from '../shared/map.fixture.ts';
import {
  type ClusterMap,
  copiesOf,
  isStopping,
  type Life,
  type MapNode,
  type NodeId,
  nodeOf,
} from '../shared/map.ts';
import { Coordinator } from './coordinator.ts';
import { foundingMap } from './map-changes.ts';
import type { Seal } from './seal-guard.ts';
import { sameLives, SimulatedNode } from './simulated-node.fixture.ts';
import type { ControlLog, LogFields, PartitionEpoch, SealedCopy } from './types.ts';

export interface Shape {
  partitions: number;
  copies: number;
  uncleanFailover?: boolean;
  forgetAfterMs?: number;
}

/** A map as the founder makes it. */
export function mapFoundedBy(founder: NodeId, shape: Shape): ClusterMap {
  const { partitions, copies, uncleanFailover = true } = shape;
  return foundingMap(
    {
      clusterId: 'cluster-under-test',
      partitions,
      copies,
      capacityBytes: 2 ** 30,
      capacityMaxBytes: 2 ** 33,
      valueMaxBytes: 2 ** 20,
      eviction: 'sieve',
      minIsr: 1,
      uncleanFailover,
    },
    plainNode(founder),
  );
}

let joins = 0;

/** What a node says that joins, each time anew. */
export function requestOf(id: NodeId, lastIncarnation: number) {
  const { acceptor, advertise, ports, witness, observer } = plainNode(id);
  const member = { id, acceptor, advertise, ports, witness, observer };
  return {
    ...member,
    clusterId: '',
    lastIncarnation,
    memoryOf: 0,
    memoryIn: [],
    started: true,
    joinId: `join ${++joins}`,
  };
}

interface Timer {
  readonly atMs: number;
  readonly ring: () => void;
}

export class SimulatedCluster {
  readonly store: MemoryMapStore;
  /** Those whose process runs. */
  readonly nodes: Map<NodeId, SimulatedNode> = new Map();
  /** Cut off from all other control nodes, and from nobody else. */
  readonly muted: Set<NodeId> = new Set();
  readonly events: LogFields[] = [];
  map: ClusterMap;
  tendsByHand: boolean = false;
  /** Plans that coordinators have made. */
  plans = 0;
  /** By partition: the seq up to which writes with acks=isr were answered. */
  readonly answered: number[];
  readonly #forgetAfterMs: number;
  readonly #leases: MemoryLeases;
  readonly #coordinators = new Map<NodeId, Coordinator>();
  readonly #timers: Set<Timer> = new Set();
  #nowMs = 0;
  #operations = 0;

  /** The founder, n1, is up. */
  constructor(shape: Shape) {
    this.map = mapFoundedBy('n1', shape);
    this.#forgetAfterMs = shape.forgetAfterMs ?? 0;
    this.answered = this.map.placement.map(() => 0);
    this.store = new MemoryMapStore(this.map);
    this.#leases = new MemoryLeases(this.map.acceptors, () => this.#nowMs);
    this.store.watch(1n, (map) => {
      const unlisted = membersOf(map.acceptors).find(({ node }) => nodeOf(map, node) === null);
      if (unlisted !== undefined) throw new Error(`${unlisted.node} votes and is not in the map`);
      this.map = map;
      for (const [id, coordinator] of this.#coordinators) {
        if (!this.muted.has(id)) coordinator.follow(map);
      }
    });
    this.#coordinators.set('n1', this.#newCoordinator('n1'));
    this.#run('n1', 1);
  }

  get nowMs(): number {
    return this.#nowMs;
  }

  set nowMs(nowMs: number) {
    this.#nowMs = nowMs;
    for (const timer of this.#timers) {
      if (timer.atMs > nowMs) continue;
      this.#timers.delete(timer);
      timer.ring();
    }
  }

  /** The one that acts. */
  get coordinator(): Coordinator {
    const acting = [...this.#coordinators].find(
      ([id, coordinator]) => !this.muted.has(id) && coordinator.isActive(),
    );
    return (acting ?? [...this.#coordinators][0])[1];
  }

  node(id: NodeId): SimulatedNode {
    return this.nodes.get(id) as SimulatedNode;
  }

  /** A node starts: a new one, or one that was killed. It asks itself to be registered. */
  async start(id: NodeId, { witness = false, memoryOf = 0 } = {}): Promise<void> {
    this.muted.delete(id);
    const coordinator = this.#newCoordinator(id);
    const known = requestOf(id, nodeOf(this.map, id)?.incarnation ?? 0);
    const request = { ...known, witness, memoryOf, started: memoryOf === 0 };
    const map = await coordinator.register(request);
    this.#coordinators.set(id, coordinator);
    this.#run(id, nodeOf(map, id)?.incarnation ?? 0);
  }

  /** kill -9: the process and its memory are gone. */
  kill(id: NodeId): void {
    this.nodes.delete(id);
    this.#coordinators.get(id)?.stop();
    this.#coordinators.delete(id);
    for (const coordinator of this.#coordinators.values()) coordinator.heartbeatsEnded(id);
  }

  /** No control node hears it any more, nor it them; its followers still do. */
  mute(id: NodeId): void {
    if (this.nodes.has(id)) this.muted.add(id);
  }

  /** Where its life has been ended meanwhile, another begins: the memory is kept, and rewound. */
  async unmute(id: NodeId): Promise<void> {
    const node = this.nodes.get(id);
    if (!this.muted.delete(id) || node === undefined) return;
    this.#coordinators.get(id)?.follow(this.map);
    const listed = nodeOf(this.map, id);
    if (listed === null || listed.fencedThrough < node.incarnation) return;
    const { copies } = node;
    await this.start(id, { memoryOf: node.incarnation });
    const reborn = this.node(id);
    for (const [partition, copy] of copies) {
      if (!reborn.copies.has(partition)) continue;
      copy.role = 'follower';
      copy.acked.clear();
      copy.followers.clear();
      reborn.copies.set(partition, copy);
    }
    reborn.map = null;
    reborn.apply(this.map);
  }

  /** Every running node hears of the map, sends what it leads to its followers, and reports. */
  exchange(): void {
    for (const [id, node] of this.nodes) if (!this.muted.has(id)) node.apply(this.map);
    for (const primary of this.nodes.values()) {
      for (const [partition, { followers }] of primary.copies) {
        for (const id of followers.keys()) {
          const follower = this.nodes.get(id);
          if (follower !== undefined) primary.sendTo(follower, partition);
        }
      }
    }
    this.noteAnswers();
    this.beat();
  }

  /** What clients were told meanwhile. */
  noteAnswers(): void {
    for (const node of this.nodes.values()) {
      for (const partition of node.copies.keys()) {
        const seq = node.answeredSeq(partition, this.#nowMs);
        this.answered[partition] = Math.max(this.answered[partition], seq);
      }
    }
  }

  /** Every running node sends a heartbeat to all control nodes; one that has left the map ends
   *  instead, and so does one whose life is over. */
  beat(): void {
    for (const [id, node] of this.nodes) {
      if (this.muted.has(id)) continue;
      const listed = nodeOf(this.map, id);
      if (listed === null || listed.fencedThrough >= node.incarnation) {
        this.kill(id);
        continue;
      }
      for (const [control, coordinator] of this.#coordinators) {
        if (!this.muted.has(control)) coordinator.hear(node.report());
      }
      node.servesUntilMs = this.#nowMs + servedShare * leaseMs;
      // Fenced, and not yet in the map: the acceptors refuse it all the same.
      this.#leases.renew({ node: id, incarnation: node.incarnation }).catch(() => {
        if (this.nodes.get(id) === node) this.kill(id);
      });
    }
  }

  /** A primary brings its in-sync sets up to date. */
  async tend(id: NodeId): Promise<void> {
    const node = this.nodes.get(id);
    if (node === undefined || this.muted.has(id)) return;
    const proposer = this.#proposerOf(id);
    const running = (other: NodeId): SimulatedNode | undefined => this.nodes.get(other);
    for (const [partition, copy] of node.copies) {
      if (copy.role !== 'primary') continue;
      const inStep = node
        .livesInStep(partition, running)
        .filter((life) => life.node === id || !isStopping(this.map, life.node));
      if (sameLives(inStep, copy.awaited)) continue;
      const { epoch } = copy;
      copy.isProposing = true;
      copy.awaited = [...copy.awaited, ...inStep];
      const map = await proposer
        .propose((current) => withInSync(current, partition, epoch, node, inStep))
        .catch(() => null);
      if (map === null) continue;
      copy.isProposing = false;
      if (map.placement[partition].epoch === epoch) copy.awaited = map.placement[partition].inSync;
    }
  }

  /** One step of every control node; what they ask for is answered before this resolves. Primaries
   *  tend their in-sync sets before, unless that is left to the test. */
  async step(): Promise<void> {
    if (!this.tendsByHand) for (const id of this.nodes.keys()) await this.tend(id);
    for (const [id, coordinator] of this.#coordinators) {
      await coordinator.step().catch((error: Error) => {
        if (!this.muted.has(id)) throw error;
      });
    }
    await new Promise((resolve) => setImmediate(resolve));
  }

  /** Rounds of exchange and step until the map no longer changes; the number of rounds it took. */
  async settle(roundsMax = 60): Promise<number> {
    let quiet = 0;
    for (let round = 1; round <= roundsMax; round++) {
      const { version } = this.map;
      this.nowMs += 250;
      this.exchange();
      for (const id of this.nodes.keys()) await this.tend(id);
      await this.step();
      quiet = this.map.version === version ? quiet + 1 : 0;
      if (quiet === 10) return round - quiet;
    }
    throw new Error('the map keeps changing');
  }

  /** The seqs of live consistent copies, with their holders. */
  holdersOf(partition: number): { node: NodeId; seq: number }[] {
    return copiesOf(this.map.placement[partition]).flatMap((id) => {
      const copy = this.nodes.get(id)?.copies.get(partition);
      return copy?.consistent === true ? [{ node: id, seq: copy.seq }] : [];
    });
  }

  #run(id: NodeId, incarnation: number): void {
    const node = new SimulatedNode(id, incarnation);
    node.apply(this.map);
    this.nodes.set(id, node);
  }

  /** What is on its way to the next primary arrives, or the seal fails. */
  async #seal(id: NodeId, partition: number, to: NodeId): Promise<Seal> {
    const primary = this.#reach(id);
    const outcome = await primary.seal(partition, to);
    const follower = this.nodes.get(to);
    if (outcome.ok && follower !== undefined) primary.sendTo(follower, partition);
    const ok = outcome.ok && follower?.copies.get(partition)?.seq === outcome.seq;
    if (outcome.ok && !ok) primary.unseal(partition);
    return { ...outcome, ok, sealId: 1 };
  }

  async #sealCopies(
    { id, incarnation }: MapNode,
    partitions: readonly PartitionEpoch[],
  ): Promise<SealedCopy[]> {
    const node = this.#reach(id);
    if (node.incarnation !== incarnation) throw new Error(`${id} is in another life`);
    return await node.sealCopies(partitions);
  }

  #reach(id: NodeId): SimulatedNode {
    const node = this.nodes.get(id);
    if (node === undefined || this.muted.has(id)) throw new Error(`${id} does not answer`);
    return node;
  }

  async #fence(self: NodeId, life: Life, byOwner: boolean): Promise<ClusterMap['acceptors']> {
    if (this.muted.has(self)) throw new Error('no majority answers');
    await this.#leases.fence(life, byOwner);
    return this.map.acceptors;
  }

  /** The register as one node reaches it. */
  #storeOf(self: NodeId): ClusterMapStore {
    const reachable = (): MemoryMapStore => {
      if (this.muted.has(self)) throw new Error('no majority answers');
      return this.store;
    };
    return {
      read: async () => await reachable().read(),
      compareAndSet: async (expected, next, operationId) =>
        await reachable().compareAndSet(expected, next, operationId),
      watch: (from, onMap) => this.store.watch(from, onMap),
    };
  }

  #proposerOf(self: NodeId): MapProposer {
    const id = `operation-${++this.#operations}`;
    return new MapProposer(this.#storeOf(self), `${self}-${id}`, () => id);
  }

  #newCoordinator(self: NodeId): Coordinator {
    const log = { info: this.#log, warn: this.#log, error: this.#log } satisfies ControlLog;
    const options = {
      self,
      proposer: new MapProposer(this.#storeOf(self), self, () => `operation-${++this.#operations}`),
      leases: { fence: (life: Life, byOwner = false) => this.#fence(self, life, byOwner) },
      sealCalls: {
        seal: async ({ id }: MapNode, { partition, to }: { partition: number; to: NodeId }) =>
          await this.#seal(id, partition, to),
        unseal: async ({ id }: MapNode, partition: number) => this.#reach(id).unseal(partition),
      },
      copies: {
        sealCopies: (node: MapNode, partitions: readonly PartitionEpoch[]) =>
          this.#sealCopies(node, partitions),
      },
      log,
      forgetAfterMs: this.#forgetAfterMs,
      savesCopies: false,
      nextAcceptors: (map: ClusterMap, isGone: (node: NodeId) => boolean) => {
        this.plans++;
        return nextAcceptors(map, isGone);
      },
      nowMs: () => this.#nowMs,
      wallMs: () => 1_000_000 + this.#nowMs,
      later: (delayMs: number, ring: () => void) => {
        const timer = { atMs: this.#nowMs + delayMs, ring };
        this.#timers.add(timer);
        return () => void this.#timers.delete(timer);
      },
      nudge: () => undefined,
    };
    return new Coordinator(options, this.map);
  }

  readonly #log = (fields: LogFields): void => {
    this.events.push(fields);
  };
}

/** What a primary proposes: only for the epoch that it leads, and only while its life lasts. */
function withInSync(
  map: ClusterMap,
  partition: number,
  epoch: number,
  { id, incarnation }: SimulatedNode,
  inSync: Life[],
): ClusterMap {
  const entry = map.placement[partition];
  const node = nodeOf(map, id);
  if (entry.primary !== id || entry.epoch !== epoch) return map;
  if (node?.incarnation !== incarnation || node.fencedThrough >= incarnation) return map;
  const listed = inSync.filter((life) => copiesOf(entry).includes(life.node));
  if (sameLives(listed, entry.inSync)) return map;
  return { ...map, placement: map.placement.with(partition, { ...entry, inSync: listed }) };
}
