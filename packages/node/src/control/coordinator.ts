/** The coordinator: makes the map follow the nodes, and the nodes follow the placement.
 *  Lives next to the map, one per cluster. It registers new lives of nodes, marks nodes down and
 *  up, finds primaries for partitions that have none, and moves copies; steps.ts says what is next.
 *  It has no timers: `step` is called from outside, now and then and soon after each `nudge`.
 *  Invariants: one step runs at a time; a handover goes into the map only while its seal is known
 *  to hold, for which `sealUsableMs` stays well below `sealKeptMs`, after which a primary
 *  unseals. */
import { refusal } from '../shared/errors.ts';
import {
  type ClusterMap,
  holdsCopy,
  isUp,
  type MapNode,
  type NodeId,
  nodeOf,
} from '../shared/map.ts';
import { ClusterView, downAfterMs } from './cluster-view.ts';
import { withNewLife, withPrimary } from './map-changes.ts';
import type { MapProposer } from '../register/map-proposer.ts';
import { type JoinRequest, newLife } from './registration.ts';
import type { Seal } from './seal-guard.ts';
import { logHandOvers, logSteps } from './step-log.ts';
import { applyStep, type HandOver, planHandOvers, planSteps, type Step } from './steps.ts';
import type { ControlLog, Heartbeat } from './types.ts';

/** From asking for a seal on: how long the coordinator may use it. Counted from the question, since
 *  the answer may have been on its way for long. */
export const sealUsableMs = 2_500;
/** From its answer to a Seal on: how long a primary stays sealed without hearing more. No
 *  coordinator uses the seal any more by then; whether one has, the primary reads in the map before
 *  it unseals. */
export const sealKeptMs = 3_000;
/** Steps come several times a second; a coordinator that has not stepped for so long was held up. */
export const absenceMs = 700;
/** A handover that failed is tried again after this long. */
export const handOverRetryMs = 1_000;
/** At most this many partitions are sealed at a time; clients of each wait meanwhile. */
export const handOversMax = 32;

/** How the coordinator reaches primaries. Neither call rejects for want of an answer for long: both
 *  are bounded by a deadline. */
export interface SealCalls {
  seal(node: MapNode, handOver: HandOver): Promise<Seal>;
  unseal(node: MapNode, partition: number, sealId: number): Promise<void>;
}

export interface CoordinatorOptions {
  proposer: MapProposer;
  sealCalls: SealCalls;
  log: ControlLog;
  /** Monotonic. */
  nowMs: () => number;
  /** Asks for a `step` soon. */
  nudge: () => void;
}

export class Coordinator {
  readonly #options: CoordinatorOptions;
  readonly #view: ClusterView;
  /** By partition: what is being sealed, or sealed and not yet in the map. */
  readonly #handOvers = new Map<number, HandOver>();
  readonly #retryAtMs = new Map<number, number>();
  readonly #leavers = new Map<NodeId, PromiseWithResolvers<void>>();
  readonly #sealed: { handOver: HandOver; sealId: number; untilMs: number }[] = [];
  #stepping = false;
  #steppedAtMs: number;

  constructor(options: CoordinatorOptions) {
    this.#options = options;
    this.#steppedAtMs = options.nowMs();
    this.#view = new ClusterView(this.#steppedAtMs);
  }

  /** Takes a heartbeat. A report of a life that is over is refused with an IngotError. */
  hear(map: ClusterMap, report: Heartbeat): void {
    const node = nodeOf(map, report.node);
    if (node === null || report.incarnation < node.incarnation) {
      throw refusal(
        'RETIRED',
        node === null
          ? `node ${report.node} is no longer part of the cluster; start it again if it is to join again`
          : `node ${report.node} was started again, which ends this process`,
      );
    }
    this.#view.hear(report, this.#options.nowMs());
  }

  /** The stream of a node's heartbeats has ended. It is not down yet, but nothing is built on
   *  it. */
  heartbeatsEnded(node: NodeId): void {
    this.#view.doubt(node);
  }

  /** Enters a new life of a node, or a new node, into the map. Rejects with an IngotError where it
   *  is refused. */
  async register(request: JoinRequest): Promise<ClusterMap> {
    const map = await this.#options.proposer.propose((current) =>
      withNewLife(current, newLife(current, request, this.#isAlive(current, request.id))),
    );
    this.#view.expect(request.id, this.#options.nowMs());
    this.#leavers.get(request.id)?.reject(refusal('LEAVE_UNDONE', 'the node has joined again'));
    this.#leavers.delete(request.id);
    const { incarnation } = nodeOf(map, request.id) as MapNode;
    this.#options.log.info(
      { event: 'node.joined', peer: request.id, incarnation },
      `${request.id} joined, life ${incarnation}`,
    );
    this.#options.nudge();
    return map;
  }

  /** Resolves when the node has handed over, given up its copies and is out of the map. */
  async leave(map: ClusterMap, node: NodeId): Promise<void> {
    if (node === map.mapHost) {
      throw refusal('MAP_HOST', `${node} keeps the cluster map and cannot leave; stop it instead`);
    }
    if (!isUp(map, node)) {
      throw refusal('NODE_DOWN', `${node} is not up; start it, then it can hand over and leave`);
    }
    const leaver = this.#leavers.get(node) ?? Promise.withResolvers<void>();
    this.#leavers.set(node, leaver);
    this.#view.startLeaving(node);
    this.#options.nudge();
    await leaver.promise;
  }

