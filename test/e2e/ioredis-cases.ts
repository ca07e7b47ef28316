/** What only ioredis does: its pipelines, transactions, autopipelining, scan streams and buffers. */
import { Cluster, type ChainableCommander, Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { binary, key, numbers, value } from '../support/dataset.ts';
import type { LocalCluster } from '../support/local-cluster.ts';

const COMMAND_NAMES =
  'hello auth ping echo quit select client command info config get set getdel getex getset setnx setex ' +
  'psetex mget mset del unlink exists touch type strlen append incr decr incrby decrby expire pexpire ' +
  'expireat pexpireat ttl pttl expiretime pexpiretime persist scan keys dbsize randomkey flushall ' +
  'flushdb multi exec discard watch unwatch readonly readwrite asking cluster';

export function ioredisCases(cluster: () => LocalCluster): void {
  describe('ioredis', () => {
    let redis: Redis;
    let other: Redis;
    let clustered: Cluster;

    beforeAll(() => {
      const port = (i: number): number => cluster().node(i).ports.client;
      redis = new Redis({
        port: port(1),
        maxRetriesPerRequest: 1,
        connectionName: 'the-ioredis-one',
      });
      other = new Redis({ port: port(2), maxRetriesPerRequest: 1 });
      clustered = new Cluster(
        cluster().nodes.map(({ ports }) => ({ host: '127.0.0.1', port: ports.cluster })),
      );
    });

    afterAll(async () => {
      await Promise.all([redis.quit(), other.quit(), clustered.quit()]);
    });

    test('a pipeline over all partitions answers in order, errors in their places', async () => {
      const pipeline = redis.pipeline();
      for (const i of numbers(1_000)) pipeline.set(key('ioredis pipeline', i), value(i));
      pipeline.incr(key('ioredis pipeline', 0));
      for (const i of numbers(1_000)) pipeline.get(key('ioredis pipeline', i));
      const replies = (await pipeline.exec()) ?? [];
      expect(replies.slice(0, 1_000)).toEqual(numbers(1_000).map(() => [null, 'OK']));
      expect(replies[1_000][0]?.message).toMatch(/^ERR value is not an integer/);
      expect(replies.slice(1_001)).toEqual(numbers(1_000).map((i) => [null, value(i)]));
      expect(await other.mget(numbers(1_000).map((i) => key('ioredis pipeline', i)))).toEqual(
        numbers(1_000).map(value),
      );
    });

    test('autopipelining', async () => {
      const auto = redis.duplicate({ enableAutoPipelining: true });
      const names = numbers(200).map((i) => key('ioredis auto', i));
      await Promise.all(names.map((name, i) => auto.set(name, value(i))));
      expect(await Promise.all(names.map((name) => auto.get(name)))).toEqual(
        numbers(200).map(value),
      );
      await auto.quit();
    });

    test('the options of set and getex', async () => {
      const name = 'ioredis options';
      expect(await redis.set(name, '1', 'EX', 100, 'NX')).toBe('OK');
      expect(await redis.set(name, '2', 'EX', 100, 'NX')).toBeNull();
      expect(await redis.set(name, '3', 'KEEPTTL', 'GET')).toBe('1');
      expect(await other.ttl(name)).toBeGreaterThan(0);
      expect(await redis.getex(name, 'PERSIST')).toBe('3');
      expect(await other.ttl(name)).toBe(-1);
    });

    test('a connection that is killed comes back, and its next command succeeds', async () => {
      const victim = redis.duplicate({ maxRetriesPerRequest: 3 });
      try {
        const before = await victim.client('ID');
        expect(await redis.client('KILL', 'ID', before)).toBe(1);
        expect(await victim.set('ioredis killed', '1')).toBe('OK');
        expect(await victim.client('ID')).not.toBe(before);
      } finally {
        await victim.quit();
      }
    });

    test('defineCommand sends Lua, and the error says that there is none', async () => {
      redis.defineCommand('double', { numberOfKeys: 1, lua: 'return 2' });
      const { double } = redis as unknown as { double: (name: string) => Promise<unknown> };
      await expect(double.call(redis, 'a')).rejects.toThrow(
        /^ERR unknown command 'EVAL(SHA)?': Ingot runs no scripts: use MULTI and EXEC/i,
      );
    });

    test('MULTI and EXEC on one slot', async () => {
      const replies = await redis
        .multi()
        .set('{ioredis multi}a', '1')
        .incr('{ioredis multi}a')
        .get('{ioredis multi}a')
        .set('{ioredis multi}b', '2')
        .exec();
      expect(valuesOf(replies)).toEqual(['OK', 2, '2', 'OK']);
      expect(await other.mget('{ioredis multi}a', '{ioredis multi}b')).toEqual(['2', '2']);
    });

    test('MULTI over unrelated keys on the client port is split by partition', async () => {
      const transaction: ChainableCommander = redis.multi();
      for (const i of numbers(20)) transaction.set(key('ioredis split', i), value(i));
      for (const i of numbers(20)) transaction.get(key('ioredis split', i));
      const replies = valuesOf(await transaction.exec());
      expect(replies).toEqual([...numbers(20).map(() => 'OK'), ...numbers(20).map(value)]);
    });

    test('a command that cannot be queued spoils the transaction', async () => {
      await redis.multi({ pipeline: false });
      expect(await redis.set('{ioredis spoilt}a', '1')).toBe('QUEUED');
      await expect(redis.call('set', '{ioredis spoilt}a')).rejects.toThrow(/wrong number/);
      await expect(redis.exec()).rejects.toThrow(/^EXECABORT/);
      expect(await other.get('{ioredis spoilt}a')).toBeNull();
    });

    test('DISCARD forgets what was queued', async () => {
      await redis.multi({ pipeline: false });
      await redis.set('ioredis discarded', '1');
      expect(await redis.discard()).toBe('OK');
      expect(await other.get('ioredis discarded')).toBeNull();
      await expect(redis.call('discard')).rejects.toThrow(/^ERR DISCARD without MULTI/);
    });

    test.each(['a present', 'an absent'])('WATCH of %s key that changes aborts', async (which) => {
      const name = `{ioredis watch ${which}}a`;
      if (which === 'a present') await redis.set(name, 'old');
      await redis.watch(name);
      await other.set(name, 'changed elsewhere');
      expect(await redis.multi().set(name, 'mine').exec()).toBeNull();
      expect(await other.get(name)).toBe('changed elsewhere');
    });

    test('WATCH lets a transaction pass when nothing changed, and after UNWATCH', async () => {
      const name = '{ioredis watched}a';
      await redis.watch(name);
      expect(valuesOf(await redis.multi().set(name, '1').exec())).toEqual(['OK']);
      await redis.watch(name);
      await other.set(name, '2');
      await redis.unwatch();
      expect(valuesOf(await redis.multi().set(name, '3').exec())).toEqual(['OK']);
      expect(await other.get(name)).toBe('3');
    });

    test('Cluster: a pipeline and a transaction on one slot', async () => {
      const pipeline = clustered.pipeline();
      for (const i of numbers(100)) pipeline.set(`{ioredis cluster}${i}`, value(i));
      pipeline.get('{ioredis cluster}42');
      expect(valuesOf(await pipeline.exec()).at(-1)).toBe(value(42));
      const transaction = clustered
        .multi()
        .set('{ioredis cluster}x', '1')
        .incr('{ioredis cluster}x');
      expect(valuesOf(await transaction.exec())).toEqual(['OK', 2]);
      expect(await other.get('{ioredis cluster}99')).toBe(value(99));
    });

    test('Cluster: autopipelining and a key prefix', async () => {
      const auto = new Cluster([{ host: '127.0.0.1', port: cluster().node(2).ports.cluster }], {
        ...{ enableAutoPipelining: true, keyPrefix: 'ioredis prefix:' },
      });
      try {
        const names = numbers(200).map((i) => String(i));
        await Promise.all(names.map((name, i) => auto.set(name, value(i))));
        expect(await Promise.all(names.map((name) => auto.get(name)))).toEqual(
          numbers(200).map(value),
        );
        expect(await other.get('ioredis prefix:7')).toBe(value(7));
      } finally {
        await auto.quit();
      }
    });

    test('Cluster: keys of two slots in one command are refused', async () => {
      await expect(clustered.mset('a', '1', 'b', '2')).rejects.toThrow(/^CROSSSLOT/);
    });

    test('buffers come back as they went', async () => {
      const [name, content] = [binary(1, 40), binary(2, 5_000)];
      await redis.set(name, content);
      expect(await other.getBuffer(name)).toEqual(content);
      expect(await clustered.getBuffer(name)).toEqual(content);
    });

    test('scanStream meets every key that matches', async () => {
      for (const i of numbers(300)) await redis.set(key('ioredis scan', i), value(i));
      const seen = new Set<string>();
      for await (const page of other.scanStream({ match: 'ioredis scan:*', count: 1_000 })) {
        for (const name of page as string[]) seen.add(name);
      }
      expect(seen).toEqual(new Set(numbers(300).map((i) => key('ioredis scan', i))));
    });

    test('PING, ECHO, SELECT, AUTH, CLIENT, HELLO, COMMAND, CONFIG, INFO', async () => {
      expect(await redis.ping()).toBe('PONG');
      expect(await redis.ping('with text')).toBe('with text');
      expect(await redis.echo('said')).toBe('said');
      expect(await redis.select(0)).toBe('OK');
      await expect(redis.select(1)).rejects.toThrow(/^ERR/);
      await expect(redis.auth('secret')).rejects.toThrow(/^ERR AUTH/);
      expect(await redis.client('GETNAME')).toBe('the-ioredis-one');
      expect(await redis.client('SETNAME', 'renamed')).toBe('OK');
      const id = await redis.client('ID');
      expect(String(await redis.client('LIST'))).toMatch(new RegExp(`\\bid=${id} .*name=renamed`));
      const hello = await redis.hello();
      expect(hello).toContain('version');
      expect(hello).toContain('7.2.0');
      const rows = (await redis.call('COMMAND')) as [name: string][];
      expect(rows.map(([name]) => name)).toEqual(expect.arrayContaining(COMMAND_NAMES.split(' ')));
      expect(await redis.command('COUNT')).toBe(rows.length);
      const [get] = (await redis.command('INFO', 'get')) as unknown[][];
      expect(get.slice(0, 2)).toEqual(['get', 2]);
      expect(await redis.config('GET', 'maxmemory*')).toContain('maxmemory');
      const info = await redis.info();
      expect(info).toMatch(/^redis_version:7\.2\.0\r$/m);
      expect(info).toMatch(/^ingot_version:\S+\r$/m);
      expect(info).toMatch(/^loading:0\r$/m);
      expect(info).toMatch(/^role:master\r$/m);
      expect(info).toMatch(/^cluster_enabled:0\r$/m);
    });

    test('CLUSTER on the cluster port', async () => {
      const direct = new Redis({ port: cluster().node(1).ports.cluster });
      try {
        expect(await direct.info('cluster')).toMatch(/^cluster_enabled:1\r$/m);
        expect(await direct.cluster('INFO')).toMatch(/^cluster_state:ok\r$/m);
        const slots = (await direct.cluster('SLOTS')) as [number, number, ...unknown[]][];
        expect(slots.reduce((sum, [from, to]) => sum + to - from + 1, 0)).toBe(16_384);
        const masters = new Set(slots.map(([, , master]) => (master as [string, number])[1]));
        const replicas = new Set(slots.map(([, , , replica]) => (replica as [string, number])[1]));
        expect(masters).toEqual(new Set(cluster().nodes.map(({ ports }) => ports.cluster)));
        expect(replicas).toEqual(new Set(cluster().nodes.map(({ ports }) => ports.follower)));
        const nodes = String(await direct.cluster('NODES'))
          .trim()
          .split('\n');
        expect(nodes).toHaveLength(3);
        expect(nodes.every((line) => /\bmaster\b/.test(line))).toBe(true);
        const myId = await direct.cluster('MYID');
        expect(nodes.find((line) => line.includes('myself'))).toMatch(new RegExp(`^${myId} `));
        expect(((await direct.call('CLUSTER', 'SHARDS')) as unknown[]).length).toBeGreaterThan(2);
        expect(await direct.cluster('KEYSLOT', '{user1000}.following')).toBe(3_443);
        const mine = slots.find(([, , m]) => (m as [string, number])[1] === direct.options.port);
        expect(await direct.cluster('COUNTKEYSINSLOT', mine?.[0] ?? -1)).toBeTypeOf('number');
      } finally {
        await direct.quit();
      }
    });

    test('READONLY, READWRITE and ASKING on the follower port', async () => {
      const follower = new Redis({ port: cluster().node(1).ports.follower });
      try {
        const name = await keyFollowedBy(follower, clustered);
        await expect(follower.get(name)).rejects.toThrow(/^MOVED/);
        expect(await follower.readonly()).toBe('OK');
        expect(await follower.get(name)).toBe('here');
        await expect(follower.set(name, 'x')).rejects.toThrow(/^MOVED/);
        expect(await follower.readwrite()).toBe('OK');
        await expect(follower.get(name)).rejects.toThrow(/^MOVED/);
        expect(await follower.asking()).toBe('OK');
      } finally {
        await follower.quit();
      }

      /** A key that another node leads, of which this one has taken over the value. */
      async function keyFollowedBy(reader: Redis, writer: Cluster): Promise<string> {
        const names = numbers(64).map((i) => key('ioredis followed', i));
        for (const name of names) await writer.set(name, 'here');
        await cluster().replicated();
        const direct = new Redis({ port: cluster().node(1).ports.cluster });
        await reader.readonly();
        const reads = await Promise.all(
          names.map(async (name) => ({
            name,
            isLedHere: (await direct.get(name).catch(() => null)) !== null,
            isHeldHere: (await reader.get(name).catch(() => null)) === 'here',
          })),
        );
        await reader.readwrite();
        await direct.quit();
        const found = reads.find(({ isLedHere, isHeldHere }) => !isLedHere && isHeldHere);
        if (found === undefined) throw new Error('node 1 follows none of these keys');
        return found.name;
      }
    });
  });
}

function valuesOf(replies: [error: Error | null, result: unknown][] | null): unknown[] {
  if (replies === null) throw new Error('the transaction was aborted');
  return replies.map(([error, result]) => {
    if (error !== null) throw error;
    return result;
  });
}
