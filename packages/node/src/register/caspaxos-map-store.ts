/** The register proper: one cluster map, agreed on by the acceptors that the map itself names.
 *  Owner: the main thread of a node; one store, and so one proposer, per process. It asks one thing
 *  after the other, so that it never outbids itself.
 *
 *  Reading is a round like changing. Phase 1: promise me this ballot, and say what you accepted
 *  last; of what a quorum says the map with the highest ballot counts. Phase 2: accept that map, or
 *  the next one, under my ballot; when a quorum has, it is chosen, and no later round finds an
 *  older one.
 *  Invariants: a round counts only if the map that it read names the very acceptors that were
 *  asked; otherwise another begins with those. 'conflict' is answered only once a map without the
 *  operation is chosen, so what conflicted can never come about after all. A round that reads an
 *  older map than one known to be chosen when it began goes no further.
 *  Source: Rystsov, CASPaxos: Replicated State Machines without logs (2018). */
import { IngotError, refusal } from '../shared/errors.ts';
import type { Later } from '../shared/later.ts';
import type { AcceptorSet, ClusterMap, Life } from '../shared/map.ts';
import type { AcceptorCalls, AcceptedMap, Ballot } from './acceptor-calls.ts';
import { brokenSetChange, isNewHalf, isSameSet } from './acceptor-set.ts';
import { isHigher } from './ballots.ts';
import {
  checkProposal,
  type ClusterMapStore,
  type CompareAndSetOutcome,
  type VersionedMap,
} from './map-store.ts';
import { MapWatchers } from './map-watchers.ts';
import { type PhaseEnd, runPhase } from './round.ts';

export const phaseTimeoutMs = 500;
/** Of one read or change. Who is outbid lost to somebody who got further, so a long run of it is a
 *  sign of a crowd; phases without a quorum are few, because they take long. */
export const roundsMax = 24;
export const silencesMax = 2;
/** Bounds of the wait before the round after one that was outbid; the wait is random below them. */
const firstBackoffMs = 8;
const lastBackoffMs = 128;

/** No quorum answered in time: weather. Whoever read may ask again. */
export class NoQuorum extends Error {
  constructor(why: string) {
    super(`no majority of the acceptors of the cluster map answers (${why})`);
    this.name = 'NoQuorum';
  }
}

export interface CasPaxosOptions {
  readonly calls: AcceptorCalls;
  /** Whose proposals these are; fenced lives have no say. */
  readonly life: () => Life;
  /** In ballots: a name that no other process has, nor had. */
  readonly proposer: string;
  /** Whom to ask first. */
  readonly acceptors: AcceptorSet;
  readonly later: Later;
  /** In [0, 1). */
  readonly random: () => number;
  /** A map was chosen that this store did not know of: the others want to hear of it. */
  readonly chosen?: (map: ClusterMap) => void;
}

type Round =
  | { readonly kind: 'chosen'; readonly map: ClusterMap }
  | { readonly kind: 'otherSet' }
  | Exclude<PhaseEnd<never>, { kind: 'quorum' }>;

export class CasPaxosMapStore implements ClusterMapStore {
  readonly #options: CasPaxosOptions;
  readonly #watchers = new MapWatchers();
  #acceptors: AcceptorSet;
  /** The newest map of which this process knows that it was chosen. */
  #known: ClusterMap | null = null;
  #round = 0;
  #last: Promise<unknown> = Promise.resolve();
  /** Asked for, and not begun: those who ask now may share it. */
  #nextRead: Promise<VersionedMap> | null = null;

  constructor(options: CasPaxosOptions) {
    this.#options = options;
    this.#acceptors = options.acceptors;
  }

  get known(): ClusterMap | null {
    return this.#known;
  }

