/** rate-limiter-flexible: the class that needs no scripts, through several nodes at once; what the one that
 *  needs them says; and the same limit, exact, with MULTI. */
import { Cluster, Redis } from 'ioredis';
import {
  type IRateLimiterRedisOptions,
  RateLimiterRedis,
  RateLimiterRedisNonAtomic,
  RateLimiterRes,
} from 'rate-limiter-flexible';
import { createClient } from 'redis';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { key, numbers } from '../support/dataset.ts';
import { eventually } from '../support/eventually.ts';
import type { LocalCluster } from '../support/local-cluster.ts';

const POINTS = 5;
const MINUTE_S = 60;

export function rateLimiterCases(cluster: () => LocalCluster, password: string): void {
  describe('rate-limiter-flexible', () => {
    let redis: Redis[];
    let clustered: Cluster;
    let nodeRedis: Awaited<ReturnType<typeof connectTo>>;
    const connectTo = (port: number) =>
      createClient({ url: `redis://default:${password}@127.0.0.1:${port}` }).connect();

    beforeAll(async () => {
      redis = cluster().nodes.map(({ ports }) => new Redis(ports.client, { password }));
      const seeds = cluster().nodes.map(({ ports }) => ({
        host: '127.0.0.1',
        port: ports.cluster,
      }));
      clustered = new Cluster(seeds, { redisOptions: { password } });
      nodeRedis = await connectTo(cluster().node(3).ports.client);
    });
    afterAll(async () => {
      await Promise.all([...redis, clustered].map((client) => client.quit()));
      await nodeRedis.close();
    });

    /** The limiters of three servers: two with ioredis, plain and Cluster, one with node-redis. */
    function limiters(more: Partial<IRateLimiterRedisOptions>): RateLimiterRedisNonAtomic[] {
      const options = { points: POINTS, duration: MINUTE_S, ...more };
      return [
        new RateLimiterRedisNonAtomic({ ...options, storeClient: redis[0] }),
        new RateLimiterRedisNonAtomic({ ...options, storeClient: clustered }),
        new RateLimiterRedisNonAtomic({
          ...{ ...options, storeClient: nodeRedis, useRedisPackage: true },
        }),
      ];
    }

    test('counts through all nodes, then refuses and says for how long', async () => {
      const servers = limiters({ keyPrefix: 'counts' });
      for (const i of numbers(POINTS)) {
        const result = await servers[i % 3].consume('client');
        expect(result.consumedPoints).toBe(i + 1);
        expect(result.remainingPoints).toBe(POINTS - i - 1);
      }
      for (const server of servers) {
        const refused = await refusal(server.consume('client'));
        expect(refused.remainingPoints).toBe(0);
        expect(refused.msBeforeNext).toBeGreaterThan(MINUTE_S * 1000 - 30_000);
        expect(refused.msBeforeNext).toBeLessThanOrEqual(MINUTE_S * 1000);
      }
    });

    test('many clients at once, each at all three servers: each gets its points and no more', async () => {
      const servers = limiters({ keyPrefix: 'at once' });
      const passed = await Promise.all(
        numbers(60).map(async (client) => {
          let count = 0;
          for (const i of numbers(POINTS + 3)) {
            const outcome = servers[(client + i) % 3].consume(key('client', client));
            if ((await settled(outcome)) === 'passed') count++;
          }
          return count;
        }),
      );
      expect(passed).toEqual(numbers(60).map(() => POINTS));
    });

    test('one client all at once: never fewer than its points, and never an error', async () => {
      const servers = limiters({ keyPrefix: 'burst' });
      const outcomes = await Promise.all(
        numbers(90).map((i) => settled(servers[i % 3].consume('client'))),
      );
      const passed = outcomes.filter((outcome) => outcome === 'passed').length;
      expect(passed).toBeGreaterThanOrEqual(POINTS);
      // What races let through is counted late: soon nobody passes any more.
      await eventually('it is blocked', async () => {
        return (await settled(servers[0].consume('client'))) === 'refused';
      });
      for (const server of servers) await refusal(server.consume('client'));
    });

    test('when its time is over a client begins anew', async () => {
      const servers = limiters({ keyPrefix: 'anew', duration: 1 });
      const used = await servers[0].consume('client', POINTS);
      expect(used.remainingPoints).toBe(0);
      await eventually('its time is over', async () => (await servers[2].get('client')) === null);
      expect((await servers[2].consume('client')).consumedPoints).toBe(1);
    });

    test('get, penalty, reward, block, set and delete', async () => {
      const [one, two, three] = limiters({ keyPrefix: 'others' });
      expect(await one.get('client')).toBeNull();
      expect((await one.penalty('client', 4)).consumedPoints).toBe(4);
      expect((await two.reward('client', 2)).consumedPoints).toBe(2);
      expect((await three.get('client'))?.consumedPoints).toBe(2);
      await three.block('client', 2 * MINUTE_S);
      expect((await refusal(one.consume('client'))).msBeforeNext).toBeGreaterThan(MINUTE_S * 1000);
      expect(await two.delete('client')).toBe(true);
      expect(await two.delete('client')).toBe(false);
      await three.set('client', 3, MINUTE_S);
      expect((await one.consume('client')).consumedPoints).toBe(4);
    });

    test('blockDuration holds longer than the window', async () => {
      const [one, two] = limiters({ keyPrefix: 'blocked', blockDuration: 10 * MINUTE_S });
      await one.consume('client', POINTS);
      await refusal(two.consume('client'));
      expect((await refusal(one.consume('client'))).msBeforeNext).toBeGreaterThan(
        9 * MINUTE_S * 1000,
      );
    });

    test('the atomic class needs Lua, and the error says so', async () => {
      const options = { points: POINTS, duration: MINUTE_S, keyPrefix: 'atomic' };
      const why = /^ERR unknown command 'EVAL(SHA)?': Ingot runs no scripts: use MULTI and EXEC/i;
      for (const limiter of [
        new RateLimiterRedis({ ...options, storeClient: redis[0] }),
        new RateLimiterRedis({ ...options, storeClient: nodeRedis, useRedisPackage: true }),
      ]) {
        await expect(limiter.consume('client')).rejects.toThrow(why);
      }
    });

    test('a limit that is exact: SET NX, INCR and PTTL in one transaction', async () => {
      const allowed = await Promise.all(
        numbers(90).map((i) => mayPass(redis[i % 3], 'exact', POINTS, MINUTE_S)),
      );
      expect(allowed.filter((passed) => passed)).toHaveLength(POINTS);
      expect(await redis[0].ttl('exact')).toBeGreaterThan(0);
    });
  });
}

/** As docs/clients.md shows it. */
async function mayPass(
  redis: Redis,
  name: string,
  points: number,
  seconds: number,
): Promise<boolean> {
  const replies = await redis
    .multi()
    .set(name, 0, 'EX', seconds, 'NX')
    .incr(name)
    .pttl(name)
    .exec();
  const [, consumed] = replies?.[1] ?? [];
  return (consumed as number) <= points;
}

async function settled(consuming: Promise<RateLimiterRes>): Promise<'passed' | 'refused'> {
  try {
    await consuming;
    return 'passed';
  } catch (reason) {
    if (!(reason instanceof RateLimiterRes)) throw reason;
    return 'refused';
  }
}

async function refusal(consuming: Promise<RateLimiterRes>): Promise<RateLimiterRes> {
  const reason: unknown = await consuming.then(
    () => new Error('it was let through'),
    (error: unknown) => error,
  );
  if (!(reason instanceof RateLimiterRes)) throw reason;
  return reason;
}
