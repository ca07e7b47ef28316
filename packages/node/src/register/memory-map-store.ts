/** The map in memory: what tests and simulations use. `lose` makes answers go missing, so that
 *  proposers can be seen to cope. */
import type { ClusterMap } from '../shared/map.ts';
import {
  checkProposal,
  type ClusterMapStore,
  type CompareAndSetOutcome,
  type VersionedMap,
} from './map-store.ts';
import { MapWatchers } from './map-watchers.ts';

/** What becomes of one proposal: its answer is lost before or after it took effect. */
export type Loss = 'none' | 'proposal' | 'answer';

export class MemoryMapStore implements ClusterMapStore {
  readonly #watchers = new MapWatchers();
  #map: ClusterMap;
  loseNext: Loss = 'none';

  constructor(map: ClusterMap) {
    this.#map = map;
  }

  async read(): Promise<VersionedMap> {
    return { version: BigInt(this.#map.version), map: this.#map };
  }

  async compareAndSet(
    expected: bigint,
    next: ClusterMap,
    operationId: string,
  ): Promise<CompareAndSetOutcome> {
    checkProposal(expected, next, operationId);
    const loss = this.loseNext;
    this.loseNext = 'none';
    if (loss === 'proposal') return 'unknown';
    if (BigInt(this.#map.version) !== expected) return 'conflict';
    this.#map = next;
    this.#watchers.tell(next);
    return loss === 'answer' ? 'unknown' : 'ok';
  }

  watch(from: bigint, onMap: (map: ClusterMap) => void): () => void {
    const stop = this.#watchers.add(Number(from), onMap);
    this.#watchers.tell(this.#map);
    return stop;
  }
}
