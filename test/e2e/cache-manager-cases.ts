/** cache-manager over keyv and @keyv/redis: three servers, each with a cache at a node of its own, share what
 *  one of them has computed. */
import { createKeyv } from '@keyv/redis';
import { type Cache, createCache, type CreateCacheOptions } from 'cache-manager';
import { Keyv } from 'keyv';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { key, numbers } from '../support/dataset.ts';
import { eventually } from '../support/eventually.ts';
import type { LocalCluster } from '../support/local-cluster.ts';

const HOUR_MS = 3_600_000;

export function cacheManagerCases(cluster: () => LocalCluster, password: string): void {
  describe('cache-manager', () => {
    let servers: Cache[];
    const opened: Cache[] = [];

    function store(node: number): Keyv {
      const url = `redis://:${password}@127.0.0.1:${cluster().node(node).ports.client}`;
      return createKeyv(url, { namespace: 'cache-manager', throwOnErrors: true });
    }

    function open(options: CreateCacheOptions): Cache {
      const cache = createCache({ ttl: HOUR_MS, ...options });
      opened.push(cache);
      return cache;
    }

    beforeAll(() => {
      servers = [1, 2, 3].map((node) => open({ stores: [store(node)] }));
    });
    afterAll(async () => {
      await Promise.all(opened.map((cache) => cache.disconnect()));
    });

    test('wrap computes once for all servers', async () => {
      let computed = 0;
      const compute = (): { at: number } => ({ at: ++computed });
      for (const server of servers) {
        expect(await server.wrap('wrapped', compute)).toEqual({ at: 1 });
      }
      expect(await servers[2].del('wrapped')).toBe(true);
      expect(await servers[0].wrap('wrapped', compute)).toEqual({ at: 2 });
    });

    test('a stampede computes once on each server at most', async () => {
      let computed = 0;
      const open = Promise.withResolvers<void>();
      const compute = async (): Promise<string> => {
        computed++;
        await open.promise;
        return 'hot';
      };
      const waiting = numbers(300).map((i) => servers[i % 3].wrap('stampede', compute));
      await eventually('every server computes', () => computed === 3);
      open.resolve();
      expect(new Set(await Promise.all(waiting))).toEqual(new Set(['hot']));
      expect(computed).toBe(3);
      expect(await servers[1].wrap('stampede', compute)).toBe('hot');
      expect(computed).toBe(3);
    });

    test('ttl: of a call, of the cache, and by the value', async () => {
      await servers[0].set('short', 1, 150);
      await servers[0].set('long', 1);
      await servers[0].wrap(
        'by value',
        () => 2,
        (found) => found * HOUR_MS,
      );
      expect(await servers[1].ttl('long')).toSatisfy(within(HOUR_MS));
      expect(await servers[1].ttl('by value')).toSatisfy(within(2 * HOUR_MS));
      await eventually(
        'it is gone',
        async () => (await servers[2].get('short')) === undefined && 'gone',
      );
    });

    test('refreshThreshold: the old value at once, a new one in the background, for all', async () => {
      const server = open({ stores: [store(1)], refreshThreshold: 2 * HOUR_MS });
      const refreshed: unknown[] = [];
      server.on('refresh', (event) => refreshed.push(event));
      await servers[2].set('refreshed', 'old');
      expect(await server.wrap('refreshed', () => 'new')).toBe('old');
      await eventually('it is refreshed', () => refreshed.length > 0);
      expect(refreshed).toEqual([{ key: 'refreshed', value: 'new' }]);
      expect(await servers[1].get('refreshed')).toBe('new');
    });

    test('mset, mget, mdel and clear over all partitions', async () => {
      const names = numbers(200).map((i) => key('m', i));
      await servers[0].mset(names.map((name, i) => ({ key: name, value: { i } })));
      expect(await servers[1].mget([...names, 'absent'])).toEqual([
        ...numbers(200).map((i) => ({ i })),
        undefined,
      ]);
      await servers[2].mdel(names.slice(0, 50));
      expect(await servers[0].mget(names.slice(49, 51))).toEqual([undefined, { i: 50 }]);
      await servers[0].clear();
      expect(await servers[1].mget(names)).toEqual(names.map(() => undefined));
    });

    test('two tiers: memory first, filled from what another server has put into Ingot', async () => {
      const memory = new Keyv();
      const server = open({ stores: [memory, store(3)] });
      await servers[0].set('tiered', 'from afar');
      expect(await server.wrap('tiered', () => 'computed here')).toBe('from afar');
      expect(await memory.get('tiered')).toBe('from afar');
    });
  });
}

/** A moment before `ms` from now are over, and not long before. */
function within(ms: number): (expiresAtMs: unknown) => boolean {
  return (expiresAtMs) => {
    const left = Number(expiresAtMs) - Date.now();
    return left > ms - 60_000 && left <= ms;
  };
}
