/** Promises about the map: each settles with the first map of which it holds, or that rules it
 *  out. */
import type { ClusterMap } from '../shared/map.ts';

interface Wait {
  readonly holds: (map: ClusterMap) => boolean;
  /** Why it cannot come about any more; null as long as it can. */
  readonly refused: (map: ClusterMap) => Error | null;
  readonly promise: PromiseWithResolvers<void>;
}

export class MapWaits {
  readonly #waits: Set<Wait> = new Set();

  until(holds: Wait['holds'], refused: Wait['refused'] = () => null): Promise<void> {
    const wait: Wait = { holds, refused, promise: Promise.withResolvers<void>() };
    this.#waits.add(wait);
    return wait.promise.promise;
  }

  look(map: ClusterMap): void {
    for (const wait of this.#waits) {
      const refusal = wait.refused(map);
      if (refusal === null && !wait.holds(map)) continue;
      this.#waits.delete(wait);
      if (refusal === null) wait.promise.resolve();
      else wait.promise.reject(refusal);
    }
  }

  rejectAll(why: Error): void {
    for (const { promise } of this.#waits) promise.reject(why);
    this.#waits.clear();
  }
}
