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

export class SealGuard {
  readonly #options: SealGuardOptions;
  readonly #callOff = new Map<number, () => void>();

  constructor(options: SealGuardOptions) {
    this.#options = options;
  }

  async seal(partition: number, epoch: number, to: string): Promise<SealOutcome> {
    if (!this.#leads(partition, epoch)) {
      return { ok: false, seq: 0, why: 'it does not lead the partition at this epoch' };
    }
    const outcome = await this.#options.node.seal(partition, to);
    if (outcome.ok) {
      const callOff = this.#options.later(sealKeptMs, () => this.unseal(partition, epoch));
      this.#callOff.set(partition, callOff);
    }
    return outcome;
  }

  /** Does nothing where the handover came about after all. */
  unseal(partition: number, epoch: number): void {
    this.#callOff.get(partition)?.();
    this.#callOff.delete(partition);
    if (this.#leads(partition, epoch)) this.#options.node.unseal(partition);
  }

  stop(): void {
    for (const callOff of this.#callOff.values()) callOff();
    this.#callOff.clear();
  }

  #leads(partition: number, epoch: number): boolean {
    const entry = this.#options.map().placement[partition];
    return entry?.primary === this.#options.self && entry.epoch === epoch;
  }
}
