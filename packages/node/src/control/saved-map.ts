/** The newest map that a node has seen, on its disk: a hint for the next start. It may be late by a
 *  moment, because a change of the map waits for no disk but those of the acceptors.
 *  Owner: the control plane. */
import type { ClusterMap } from '../shared/map.ts';
import type { ControlLog } from './types.ts';

/** So long a newer map may be known and not be saved. */
const saveDelayMs = 200;

export class SavedMap {
  readonly #save: (map: ClusterMap) => void;
  readonly #log: ControlLog;
  #newest: ClusterMap | null = null;
  #timer: NodeJS.Timeout | undefined;

  /** `save` may throw: then the older one is all that a start finds. */
  constructor(save: (map: ClusterMap) => void, log: ControlLog) {
    this.#save = save;
    this.#log = log;
  }

  follow(map: ClusterMap): void {
    if (this.#newest === null) this.#timer = setTimeout(() => this.flush(), saveDelayMs);
    this.#newest = map;
  }

  /** Saves at once what is not saved yet. */
  flush(): void {
    const map = this.#newest;
    if (map === null) return;
    clearTimeout(this.#timer);
    this.#newest = null;
    try {
      this.#save(map);
    } catch (error) {
      this.#log.warn({ event: 'map.notSaved', why: (error as Error).message });
    }
  }
}
