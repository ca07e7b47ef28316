/** The coordinator: makes the map follow the nodes, and the nodes follow the placement.
 *  Every control node has one; it acts where it is the first acceptor of the map that it hears
 *  itself (`isActive`). That several act at once is safe, since all goes by compare-and-set on the
 *  map, and merely useless. It registers new lives of nodes, has dead ones failed over
 *  (failover.ts), moves copies (steps.ts says what is next), and changes the acceptors.
 *  It has no timers of its own: `step` is called from outside, now and then and soon after each
 *  `nudge`. Invariant: one round runs at a time. */
import type { LeaseAuthority } from '../lease/authority.ts';
import { isSameSet } from '../register/acceptor-set.ts';
import type { MapProposer } from '../register/map-proposer.ts';
import { refusal } from '../shared/errors.ts';
import type { Later } from '../shared/later.ts';
import {
  type AcceptorSet,
  type ClusterMap,
  copiesOn,
  isUp,
  type Life,
  type MapNode,
  type NodeId,
  nodeOf,
} from '../shared/map.ts';
import { ByHand } from './by-hand.ts';
import { ClusterView } from './cluster-view.ts';
import { type CopyCalls, Failover } from './failover.ts';
import { FailoverLog } from './failover-log.ts';
import { HandOvers, type SealCalls, withHandOvers } from './handovers.ts';
import { withNewLife } from './map-changes.ts';
import { beatRefusal, verdictOn } from './life-verdict.ts';
import { MapWaits } from './map-waits.ts';
import { isOfJoin, type JoinRequest, newLife } from './registration.ts';
import { logSteps } from './step-log.ts';
import { applyStep, planHandOvers, planSteps, type Step } from './steps.ts';
import { patienceAfter } from './succession.ts';
import type { ControlLog, Heartbeat } from './types.ts';

/** Steps come several times a second; a coordinator that has not stepped for so long was held up. */
export const absenceMs = 700;
/** Partitions without a primary are looked at this often. */
const settleEveryMs = 500;
const registrationRoundsMax = 8;

export interface CoordinatorOptions {
  self: NodeId;
  proposer: MapProposer;
  leases: Pick<LeaseAuthority, 'fence'>;
  sealCalls: SealCalls;
  copies: CopyCalls;
  log: ControlLog;
  /** A node that is down for so long is taken out of the map; 0: never. */
  forgetAfterMs: number;
  /** Nodes that start again bring back what they had saved, as far as this node can tell: it does. */
  savesCopies: boolean;
  /** Who shall decide about the map; the set it has, where that is as it should be. */
  nextAcceptors: (map: ClusterMap, isGone: (node: NodeId) => boolean) => AcceptorSet;
  /** Monotonic. */
  nowMs: () => number;
  /** For what people read. */
  wallMs: () => number;
  later: Later;
  /** Asks for a `step` soon. */
  nudge: () => void;
}

export class Coordinator {
  readonly failoverLog: FailoverLog;
  readonly #byHand: ByHand;
  readonly #options: CoordinatorOptions;
  readonly #view: ClusterView;
  readonly #failover: Failover;
  readonly #handOvers: HandOvers;
  readonly #waits = new MapWaits();
  /** Lives that are being ended. */
  readonly #ending = new Map<NodeId, number>();
  /** By partition: since when it has no primary. */
  readonly #vacantSinceMs = new Map<number, number>();
  #settledAtMs = Number.NEGATIVE_INFINITY;
  #settling = false;
  #stepping = false;
  #stopped = false;
  /** What there was nothing to do about. */
  #atRest: Evidence | null = null;
  #steppedAtMs: number;
  #map: ClusterMap;

