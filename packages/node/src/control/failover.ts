/** Failover: ends one life of a node for good and gives what it led to others.
 *
 *  suspect -> fence (a majority knows durably that the life is over) -> seal (the copies of what it
 *  led refuse its epoch and say how far they are) -> choose (succession.ts) -> one change of the
 *  map, which marks the life down, takes it out of every in-sync set and names all new primaries.
 *
 *  Safe to run twice, on two nodes, or to give up anywhere: whatever it decides holds only if the
 *  map still is what it was decided on. The change is refused by itself where
 *  - the acceptors are others than those that know of the fence: then it fences again;
 *  - an entry of what is moved is another than the one that was sealed: then it seals again.
 *  Invariant: no lead moves away from a life that is not fenced. Knows no clock, timers, network. */
import { isSameSet } from '../register/acceptor-set.ts';
import type { MapProposer } from '../register/map-proposer.ts';
import { type LeaseAuthority, NotDeadYet } from '../lease/authority.ts';
import { refusal } from '../shared/errors.ts';
import type { Later } from '../shared/later.ts';
import {
  type AcceptorSet,
  type ClusterMap,
  isUp,
  ledBy,
  type Life,
  type MapNode,
  type NodeId,
  nodeOf,
  type PlacementEntry,
} from '../shared/map.ts';
import {
  withLifeEnded,
  withPartitionLossy,
  withPartitionLost,
  withSuccessor,
} from './map-changes.ts';
import type { EndOfLife, FailoverLog } from './failover-log.ts';
import {
  decidersOf,
  isSameCase,
  type Patience,
  type SealAnswer,
  type SealAnswers,
  type Succession,
  successionOf,
} from './succession.ts';
import type { PartitionEpoch, SealedCopy } from './types.ts';

/** How long copies are waited for once a life is fenced. */
export const sealWaitMs = 300;
/** Of an acceptor that could not be asked. */
const fenceRetryMs = 100;
/** Each round that begins anew means that somebody else has changed the map. */
const failoverRoundsMax = 16;

/** How the copies are reached. Rejects where the node does not answer within a deadline, or is
 *  another life by now. */
export interface CopyCalls {
  sealCopies(node: MapNode, partitions: readonly PartitionEpoch[]): Promise<SealedCopy[]>;
}

export interface FailoverOptions {
  readonly proposer: MapProposer;
  readonly leases: Pick<LeaseAuthority, 'fence'>;
  readonly copies: CopyCalls;
  readonly log: FailoverLog;
  readonly nowMs: () => number;
  readonly later: Later;
  /** Whether a node is worth waiting for. */
  readonly isHeard: (map: ClusterMap, node: NodeId) => boolean;
  /** Who begins again where nothing is left of a partition. */
  readonly preferred: (map: ClusterMap, partition: number) => NodeId;
}

export interface LifeToEnd {
  readonly life: Life;
  /** Why it ends. Who is silent may yet speak; the others say themselves that it is over. */
  readonly cause: EndOfLife;
  /** False: it was heard again, and is left alone unless it is fenced already. */
  readonly isStillWanted: () => boolean;
}

export interface Vacancy {
  readonly partition: number;
  readonly patience: Patience;
}

/** What a change of the map has come to. */
type Outcome =
  | { readonly kind: 'done'; readonly successions: ReadonlyMap<number, Succession> }
  | { readonly kind: 'over' | 'otherAcceptors' | 'otherCase' };

interface SealedCase {
  readonly entries: ReadonlyMap<number, PlacementEntry>;
  readonly answers: SealAnswers;
}

export class Failover {
  readonly #options: FailoverOptions;

  constructor(options: FailoverOptions) {
    this.#options = options;
  }

