/** What runs on the founder and nowhere else: the map store, the only proposer of changes, and the
 *  coordinator with its clock. The coordinator steps every `stepIntervalMs`, and at once when it
 *  has reason to. */
import { randomUUID } from 'node:crypto';
import { performance } from 'node:perf_hooks';
import type { ClusterMap, MapNode, NodeId } from '../shared/map.ts';
import { Coordinator, type SealCalls } from './coordinator.ts';
import type { JoinRequest } from './registration.ts';
import { MapProposer } from '../register/map-proposer.ts';
import type { Peers } from './peers.ts';
import type { SealGuard } from './seal-guard.ts';
import type { SingleMapStore } from '../register/single-map-store.ts';
import type { ControlLog, Heartbeat } from './types.ts';

const stepIntervalMs = 200;

export interface MapHostOptions {
  store: SingleMapStore;
  self: NodeId;
  log: ControlLog;
  peers: Peers;
  seals: SealGuard;
}

export class MapHost {
  readonly store: SingleMapStore;
  readonly #coordinator: Coordinator;
  readonly #log: ControlLog;
  #interval: NodeJS.Timeout | undefined;
  #stopWatching: () => void = () => undefined;
  #stopped = false;
  /** Why the last step failed; a reason that repeats is one line. */
  #trouble = '';
  #map: ClusterMap;

  /** `map` is what the store holds. */
  constructor({ store, self, log, peers, seals }: MapHostOptions, map: ClusterMap) {
    this.store = store;
    this.#log = log;
    this.#map = map;
    this.#coordinator = new Coordinator({
      proposer: new MapProposer(store, self, randomUUID),
      sealCalls: sealCallsOf(self, peers, seals),
      log,
      nowMs: () => performance.now(),
      nudge: () => setImmediate(() => this.#step()),
    });
  }

  start(): void {
    this.#stopWatching = this.store.watch(BigInt(this.#map.version), (map) => {
      this.#map = map;
    });
    this.#interval = setInterval(() => this.#step(), stepIntervalMs);
  }

  register(request: JoinRequest): Promise<ClusterMap> {
    return this.#coordinator.register(request);
  }

  leave(node: NodeId): Promise<void> {
    return this.#coordinator.leave(this.#map, node);
  }

  /** Throws an IngotError where the life that reports is over. */
  hear(report: Heartbeat): void {
    this.#coordinator.hear(this.#map, report);
  }

  heartbeatsEnded(node: NodeId): void {
    this.#coordinator.heartbeatsEnded(node);
  }

  stop(): void {
    this.#stopped = true;
    clearInterval(this.#interval);
    this.#stopWatching();
  }

  #step(): void {
    if (this.#stopped) return;
    this.#coordinator.step().then(
      () => {
        this.#trouble = '';
      },
      ({ message }: Error) => {
        if (message === this.#trouble) return;
        this.#trouble = message;
        this.#log.error({ event: 'map.notWritten', why: message }, message);
      },
    );
  }
}

/** Seals on the founder itself need no network. */
function sealCallsOf(self: NodeId, peers: Peers, seals: SealGuard): SealCalls {
  return {
    seal: (node: MapNode, handOver) =>
      node.id === self
        ? seals.seal(handOver.partition, handOver.epoch, handOver.to)
        : peers.client(node).seal(handOver),
    unseal: async (node: MapNode, partition, sealId) => {
      if (node.id === self) seals.unseal(partition, sealId);
      else await peers.client(node).unseal(partition, sealId);
    },
  };
}
