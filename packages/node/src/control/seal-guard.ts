/** Seals of partitions that this node leads, on behalf of the coordinator. A partition does not
 *  stay sealed because an answer was lost: without a new map or an Unseal this node asks for another
 *  epoch of its own, and the map that has it lifts the seal.
 *  Invariants: only who asked for a seal can have it lifted within its epoch. To have read that the
 *  map still gives the partition to this node would not be enough: whoever uses the seal may be in
 *  the middle of it, its change be chosen later, and two would answer for the partition. One seal
 *  of a partition at a time, so that the end of one is not that of another. */
import type { MapChange } from '../register/map-proposer.ts';
import type { Later } from '../shared/later.ts';
import type { ClusterMap } from '../shared/map.ts';
import { handOverRetryMs, sealKeptMs } from './handovers.ts';
import { withPrimary } from './map-changes.ts';
import type { NodeCallbacks, SealOutcome } from './types.ts';

export interface SealGuardOptions {
  node: NodeCallbacks;
  self: string;
  map: () => ClusterMap;
  /** Rejects while the register cannot be asked. */
  propose: (change: MapChange) => Promise<ClusterMap>;
  later: Later;
}

/** The outcome of a seal, with its name; 0 where there is nothing to unseal. */
export interface Seal extends SealOutcome {
  sealId: number;
}

export class SealGuard {
  readonly #options: SealGuardOptions;
  /** The last seal of each partition. */
  readonly #held = new Map<number, { sealId: number; epoch: number; callOff: () => void }>();
  /** Those that are being sealed. */
  readonly #sealing = new Set<number>();
  #stopped = false;
  #lastSealId = 0;

  constructor(options: SealGuardOptions) {
    this.#options = options;
  }

  async seal(partition: number, epoch: number, to: string): Promise<Seal> {
    if (!this.#leads(partition, epoch)) {
      return refused('it does not lead the partition at this epoch');
    }
    const held = this.#held.get(partition);
    if (this.#sealing.has(partition) || held?.epoch === epoch) {
      return refused('it is sealed already, for another handover');
    }
    held?.callOff();
    this.#sealing.add(partition);
    try {
      const outcome = await this.#options.node.seal(partition, to);
      if (!outcome.ok) return { ...outcome, sealId: 0 };
      const sealId = ++this.#lastSealId;
      this.#hold(partition, sealId, epoch, sealKeptMs);
      return { ...outcome, sealId };
    } finally {
      this.#sealing.delete(partition);
    }
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
    const { propose, self } = this.#options;
    const map = await propose((current) =>
      this.#leads(partition, epoch, current) ? withPrimary(current, partition, self) : current,
    ).catch(() => null);
    if (this.#stopped || this.#held.get(partition)?.sealId !== sealId) return;
    if (map === null) this.#hold(partition, sealId, epoch, handOverRetryMs);
    else this.#held.delete(partition);
  }

  #leads(partition: number, epoch: number, map: ClusterMap = this.#options.map()): boolean {
    const entry = map.placement[partition];
    return entry?.primary === this.#options.self && entry.epoch === epoch;
  }
}

function refused(why: string): Seal {
  return { ok: false, seq: 0, why, sealId: 0 };
}
