/** The membership side of one node: its place in the cluster, the map, heartbeats, the control
 *  port. Owner: the main thread. A node founds a cluster, joins one, or returns to the one that its
 *  data dir belongs to. Every node is alike: each has an acceptor, which has a say where the map
 *  names it, a proposer, and a coordinator, which acts where it is the first acceptor that it hears
 *  (control-node.ts). Without a majority of the acceptors a node goes on with the last map it
 *  knows.
 *  Invariant: the map that listeners see only ever gets newer. */
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { PeerRefusalReason } from '@ingot/replication';
import { Acceptor } from '../register/acceptor.ts';
import { nextAcceptors } from '../register/acceptor-choice.ts';
import { membersOf } from '../register/acceptor-set.ts';
import type { MapChange } from '../register/map-proposer.ts';
import { MapWatchers } from '../register/map-watchers.ts';
import type { Credentials } from '../shared/credentials.ts';
import { IngotError, refusal, usageError } from '../shared/errors.ts';
import { later } from '../shared/later.ts';
import {
  type ClusterMap,
  isLeaving,
  ledBy,
  type Life,
  type MapNode,
  type NodeId,
  nodeOf,
} from '../shared/map.ts';
import { AcceptorLog } from './acceptor-log.ts';
import { AcceptorPeers } from './acceptor-peers.ts';
import { ControlNode } from './control-node.ts';
import { ControlServer } from './control-server.ts';
import { drained } from './draining.ts';
import { type FailoverFigures, NO_FAILOVERS } from './failover-log.ts';
import { foundCluster, refuseOtherClusters } from './founding.ts';
import type { Identity } from './identity.ts';
import { joinCluster, whereToAsk } from './joining.ts';
import { beatRefusal, verdictOn } from './life-verdict.ts';
import { Leases } from './leases.ts';
import { MapRegister } from './map-register.ts';
import type { ControlAccess } from './peer-credentials.ts';
import { Peers } from './peers.ts';
import { RefusalLog } from './refusal-log.ts';
import { ALL_PARTITIONS, type JoinRequest } from './registration.ts';
import { SavedMap } from './saved-map.ts';
import { SealGuard } from './seal-guard.ts';
import {
  type ControlLog,
  type ControlPlaneApi,
  type ControlSettings,
  type ControlStart,
  NO_MEMORY,
  type NodeCallbacks,
  type NodeReport,
  type SavedMemory,
} from './types.ts';

/** How long a node that joins for the first time looks for somebody to join through. */
const joinPatienceMs = 10_000;
/** How long a node that has joined waits for its first lease before it goes on. */
const firstLeaseMs = 1_000;
/** How long a drained life waits for the map to say that it is over. */
const stoppedWithinMs = 1_000;

export interface ControlPlaneOptions {
  settings: ControlSettings;
  credentials: Credentials;
  identity: Identity;
  log: ControlLog;
  node: NodeCallbacks;
}

/** What a node has once it knows which cluster it belongs to. */
interface Cluster {
  readonly register: MapRegister;
  readonly peers: Peers;
  readonly control: ControlNode;
  readonly seals: SealGuard;
  readonly leases: Leases;
}

export class ControlPlane implements ControlPlaneApi {
  readonly #settings: ControlSettings;
  readonly #identity: Identity;
  readonly #log: ControlLog;
  readonly #node: NodeCallbacks;
  readonly #refusals: RefusalLog;
  readonly #acceptorLog: AcceptorLog;
  readonly #savedMap: SavedMap;
  readonly #access: ControlAccess;
  readonly #server: ControlServer;
  readonly #watchers = new MapWatchers();
  readonly #stopping = new AbortController();
  /** What `stop` has to end, in the order in which it was begun. */
  readonly #endings: (() => void)[] = [];
  #cluster: Cluster | null = null;
  #map: ClusterMap | null = null;
  /** Of this life; before it is in the map, what it will be as far as this node can tell. */
  #incarnation = 0;
  #isMember = false;
  #recovered: SavedMemory = NO_MEMORY;
  /** The others have ended this life, and the next one is not in the map yet. */
  #isBetweenLives = false;
  /** By this process itself. */
  #isLeaving = false;
  /** By whoever; the map says so. */
  #isAskedToLeave = false;
  #hasLeft = false;

