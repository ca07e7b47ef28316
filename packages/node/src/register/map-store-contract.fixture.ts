/** What every driver of the map store must do, as tests: a driver's test file calls
 *  `mapStoreContract` with a way to open one. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { mapFoundedBy } from '../control/simulated-cluster.fixture.ts';
import type { ClusterMap } from '../shared/map.ts';
import { MapProposer } from './map-proposer.ts';
import type { ClusterMapStore } from './map-store.ts';

/** One register, seen from several nodes. */
export interface OpenRegister {
  readonly stores: readonly [ClusterMapStore, ClusterMapStore, ClusterMapStore];
  /** Resolves as the promise does, and sees to it that it can: a simulated driver lets its time pass
   *  here. */
  settled<T>(promise: Promise<T>): Promise<T>;
  close(): Promise<void>;
}

export interface Driver {
  readonly name: string;
  /** Opens a register that holds `first`. */
  open(first: ClusterMap): Promise<OpenRegister>;
  /** Answers go missing: a call may be 'unknown' or rejected, and is made again. */
  readonly isLossy?: boolean;
}

export const contractMap: ClusterMap = mapFoundedBy('n1', { partitions: 4, copies: 2 });

/** The next map, with node n1 in the given state. */
export function nextOf(
  map: ClusterMap,
  operation: string,
  state: 'up' | 'down' = 'up',
): ClusterMap {
  return {
    ...map,
    nodes: map.nodes.map((node) => (node.id === 'n1' ? { ...node, state } : node)),
    version: map.version + 1,
    operations: { ...map.operations, tester: operation },
  };
}

export function mapStoreContract(driver: Driver): void {
  describe(`map store contract: ${driver.name}`, () => {
    let register: OpenRegister;
    let store: ClusterMapStore;
    let other: ClusterMapStore;

    beforeEach(async () => {
      register = await driver.open(contractMap);
      [store, other] = register.stores;
    });

    afterEach(() => register.close());

    const settled = <T>(promise: Promise<T>): Promise<T> => register.settled(promise);

    test('changes by several nodes all get in, each once, on top of each other', async () => {
      let operations = 0;
      const each = 5;
      const proposers = register.stores.map(
        (its, index) => new MapProposer(its, `p${index}`, () => `operation-${++operations}`),
      );
      const changes = proposers.flatMap((proposer, index) =>
        Array.from({ length: each }, (_, number) =>
          persistently(driver, () =>
            proposer.propose((map) => withMark(map, `mark-${index}-${number}`)),
          ),
        ),
      );
      await settled(Promise.all(changes));
      const { map } = await settled(persistently(driver, () => other.read()));
      const marks = Object.keys(map.operations).filter((name) => name.startsWith('mark'));
      expect(marks).toHaveLength(each * proposers.length);
      expect(map.version - contractMap.version).toBe(each * proposers.length);
    });

    if (driver.isLossy === true) return;

    test('reads what was set, at the next version, from anywhere', async () => {
      const { version, map } = await settled(store.read());
      const next = nextOf(map, 'a', 'down');
      expect(await settled(store.compareAndSet(version, next, 'a'))).toBe('ok');
      for (const reader of register.stores) {
        const after = await settled(reader.read());
        expect(after.version).toBe(version + 1n);
        expect(after.map).toEqual(next);
      }
    });

    test('of two proposals for one version one wins, the other conflicts', async () => {
      const { version, map } = await settled(store.read());
      const outcomes = await settled(
        Promise.all([
          store.compareAndSet(version, nextOf(map, 'a'), 'a'),
          other.compareAndSet(version, nextOf(map, 'b'), 'b'),
        ]),
      );
      expect(outcomes.toSorted()).toEqual(['conflict', 'ok']);
      const winner = outcomes[0] === 'ok' ? 'a' : 'b';
      expect((await settled(store.read())).map.operations.tester).toBe(winner);
    });

    test('a proposal on top of a version that has passed conflicts', async () => {
      const { version, map } = await settled(store.read());
      await settled(store.compareAndSet(version, nextOf(map, 'a'), 'a'));
      const late = other.compareAndSet(version, nextOf(map, 'b'), 'b');
      expect(await settled(late)).toBe('conflict');
      expect((await settled(store.read())).map.operations.tester).toBe('a');
    });

    test('a proposal that skips a version, or does not name its operation, is a fault', async () => {
      const { version, map } = await settled(store.read());
      const skipping = { ...nextOf(map, 'a'), version: map.version + 2 };
      const skipped = settled(store.compareAndSet(version, skipping, 'a'));
      await expect(skipped).rejects.toThrow(/next version/);
      const unnamed = settled(store.compareAndSet(version, nextOf(map, 'a'), 'b'));
      await expect(unnamed).rejects.toThrow(/operation id/);
      expect((await settled(store.read())).version).toBe(version);
    });

    test('watchers see newer maps, in order, and nothing after they stop', async () => {
      const seen: number[] = [];
      const { version, map } = await settled(store.read());
      const stop = store.watch(version - 1n, (newer) => seen.push(newer.version));
      await settled(store.compareAndSet(version, nextOf(map, 'a'), 'a'));
      await settled(store.read());
      expect(seen.at(-1)).toBe(map.version + 1);
      expect(seen).toEqual(seen.toSorted((a, b) => a - b));
      const heard = seen.length;
      stop();
      const { version: second, map: newer } = await settled(store.read());
      await settled(store.compareAndSet(second, nextOf(newer, 'b'), 'b'));
      await settled(store.read());
      expect(seen).toHaveLength(heard);
    });

    test('a watcher of the present version hears nothing until it changes', async () => {
      const seen: number[] = [];
      const { version, map } = await settled(store.read());
      const stop = store.watch(version, (newer) => seen.push(newer.version));
      await settled(store.read());
      expect(seen).toEqual([]);
      await settled(store.compareAndSet(version, nextOf(map, 'a'), 'a'));
      expect(seen).toEqual([map.version + 1]);
      stop();
    });
  });
}

/** Nothing to change where the mark is there. */
function withMark(map: ClusterMap, mark: string): ClusterMap {
  if (mark in map.operations) return map;
  return { ...map, operations: { ...map.operations, [mark]: 'made' } };
}

/** Makes a call again that a lossy driver rejected; it may have taken effect only where the caller
 *  can tell. */
async function persistently<T>(driver: Driver, call: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await call();
    } catch (error) {
      if (driver.isLossy !== true || attempt === 50) throw error;
    }
  }
}
