/** The map on the founder, kept in LMDB: one value, flushed to disk before a change is answered.
 *  Owner: the founder's main thread, which alone opens the file (the data dir is locked), so the
 *  value in memory is the value on disk and changes queue up behind each other. */
import type { Database } from 'lmdb';
import { type ClusterMap, parseClusterMap } from '../shared/map.ts';
import {
  checkProposal,
  type ClusterMapStore,
  type CompareAndSetOutcome,
  type VersionedMap,
} from './map-store.ts';
import { MapWatchers } from './map-watchers.ts';

/** Under this key Identity.found puts the first map of a cluster. */
export const storedMapKey = 'clusterMap';

export class SingleMapStore implements ClusterMapStore {
  readonly #database: Database<ClusterMap, string>;
  readonly #watchers = new MapWatchers();
  #map: ClusterMap;
  #lastChange: Promise<unknown> = Promise.resolve();

  /** `map` is what the database holds. */
  private constructor(database: Database<ClusterMap, string>, map: ClusterMap) {
    this.#database = database;
    this.#map = map;
  }

  /** null where the database holds no map: this node is not the founder. */
  static open(database: Database<ClusterMap, string>): SingleMapStore | null {
    const map = database.get(storedMapKey);
    return map === undefined ? null : new SingleMapStore(database, parseClusterMap(map));
  }

  async read(): Promise<VersionedMap> {
    await this.#lastChange;
    return { version: BigInt(this.#map.version), map: this.#map };
  }

  async compareAndSet(
    expected: bigint,
    next: ClusterMap,
    operationId: string,
  ): Promise<CompareAndSetOutcome> {
    checkProposal(expected, next, operationId);
    const change = this.#lastChange.then(() => this.#replace(expected, next));
    this.#lastChange = change.catch(() => undefined);
    return change;
  }

  watch(from: bigint, onMap: (map: ClusterMap) => void): () => void {
    const stop = this.#watchers.add(Number(from), onMap);
    this.#watchers.tell(this.#map);
    return stop;
  }

  async #replace(expected: bigint, next: ClusterMap): Promise<CompareAndSetOutcome> {
    if (BigInt(this.#map.version) !== expected) return 'conflict';
    // Not `put`: where the disk refuses, it rejects promises of its own that nobody can handle.
    this.#database.putSync(storedMapKey, next);
    await this.#database.flushed;
    this.#map = next;
    this.#watchers.tell(next);
    return 'ok';
  }
}
