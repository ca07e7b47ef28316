/** Commands over the whole cluster through any client port: DBSIZE, SCAN, KEYS, RANDOMKEY, FLUSHALL,
 *  FLUSHDB. They empty the cluster, so they come last. */
import { Redis } from 'ioredis';
import { createCluster } from 'redis';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { batches, key, numbers, value } from '../support/dataset.ts';
import type { LocalCluster } from '../support/local-cluster.ts';

const KEYS = 10_000;

export function keyspaceCases(cluster: () => LocalCluster): void {
  describe('the whole cluster through one client port', () => {
    let clients: Redis[];
    const names = numbers(KEYS).map((i) => key('keyspace', i));

    beforeAll(() => {
      clients = cluster().nodes.map(({ ports }) => new Redis({ port: ports.client }));
    });
    afterAll(async () => {
      await Promise.all(clients.map((client) => client.quit()));
    });

    test('FLUSHALL leaves no key anywhere', async () => {
      expect(await clients[0].dbsize()).toBeGreaterThan(0);
      expect(await clients[0].flushall()).toBe('OK');
      for (const client of clients) {
        expect(await client.dbsize()).toBe(0);
        expect(await client.randomkey()).toBeNull();
        expect(await client.keys('*')).toEqual([]);
        expect(await scanAll(client, {})).toEqual([]);
      }
    });

    test(`DBSIZE, KEYS and RANDOMKEY know ${KEYS} keys, whichever node is asked`, async () => {
      for (const some of batches(names, 1_000)) {
        const pipeline = clients[0].pipeline();
        for (const name of some) pipeline.set(name, value(0));
        await pipeline.exec();
      }
      for (const client of clients) {
        expect(await client.dbsize()).toBe(KEYS);
        expect(new Set(await client.keys('keyspace:*'))).toEqual(new Set(names));
        expect((await client.keys('keyspace:12?')).sort()).toEqual(
          numbers(10).map((i) => `keyspace:12${i}`),
        );
        expect(names).toContain(await client.randomkey());
      }
    });

    test('SCAN meets every key once, with MATCH, COUNT and TYPE', async () => {
      for (const client of clients) {
        expect((await scanAll(client, { count: 777 })).sort()).toEqual([...names].sort());
      }
      expect(await scanAll(clients[1], { match: 'keyspace:9', type: 'string' })).toEqual([
        'keyspace:9',
      ]);
      expect(await scanAll(clients[1], { type: 'hash' })).toEqual([]);
      await expect(clients[0].call('scan', 'not-a-cursor')).rejects.toThrow(/^ERR invalid cursor/);
    });

    test('SCAN meets every key that stays while others come and go', async () => {
      let cursor = '0';
      let i = KEYS;
      const seen = new Set<string>();
      do {
        const [next, page] = await clients[2].scan(cursor, 'COUNT', 500);
        cursor = next;
        for (const name of page) seen.add(name);
        const pipeline = clients[0].pipeline();
        for (let n = 0; n < 500; n++, i++) pipeline.set(key('passing', i), value(i));
        for (let n = i - 900; n < i - 500; n++) pipeline.del(key('passing', n));
        await pipeline.exec();
      } while (cursor !== '0');
      expect(names.filter((name) => !seen.has(name))).toEqual([]);
    });

    test('node-redis cluster sums DBSIZE over masters and flushes them all', async () => {
      const client = createCluster({
        rootNodes: cluster().nodes.map(({ ports }) => ({
          socket: { host: '127.0.0.1', port: ports.cluster },
        })),
      });
      await client.connect();
      try {
        expect(await client.dbSize()).toBe(await clients[0].dbsize());
        await client.flushAll();
        expect(await clients[0].dbsize()).toBe(0);
      } finally {
        await client.close();
      }
    });

    test('FLUSHDB is FLUSHALL: there is one database', async () => {
      await clients[1].set('one', '1');
      expect(await clients[2].flushdb()).toBe('OK');
      expect(await clients[0].exists('one')).toBe(0);
      await clients[0].set('after the flush', '1');
      expect(await clients[1].get('after the flush')).toBe('1');
    });
  });
}

async function scanAll(
  client: Redis,
  options: { match?: string; count?: number; type?: string },
): Promise<string[]> {
  const found: string[] = [];
  for await (const page of client.scanStream(options)) found.push(...(page as string[]));
  return found;
}
