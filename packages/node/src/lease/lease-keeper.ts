/** The acceptor's side of leases: whose heartbeats it answers, and whose life it would end.
 *  A life that has the answers of a majority serves for a while; a majority that has not answered it
 *  for longer than that ends it. Any two majorities share an acceptor, and that one does either the
 *  one or the other.
 *  What was heard is kept in memory only, so after its own start an acceptor waits as if it had just
 *  heard everybody. It does the same whenever others come to decide with it, or it with others,
 *  because a majority of those before, without it, may have given leases that still run.
 *  Fences are on disk before they are answered, and count here from the moment they are decided on.
 *  Owner: the node of the acceptor. Deterministic: clock and storage are passed in. */
import { nameOfSet } from '../register/acceptor-set.ts';
import { type ClusterMap, type Life, nameOfLife, nodeOf } from '../shared/map.ts';
import { fenceWaitShare, leaseMs } from './authority.ts';
import type { BeatAnswer, BeatRefusal, FenceAnswer, FenceQuestion } from './fence-calls.ts';

/** The fences of one acceptor. A fence ends this life of a node and those before it. */
export interface FenceStorage {
  has(life: Life): boolean;
  /** On disk when it resolves; may be called again. */
  add(life: Life): Promise<void>;
}

export interface LeaseKeeperOptions {
  /** Id of the acceptor. */
  readonly acceptor: string;
  /** The newest map that it has accepted, chosen or not. */
  readonly accepted: () => ClusterMap | null;
  readonly fences: FenceStorage;
  /** Monotonic. */
  readonly nowMs: () => number;
}

/** On the clock of the keeper. */
export const fenceWaitMs: number = fenceWaitShare * leaseMs;

export class LeaseKeeper {
  readonly #options: LeaseKeeperOptions;
  readonly #bootMs: number;
  /** By life: when it was answered last. */
  readonly #heardMs = new Map<string, number>();
  /** By node: the last life that was decided to be over, on disk or on its way there. */
  readonly #fencing = new Map<string, number>();
  #accepted: ClusterMap | null = null;
  #setName = '';
  /** Since when the accepted maps name those who decide as they do now, this acceptor among them. */
  #namedMs: number | null = null;
  #currentName = '';

  constructor(options: LeaseKeeperOptions) {
    this.#options = options;
    this.#bootMs = options.nowMs();
    this.look();
  }

  /** Must be called whenever the acceptor has accepted a map, before it says so. */
  look(): void {
    const { acceptor, nowMs } = this.#options;
    const accepted = this.#options.accepted();
    if (accepted === null || accepted === this.#accepted) return;
    this.#accepted = accepted;
    this.#setName = nameOfSet(accepted.acceptors);
    const isNamed = accepted.acceptors.current.some(({ id }) => id === acceptor);
    const currentName = nameOfSet({ current: accepted.acceptors.current, next: null });
    const isAsBefore = currentName === this.#currentName && this.#namedMs !== null;
    if (!isAsBefore) this.#namedMs = isNamed ? nowMs() : null;
    this.#currentName = currentName;
  }

  hear(life: Life, beat: number): BeatAnswer {
    this.look();
    const refusal = this.#refusal(life);
    if (refusal !== null) return refusal;
    const nowMs = this.#options.nowMs();
    const key = nameOfLife(life);
    if (!this.#heardMs.has(key)) this.#forgetBefore(nowMs - fenceWaitMs);
    this.#heardMs.set(key, nowMs);
    return {
      kind: 'acked',
      beat,
      acceptor: this.#options.acceptor,
      mapVersion: this.#accepted?.version ?? 0,
      acceptorSet: this.#setName,
    };
  }

  /** Rejects where the disk refuses the fence; the life gets no answer here all the same. */
  async fence({ life, askOnly, byOwner }: FenceQuestion): Promise<FenceAnswer> {
    this.look();
    const waitMs = byOwner || this.#isFenced(life) ? 0 : this.#waitMs(life);
    if (waitMs > 0) return { kind: 'notYet', waitMs };
    if (askOnly) return { kind: 'agreed' };
    this.#fencing.set(life.node, Math.max(life.incarnation, this.#fencing.get(life.node) ?? 0));
    await this.#options.fences.add(life);
    return { kind: 'agreed' };
  }

  #refusal(life: Life): BeatRefusal | null {
    if (this.#isFenced(life)) return { kind: 'fenced' };
    if (this.#accepted === null) return null;
    const node = nodeOf(this.#accepted, life.node);
    if (node === null) return { kind: 'removed' };
    return node.incarnation > life.incarnation ? { kind: 'replaced' } : null;
  }

  #isFenced(life: Life): boolean {
    const { node, incarnation } = life;
    if ((this.#fencing.get(node) ?? -1) >= incarnation) return true;
    if (this.#options.fences.has(life)) return true;
    if (this.#accepted === null) return false;
    return (nodeOf(this.#accepted, node)?.fencedThrough ?? 0) >= incarnation;
  }

  /** How long it is until this life may be ended; 0: now. */
  #waitMs(life: Life): number {
    if (this.#namedMs === null) return fenceWaitMs;
    const heardMs = this.#heardMs.get(nameOfLife(life)) ?? this.#bootMs;
    const sinceMs = Math.max(heardMs, this.#bootMs, this.#namedMs);
    return Math.max(0, sinceMs + fenceWaitMs - this.#options.nowMs());
  }

  /** Bounds what is remembered by the lives of the last seconds. */
  #forgetBefore(ms: number): void {
    for (const [key, heardMs] of this.#heardMs) if (heardMs < ms) this.#heardMs.delete(key);
  }
}
