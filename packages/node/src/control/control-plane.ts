/** The membership side of one node: its place in the cluster, the map, heartbeats, the control
 *  port. Owner: the main thread. A node founds a cluster, joins one, or returns to the one that its
 *  data dir belongs to; the founder also hosts the map (map-host.ts). Without the map host a node
 *  goes on with the last map it saw.
 *  Invariant: the map that listeners see only ever gets newer. */
import { randomUUID } from 'node:crypto';
import type { PeerRefusalReason } from '@ingot/replication';
import type { Credentials } from '../shared/credentials.ts';
import { type IngotError, usageError } from '../shared/errors.ts';
import { addressOf, type ClusterMap, type MapNode, type NodeId, nodeOf } from '../shared/map.ts';
import { ControlClient } from './control-client.ts';
import { type FailoverFigures, NO_FAILOVERS } from './failover-log.ts';
import { ControlServer } from './control-server.ts';
import type { Member } from './control-service.ts';
import type { JoinRequest } from './registration.ts';
import { foundCluster, refuseOtherClusters } from './founding.ts';
import type { Identity } from './identity.ts';
import { joinCluster } from './joining.ts';
import { Leases } from './leases.ts';
import { Acceptor } from '../register/acceptor.ts';
import { ControlNode, monotonicMs } from './control-node.ts';
import { MemoryLeases } from '../lease/memory-leases.ts';
import type { ClusterMapStore } from '../register/map-store.ts';
import { type MapChange, MapProposer } from '../register/map-proposer.ts';
import { MapWatchers } from '../register/map-watchers.ts';
import { Peers } from './peers.ts';
import type { ControlAccess } from './peer-credentials.ts';
import { RefusalLog } from './refusal-log.ts';
import { RemoteMapStore } from '../register/remote-map-store.ts';
import { SealGuard } from './seal-guard.ts';
import { SingleMapStore } from '../register/single-map-store.ts';
import type {
  ControlLog,
  ControlPlaneApi,
  ControlSettings,
  ControlStart,
  Heartbeat,
  NodeCallbacks,
  NodeReport,
} from './types.ts';

/** How long a node that joins for the first time looks for somebody to join through. */
const joinPatienceMs = 10_000;

export interface ControlPlaneOptions {
  settings: ControlSettings;
  credentials: Credentials;
  identity: Identity;
  log: ControlLog;
  node: NodeCallbacks;
}

export class ControlPlane implements ControlPlaneApi {
  readonly #settings: ControlSettings;
  readonly #identity: Identity;
  readonly #log: ControlLog;
  readonly #node: NodeCallbacks;
  readonly #refusals: RefusalLog;
  readonly #access: ControlAccess;
  readonly #server: ControlServer;
  readonly #watchers = new MapWatchers();
  readonly #stopping = new AbortController();
  /** What `stop` has to end, in the order in which it was begun. */
  readonly #endings: (() => void)[] = [];
  /** A heartbeat of this node to itself. */
  #hear: (report: Heartbeat) => void = () => undefined;
  #askToLeave: () => Promise<void> = () => Promise.reject(new Error('the node has not joined'));
  #proposer: MapProposer | null = null;
  #control: ControlNode | null = null;
  #map: ClusterMap | null = null;
  #incarnation = 0;
  #isLeaving = false;

