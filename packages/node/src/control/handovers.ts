/** Planned changes of primary: which partitions are being sealed, or are sealed and not yet in the
 *  map. Owner: the coordinator.
 *  Invariants: a handover goes into the map only while its seal holds: a primary that has waited for
 *  `sealKeptMs` in vain begins another epoch, at which no handover of the former one is due. And
 *  only to a life in sync, which has all that acks=isr has answered. */
import { type ClusterMap, isUp, type MapNode, type NodeId, nodeOf } from '../shared/map.ts';
import { isListedInSync } from './cluster-view.ts';
import { withPrimary } from './map-changes.ts';
import type { Seal } from './seal-guard.ts';
import { logHandOvers } from './step-log.ts';
import type { HandOver } from './steps.ts';
import type { ControlLog } from './types.ts';

/** From asking for a seal on: how long the coordinator tries to use it. Counted from the question,
 *  since the answer may have been on its way for long. */
export const sealUsableMs = 2_500;
/** From its answer to a Seal on: how long a primary waits for what comes of it. */
export const sealKeptMs = 3_000;
/** A handover that failed is tried again after this long. */
export const handOverRetryMs = 1_000;
/** At most this many partitions are sealed at a time; clients of each wait meanwhile. */
const handOversMax = 32;

/** How the coordinator reaches primaries. Neither call rejects for want of an answer for long: both
 *  are bounded by a deadline. */
export interface SealCalls {
  seal(node: MapNode, handOver: HandOver): Promise<Seal>;
  unseal(node: MapNode, partition: number, sealId: number): Promise<void>;
}

export interface HandOversOptions {
  readonly sealCalls: SealCalls;
  readonly log: ControlLog;
  readonly nowMs: () => number;
  readonly nudge: () => void;
}

interface Sealed {
  readonly handOver: HandOver;
  readonly sealId: number;
  readonly untilMs: number;
}

export class HandOvers {
  readonly #options: HandOversOptions;
  /** By partition: what is being sealed, or sealed and not yet in the map. */
  readonly #underWay = new Map<number, HandOver>();
  readonly #retryAtMs = new Map<number, number>();
  readonly #sealed: Sealed[] = [];

  constructor(options: HandOversOptions) {
    this.#options = options;
  }

  /** Sealed, and waiting for the map. */
  sealed(): readonly Sealed[] {
    return [...this.#sealed];
  }

  underWay(): ReadonlyMap<number, HandOver> {
    return this.#underWay;
  }

  begin(map: ClusterMap, due: readonly HandOver[]): void {
    const nowMs = this.#options.nowMs();
    for (const handOver of due) {
      if (this.#underWay.size >= handOversMax) return;
      if (this.#underWay.has(handOver.partition)) continue;
      if ((this.#retryAtMs.get(handOver.partition) ?? 0) > nowMs) continue;
      this.#underWay.set(handOver.partition, handOver);
      void this.#seal(map, handOver);
    }
  }

  /** Those of `sealed` that a map still asks for. */
  stillDue(map: ClusterMap, sealed: readonly Sealed[]): HandOver[] {
    const nowMs = this.#options.nowMs();
    return sealed
      .filter(({ handOver, untilMs }) => nowMs < untilMs && isStillDue(map, handOver))
      .map(({ handOver }) => handOver);
  }

  /** What became of `sealed`: `done` are in the map now. */
  settled(map: ClusterMap, sealed: readonly Sealed[], done: readonly HandOver[]): void {
    this.#sealed.splice(0, sealed.length);
    logHandOvers(this.#options.log, done);
    for (const { handOver, sealId } of sealed) {
      this.#underWay.delete(handOver.partition);
      if (done.includes(handOver)) continue;
      this.#abandon(handOver, 'the map has changed, or the seal was too old');
      this.#unseal(map, handOver, sealId);
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
      this.#underWay.delete(handOver.partition);
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

  /** A primary that cannot be told, or whose answer was lost, helps itself in the end. */
  #unseal(map: ClusterMap, { partition, from }: HandOver, sealId: number): void {
    const primary = nodeOf(map, from);
    if (primary === null) return;
    this.#options.sealCalls.unseal(primary, partition, sealId).catch((error: Error) => {
      this.#options.log.warn({ event: 'partition.notUnsealed', partition, why: error.message });
    });
  }
}

export function withHandOvers(map: ClusterMap, handOvers: readonly HandOver[]): ClusterMap {
  return handOvers.reduce((next, { partition, to }) => withPrimary(next, partition, to), map);
}

function isStillDue(map: ClusterMap, handOver: HandOver): boolean {
  const { partition, epoch, from, to, toIncarnation } = handOver;
  const entry = map.placement[partition];
  return (
    entry.epoch === epoch &&
    entry.primary === from &&
    isListedInSync(map, partition, to) &&
    isLivingLife(map, to, toIncarnation)
  );
}

function isLivingLife(map: ClusterMap, node: NodeId, incarnation: number): boolean {
  return isUp(map, node) && nodeOf(map, node)?.incarnation === incarnation;
}
