/** The one way to change the cluster map: read, change, compare and set, again on a conflict. What is
 *  known of the map already is tried first, since a change on top of an older one is a conflict and
 *  no harm. One proposer per node and process. Its changes run one after the other, which is what makes the
 *  single operation id that the map keeps per proposer enough to settle an unanswered proposal. */
import type { ClusterMap, NodeId } from '../shared/map.ts';
import type { ClusterMapStore } from './map-store.ts';

/** Conflicts come from other proposers and each means that one of them got through, so a long run
 *  of them is a fault and not weather. */
export const attemptsMax = 32;

/** Answers the next map, or the same object where nothing is to be changed any more. Called again,
 *  with the newer map, when somebody else was first. */
export type MapChange = (map: ClusterMap) => ClusterMap;

export class MapProposer {
  readonly #store: ClusterMapStore;
  readonly #proposer: NodeId;
  readonly #newOperationId: () => string;
  readonly #known: () => ClusterMap | null;
  #last: Promise<unknown> = Promise.resolve();

  /** `known`: the newest map that is known to have been chosen. */
  constructor(
    store: ClusterMapStore,
    proposer: NodeId,
    newOperationId: () => string,
    known: () => ClusterMap | null = () => null,
  ) {
    this.#store = store;
    this.#known = known;
    this.#proposer = proposer;
    this.#newOperationId = newOperationId;
  }

  /** Resolves with the map that holds the change. Rejects when the store cannot be asked, or with
   *  whatever `change` throws. */
  propose(change: MapChange): Promise<ClusterMap> {
    const proposal = this.#last.then(() => this.#run(change));
    this.#last = proposal.catch(() => undefined);
    return proposal;
  }

  async #run(change: MapChange): Promise<ClusterMap> {
    for (let attempt = 0; attempt < attemptsMax; attempt++) {
      const known = attempt === 0 ? this.#known() : null;
      const map = known ?? (await this.#store.read()).map;
      const changed = known === null ? change(map) : triedOn(known, change);
      if (changed === map) {
        if (known === null) return map;
        continue;
      }
      const operationId = this.#newOperationId();
      const next: ClusterMap = {
        ...changed,
        version: map.version + 1,
        operations: { ...changed.operations, [this.#proposer]: operationId },
      };
      const outcome = await this.#store.compareAndSet(BigInt(map.version), next, operationId);
      if (outcome === 'ok') return next;
      if (outcome === 'unknown') {
        const settled = (await this.#store.read()).map;
        if (settled.operations[this.#proposer] === operationId) return settled;
      }
    }
    throw new Error(`the cluster map kept changing for ${attemptsMax} attempts`);
  }
}

/** That nothing is to be done, or that it cannot be done, counts only of the map as it is: the same
 *  object in either case. */
function triedOn(known: ClusterMap, change: MapChange): ClusterMap {
  try {
    return change(known);
  } catch {
    return known;
  }
}