  constructor({ settings, credentials, identity, log, node }: ControlPlaneOptions) {
    this.#settings = settings;
    this.#identity = identity;
    this.#log = log;
    this.#node = node;
    const refusals = new RefusalLog(log);
    this.#refusals = refusals;
    this.#access = {
      credentials,
      refused: (address, refusal) => refusals.connected(address, refusal),
    };
    this.#server = new ControlServer({
      node: settings.id,
      credentials,
      refused: (host, refusal) => refusals.accepted(host, refusal),
    });
  }

  async start(): Promise<ControlStart> {
    const { host, ports } = this.#settings;
    await this.#server.listen(host, ports.control);
    this.#endings.push(() => this.#server.close());
    await refuseOtherClusters(this.#settings, this.#identity, this.#access);
    const founded = await this.#foundIfAsked();
    const store = SingleMapStore.open(this.#identity.mapDatabase);
    if (store === null) await this.#startAsMember();
    else await this.#startAsHost(store, founded);
    return { map: this.map(), incarnation: this.#incarnation };
  }

  onMap(listener: (map: ClusterMap) => void): void {
    this.#watchers.add(this.map().version, listener);
  }

  map(): ClusterMap {
    if (this.#map === null) throw new Error('the control plane has no map before start');
    return this.#map;
  }

  /** Those that this node has led. */
  failovers(): FailoverFigures {
    return this.#control?.figures() ?? NO_FAILOVERS;
  }

  /** Control connections that ended because one side did not believe the other. */
  refusals(): Readonly<Record<PeerRefusalReason, number>> {
    return this.#refusals.counts;
  }

  propose(change: MapChange): Promise<ClusterMap> {
    if (this.#proposer === null) throw new Error('the control plane has no map before start');
    return this.#proposer.propose(change);
  }

  async drain(): Promise<void> {
    // Nothing can be handed over yet.
  }

  async leave(): Promise<void> {
    this.#isLeaving = true;
    await this.#askToLeave();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    for (const end of this.#endings.splice(0).toReversed()) end();
  }

  async #foundIfAsked(): Promise<ClusterMap | null> {
    if (!this.#settings.found || this.#identity.membership() !== null) return null;
    const { id, advertise, ports, witness } = this.#settings;
    const acceptor = this.#identity.acceptor();
    const life = { incarnation: 1, fencedThrough: 0, state: 'up' as const };
    const founder: MapNode = { id, advertise, ports, acceptor, witness, ...life };
    const map = await foundCluster(this.#settings, this.#identity, founder);
    this.#log.info({ event: 'cluster.founded', clusterId: map.clusterId });
    return map;
  }

  /** `founded` is the first map, which lists this life already; null when the founder returns. */
  async #startAsHost(store: SingleMapStore, founded: ClusterMap | null): Promise<void> {
    const { id } = this.#settings;
    const { map: stored } = await store.read();
    const { peers, seals, leases } = this.#startParts(stored.clusterId, store);
    const fences = new MemoryLeases(stored.acceptors, monotonicMs);
    const control = new ControlNode(
      {
        self: id,
        proposer: this.#proposer as MapProposer,
        leases: fences,
        ...{ peers, seals, node: this.#node, log: this.#log },
        forgetAfterMs: this.#settings.forgetAfterMs,
        nextAcceptors: (map) => map.acceptors,
      },
      stored,
    );
    const hear = (report: Heartbeat): void => {
      control.hear(report);
      void fences.renew({ node: report.node, incarnation: report.incarnation });
    };
    this.#watchers.add(0, (map) => control.follow(map));
    // Whoever holds the lock of the data dir may end whatever life the map lists.
    const lastIncarnation = nodeOf(stored, id)?.incarnation ?? 0;
    const request = this.#joinRequest(stored.clusterId, lastIncarnation);
    this.#hear = hear;
    await this.#enter(founded ?? (await control.register(request)), store, leases);
    control.start();
    this.#control = control;
    this.#endings.push(() => control.stop());
    this.#askToLeave = () => control.leave(id);
    this.#serve({ peers, seals, leases, host: { control, store, hear } });
  }

  async #startAsMember(): Promise<void> {
    const { id } = this.#settings;
    const joined = await this.#join();
    const host = nodeOf(joined, joined.mapHost) as MapNode;
    const address = addressOf(host, 'control');
    const client = new ControlClient(address, joined.clusterId, this.#access, host.id);
    this.#endings.push(() => client.close());
    const store = new RemoteMapStore(client);
    const { peers, seals, leases } = this.#startParts(joined.clusterId, store);
    await this.#enter(joined, store, leases);
    this.#askToLeave = () => client.leave(id);
    this.#serve({ peers, seals, leases, host: null });
  }

  #serve(parts: Pick<Member, 'peers' | 'seals' | 'leases' | 'host'>): void {
    const { id } = this.#settings;
    this.#server.serve({ ...parts, self: id, node: this.#node, map: () => this.map() });
  }

  #join(): Promise<ClusterMap> {
    const { id, join } = this.#settings;
    const membership = this.#identity.membership();
    if (membership === null && join.length === 0) {
      throw usageError(
        `the data dir ${this.#identity.dataDir} belongs to no cluster yet; ` +
          'start with --found or with --join host:control-port',
      );
    }
    const lastMap = this.#identity.lastMap();
    const known = (lastMap?.nodes ?? []).filter((node) => node.id !== id);
    const remembered = known.map((node) => addressOf(node, 'control'));
    return joinCluster({
      addresses: [...new Set([...join, ...remembered])],
      request: this.#joinRequest(membership?.clusterId ?? '', membership?.incarnation ?? 0),
      access: this.#access,
      patienceMs: membership === null ? joinPatienceMs : Number.POSITIVE_INFINITY,
      log: this.#log,
      signal: this.#stopping.signal,
    });
  }

  #joinRequest(clusterId: string, lastIncarnation: number): JoinRequest {
    const { id, advertise, ports, witness } = this.#settings;
    const acceptor = this.#identity.acceptor();
    return { id, advertise, ports, clusterId, lastIncarnation, acceptor, witness };
  }

  #startParts(
    clusterId: string,
    store: ClusterMapStore,
  ): { peers: Peers; seals: SealGuard; leases: Leases } {
    this.#proposer = new MapProposer(store, this.#settings.id, randomUUID);
    const peers = new Peers(clusterId, this.#access);
    this.#watchers.add(0, (map) => peers.follow(map));
    this.#endings.push(() => peers.close());
    const seals = new SealGuard({
      node: this.#node,
      self: this.#settings.id,
      map: () => this.map(),
      readMap: async () => {
        const { map } = await store.read();
        this.#adopt(map);
        return map;
      },
      later: (delayMs, then) => {
        const timer = setTimeout(then, delayMs);
        return () => clearTimeout(timer);
      },
    });
    this.#endings.push(() => seals.stop());
    const leases = this.#startLeases(peers);
    return { peers, seals, leases };
  }

  #startLeases(peers: Peers): Leases {
    const acceptor = new Acceptor(this.#identity.acceptorStorage);
    const leases = new Leases({
      self: this.#settings.id,
      acceptor,
      accepted: () => acceptor.accepted ?? this.#map,
      client: (node) => peers.client(node),
      report: () => this.#report(),
      hear: (report) => this.#hear(report),
      renewed: (servedUntil) => this.#node.leaseRenewed(servedUntil),
      refused: (reason) => this.#refused(reason),
      behind: () => undefined,
      connected: (node, isConnected) => this.#logLink(node, isConnected),
    });
    this.#watchers.add(0, (map) => leases.follow(map));
    this.#endings.push(() => leases.end());
    return leases;
  }

  /** This life is in the map: remembers it, and follows the map from here on. */
  async #enter(map: ClusterMap, store: ClusterMapStore, leases: Leases): Promise<void> {
    const { incarnation } = nodeOf(map, this.#settings.id) as MapNode;
    this.#incarnation = incarnation;
    const nodeId = this.#settings.id;
    await this.#identity.saveMembership({ nodeId, clusterId: map.clusterId, incarnation });
    this.#adopt(map);
    leases.begin({ node: nodeId, incarnation }, map);
    this.#endings.push(store.watch(BigInt(map.version), (newer) => this.#adopt(newer)));
  }

  #adopt(map: ClusterMap): void {
    if (this.#map !== null && map.version <= this.#map.version) return;
    this.#map = map;
    this.#watchers.tell(map);
    if (map.mapHost !== this.#settings.id) this.#remember(map);
    const incarnation = nodeOf(map, this.#settings.id)?.incarnation;
    if (incarnation === undefined) this.#retire('the node was taken out of the cluster');
    else if (incarnation > this.#incarnation) this.#retire('a later start of the node replaced it');
  }

  #remember(map: ClusterMap): void {
    try {
      this.#identity.saveMap(map);
    } catch (error) {
      this.#log.warn({ event: 'map.notSaved', why: (error as Error).message });
    }
  }

  #refused({ code, message }: IngotError): void {
    if (code === 'RETIRED') this.#retire(message);
    else this.#log.warn({ event: 'mapHost.refused', code }, message);
  }

  /** A node that asked to leave knows. */
  #retire(reason: string): void {
    if (!this.#isLeaving) this.#node.retired(reason);
  }

  #report(): NodeReport {
    return { ...this.#node.report(), node: this.#settings.id, incarnation: this.#incarnation };
  }

  #logLink(peer: NodeId, isConnected: boolean): void {
    if (isConnected) this.#log.info({ event: 'mapHost.connected', peer });
    else this.#log.warn({ event: 'mapHost.away', peer }, 'goes on with the last cluster map');
  }
}
