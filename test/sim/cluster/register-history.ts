/** What the processes of a simulated cluster have seen of the register that holds the map, all together.
 *
 *  `watched` puts itself between a process and its store. Held against each other are: what any read returned and
 *  any proposal was told. One version is one map for everybody, reads are at least as new as all that was known
 *  when they began, and what was refused never shows. */
import type {
  ClusterMapStore,
  CompareAndSetOutcome,
  VersionedMap,
} from '../../../packages/node/src/register/map-store.ts';
import type { ClusterMap } from '../../../packages/node/src/shared/map.ts';
import { Broken } from '../trace.ts';
import type { ClusterWorld } from './world.ts';

/** Maps older than this are not looked at any more. */
const versionsKept = 500;

export class RegisterHistory {
  readonly #world: ClusterWorld;
  readonly #chosen = new Map<number, ClusterMap>();
  /** Operation ids of proposals that were answered with a conflict. */
  readonly #refused = new Set<string>();
  /** Acceptor sets of maps that are, or may yet come to be, in force. */
  readonly #proposed = new Map<number, ClusterMap[]>();
  latest: ClusterMap;
  /** Before somebody proposes `next` in place of `base`. */
  onProposal: (base: ClusterMap, next: ClusterMap) => void = () => {};

  constructor(world: ClusterWorld, founding: ClusterMap) {
    this.#world = world;
    this.latest = founding;
    this.chosen(founding, 'the founding map');
  }

  /** The newest map known to be chosen, and those proposed after it. */
  pending(): ClusterMap[] {
    const newer = [...this.#proposed].filter(([version]) => version > this.latest.version);
    return [this.latest, ...newer.flatMap(([, maps]) => maps)];
  }

  watched(store: ClusterMapStore, who: string): ClusterMapStore {
    const { trace } = this.#world;
    let base: ClusterMap | null = null;
    return {
      read: async (): Promise<VersionedMap> => {
        const floor = this.latest.version;
        const found = await store.read();
        if (found.version !== BigInt(found.map.version) || found.map.version < floor) {
          throw this.#broken(`${who} read version ${found.version}, ${floor} was known before`);
        }
        trace.count('map reads');
        this.chosen(found.map, `${who} read it`);
        base = found.map;
        return found;
      },
      compareAndSet: async (expected, next, operationId): Promise<CompareAndSetOutcome> => {
        this.#propose(next);
        if (base !== null && BigInt(base.version) === expected) this.onProposal(base, next);
        const outcome = await store.compareAndSet(expected, next, operationId);
        trace.count(`map proposals: ${outcome}`);
        this.#world.note(`${who} proposed version ${next.version}: ${outcome}`);
        if (outcome === 'ok') this.chosen(next, `${who} set it`);
        if (outcome === 'conflict') this.#refuse(operationId, who);
        return outcome;
      },
      watch: (from, onMap) => store.watch(from, onMap),
    };
  }

  /** Somebody holds this to be the map of that version. */
  chosen(map: ClusterMap, how: string): void {
    const known = this.#chosen.get(map.version);
    if (known !== undefined) {
      if (known === map || isSame(known, map)) return;
      throw this.#broken(`version ${map.version} is two maps: ${how}`);
    }
    this.#chosen.set(map.version, map);
    for (const operationId of Object.values(map.operations)) {
      if (this.#refused.has(operationId)) {
        throw this.#broken(`${operationId} was refused, and is in version ${map.version}: ${how}`);
      }
    }
    if (map.version > this.latest.version) this.latest = map;
    this.#chosen.delete(map.version - versionsKept);
    for (const version of this.#proposed.keys()) {
      if (version < this.latest.version) this.#proposed.delete(version);
    }
  }

  #propose(next: ClusterMap): void {
    const rivals = this.#proposed.get(next.version) ?? [];
    this.#proposed.set(next.version, [...rivals, next]);
  }

  #refuse(operationId: string, who: string): void {
    this.#refused.add(operationId);
    for (const { version, operations } of this.#chosen.values()) {
      if (!Object.values(operations).includes(operationId)) continue;
      throw this.#broken(`${operationId} is in version ${version}, and ${who} was refused it`);
    }
  }

  #broken(detail: string): Error {
    const broken = new Broken('register', detail);
    this.#world.fail(broken);
    return broken;
  }
}

function isSame(a: ClusterMap, b: ClusterMap): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