  /** One round: everything that can be done now goes into the map in one change, then new seals are
   *  asked for. Rejects when the map store cannot be asked. */
  async step(): Promise<void> {
    this.#excuseOwnAbsence();
    if (this.#stepping) return;
    this.#stepping = true;
    try {
      await this.#round();
    } finally {
      this.#stepping = false;
    }
    if (this.#sealed.length > 0) this.#options.nudge();
  }

  /** A thread that was held up has heartbeats in its sockets that it has not read yet: for as long as
   *  it heard nobody, nobody was silent. */
  #excuseOwnAbsence(): void {
    const nowMs = this.#options.nowMs();
    const awayMs = nowMs - this.#steppedAtMs;
    this.#steppedAtMs = nowMs;
    if (awayMs > absenceMs) this.#view.excuse(awayMs, nowMs);
  }

  async #round(): Promise<void> {
    const sealed = [...this.#sealed];
    let steps: Step[] = [];
    let handedOver: HandOver[] = [];
    const map = await this.#options.proposer.propose((current) => {
      const nowMs = this.#options.nowMs();
      this.#view.follow(current);
      steps = planSteps(current, this.#view, nowMs);
      handedOver = sealed
        .filter(({ handOver, untilMs }) => nowMs < untilMs && isStillDue(current, handOver))
        .map(({ handOver }) => handOver);
      const stepped = steps.reduce(applyStep, current);
      return handedOver.reduce(
        (next, { partition, to }) => withPrimary(next, partition, to),
        stepped,
      );
    });
    this.#sealed.splice(0, sealed.length);
    this.#view.follow(map);
    logSteps(this.#options.log, steps);
    logHandOvers(this.#options.log, handedOver);
    for (const { handOver, sealId } of sealed) {
      this.#handOvers.delete(handOver.partition);
      if (handedOver.includes(handOver)) continue;
      this.#abandon(handOver, 'the map has changed, or the seal was too old');
      this.#unseal(map, handOver, sealId);
    }
    for (const { kind, node } of steps) if (kind === 'nodeRemoved') this.#hasLeft(node);
    this.#startHandOvers(map);
  }

  #startHandOvers(map: ClusterMap): void {
    const nowMs = this.#options.nowMs();
    for (const handOver of planHandOvers(map, this.#view)) {
      if (this.#handOvers.size >= handOversMax) return;
      if (this.#handOvers.has(handOver.partition)) continue;
      if ((this.#retryAtMs.get(handOver.partition) ?? 0) > nowMs) continue;
      this.#handOvers.set(handOver.partition, handOver);
      void this.#seal(map, handOver);
    }
  }

  async #seal(map: ClusterMap, handOver: HandOver): Promise<void> {
    const untilMs = this.#options.nowMs() + sealUsableMs;
    const outcome = await this.#options.sealCalls
      .seal(nodeOf(map, handOver.from) as MapNode, handOver)
      .catch((error: Error) => ({ ok: false, why: error.message, sealId: 0 }));
    if (outcome.ok) {
      this.#sealed.push({ handOver, sealId: outcome.sealId, untilMs });
      this.#options.nudge();
    } else {
      this.#handOvers.delete(handOver.partition);
      this.#abandon(handOver, outcome.why ?? 'the primary did not say why');
    }
  }

  #abandon({ partition, from, to }: HandOver, why: string): void {
    this.#options.log.warn(
      { event: 'partition.handOverFailed', partition, from, to, why },
      `partition ${partition} stays on ${from} for now: ${why}`,
    );
    this.#retryAtMs.set(partition, this.#options.nowMs() + handOverRetryMs);
  }

  /** A primary that cannot be told, or whose answer was lost, unseals by itself in the end. */
  #unseal(map: ClusterMap, { partition, from }: HandOver, sealId: number): void {
    const primary = nodeOf(map, from);
    if (primary === null) return;
    this.#options.sealCalls.unseal(primary, partition, sealId).catch((error: Error) => {
      this.#options.log.warn({ event: 'partition.notUnsealed', partition, why: error.message });
    });
  }

  #hasLeft(node: NodeId): void {
    this.#view.forget(node);
    this.#leavers.get(node)?.resolve();
    this.#leavers.delete(node);
  }

  #isAlive(map: ClusterMap, node: NodeId): boolean {
    const silentMs = this.#view.silentMs(node, this.#options.nowMs());
    return this.#view.hasHeard(map, node) && silentMs <= downAfterMs;
  }
}

function isStillDue(map: ClusterMap, handOver: HandOver): boolean {
  const { partition, epoch, from, to, toIncarnation } = handOver;
  const entry = map.placement[partition];
  return (
    entry.epoch === epoch &&
    entry.primary === from &&
    holdsCopy(entry, to) &&
    nodeOf(map, to)?.incarnation === toIncarnation
  );
}
