/** This node's part in the register that holds the cluster map: its acceptor, its proposer, and what
 *  it knows of the map. Every newer map is told to all nodes that it lists, without waiting; who
 *  missed that hears of its version in heartbeats and asks.
 *  Owner: the control plane. Invariant: `known` only ever gets newer. */
import { randomInt, randomUUID } from 'node:crypto';
import type { Acceptor } from '../register/acceptor.ts';
import type { AcceptorCalls } from '../register/acceptor-calls.ts';
import { CasPaxosMapStore } from '../register/caspaxos-map-store.ts';
import { type MapChange, MapProposer } from '../register/map-proposer.ts';
import { later } from '../shared/later.ts';
import { type ClusterMap, type Life, type NodeId, nodeOf } from '../shared/map.ts';
import type { Peers } from './peers.ts';
import { mapToWire } from './wire.ts';

export interface MapRegisterOptions {
  readonly self: NodeId;
  /** Whose proposals these are. */
  readonly life: () => Life;
  readonly acceptor: Acceptor;
  readonly peers: Peers;
  readonly calls: AcceptorCalls;
}

const chances = 2 ** 32;

export class MapRegister {
  readonly acceptor: Acceptor;
  readonly #self: NodeId;
  readonly #peers: Peers;
  readonly #store: CasPaxosMapStore;
  readonly #proposer: MapProposer;
  readonly #first: ClusterMap;
  #isAsking = false;
  #stopped = false;

  /** `map` is the newest that this node has seen. */
  constructor({ self, life, acceptor, peers, calls }: MapRegisterOptions, map: ClusterMap) {
    this.#self = self;
    this.acceptor = acceptor;
    this.#peers = peers;
    this.#first = map;
    this.#store = new CasPaxosMapStore({
      ...{ calls, life, later },
      proposer: `${self}:${randomUUID()}`,
      acceptors: (acceptor.accepted ?? map).acceptors,
      random: () => randomInt(chances) / chances,
      chosen: (chosen) => this.#announce(chosen),
    });
    this.#store.learn(map);
    this.#proposer = new MapProposer(
      this.#store,
      self,
      () => randomUUID(),
      () => this.#store.known,
    );
    this.onMap((newer) => peers.follow(newer));
  }

  /** The newest map that was chosen, as far as this node knows. */
  known(): ClusterMap {
    return this.#store.known ?? this.#first;
  }

  /** Calls back with each map newer than the one that is known now. */
  onMap(listener: (map: ClusterMap) => void): void {
    this.#store.watch(BigInt(this.known().version), listener);
  }

  /** The map as it is. Rejects with NoQuorum where too few acceptors answer. */
  async read(): Promise<ClusterMap> {
    return (await this.#store.read()).map;
  }

  propose(change: MapChange): Promise<ClusterMap> {
    return this.#proposer.propose(change);
  }

  get proposer(): MapProposer {
    return this.#proposer;
  }

  /** A map that was chosen, from somebody who knows. */
  learn(map: ClusterMap): void {
    if (map.clusterId === this.known().clusterId) this.#store.learn(map);
  }

  /** A node says that it has seen, or accepted, this version: where that is newer, it is asked, and the
   *  register where it does not know either whether that was chosen. */
  heardOf(version: number, node: NodeId): void {
    if (version <= this.known().version || this.#isAsking || this.#stopped) return;
    this.#isAsking = true;
    this.#catchUp(version, node)
      .catch(() => undefined) // the next heartbeat brings it up again
      .finally(() => {
        this.#isAsking = false;
      });
  }

  stop(): void {
    this.#stopped = true;
  }

  async #catchUp(version: number, node: NodeId): Promise<void> {
    const peer = node === this.#self ? null : nodeOf(this.known(), node);
    if (peer !== null) this.learn(await this.#peers.client(peer).readMap());
    if (this.known().version < version) await this.#store.read();
  }

  #announce(map: ClusterMap): void {
    if (this.#stopped) return;
    const mapJson = mapToWire(map);
    for (const node of map.nodes) {
      if (node.id === this.#self) continue;
      // Who misses it asks.
      this.#peers
        .client(node)
        .announce(mapJson)
        .catch(() => undefined);
    }
  }
}
