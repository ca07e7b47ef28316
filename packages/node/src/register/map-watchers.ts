/** Those who wait for newer maps in this process. Owner: a map store, or the control plane.
 *  Invariant: a watcher never sees a version twice or an older one after a newer one. */
import type { ClusterMap } from '../shared/map.ts';

export class MapWatchers {
  readonly #watchers = new Set<{ seen: number; onMap: (map: ClusterMap) => void }>();

  add(from: number, onMap: (map: ClusterMap) => void): () => void {
    const watcher = { seen: from, onMap };
    this.#watchers.add(watcher);
    return () => {
      this.#watchers.delete(watcher);
    };
  }

  tell(map: ClusterMap): void {
    for (const watcher of this.#watchers) {
      if (map.version <= watcher.seen) continue;
      watcher.seen = map.version;
      watcher.onMap(map);
    }
  }
}
