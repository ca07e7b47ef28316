import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { ClusterMap } from '../shared/map.ts';
import { ControlClient } from '../control/control-client.ts';
import { openIdentity } from '../control/identity.ts';
import { withNodeState } from '../control/map-changes.ts';
import type { ClusterMapStore } from './map-store.ts';
import { MemoryMapStore } from './memory-map-store.ts';
import { RemoteMapStore } from './remote-map-store.ts';
import { SingleMapStore } from './single-map-store.ts';
import { TestMembers, until } from '../control/control-plane.fixture.ts';
import { mapFoundedBy } from '../control/simulated-cluster.fixture.ts';

const firstMap = mapFoundedBy('n1', { partitions: 4, copies: 2 });
let members: TestMembers;

beforeEach(() => {
  members = new TestMembers();
});

afterEach(async () => {
  await members.close();
});

interface Driver {
  name: string;
  /** A store that holds a first map. */
  open(): Promise<{ store: ClusterMapStore; close: () => Promise<void> }>;
}

const drivers: Driver[] = [
  {
    name: 'memory',
    open: async () => ({
      store: new MemoryMapStore(firstMap),
      close: async () => undefined,
    }),
  },
  {
    name: 'single (LMDB)',
    open: async () => {
      const identity = await openIdentity(members.dataDir('n1'), 'n1');
      await identity.found({ nodeId: 'n1', clusterId: 'c', incarnation: 1 }, firstMap);
      return {
        store: SingleMapStore.open(identity.mapDatabase) as SingleMapStore,
        close: () => identity.close(),
      };
    },
  },
  {
    name: 'remote (gRPC)',
    open: async () => {
      const { plane, settings } = await members.start('n1', { found: true });
      const address = `127.0.0.1:${settings.ports.control}`;
      const client = new ControlClient(address, plane.map().clusterId);
      return { store: new RemoteMapStore(client), close: async () => client.close() };
    },
  },
];

/** The next map, with node n1 in the given state. */
function nextOf(map: ClusterMap, operation: string, state: 'up' | 'down' = 'up'): ClusterMap {
  return {
    ...withNodeState(map, 'n1', state),
    version: map.version + 1,
    operations: { ...map.operations, tester: operation },
  };
}

describe.each(drivers)('map store: $name', (driver) => {
  let store: ClusterMapStore;
  let close: () => Promise<void>;

  beforeEach(async () => {
    ({ store, close } = await driver.open());
  });

  afterEach(() => close());

  test('reads what was set, at the next version', async () => {
    const { version, map } = await store.read();
    expect(await store.compareAndSet(version, nextOf(map, 'a', 'down'), 'a')).toBe('ok');
    const after = await store.read();
    expect(after.version).toBe(version + 1n);
    expect(after.map).toEqual(nextOf(map, 'a', 'down'));
  });

  test('of two proposals for one version one wins, the other conflicts', async () => {
    const { version, map } = await store.read();
    const outcomes = await Promise.all(
      ['a', 'b'].map((operation) =>
        store.compareAndSet(version, nextOf(map, operation), operation),
      ),
    );
    expect(outcomes.toSorted()).toEqual(['conflict', 'ok']);
    const winner = outcomes[0] === 'ok' ? 'a' : 'b';
    expect((await store.read()).map.operations.tester).toBe(winner);
  });

  test('a proposal that skips a version, or does not name its operation, is a fault', async () => {
    const { version, map } = await store.read();
    const skipping = { ...nextOf(map, 'a'), version: map.version + 2 };
    await expect(store.compareAndSet(version, skipping, 'a')).rejects.toThrow(/next version/);
    await expect(store.compareAndSet(version, nextOf(map, 'a'), 'b')).rejects.toThrow(
      /operation id/,
    );
    expect((await store.read()).version).toBe(version);
  });

  test('watchers see newer maps, in order, and nothing after they stop', async () => {
    const seen: number[] = [];
    const { version, map } = await store.read();
    const stop = store.watch(version - 1n, (newer) => seen.push(newer.version));
    await until(() => seen.length === 1);
    await store.compareAndSet(version, nextOf(map, 'a'), 'a');
    await until(() => seen.length === 2);
    expect(seen).toEqual([map.version, map.version + 1]);
    stop();
    const { version: second, map: newer } = await store.read();
    await store.compareAndSet(second, nextOf(newer, 'b'), 'b');
    await store.read();
    expect(seen).toHaveLength(2);
  });

  test('a watcher of the present version hears nothing until it changes', async () => {
    const seen: number[] = [];
    const { version, map } = await store.read();
    const stop = store.watch(version, (newer) => seen.push(newer.version));
    await store.compareAndSet(version, nextOf(map, 'a'), 'a');
    await until(() => seen.length > 0);
    expect(seen).toEqual([map.version + 1]);
    stop();
  });
});

describe('map store: single (LMDB)', () => {
  test('what was answered ok is there after a restart', async () => {
    const first = await drivers[1].open();
    const { version, map } = await first.store.read();
    await first.store.compareAndSet(version, nextOf(map, 'a'), 'a');
    await first.close();
    const identity = await openIdentity(members.dataDir('n1'), 'n1');
    const again = SingleMapStore.open(identity.mapDatabase) as SingleMapStore;
    expect((await again.read()).map).toEqual(nextOf(map, 'a'));
    await identity.close();
  });
});

describe('map store: remote (gRPC)', () => {
  test('without the founder reads are refused, proposals unknown, watches go on later', async () => {
    const founder = await members.start('n1', { found: true });
    const { settings, plane } = founder;
    const client = new ControlClient(`127.0.0.1:${settings.ports.control}`, plane.map().clusterId);
    const store = new RemoteMapStore(client);
    const { version, map } = await store.read();
    const seen: number[] = [];
    const stop = store.watch(version, (newer) => seen.push(newer.version));
    await founder.stop();
    await expect(store.read()).rejects.toThrow(/UNAVAILABLE|DEADLINE/);
    expect(await store.compareAndSet(version, nextOf(map, 'a'), 'a')).toBe('unknown');
    await members.start('n1', { ports: settings.ports });
    await until(() => seen.length > 0);
    expect(seen[0]).toBeGreaterThan(map.version);
    stop();
    client.close();
  });
});