  constructor(options: CoordinatorOptions, map: ClusterMap) {
    this.#options = options;
    this.#steppedAtMs = options.nowMs();
    this.#view = new ClusterView(this.#steppedAtMs, options.forgetAfterMs);
    this.#map = map;
    this.#view.follow(map, this.#steppedAtMs);
    this.failoverLog = new FailoverLog(options.log);
    const { nowMs, later, log, nudge, sealCalls, proposer, leases, copies } = options;
    this.#handOvers = new HandOvers({ sealCalls, log, nowMs, nudge });
    this.#failover = new Failover({
      ...{ proposer, leases, copies, nowMs, later },
      log: this.failoverLog,
      isHeard: (_, node) => this.#view.isHeard(node, nowMs()),
      preferred: (current, partition) =>
        this.#view.target(current, nowMs())[partition]?.primary ?? options.self,
    });
    this.#byHand = new ByHand({
      ...{ proposer, nudge, wallMs: options.wallMs, waits: this.#waits },
      ...{ view: this.#view, failover: this.#failover },
      follow: (newer) => this.follow(newer),
    });
  }

  /** The newest map that is known here. */
  follow(map: ClusterMap): void {
    if (map.version <= this.#map.version) return;
    this.#map = map;
    this.#view.follow(map, this.#options.nowMs());
    this.#noteVacancies();
    this.#waits.look(map);
    this.#options.nudge();
  }

  /** Takes a heartbeat. A report of a life that is over is refused with an IngotError. */
  hear(report: Heartbeat): void {
    const verdict = verdictOn(this.#map, report);
    if (verdict !== 'goesOn') throw beatRefusal(verdict);
    this.#view.hear(report, this.#options.nowMs());
  }

  /** The stream of a node's heartbeats has ended. It is not down yet, but nothing is built on
   *  it. */
  heartbeatsEnded(node: NodeId): void {
    this.#view.doubt(node);
  }

  /** Who acts, as far as can be seen from here: the first acceptor that is heard. */
  activeNode(): MapNode | null {
    const nowMs = this.#options.nowMs();
    for (const { node: id } of this.#map.acceptors.current) {
      const node = nodeOf(this.#map, id);
      if (node === null) continue;
      if (id === this.#options.self) return node;
      if (node.state === 'up' && this.#view.isHeard(id, nowMs)) return node;
    }
    // Who is no acceptor gets no heartbeats, and has only the map to go by.
    const listed = this.#map.acceptors.current.map(({ node }) => nodeOf(this.#map, node));
    return listed.find((node) => node?.state === 'up') ?? null;
  }

  isActive(): boolean {
    return this.activeNode()?.id === this.#options.self;
  }

  /** Enters a new life of a node, or a new node, into the map; its former life is over first, and what
   *  that led is led by others. Rejects with an IngotError where it is refused. */
  async register(request: JoinRequest): Promise<ClusterMap> {
    const { id } = request;
    for (let round = 0; round < registrationRoundsMax; round++) {
      const map = await this.#read();
      const known = nodeOf(map, id);
      if (isOfJoin(known, request)) return map;
      newLife(map, request, this.#isAlive(map, id));
      if (known !== null && known.fencedThrough < known.incarnation) {
        const life = { node: id, incarnation: known.incarnation };
        const byOwner = isOwner(known, request);
        const isStillWanted = (): boolean => byOwner || !this.#isAlive(this.#map, id);
        const cause = byOwner ? 'restarted' : 'silent';
        const ended = await this.#failover.endLife(map, { life, cause, isStillWanted });
        if (ended !== null) this.follow(ended);
        continue;
      }
      const entered = await this.#enter(request);
      if (entered !== null) return entered;
    }
    throw refusal('MAP_CHANGED', `the map kept changing while ${id} joined; try again`);
  }

  // What operators ask for: see by-hand.ts.

  leave(node: NodeId): Promise<void> {
    return this.#byHand.leave(node);
  }

  drain(life: Life): Promise<void> {
    return this.#byHand.drain(life);
  }

  stopped(life: Life): Promise<void> {
    return this.#byHand.stopped(life);
  }

  promote(partition: number, node: NodeId, acceptLoss: boolean): Promise<void> {
    return this.#byHand.promote(partition, node, acceptLoss);
  }

  setCapacity(capacityBytes: number): Promise<void> {
    return this.#byHand.setCapacity(capacityBytes);
  }

  /** One round, where this is the coordinator that acts. Rejects when the map store cannot be
   *  asked. */
  async step(): Promise<void> {
    this.#excuseOwnAbsence();
    if (this.#stepping || this.#stopped || !this.isActive()) return;
    this.#stepping = true;
    try {
      this.#endSuspects();
      this.#settleVacancies();
      await this.#round();
    } finally {
      this.#stepping = false;
    }
    if (this.#handOvers.sealed().length > 0) this.#options.nudge();
  }

  stop(): void {
    this.#stopped = true;
    this.#waits.rejectAll(refusal('STOPPING', 'the node that coordinates is stopping; ask again'));
  }

  /** A thread that was held up has heartbeats in its sockets that it has not read yet: for as long as
   *  it heard nobody, nobody was silent. */
  #excuseOwnAbsence(): void {
    const nowMs = this.#options.nowMs();
    const awayMs = nowMs - this.#steppedAtMs;
    this.#steppedAtMs = nowMs;
    if (awayMs > absenceMs) this.#view.excuse(awayMs, nowMs);
  }

  #endSuspects(): void {
    const nowMs = this.#options.nowMs();
    for (const life of this.#view.suspects(this.#map, nowMs)) {
      if (life.node === this.#options.self) continue;
      if (this.#ending.get(life.node) === life.incarnation) continue;
      this.#ending.set(life.node, life.incarnation);
      this.failoverLog.suspected(life, this.#view.silentMs(life.node, nowMs));
      void this.#end(life);
    }
  }

  async #end(life: Life): Promise<void> {
    const isStillWanted = (): boolean =>
      !this.#stopped &&
      this.isActive() &&
      !this.#view.isHeard(life.node, this.#options.nowMs()) &&
      nodeOf(this.#map, life.node)?.incarnation === life.incarnation;
    try {
      const cause = 'silent';
      const map = await this.#failover.endLife(this.#map, { life, cause, isStillWanted });
      if (map !== null) this.follow(map);
    } catch (error) {
      this.failoverLog.failed(life, error as Error);
    } finally {
      this.#ending.delete(life.node);
    }
  }

  #noteVacancies(): void {
    for (const [partition, { primary }] of this.#map.placement.entries()) {
      if (primary !== null) this.#vacantSinceMs.delete(partition);
      else if (!this.#vacantSinceMs.has(partition)) {
        this.#vacantSinceMs.set(partition, this.#options.nowMs());
      }
    }
  }

  #settleVacancies(): void {
    this.#noteVacancies();
    const nowMs = this.#options.nowMs();
    if (this.#settling || this.#vacantSinceMs.size === 0) return;
    if (nowMs - this.#settledAtMs < settleEveryMs) return;
    const vacancies = [...this.#vacantSinceMs].map(([partition, sinceMs]) => ({
      partition,
      patience: patienceAfter(nowMs - sinceMs, this.#options.savesCopies),
    }));
    this.#settledAtMs = nowMs;
    this.#settling = true;
    this.#failover
      .settle(this.#map, vacancies)
      .then((map) => {
        this.failoverLog.couldSettle();
        this.follow(map);
      })
      .catch((error: Error) => this.failoverLog.notSettled(error))
      .finally(() => {
        this.#settling = false;
      });
  }

  /** Everything that can be done now goes into the map in one change, then new seals are asked
   *  for. The map is asked only where there is something to do. */
  async #round(): Promise<void> {
    const sealed = this.#handOvers.sealed();
    const evidence = this.#evidence();
    if (sealed.length === 0 && isSameEvidence(this.#atRest, evidence)) return;
    let plan = this.#planFor(this.#map);
    if (sealed.length > 0 || plan.steps.length > 0 || plan.acceptors !== null) {
      let handedOver = this.#handOvers.stillDue(this.#map, sealed);
      const map = await this.#options.proposer.propose((current) => {
        this.follow(current);
        plan = this.#planFor(current);
        handedOver = this.#handOvers.stillDue(current, sealed);
        const stepped = withHandOvers(plan.steps.reduce(applyStep, current), handedOver);
        return plan.acceptors === null ? stepped : { ...stepped, acceptors: plan.acceptors };
      });
      this.follow(map);
      logSteps(this.#options.log, plan.steps);
      this.#handOvers.settled(map, sealed, handedOver);
    }
    const due = planHandOvers(this.#map, this.#view, this.#options.nowMs());
    this.#handOvers.begin(this.#map, due);
    const isIdle = sealed.length + plan.steps.length + due.length === 0 && plan.acceptors === null;
    this.#atRest = isIdle ? evidence : null;
  }

  /** All that a plan is made from. */
  #evidence(): Evidence {
    const going = this.#view.going(this.#map, this.#options.nowMs()).join();
    return { map: this.#map, revision: this.#view.revision, going };
  }

  #planFor(map: ClusterMap): { steps: Step[]; acceptors: AcceptorSet | null } {
    const nowMs = this.#options.nowMs();
    // Who leaves keeps its voice until it holds nothing.
    const isGone = (node: NodeId): boolean =>
      this.#view.isGoing(map, node, nowMs) &&
      (!isUp(map, node) || copiesOn(map, node).length === 0);
    const acceptors = this.#options.nextAcceptors(map, isGone);
    const steps = planSteps({ ...map, acceptors }, this.#view, nowMs);
    return { steps, acceptors: isSameSet(acceptors, map.acceptors) ? null : acceptors };
  }

  /** null: the life that is to be followed turned out not to be over. */
  async #enter(request: JoinRequest): Promise<ClusterMap | null> {
    const { id } = request;
    let isOver = true;
    const map = await this.#options.proposer.propose((current) => {
      const known = nodeOf(current, id);
      if (isOfJoin(known, request)) return current;
      isOver = known === null || known.fencedThrough >= known.incarnation;
      if (!isOver) return current;
      const life = newLife(current, request, false);
      return withNewLife(current, life, request);
    });
    this.follow(map);
    if (!isOver) return null;
    const { incarnation } = nodeOf(map, id) as MapNode;
    this.#options.log.info(
      { event: 'node.joined', peer: id, incarnation },
      `${id} joined, life ${incarnation}`,
    );
    return map;
  }

  async #read(): Promise<ClusterMap> {
    const map = await this.#options.proposer.propose((current) => current);
    this.follow(map);
    return map;
  }

  #isAlive(map: ClusterMap, node: NodeId): boolean {
    return this.#view.hasHeard(map, node) && this.#view.isHeard(node, this.#options.nowMs());
  }
}

interface Evidence {
  readonly map: ClusterMap;
  readonly revision: number;
  readonly going: string;
}

function isSameEvidence(a: Evidence | null, b: Evidence): boolean {
  return a?.map === b.map && a.revision === b.revision && a.going === b.going;
}

/** Who asks remembers this life, and is none of it any more. The data dir alone is no proof: a request
 *  may be an old one that was long on its way, and its data dir be alive by now, as a later life. */
function isOwner({ incarnation }: MapNode, { lastIncarnation }: JoinRequest): boolean {
  return incarnation === lastIncarnation;
}
