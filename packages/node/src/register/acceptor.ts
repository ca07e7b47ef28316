/** One voice of those that decide about the cluster map: promises and accepts for proposers, and
 *  remembers which lives are fenced.
 *  Owner: the node's main thread. The lease room asks and adds to the fences.
 *  Invariants: what an answer rests on is on disk before the answer leaves; a promise is never
 *  taken back, a fence neither. What is on its way to the disk counts already: of what it refuses, and
 *  of what it says it accepted. A disk that failed to flush is not believed again: the acceptor
 *  then answers nothing more until its process starts anew from what is on that disk.
 *  Source: Rystsov, CASPaxos: Replicated State Machines without logs (2018). */
import { type ClusterMap, type Life, type NodeId, nodeOf } from '../shared/map.ts';
import type { AcceptAnswer, AcceptedMap, Ballot, PrepareAnswer } from './acceptor-calls.ts';
import { higherOf, isHigher, noBallot } from './ballots.ts';

/** What an acceptor remembers across restarts. */
export interface AcceptorState {
  readonly promised: Ballot;
  readonly accepted: AcceptedMap | null;
  /** Lives of a node up to and with this incarnation are over. */
  readonly fences: ReadonlyMap<NodeId, number>;
}

/** Where it remembers. A `put` throws where it cannot be, and then nothing was changed; what was put
 *  may be lost with the process until `flushed`, called after it, resolves. That rejects with
 *  NotWritten where something that was put is not there, and what was there before still is. */
export interface AcceptorStorage {
  /** Random, born with the storage: whoever lost its memory is another acceptor. */
  readonly id: string;
  load(): AcceptorState;
  putPromised(ballot: Ballot): void;
  /** Promises the ballot, too. */
  putAccepted(accepted: AcceptedMap): void;
  putFence(life: Life): void;
  flushed(): Promise<void>;
}

/** Weather, such as a full disk: it may be tried again. */
export class NotWritten extends Error {}

export class Acceptor {
  readonly #storage: AcceptorStorage;
  readonly #fences: Map<NodeId, number>;
  /** Those of them that are on disk for certain. */
  readonly #durableFences: Map<NodeId, number>;
  readonly #listeners = new Set<(map: ClusterMap) => void>();
  readonly #wrote: (failure: Error | null) => void;
  #promised: Ballot;
  #accepted: AcceptedMap | null;
  #trouble: Error | null = null;

  /** `wrote` is told of each write, and of its failure. */
  constructor(storage: AcceptorStorage, wrote: (failure: Error | null) => void = () => undefined) {
    this.#wrote = wrote;
    const { promised, accepted, fences } = storage.load();
    this.#storage = storage;
    this.#promised = higherOf(promised, accepted?.ballot ?? noBallot);
    this.#accepted = accepted;
    this.#fences = new Map(fences);
    this.#durableFences = new Map(fences);
  }

  get id(): string {
    return this.#storage.id;
  }

  /** The newest map accepted here, chosen or not; null where nobody proposed one yet. */
  get accepted(): ClusterMap | null {
    return this.#accepted?.map ?? null;
  }

  /** Called with the newest map whenever one was accepted, before the answer leaves. */
  onAccepted(listener: (map: ClusterMap) => void): void {
    this.#listeners.add(listener);
  }

  /** By a fence of its own, or by one in the map that it accepted last. */
  isFenced({ node, incarnation }: Life): boolean {
    return incarnation <= this.fencedThrough(node);
  }

  /** The last life of a node that is over for certain; 0 for none. */
  fencedThrough(node: NodeId): number {
    const accepted = this.#accepted === null ? null : nodeOf(this.#accepted.map, node);
    return Math.max(this.#fences.get(node) ?? 0, accepted?.fencedThrough ?? 0);
  }

  /** Whether that may be done is the lease room's to know. Resolves once the fence is on disk. */
  async fence({ node, incarnation }: Life): Promise<void> {
    this.#checkDisk();
    if (incarnation <= (this.#durableFences.get(node) ?? 0)) return;
    const through = Math.max(incarnation, this.#fences.get(node) ?? 0);
    this.#write(() => this.#storage.putFence({ node, incarnation: through }));
    this.#fences.set(node, through);
    await this.#flushed();
    this.#durableFences.set(node, Math.max(through, this.#durableFences.get(node) ?? 0));
  }

  async prepare(from: Life, ballot: Ballot): Promise<PrepareAnswer> {
    this.#checkDisk();
    if (this.isFenced(from)) return { kind: 'fenced' };
    if (!isHigher(ballot, this.#promised)) return { kind: 'outbid', ballot: this.#promised };
    this.#write(() => this.#storage.putPromised(ballot));
    this.#promised = ballot;
    const accepted = this.#accepted;
    await this.#flushed();
    return { kind: 'promised', accepted };
  }

  async accept(from: Life, ballot: Ballot, map: ClusterMap): Promise<AcceptAnswer> {
    this.#checkDisk();
    if (this.isFenced(from)) return { kind: 'fenced' };
    if (isHigher(this.#promised, ballot)) return { kind: 'outbid', ballot: this.#promised };
    const accepted = { ballot, map };
    this.#write(() => this.#storage.putAccepted(accepted));
    this.#promised = ballot;
    this.#accepted = accepted;
    await this.#flushed();
    for (const listener of this.#listeners) listener(this.#accepted.map);
    return { kind: 'accepted' };
  }

  #write(put: () => void): void {
    try {
      put();
    } catch (error) {
      this.#wrote(error as Error);
      throw error;
    }
  }

  async #flushed(): Promise<void> {
    try {
      await this.#storage.flushed();
      this.#wrote(null);
    } catch (error) {
      this.#wrote(error as Error);
      if (error instanceof NotWritten) throw error;
      this.#trouble = error as Error;
    }
    this.#checkDisk();
  }

  #checkDisk(): void {
    if (this.#trouble !== null) throw this.#trouble;
  }
}