  constructor({ settings, credentials, identity, log, node }: ControlPlaneOptions) {
    this.#settings = settings;
    this.#identity = identity;
    this.#log = log;
    this.#node = node;
    const refusals = new RefusalLog(log);
    this.#refusals = refusals;
    this.#acceptorLog = new AcceptorLog(log);
    this.#savedMap = new SavedMap((map) => identity.saveMap(map), log);
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

  async start(signal: AbortSignal): Promise<ControlStart> {
    const { host, ports } = this.#settings;
    await this.#server.listen(host, ports.control);
    this.#endings.push(() => this.#server.close());
    await refuseOtherClusters(this.#settings, this.#identity, this.#access);
    const founded = await this.#foundIfAsked();
    const seen = this.#identity.lastMap();
    if (seen !== null) this.#cluster = this.#open(seen);
    if (seen !== null && founded === null) this.#recovered = await this.#node.recover(seen, signal);
    const joined = founded ?? (await this.#join(signal));
    await this.#enter(joined, this.#cluster ?? this.#open(joined));
    // What follows keeps the process busy: its heartbeats are to be on their way by then.
    await this.#joined().leases.granted(firstLeaseMs);
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
    return this.#cluster?.control.figures() ?? NO_FAILOVERS;
  }

  /** Control connections that ended because one side did not believe the other. */
  refusals(): Readonly<Record<PeerRefusalReason, number>> {
    return this.#refusals.counts;
  }

  /** Lives of nodes that the acceptor here has agreed to end. */
  fences(): number {
    return this.#cluster?.leases.fences ?? 0;
  }

  propose(change: MapChange): Promise<ClusterMap> {
    const { incarnation } = this.#life();
    return this.#joined().register.propose((map) => {
      // It may have waited for a majority for long, and was meant by who led then.
      if (this.#incarnation !== incarnation) {
        throw refusal('RETIRED', 'the life of the node that proposed it is over');
      }
      return change(map);
    });
  }

  async drain(timeoutMs: number): Promise<void> {
    if (!this.#isMember) return;
    const { control } = this.#joined();
    const life = this.#life();
    const why = await drained(() => control.drain(life), timeoutMs);
    if (why === null) return await this.#stopLife(life);
    this.#log.warn(
      { event: 'node.notDrained', leads: ledBy(this.map(), life.node).length, why },
      'stops although it still leads partitions: nobody took them over in time',
    );
  }

  /** A life that is drained ends here, before its process does: nobody has to miss it first. One that
   *  still leads something, because nobody could take it, is missed like any other. */
  async #stopLife(life: Life): Promise<void> {
    const { control, leases, register } = this.#joined();
    // What the last handover has changed may not be known here yet.
    const map = await register.read().catch(() => register.known());
    if (ledBy(map, life.node).length > 0) return;
    this.#isBetweenLives = true;
    leases.end();
    this.#node.lifeEnded();
    // The acceptors take nothing of this life any more; the change of the map is the next one's.
    this.#incarnation = this.#nextIncarnation(register.known(), register.acceptor);
    const late = delay(stoppedWithinMs, null, { ref: false });
    const why = await Promise.race([late, control.stopped(life).catch((error: Error) => error)]);
    if (why !== undefined) this.#log.warn({ event: 'life.notEnded', why: why?.message ?? 'late' });
  }

