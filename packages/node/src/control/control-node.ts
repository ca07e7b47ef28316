/** What runs on every control node, which is every node: it hears heartbeats, and has a coordinator
 *  that acts where this node is the first acceptor that it hears. The coordinator steps every
 *  `stepIntervalMs`, and at once when it has reason to. What is asked of a node that does not act is
 *  asked once more, of the one that does. */
import { performance } from 'node:perf_hooks';
import type { LeaseAuthority } from '../lease/authority.ts';
import type { MapProposer } from '../register/map-proposer.ts';
import { refusal } from '../shared/errors.ts';
import { later } from '../shared/later.ts';
import {
  type AcceptorSet,
  addressOf,
  type ClusterMap,
  type Life,
  type MapNode,
  type NodeId,
} from '../shared/map.ts';
import type { ControlClient } from './control-client.ts';
import { Coordinator } from './coordinator.ts';
import type { CopyCalls } from './failover.ts';
import type { FailoverFigures } from './failover-log.ts';
import type { SealCalls } from './handovers.ts';
import type { Peers } from './peers.ts';
import type { JoinRequest } from './registration.ts';
import type { SealGuard } from './seal-guard.ts';
import type { ControlLog, Heartbeat, NodeCallbacks } from './types.ts';

const stepIntervalMs = 200;

export const monotonicMs = (): number => performance.now();

export interface ControlNodeOptions {
  self: NodeId;
  proposer: MapProposer;
  leases: Pick<LeaseAuthority, 'fence'>;
  node: Pick<NodeCallbacks, 'sealCopies'>;
  peers: Peers;
  seals: SealGuard;
  log: ControlLog;
  forgetAfterMs: number;
  savesCopies: boolean;
  nextAcceptors: (map: ClusterMap, isGone: (node: NodeId) => boolean) => AcceptorSet;
}

export class ControlNode {
  readonly #coordinator: Coordinator;
  readonly #peers: Peers;
  readonly #log: ControlLog;
  #interval: NodeJS.Timeout | undefined;
  #nudge: NodeJS.Immediate | null = null;
  #stopped = false;
  /** Why the last step failed; a reason that repeats is one line. */
  #trouble = '';

  constructor(options: ControlNodeOptions, map: ClusterMap) {
    const { self, proposer, leases, node, peers, seals, log } = options;
    this.#peers = peers;
    this.#log = log;
    this.#coordinator = new Coordinator(
      {
        ...{ self, proposer, leases, log },
        forgetAfterMs: options.forgetAfterMs,
        savesCopies: options.savesCopies,
        nextAcceptors: options.nextAcceptors,
        sealCalls: sealCallsOf(self, peers, seals),
        copies: copyCallsOf(self, peers, node),
        nowMs: monotonicMs,
        wallMs: () => Date.now(),
        later,
        nudge: () => this.#stepSoon(),
      },
      map,
    );
  }

  start(): void {
    this.#interval = setInterval(() => this.#step(), stepIntervalMs);
  }

  /** Each newer map that becomes known here. */
  follow(map: ClusterMap): void {
    this.#coordinator.follow(map);
  }

  /** Throws an IngotError where the life that reports is over. */
  hear(report: Heartbeat): void {
    this.#coordinator.hear(report);
  }

  heartbeatsEnded(node: NodeId): void {
    this.#coordinator.heartbeatsEnded(node);
  }

  figures(): FailoverFigures {
    return this.#coordinator.failoverLog.figures();
  }

  isActive(): boolean {
    return this.#coordinator.isActive();
  }

  /** `host:port` of the control node that acts, as far as can be seen from here. */
  activeAddress(): string | null {
    const node = this.#coordinator.activeNode();
    return node === null ? null : addressOf(node, 'control');
  }

  /** Enters a life into the map, whoever acts: a node that starts may ask itself. */
  register(request: JoinRequest): Promise<ClusterMap> {
    return this.#coordinator.register(request);
  }

  leave(node: NodeId, isForwarded: boolean = false): Promise<void> {
    return this.#whereItActs(isForwarded, {
      here: (coordinator) => coordinator.leave(node),
      there: (client) => client.leave(node, true),
    });
  }

  /** Resolves when this life leads nothing, or nothing more that others could take, and nobody waits for
   *  it. */
  drain(life: Life, isForwarded: boolean = false): Promise<void> {
    return this.#whereItActs(isForwarded, {
      here: (coordinator) => coordinator.drain(life),
      there: (client) => client.drain(life, true),
    });
  }

  /** A life that was drained serves nothing any more. Resolves when the map says that it is over. */
  stopped(life: Life, isForwarded: boolean = false): Promise<void> {
    return this.#whereItActs(isForwarded, {
      here: (coordinator) => coordinator.stopped(life),
      there: (client) => client.stopped(life, true),
    });
  }

  promote(
    partition: number,
    node: NodeId,
    acceptLoss: boolean,
    isForwarded: boolean = false,
  ): Promise<void> {
    return this.#whereItActs(isForwarded, {
      here: (coordinator) => coordinator.promote(partition, node, acceptLoss),
      there: (client) => client.promote(partition, node, acceptLoss, true),
    });
  }

  /** Of all primaries together. Resolves when the map says so. */
  setCapacity(capacityBytes: number, isForwarded: boolean = false): Promise<void> {
    return this.#whereItActs(isForwarded, {
      here: (coordinator) => coordinator.setCapacity(capacityBytes),
      there: (client) => client.setCapacity(capacityBytes, true),
    });
  }

  stop(): void {
    this.#stopped = true;
    clearInterval(this.#interval);
    if (this.#nudge !== null) clearImmediate(this.#nudge);
    this.#coordinator.stop();
  }

  async #whereItActs(
    isForwarded: boolean,
    ask: {
      here: (coordinator: Coordinator) => Promise<void>;
      there: (client: ControlClient) => Promise<void>;
    },
  ): Promise<void> {
    if (this.#coordinator.isActive()) return await ask.here(this.#coordinator);
    const active = this.#coordinator.activeNode();
    if (isForwarded || active === null) {
      throw refusal('NO_COORDINATOR', 'no node coordinates the cluster just now; try again');
    }
    await ask.there(this.#peers.client(active));
  }

  #stepSoon(): void {
    if (this.#stopped || this.#nudge !== null) return;
    this.#nudge = setImmediate(() => {
      this.#nudge = null;
      this.#step();
    });
  }

  #step(): void {
    if (this.#stopped) return;
    this.#coordinator.step().then(
      () => {
        this.#trouble = '';
      },
      ({ message }: Error) => {
        if (message === this.#trouble || this.#stopped) return;
        this.#trouble = message;
        this.#log.error({ event: 'map.notWritten', why: message }, message);
      },
    );
  }
}

/** Seals on the node itself need no network. */
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

function copyCallsOf(self: NodeId, peers: Peers, node: ControlNodeOptions['node']): CopyCalls {
  return {
    sealCopies: (to, partitions) =>
      to.id === self
        ? node.sealCopies(partitions)
        : peers.client(to).sealCopies(to.incarnation, partitions),
  };
}
