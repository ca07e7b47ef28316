/** A coordinator over a memory store, simulated nodes, and a clock that stands still unless it is
 *  told. Everything that happens is a call: heartbeats, the arrival of a map, a follower catching
 *  up. */
import { type ClusterMap, copiesOf, type MapNode, type NodeId, nodeOf } from '../shared/map.ts';
import { Coordinator } from './coordinator.ts';
import { foundingMap } from './map-changes.ts';
import { MapProposer } from '../register/map-proposer.ts';
import { MemoryMapStore } from '../register/memory-map-store.ts';
import type { Seal } from './seal-guard.ts';
import type { ControlLog, LogFields } from './types.ts';
import { SimulatedNode } from './simulated-node.fixture.ts';

export const anyPorts: MapNode['ports'] = {
  client: 7401,
  replication: 7501,
  control: 7601,
  http: 7701,
  cluster: 7801,
  follower: 7901,
};

export interface Shape {
  partitions: number;
  copies: number;
}

/** A map as the founder makes it. */
export function mapFoundedBy(founder: NodeId, { partitions, copies }: Shape): ClusterMap {
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
      uncleanFailover: true,
    },
    {
      id: founder,
      incarnation: 1,
      state: 'up',
      fencedThrough: 0,
      acceptor: 'a1',
      witness: false,
      advertise: '127.0.0.1',
      ports: anyPorts,
    },
  );
}

export class SimulatedCluster {
  readonly store: MemoryMapStore;
  /** Those whose process runs. */
  readonly nodes: Map<NodeId, SimulatedNode> = new Map();
  readonly events: LogFields[] = [];
  coordinator: Coordinator;
  nowMs: number = 0;
  map: ClusterMap;
  #operations = 0;

  /** The founder, n1, is up. */
  constructor(shape: Shape) {
    this.map = mapFoundedBy('n1', shape);
    this.store = new MemoryMapStore(this.map);
    this.store.watch(1n, (map) => {
      this.map = map;
    });
    this.coordinator = this.#newCoordinator();
    this.#run('n1', 1);
  }

  node(id: NodeId): SimulatedNode {
    return this.nodes.get(id) as SimulatedNode;
  }

  /** A node starts: a new one, or one that was killed. */
  async start(id: NodeId): Promise<void> {
    if (id === this.map.mapHost) this.coordinator = this.#newCoordinator();
    const map = await this.coordinator.register({
      id,
      advertise: '127.0.0.1',
      ports: anyPorts,
      clusterId: '',
      lastIncarnation: this.map.nodes.find((node) => node.id === id)?.incarnation ?? 0,
      acceptor: 'a1',
      witness: false,
    });
    this.#run(id, map.nodes.find((node) => node.id === id)?.incarnation ?? 0);
  }

  /** kill -9: the process and its memory are gone. */
  kill(id: NodeId): void {
    this.nodes.delete(id);
    this.coordinator.heartbeatsEnded(id);
  }

  /** Every running node hears of the map, sends what it leads to its followers, and reports. */
  exchange(): void {
    for (const node of this.nodes.values()) node.apply(this.map);
    for (const [partition, entry] of this.map.placement.entries()) {
      const primary = this.nodes.get(entry.primary ?? '');
      for (const id of entry.followers) {
        const follower = this.nodes.get(id);
        if (follower !== undefined) primary?.sendTo(follower, partition);
      }
    }
    this.beat();
  }

  /** Every running node sends a heartbeat; one that has left the map ends instead. */
  beat(): void {
    if (!this.nodes.has(this.map.mapHost)) return;
    for (const [id, node] of this.nodes) {
      if (nodeOf(this.map, id) === null) this.nodes.delete(id);
      else this.coordinator.hear(this.map, node.report());
    }
  }

  /** One step of the coordinator; seals that it asks for are answered before this resolves. */
  async step(): Promise<void> {
    if (!this.nodes.has(this.map.mapHost)) return;
    await this.coordinator.step();
    await new Promise((resolve) => setImmediate(resolve));
  }

  /** Rounds of exchange and step until the map no longer changes; the number of rounds it took. */
  async settle(roundsMax = 50): Promise<number> {
    let quiet = 0;
    for (let round = 1; round <= roundsMax; round++) {
      const { version } = this.map;
      this.nowMs += 250;
      this.exchange();
      await this.step();
      quiet = this.map.version === version ? quiet + 1 : 0;
      if (quiet === 6) return round - quiet;
    }
    throw new Error('the map keeps changing');
  }

  /** The largest seq among live consistent copies, with its holders. */
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
  async #seal(primary: SimulatedNode, partition: number, to: NodeId): Promise<Seal> {
    const outcome = await primary.seal(partition, to);
    const follower = this.nodes.get(to);
    if (outcome.ok && follower !== undefined) primary.sendTo(follower, partition);
    const ok = outcome.ok && follower?.copies.get(partition)?.seq === outcome.seq;
    if (outcome.ok && !ok) primary.unseal(partition);
    return { ...outcome, ok, sealId: 1 };
  }

  #newCoordinator(): Coordinator {
    const log = { info: this.#log, warn: this.#log, error: this.#log } satisfies ControlLog;
    return new Coordinator({
      proposer: new MapProposer(this.store, 'n1', () => `operation-${++this.#operations}`),
      sealCalls: {
        seal: ({ id }, { partition, to }) => this.#seal(this.node(id), partition, to),
        unseal: async ({ id }, partition) => this.nodes.get(id)?.unseal(partition),
      },
      log,
      nowMs: () => this.nowMs,
      nudge: () => undefined,
    });
  }

  readonly #log = (fields: LogFields): void => {
    this.events.push(fields);
  };
}