  async leave(): Promise<void> {
    this.#isLeaving = true;
    await this.#joined().control.leave(this.#settings.id);
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#savedMap.flush();
    for (const end of this.#endings.splice(0).toReversed()) end();
  }

  async #foundIfAsked(): Promise<ClusterMap | null> {
    if (!this.#settings.found || this.#identity.membership() !== null) return null;
    const { id, advertise, ports, witness } = this.#settings;
    const acceptor = this.#identity.acceptor();
    const life = { incarnation: 1, fencedThrough: 0, joinId: '', state: 'up' as const };
    const kind = { witness, observer: false };
    const founder: MapNode = { id, advertise, ports, acceptor, ...kind, ...life };
    const map = await foundCluster(this.#settings, this.#identity, founder);
    this.#log.info({ event: 'cluster.founded', clusterId: map.clusterId });
    return map;
  }

  /** From here on this node has its say in the register, and learns of newer maps. `map` is the newest
   *  it has seen. */
  #open(map: ClusterMap): Cluster {
    const { id: self, forgetAfterMs, checkpointEveryMs } = this.#settings;
    const savesCopies = checkpointEveryMs > 0;
    const node = this.#node;
    const peers = new Peers(map.clusterId, this.#access);
    this.#endings.push(() => peers.close());
    const acceptorLog = this.#acceptorLog;
    const acceptor = new Acceptor(this.#identity.acceptorStorage, (failure) =>
      acceptorLog.wrote(failure),
    );
    acceptorLog.opened(this.#identity.acceptorStorage.copied);
    this.#incarnation = this.#nextIncarnation(map, acceptor);
    const calls = new AcceptorPeers({
      ...{ self, acceptor, peers },
      map: () => register.known(),
      addresses: () => (this.#isMember ? [] : this.#settings.join),
    });
    const life = (): Life => this.#life();
    const register = new MapRegister({ self, life, acceptor, peers, calls }, map);
    this.#endings.push(() => register.stop());
    const leases: Leases = new Leases(
      {
        ...{ self, acceptor },
        accepted: () => acceptor.accepted,
        client: (peer) => peers.client(peer),
        fence: (to, question) => calls.fence(to, question),
        report: () => this.#report(),
        hear: (report) => control.hear(report),
        renewed: (servedUntil) => node.leaseRenewed(servedUntil),
        refused: (peer, reason) => this.#refused(peer, reason),
        behind: (version, peer) => register.heardOf(version, peer),
        connected: (peer, isConnected) => acceptorLog.connected(peer, isConnected),
      },
      map,
    );
    this.#endings.push(() => leases.end());
    const seals = this.#sealGuard();
    const control = new ControlNode(
      {
        ...{ self, node, peers, seals, forgetAfterMs, savesCopies, nextAcceptors },
        leases: leases.authority,
        proposer: register.proposer,
        log: this.#log,
      },
      map,
    );
    this.#endings.push(() => control.stop());
    register.onMap((newer) => {
      leases.follow(newer);
      control.follow(newer);
    });
    this.#server.attend({ register, leases });
    return { register, peers, leases, control, seals };
  }

  #sealGuard(): SealGuard {
    const seals = new SealGuard({
      node: this.#node,
      self: this.#settings.id,
      map: () => this.map(),
      propose: (change) => this.propose(change),
      later,
    });
    this.#endings.push(() => seals.stop());
    return seals;
  }

  /** `signal` takes back no request that is on its way: that life may be in the map already. */
  #join(signal: AbortSignal = this.#stopping.signal): Promise<ClusterMap> {
    const { join } = this.#settings;
    const membership = this.#identity.membership();
    if (membership === null && join.length === 0) {
      throw usageError(
        `the data dir ${this.#identity.dataDir} belongs to no cluster yet; ` +
          'start with --found or with --join host:control-port',
      );
    }
    const request = this.#joinRequest(membership?.clusterId ?? '', membership?.incarnation ?? 0);
    return joinCluster({
      addresses: () => whereToAsk(this.#settings, this.#cluster?.register.known() ?? null),
      request,
      ownWay: () => this.#ownWay(request),
      access: this.#access,
      patienceMs: membership === null ? joinPatienceMs : Number.POSITIVE_INFINITY,
      log: this.#log,
      signal: AbortSignal.any([signal, this.#stopping.signal]),
    });
  }

  /** A node with a voice may register itself: everything goes by compare-and-set on the map, so it does
   *  no harm if somebody else acts too. */
  #ownWay(request: JoinRequest): (() => Promise<ClusterMap>) | null {
    if (this.#cluster === null) return null;
    const { register, control } = this.#cluster;
    const voices = membersOf(register.known().acceptors);
    if (!voices.some(({ id }) => id === request.acceptor)) return null;
    return async () => {
      try {
        return await control.register(request);
      } catch (error) {
        // Others have ended a life of this node that it does not remember.
        if (error instanceof IngotError && error.code === 'RETIRED') this.#incarnation++;
        throw error;
      }
    };
  }

  #joinRequest(clusterId: string, lastIncarnation: number): JoinRequest {
    const { id, advertise, ports, witness, followOnly: observer } = this.#settings;
    const acceptor = this.#identity.acceptor();
    const goesOn = { memoryOf: lastIncarnation, partitions: ALL_PARTITIONS };
    const { memoryOf, partitions } = this.#isBetweenLives ? goesOn : this.#recovered;
    const member = { id, advertise, ports, clusterId, acceptor, witness, observer };
    const started = !this.#isBetweenLives;
    const memory = { memoryOf, memoryIn: partitions };
    return { ...member, ...memory, lastIncarnation, started, joinId: randomUUID() };
  }

  #nextIncarnation(map: ClusterMap, acceptor: Acceptor): number {
    const { id } = this.#settings;
    const remembered = this.#identity.membership()?.incarnation ?? 0;
    const listed = nodeOf(map, id)?.incarnation ?? 0;
    return Math.max(remembered, listed, acceptor.fencedThrough(id)) + 1;
  }

  #life(): Life {
    return { node: this.#settings.id, incarnation: this.#incarnation };
  }

  /** The first life of this process is in the map: remembers it, and follows the map from here on. */
  async #enter(map: ClusterMap, cluster: Cluster): Promise<void> {
    const { id: self } = this.#settings;
    const { register, peers, leases, control, seals } = cluster;
    this.#cluster = cluster;
    await this.#begin(map, cluster);
    peers.forgetAddresses();
    register.onMap((newer) => this.#adopt(newer));
    control.start();
    this.#server.serve({
      ...{ self, node: this.#node, peers, seals, register, control, leases },
      map: () => this.map(),
    });
  }

  /** This node is now the life that `map` lists. */
  async #begin(map: ClusterMap, { register, leases }: Cluster): Promise<void> {
    const { id: nodeId } = this.#settings;
    const { clusterId } = map;
    const { incarnation } = nodeOf(map, nodeId) as MapNode;
    await this.#identity.enter({ nodeId, clusterId, incarnation }, map);
    this.#incarnation = incarnation;
    this.#acceptorLog.lifeBegan();
    this.#isMember = true;
    register.learn(map);
    this.#adopt(register.known());
    this.#node.lifeBegan(incarnation);
    this.#isBetweenLives = false;
    leases.begin(this.#life(), register.known());
    this.#judge(register.known());
  }

  #adopt(map: ClusterMap): void {
    if (this.#map !== null && map.version <= this.#map.version) return;
    this.#map = map;
    if (isLeaving(map, this.#settings.id)) this.#isAskedToLeave = true;
    this.#watchers.tell(map);
    this.#savedMap.follow(map);
    this.#judge(map);
  }

  /** Whoever holds a lease cannot have been ended for its silence: somebody else goes by its name, or it
   *  was told to leave. Who has none was away, and comes back. */
  #judge(map: ClusterMap): void {
    const verdict = verdictOn(map, this.#life());
    if (verdict === 'goesOn' || this.#isBetweenLives || !this.#isMember) return;
    const { message } = beatRefusal(verdict);
    const hasLease = this.#joined().leases.hasLease();
    if (verdict === 'replaced') this.#retire(message);
    else if (verdict === 'removed' && (hasLease || this.#isAskedToLeave)) this.#leave();
    else if (!hasLease) this.#beginAnew(message);
    else this.#retire('another process with a copy of its data dir has taken its place');
  }

  #refused(peer: NodeId, reason: IngotError): void {
    const { leases, register } = this.#joined();
    this.#acceptorLog.refused(peer, reason);
    const { code, message } = reason;
    if (code === 'FENCED' && !leases.hasLease()) this.#beginAnew(message);
    else if (code !== 'FENCED') register.heardOf(register.known().version + 1, peer);
  }

  #beginAnew(why: string): void {
    if (this.#isBetweenLives || this.#isLeaving || this.#hasLeft || this.#stopping.signal.aborted)
      return;
    this.#isBetweenLives = true;
    const { incarnation } = this.#life();
    this.#log.warn(
      { event: 'life.ended', incarnation, why },
      `${why}: it serves nothing, and joins again as its next life`,
    );
    this.#liveOn().catch((error: Error) => {
      if (!this.#stopping.signal.aborted) this.#node.retired(error.message);
    });
  }

  /** The copies stay, and are brought in line with those of the new primaries. */
  async #liveOn(): Promise<void> {
    const cluster = this.#joined();
    cluster.leases.end();
    this.#node.lifeEnded();
    this.#incarnation = this.#nextIncarnation(cluster.register.known(), cluster.register.acceptor);
    const map = await this.#join();
    await this.#begin(map, cluster);
    this.#log.info({ event: 'life.began', incarnation: this.#incarnation });
  }

  /** A node that asked to leave knows. */
  #retire(reason: string): void {
    if (!this.#isLeaving) this.#node.retired(reason);
  }

  #leave(): void {
    if (this.#hasLeft) return;
    this.#hasLeft = true;
    if (!this.#isLeaving) this.#node.left();
  }

  #report(): NodeReport {
    return { ...this.#node.report(), node: this.#settings.id, incarnation: this.#incarnation };
  }

  #joined(): Cluster {
    if (this.#cluster === null) throw new Error('the control plane has no map before start');
    return this.#cluster;
  }
}
