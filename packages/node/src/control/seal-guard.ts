/** Seals of partitions that this node leads, on behalf of the coordinator. A partition does not stay
 *  sealed because a coordinator was lost: without a new map or an Unseal it is unsealed in the end. */
import type { ClusterMap } from '../shared/map.ts';
import { sealKeptMs } from './coordinator.ts';
import type { NodeCallbacks, SealOutcome } from './types.ts';

export interface SealGuardOptions {
  node: NodeCallbacks;
  self: string;
  map: () => ClusterMap;
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
    const callOff = this.#options.later(sealKeptMs, () => this.unseal(partition, sealId));
    this.#held.set(partition, { sealId, epoch, callOff });
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
    for (const { callOff } of this.#held.values()) callOff();
    this.#held.clear();
  }

  #leads(partition: number, epoch: number): boolean {
    const entry = this.#options.map().placement[partition];
    return entry?.primary === this.#options.self && entry.epoch === epoch;
  }
}