  /** Resolves with a map in which the life is over, or with null where it was heard again. Rejects
   *  where the map or the acceptors cannot be asked; then it may be begun again. */
  async endLife(known: ClusterMap, toEnd: LifeToEnd): Promise<ClusterMap | null> {
    const { life, cause } = toEnd;
    const { log, nowMs } = this.#options;
    const beganMs = nowMs();
    let map = known;
    let acceptors: AcceptorSet | null = null;
    let fencedMs = beganMs;
    for (let round = 0; round < failoverRoundsMax; round++) {
      if (isOver(map, life)) return map;
      if (acceptors === null) {
        acceptors = await this.#fence(toEnd);
        if (acceptors === null) return null;
        fencedMs = nowMs();
        if (cause !== 'stopped') log.fenced(life, fencedMs - beganMs);
      }
      const sealed = await this.#seal(map, ledBy(map, life.node), life);
      const sealedMs = nowMs();
      const { outcome, map: newer } = await this.#endIn(life, acceptors, sealed);
      map = newer;
      if (outcome.kind === 'otherAcceptors') acceptors = null;
      if (outcome.kind !== 'done') continue;
      const writtenMs = nowMs();
      log.ended(life, cause, outcome.successions, {
        fenceMs: fencedMs - beganMs,
        sealMs: sealedMs - fencedMs,
        writeMs: writtenMs - sealedMs,
        totalMs: writtenMs - beganMs,
      });
      return map;
    }
    throw new Error(`the map kept changing while life ${life.incarnation} of ${life.node} ended`);
  }

  /** Partitions that have no primary: names one where that is possible by now. */
  async settle(known: ClusterMap, vacancies: readonly Vacancy[]): Promise<ClusterMap> {
    const partitions = vacancies.map(({ partition }) => partition);
    const patience = new Map(vacancies.map((vacancy) => [vacancy.partition, vacancy.patience]));
    const sealed = await this.#seal(known, partitions, null);
    let successions = new Map<number, Succession>();
    const settled = (current: ClusterMap): ClusterMap => {
      successions = new Map();
      let next = current;
      for (const [partition, entry] of sealed.entries) {
        if (!isSameCase(entry, current.placement[partition])) continue;
        const left = patience.get(partition) ?? 'full';
        const succession = this.#choose(next, partition, sealed, left, null);
        if (succession.kind === 'wait') continue;
        successions.set(partition, succession);
        next = withSuccession(next, partition, succession);
      }
      return next;
    };
    if (settled(known) === known) return known;
    const map = await this.#options.proposer.propose(settled);
    this.#options.log.settled(successions);
    return map;
  }

  /** An operator names who leads a partition that has no primary, whatever is lost by that. */
  async promoteAnyway(known: ClusterMap, partition: number, node: NodeId): Promise<ClusterMap> {
    const sealed = await this.#seal(known, [partition], null);
    let succession: Succession = { kind: 'lost', leader: node };
    const map = await this.#options.proposer.propose((current) => {
      const entry = current.placement[partition];
      if (!isSameCase(entry, known.placement[partition])) {
        throw refusal('MAP_CHANGED', `partition ${partition} has changed meanwhile; look again`);
      }
      succession = takenAnyway(current, partition, node, sealed.answers);
      return withSuccession(current, partition, succession);
    });
    this.#options.log.settled(new Map([[partition, succession]]));
    return map;
  }

  async #fence({ life, cause, isStillWanted }: LifeToEnd): Promise<AcceptorSet | null> {
    for (;;) {
      try {
        return await this.#options.leases.fence(life, cause !== 'silent');
      } catch (error) {
        if (!isStillWanted()) return null;
        await this.#pause(error instanceof NotDeadYet ? error.waitMs : fenceRetryMs);
        if (!isStillWanted()) return null;
      }
    }
  }

  #pause(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      this.#options.later(Math.max(1, delayMs), resolve);
    });
  }

  async #seal(
    map: ClusterMap,
    partitions: readonly number[],
    former: Life | null,
  ): Promise<SealedCase> {
    const answers = new Map<NodeId, SealAnswer>();
    const awaited = new Set(
      partitions
        .flatMap((partition) => decidersOf(map, partition, former))
        .filter((node) => this.#options.isHeard(map, node)),
    );
    const enough = Promise.withResolvers<void>();
    const heardFrom = (node: NodeId): void => {
      awaited.delete(node);
      if (awaited.size === 0) enough.resolve();
    };
    for (const [node, wanted] of copiesToSeal(map, partitions, former)) {
      const { incarnation } = node;
      this.#options.copies.sealCopies(node, wanted).then(
        (copies) => {
          const byId = new Map(copies.map((copy) => [copy.id, copy]));
          answers.set(node.id, { incarnation, copies: byId });
          this.#options.log.sealed(node.id);
          heardFrom(node.id);
        },
        (error: Error) => {
          this.#options.log.notSealed(node.id, error);
          heardFrom(node.id);
        },
      );
    }
    if (awaited.size === 0) enough.resolve();
    const callOff = this.#options.later(sealWaitMs, enough.resolve);
    await enough.promise;
    callOff();
    const entries = new Map(partitions.map((partition) => [partition, map.placement[partition]]));
    return { entries, answers: new Map(answers) };
  }

  async #endIn(
    life: Life,
    acceptors: AcceptorSet,
    sealed: SealedCase,
  ): Promise<{ outcome: Outcome; map: ClusterMap }> {
    let outcome: Outcome = { kind: 'over' };
    const map = await this.#options.proposer.propose((current) => {
      outcome = refusalOf(current, life, acceptors, sealed) ?? { kind: 'done', ...none };
      if (outcome.kind !== 'done') return current;
      const successions = new Map<number, Succession>();
      let next = current;
      for (const partition of sealed.entries.keys()) {
        const succession = this.#choose(next, partition, sealed, 'full', life);
        successions.set(partition, succession);
        next = withSuccession(next, partition, succession);
      }
      outcome = { kind: 'done', successions };
      return withLifeEnded(next, life);
    });
    return { outcome, map };
  }

  #choose(
    map: ClusterMap,
    partition: number,
    { answers }: SealedCase,
    patience: Patience,
    former: Life | null,
  ): Succession {
    return successionOf(map, {
      partition,
      former,
      answers,
      patience,
      leads: (node) => ledBy(map, node).length,
      preferred: this.#options.preferred(map, partition),
    });
  }
}

