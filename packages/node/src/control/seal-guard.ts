/** Seals of partitions that this node leads, on behalf of the coordinator. A partition does not
 *  stay sealed because an answer was lost: without a new map or an Unseal it is unsealed in the
 *  end. Invariant: by itself it unseals only what the map, read after the last moment at which the
 *  seal could be used, still gives to this node. The newest map that happens to have arrived is not
 *  enough: the new primary may have seen a newer one, and then two would take writes. */
import type { ClusterMap } from '../shared/map.ts';
import { handOverRetryMs, sealKeptMs } from './handovers.ts';
import type { NodeCallbacks, SealOutcome } from './types.ts';

export interface SealGuardOptions {
  node: NodeCallbacks;
  self: string;
  map: () => ClusterMap;
  /** The map as the register holds it now; what is read becomes `map`. Rejects while it cannot be
   *  asked. */
  readMap: () => Promise<ClusterMap>;
  /** Calls back after so many ms; returns the way to call it off. */
  later: (delayMs: number, then: () => void) => () => void;
}

/** The outcome of a seal, with its name; 0 where there is nothing to unseal. */
export interface Seal extends SealOutcome {
  sealId: number;
}

export class SealGuard {
  readonly #options: SealGuardOptions;
  /** The last seal of each partition. */
  readonly #held = new Map<number, { sealId: number; epoch: number; callOff: () => void }>();
  #stopped = false;
  #lastSealId = 0;

  constructor(options: SealGuardOptions) {
    this.#options = options;
  }

  async seal(partition: number, epoch: number, to: string): Promise<Seal> {
    if (!this.#leads(partition, epoch)) {
      return { ok: false, seq: 0, why: 'it does not lead the partition at this epoch', sealId: 0 };
    }
    // An earlier seal, whose answer was lost, must not be lifted under this one.
    this.#held.get(partition)?.callOff();
    const outcome = await this.#options.node.seal(partition, to);
    if (!outcome.ok) return { ...outcome, sealId: 0 };
    const sealId = ++this.#lastSealId;
    this.#hold(partition, sealId, epoch, sealKeptMs);
    return { ...outcome, sealId };
  }

  /** Does nothing where there is a later seal, or where the handover came about after all. */
  unseal(partition: number, sealId: number): void {
    const held = this.#held.get(partition);
    if (held?.sealId !== sealId) return;
    held.callOff();
    this.#held.delete(partition);
    if (this.#leads(partition, held.epoch)) this.#options.node.unseal(partition);
  }

  stop(): void {
    this.#stopped = true;
    for (const { callOff } of this.#held.values()) callOff();
    this.#held.clear();
  }

  #hold(partition: number, sealId: number, epoch: number, delayMs: number): void {
    const callOff = this.#options.later(delayMs, () => void this.#expire(partition, sealId, epoch));
    this.#held.set(partition, { sealId, epoch, callOff });
  }

  /** Without a majority of the acceptors nobody can say who leads the partition: it stays sealed, and
   *  asks on. */
  async #expire(partition: number, sealId: number, epoch: number): Promise<void> {
    const map = await this.#options.readMap().catch(() => null);
    if (this.#stopped || this.#held.get(partition)?.sealId !== sealId) return;
    if (map === null) this.#hold(partition, sealId, epoch, handOverRetryMs);
    else if (this.#leads(partition, epoch, map)) this.unseal(partition, sealId);
    else this.#held.delete(partition);
  }

  #leads(partition: number, epoch: number, map: ClusterMap = this.#options.map()): boolean {
    const entry = map.placement[partition];
    return entry?.primary === this.#options.self && entry.epoch === epoch;
  }
}
