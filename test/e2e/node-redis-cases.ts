/** What only node-redis does: its typed replies, multi, execAsPipeline, WATCH and cluster routing. */
import { createClient, createClientPool, createCluster, RESP_TYPES, WatchError } from 'redis';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { binary, key, numbers, value } from '../support/dataset.ts';
import { eventually } from '../support/eventually.ts';
import type { LocalCluster } from '../support/local-cluster.ts';

// The library's types follow from its factories' arguments, so they are taken from the results.
const connectTo = (port: number) =>
  createClient({ socket: { port, host: '127.0.0.1', reconnectStrategy: false } }).connect();
const connectToCluster = (ports: readonly number[]) =>
  createCluster({
    rootNodes: ports.map((port) => ({ socket: { port, host: '127.0.0.1' } })),
  }).connect();

type Client = Awaited<ReturnType<typeof connectTo>>;
type ClusterClient = Awaited<ReturnType<typeof connectToCluster>>;

export function nodeRedisCases(cluster: () => LocalCluster): void {
  describe('node-redis', () => {
    let client: Client;
    let other: Client;
    let clustered: ClusterClient;

    beforeAll(async () => {
      client = await connectTo(cluster().node(2).ports.client);
      other = await connectTo(cluster().node(3).ports.client);
      clustered = await connectToCluster(cluster().nodes.map(({ ports }) => ports.cluster));
    });

    afterAll(async () => {
      await Promise.all([client.close(), other.close(), clustered.close()]);
    });

    test('commands sent together are pipelined and answered in order', async () => {
      const names = numbers(1_000).map((i) => key('node-redis pipeline', i));
      const sets = names.map((name, i) => client.set(name, value(i)));
      const gets = names.map((name) => client.get(name));
      expect(new Set(await Promise.all(sets))).toEqual(new Set(['OK']));
      expect(await Promise.all(gets)).toEqual(numbers(1_000).map(value));
      expect(await other.mGet(names)).toEqual(numbers(1_000).map(value));
    });

    test('multi as a transaction and as a pipeline', async () => {
      const name = '{node-redis multi}a';
      const replies = await client.multi().set(name, '1').incrBy(name, 4).get(name).exec();
      expect(replies).toEqual(['OK', 5, '5']);
      expect(await other.multi().get(name).ttl(name).execAsPipeline()).toEqual(['5', -1]);
    });

    test('multi over unrelated keys on the client port is split by partition', async () => {
      const transaction = client.multi();
      for (const i of numbers(20)) transaction.set(key('node-redis split', i), value(i));
      for (const i of numbers(20)) transaction.get(key('node-redis split', i));
      const replies: unknown[] = await transaction.exec();
      expect(replies).toEqual([...numbers(20).map(() => 'OK'), ...numbers(20).map(value)]);
    });

    test('pools: what WATCH and MULTI guard is counted once, through all nodes at once', async () => {
      const name = 'node-redis raced';
      const pools = cluster().nodes.map(({ ports }) =>
        createClientPool({ url: `redis://127.0.0.1:${ports.client}` }, { maximum: 4 }),
      );
      await Promise.all(pools.map((pool) => pool.connect()));
      const addOne = async (i: number): Promise<void> => {
        for (let added = false; !added; ) {
          added = await pools[i % 3].execute(async (one) => {
            await one.watch(name);
            const next = Number(await one.get(name)) + 1;
            return one
              .multi()
              .set(name, `${next}`)
              .exec()
              .then(() => true, isRetried);
          });
        }
      };
      try {
        await Promise.all(numbers(24).map(addOne));
        expect(await client.get(name)).toBe('24');
      } finally {
        await Promise.all(pools.map((pool) => pool.close()));
      }
    });

    test('a connection that is killed comes back by itself', async () => {
      const victim = createClient({ url: `redis://127.0.0.1:${cluster().node(2).ports.client}` });
      const seen: string[] = [];
      victim
        .on('error', (error: Error) => seen.push(error.message))
        .on('ready', () => seen.push('ready'));
      await victim.connect();
      try {
        expect(
          await client.sendCommand(['CLIENT', 'KILL', 'ID', `${await victim.clientId()}`]),
        ).toBe(1);
        await eventually('it is back', () => seen.filter((each) => each === 'ready').length === 2);
        expect(await victim.set('node-redis killed', '1')).toBe('OK');
      } finally {
        victim.destroy();
      }
    });

    test('a client-side cache needs CLIENT TRACKING, and the error says that there is none yet', async () => {
      const cached = createClient({
        socket: { port: cluster().node(2).ports.client, reconnectStrategy: false },
        RESP: 3,
        clientSideCache: { ttl: 0, maxEntries: 0, evictPolicy: 'LRU' },
      });
      cached.on('error', () => undefined);
      await expect(cached.connect()).rejects.toThrow(
        /^ERR unknown subcommand 'TRACKING': caches of clients are not yet told of changes/,
      );
    });

    test('the options of set and getEx', async () => {
      const name = 'node-redis options';
      const expiration = { type: 'EX', value: 100 } as const;
      expect(await client.set(name, '1', { expiration, condition: 'NX' })).toBe('OK');
      expect(await client.set(name, '2', { condition: 'NX' })).toBeNull();
      expect(await other.ttl(name)).toBeGreaterThan(0);
      expect(await client.set(name, '3', { expiration: 'KEEPTTL', GET: true })).toBe('1');
      expect(await other.ttl(name)).toBeGreaterThan(0);
      expect(await client.getEx(name, { type: 'PERSIST' })).toBe('3');
      expect(await other.ttl(name)).toBe(-1);
      expect(await client.expire(name, 100, 'XX')).toBe(0);
      expect(await client.pExpireAt(name, new Date('2100-01-01'))).toBe(1);
      expect(await other.pExpireTime(name)).toBe(Date.UTC(2100, 0, 1));
    });

    test.each(['a present', 'an absent'])('WATCH of %s key that changes aborts', async (which) => {
      const name = `{node-redis watch ${which}}a`;
      if (which === 'a present') await client.set(name, 'old');
      await client.watch(name);
      await other.set(name, 'changed elsewhere');
      await expect(client.multi().set(name, 'mine').exec()).rejects.toThrow(WatchError);
      expect(await other.get(name)).toBe('changed elsewhere');
    });

    test('WATCH lets a transaction pass when nothing changed', async () => {
      const name = '{node-redis watched}a';
      await client.set(name, '1');
      await client.watch(name);
      expect(await client.multi().incr(name).exec()).toEqual([2]);
      await client.watch(name);
      await other.incr(name);
      expect(await client.unwatch()).toBe('OK');
      expect(await client.multi().incr(name).exec()).toEqual([4]);
    });

    test('WATCH through the cluster client of the key', async () => {
      const name = '{node-redis cluster watch}a';
      const owner = await clustered.getNodeClientForKey(name);
      await owner.watch(name);
      await other.set(name, '1');
      await expect(owner.multi().incr(name).exec()).rejects.toThrow(WatchError);
      await owner.watch(name);
      expect(await owner.multi().incr(name).exec()).toEqual([2]);
    });

    test('cluster: multi on one slot, and commands of many keys split by the client', async () => {
      const name = '{node-redis cluster}a';
      expect(await clustered.multi().set(name, '1').incr(name).exec()).toEqual(['OK', 2]);
      expect(await other.get(name)).toBe('2');
      const names = numbers(50).map((i) => key('node-redis cluster', i));
      await Promise.all(names.map((each, i) => clustered.set(each, value(i))));
      expect(await clustered.exists(names)).toBe(50);
      expect(await clustered.mGet(names)).toEqual(numbers(50).map(value));
      expect(await clustered.del(names)).toBe(50);
      expect(await other.exists(names)).toBe(0);
    });

    test('buffers come back as they went', async () => {
      const [name, content] = [binary(11, 40), binary(12, 5_000)];
      const asBuffers = { [RESP_TYPES.BLOB_STRING]: Buffer };
      await client.set(name, content);
      expect(await other.withTypeMapping(asBuffers).get(name)).toEqual(content);
      expect(await clustered.withTypeMapping(asBuffers).get(name)).toEqual(content);
    });

    test('scanIterator meets every key that matches', async () => {
      await Promise.all(numbers(300).map((i) => client.set(key('node-redis scan', i), value(i))));
      const seen = new Set<string>();
      const pages = other.scanIterator({
        MATCH: 'node-redis scan:*',
        COUNT: 1_000,
        TYPE: 'string',
      });
      for await (const page of pages) for (const name of page) seen.add(name);
      expect(seen).toEqual(new Set(numbers(300).map((i) => key('node-redis scan', i))));
    });

    test('cluster: scanIterator of every master together meets every key', async () => {
      const names = numbers(300).map((i) => key('node-redis masters', i));
      await Promise.all(names.map((name, i) => clustered.set(name, value(i))));
      const seen: string[] = [];
      for (const master of clustered.masters) {
        const node = await clustered.nodeClient(master);
        for await (const page of node.scanIterator({ MATCH: 'node-redis masters:*', COUNT: 500 })) {
          seen.push(...page);
        }
      }
      expect(seen.sort()).toEqual(names.sort());
    });

    test('typed replies of connection and introspection commands', async () => {
      expect(await client.ping()).toBe('PONG');
      expect(await client.echo('said')).toBe('said');
      expect(await client.hello()).toMatchObject({ server: 'redis', version: '7.2.0', proto: 3 });
      expect(await client.clientSetName('the-node-redis-one')).toBe('OK');
      expect(await client.clientGetName()).toBe('the-node-redis-one');
      const id = await client.clientId();
      const mine = (await client.clientList()).find((each) => each.id === id);
      expect(mine?.name).toBe('the-node-redis-one');
      expect(await client.commandCount()).toBe((await client.command()).length);
      const [get] = await client.commandInfo(['get']);
      expect(get).toMatchObject({ name: 'get', arity: 2, firstKeyIndex: 1 });
      expect(await client.configGet('maxmemory')).toHaveProperty('maxmemory');
      expect(await client.info('server')).toMatch(/^redis_version:7\.2\.0\r$/m);
    });

    test('typed replies of CLUSTER', async () => {
      const direct = await connectTo(cluster().node(1).ports.cluster);
      try {
        const slots = await direct.clusterSlots();
        expect(slots.reduce((sum, { from, to }) => sum + to - from + 1, 0)).toBe(16_384);
        const clusterPorts = new Set(cluster().nodes.map(({ ports }) => ports.cluster));
        expect(new Set(slots.map(({ master }) => master.port))).toEqual(clusterPorts);
        expect(await direct.clusterKeySlot('foo')).toBe(12_182);
        expect(await direct.clusterInfo()).toMatch(/^cluster_state:ok\r$/m);
      } finally {
        await direct.close();
      }
    });
  });
}

/** Somebody else was faster. */
function isRetried(error: unknown): false {
  if (error instanceof WatchError) return false;
  throw error;
}