  read(): Promise<VersionedMap> {
    this.#nextRead ??= this.#inTurn(async () => {
      this.#nextRead = null;
      const map = await this.#choose(this.#options.life(), (read) => read);
      return { version: BigInt(map.version), map };
    });
    return this.#nextRead;
  }

  async compareAndSet(
    expected: bigint,
    next: ClusterMap,
    operationId: string,
  ): Promise<CompareAndSetOutcome> {
    checkProposal(expected, next, operationId);
    // Whoever proposes it is over where this life is: the next one of the node does not carry it on.
    const from = this.#options.life();
    return this.#inTurn(() => this.#compareAndSet(from, expected, next, operationId));
  }

  watch(from: bigint, onMap: (map: ClusterMap) => void): () => void {
    const stop = this.#watchers.add(Number(from), onMap);
    if (this.#known !== null) this.#watchers.tell(this.#known);
    return stop;
  }

  /** A map that was chosen, as somebody says who knows. Older ones are ignored. */
  learn(map: ClusterMap): void {
    if (this.#known !== null && map.version <= this.#known.version) return;
    this.#known = map;
    this.#acceptors = map.acceptors;
    this.#watchers.tell(map);
  }

  async #compareAndSet(
    from: Life,
    expected: bigint,
    next: ClusterMap,
    operationId: string,
  ): Promise<CompareAndSetOutcome> {
    let proposed = false;
    try {
      const map = await this.#choose(from, (read) => {
        if (BigInt(read.version) !== expected) return read;
        const broken = brokenSetChange(read.acceptors, next.acceptors);
        if (broken !== null) throw refusal('BAD_PROPOSAL', broken);
        proposed = true;
        return next;
      });
      return Object.values(map.operations).includes(operationId) ? 'ok' : 'conflict';
    } catch (error) {
      const isRefusal = error instanceof IngotError;
      if (error instanceof NoQuorum || (proposed && isRefusal)) return 'unknown';
      throw error;
    }
  }

  /** Rounds until one gets through. `decide` answers what to propose where a map was read, and is
   *  asked again in each round. Rejects with NoQuorum, or where this life is fenced. */
  async #choose(from: Life, decide: (read: ClusterMap) => ClusterMap): Promise<ClusterMap> {
    let silences = 0;
    let outbids = 0;
    let why = 'others keep changing the map';
    for (let rounds = 0; rounds < roundsMax; rounds++) {
      const round = await this.#runRound(from, decide);
      if (round.kind === 'chosen') return round.map;
      if (round.kind === 'fenced') throw refusal('RETIRED', 'this life of the node is fenced');
      if (round.kind === 'silence') {
        why = round.why;
        if (++silences >= silencesMax) break;
      } else if (round.kind === 'outbid') {
        this.#round = Math.max(this.#round, round.ballot.round);
        await this.#backOff(outbids++);
      }
    }
    throw new NoQuorum(why);
  }

  async #runRound(from: Life, decide: (read: ClusterMap) => ClusterMap): Promise<Round> {
    const { calls, later, proposer } = this.#options;
    const set = this.#acceptors;
    const known = this.#known;
    const ballot: Ballot = { round: ++this.#round, proposer };
    const phase = { set, later, timeoutMs: phaseTimeoutMs };
    const prepared = await runPhase({
      ...phase,
      ask: (to) => calls.prepare(to, from, ballot),
    });
    if (prepared.kind !== 'quorum') return prepared;
    const read = newestOf(prepared.answers.map(({ accepted }) => accepted));
    if (read === null) return { kind: 'silence', why: 'no map has been accepted there' };
    if (known !== null && read.version < known.version) {
      return { kind: 'silence', why: forgotten(known.version, read.version) };
    }
    const isOtherSet = !isSameSet(read.acceptors, set);
    if (isOtherSet && !this.#isOutdated(read)) this.#acceptors = read.acceptors;
    // The last step of a change may be with a few of the joint set only, and its proposer gone. Its
    // own acceptors need not know of it and would lead back to the joint set, without end. They are
    // one half of those who promised here, so it may be finished: as it is, by the joint set.
    if (isOtherSet && !isNewHalf(read.acceptors, set)) return { kind: 'otherSet' };
    const map = isOtherSet ? read : decide(read);
    const accepted = await runPhase({
      ...phase,
      ask: (to) => calls.accept(to, from, ballot, map),
    });
    if (accepted.kind !== 'quorum') return accepted;
    this.#isChosen(map);
    return isOtherSet ? { kind: 'otherSet' } : { kind: 'chosen', map };
  }

  /** A newer map has become known since the round began, and who decides with it. */
  #isOutdated(read: ClusterMap): boolean {
    return this.#known !== null && read.version < this.#known.version;
  }

  #isChosen(map: ClusterMap): void {
    if (this.#known !== null && map.version <= this.#known.version) return;
    this.learn(map);
    this.#options.chosen?.(map);
  }

  #backOff(outbids: number): Promise<void> {
    const boundMs = Math.min(firstBackoffMs * 2 ** outbids, lastBackoffMs);
    const delayMs = this.#options.random() * boundMs;
    return new Promise((resolve) => {
      this.#options.later(delayMs, resolve);
    });
  }

  #inTurn<T>(run: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(run);
    this.#last = turn.catch(() => undefined);
    return turn;
  }
}

/** What was chosen is found by every quorum, unless an acceptor went back in time. Nothing is built
 *  on such an answer: it might be chosen a second time. */
function forgotten(known: number, read: number): string {
  return (
    `they have forgotten map version ${known} and know ${read}: ` +
    'a data dir was put back from a copy; start that node with an empty one'
  );
}

/** Of what a quorum has accepted, what counts. */
function newestOf(accepted: readonly (AcceptedMap | null)[]): ClusterMap | null {
  let newest: AcceptedMap | null = null;
  for (const candidate of accepted) {
    if (candidate === null) continue;
    if (newest === null || isHigher(candidate.ballot, newest.ballot)) newest = candidate;
  }
  return newest?.map ?? null;
}