const none = { successions: new Map<number, Succession>() };

function isOver(map: ClusterMap, { node, incarnation }: Life): boolean {
  return (nodeOf(map, node)?.fencedThrough ?? incarnation) >= incarnation;
}

/** Why a life cannot be ended in this map as it was prepared; null where it can. */
function refusalOf(
  map: ClusterMap,
  life: Life,
  acceptors: AcceptorSet,
  { entries }: SealedCase,
): Outcome | null {
  if (isOver(map, life)) return { kind: 'over' };
  if (!isSameSet(map.acceptors, acceptors)) return { kind: 'otherAcceptors' };
  const led = ledBy(map, life.node);
  const isAsSealed = led.every((partition) => {
    const entry = entries.get(partition);
    return entry !== undefined && isSameCase(entry, map.placement[partition]);
  });
  return isAsSealed && led.length === entries.size ? null : { kind: 'otherCase' };
}

/** All partitions of a node in one call. */
function copiesToSeal(
  map: ClusterMap,
  partitions: readonly number[],
  former: Life | null,
): Map<MapNode, PartitionEpoch[]> {
  const wanted = new Map<MapNode, PartitionEpoch[]>();
  for (const partition of partitions) {
    const { epoch, followers } = map.placement[partition];
    for (const follower of followers) {
      const node = nodeOf(map, follower);
      if (node === null || node.state !== 'up' || node.id === former?.node) continue;
      const held = wanted.get(node);
      if (held === undefined) wanted.set(node, [{ id: partition, epoch }]);
      else held.push({ id: partition, epoch });
    }
  }
  return wanted;
}

function withSuccession(map: ClusterMap, partition: number, succession: Succession): ClusterMap {
  switch (succession.kind) {
    case 'inSync':
      return withSuccessor(map, partition, succession.leader, succession.inSync);
    case 'lossy':
      return withPartitionLossy(map, partition, succession.leader);
    case 'lost':
      return withPartitionLost(map, partition, succession.leader);
    case 'wait':
      return map;
  }
}

/** Throws an IngotError where another copy would keep what this one has not. */
function takenAnyway(
  map: ClusterMap,
  partition: number,
  node: NodeId,
  answers: SealAnswers,
): Succession {
  const { inSync, followers } = map.placement[partition];
  const incarnation = nodeOf(map, node)?.incarnation;
  if (!followers.includes(node) || !isUp(map, node)) {
    throw refusal('NO_COPY', `${node} holds no copy of partition ${partition}, or is not up`);
  }
  const isConsistent = (other: NodeId): boolean =>
    answers.get(other)?.copies.get(partition)?.consistent === true;
  if (isConsistent(node)) {
    const life = inSync.find((other) => other.node === node && other.incarnation === incarnation);
    return life === undefined
      ? { kind: 'lossy', leader: node, inSync: [] }
      : { kind: 'inSync', leader: node, inSync: [life] };
  }
  const better = followers.find(isConsistent);
  if (better !== undefined) {
    throw refusal(
      'COPY_NOT_CONSISTENT',
      `the copy on ${node} is not consistent, that on ${better} is; promote ${better}`,
    );
  }
  return { kind: 'lost', leader: node };
}
