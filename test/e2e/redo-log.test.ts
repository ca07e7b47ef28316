/** A node with `--durability log` over its own data dir: what clients with acks=log were told is there after kill -9, and a
 *  disk that is full refuses them alone.
 *  INGOT_LOG_KILLS=50 in the environment kills so often. */
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { Child } from '../support/child.ts';
import { eventually } from '../support/eventually.ts';
import { LocalCluster, type TestNode } from '../support/local-cluster.ts';
import { scrape } from '../support/scrape.ts';
import { needs } from '../support/tools.ts';

const KILLS = Number(process.env['INGOT_LOG_KILLS'] ?? 3);
const WRITERS = 6;
const PIPELINE = 4;
const WRITES_MIN = 400;

vi.setConfig({ testTimeout: 120_000 + KILLS * 20_000, hookTimeout: 120_000 });

const prlimit = needs('prlimit');

describe('a node that keeps a redo log', () => {
  let cluster: LocalCluster;
  let node: TestNode;
  /** By key: the last value that was acknowledged. */
  const acknowledged = new Map<string, number>();

  beforeAll(async () => {
    cluster = await LocalCluster.start({
      ...{ nodes: 1, copies: 1, capacity: '64mb', partitions: 4 },
      args: ['--durability', 'log', '--checkpoint-every', '1s'],
    });
    node = cluster.node(1);
  });

  afterAll(() => cluster.stop());

  test('killed in the midst of writes, again and again, it has every write that was acknowledged', async () => {
    let next = 0;
    for (let kill = 0; kill < KILLS; kill++) {
      const before = acknowledged.size;
      const writing = Array.from({ length: WRITERS }, () => write(() => next++));
      await eventually(
        'enough is acknowledged',
        () => acknowledged.size > before + WRITES_MIN * (1 + (kill % 3)),
      );
      await cluster.kill(1);
      await Promise.all(writing);
      cluster.restart(1);
      await node.answers('/readyz');
      expect(await missing()).toEqual([]);
    }
    expect(node.log.some(({ event }) => event === 'log.replayed')).toBe(true);
  });

  test('connections that did not ask for it are answered at once, reads of what is on disk too', async () => {
    const redis = new Redis({ port: node.ports.client });
    expect(await redis.call('CLIENT', 'ACKS')).toBe('local');
    expect(await redis.set('local', '1')).toBe('OK');
    await redis.call('CLIENT', 'ACKS', 'isr+log');
    expect(await redis.call('CLIENT', 'ACKS')).toBe('isr+log');
    expect(await redis.set('both', '1')).toBe('OK');
    expect(await redis.mget('local', 'both')).toEqual(['1', '1']);
    redis.disconnect();
  });

  test.runIf(prlimit !== null)(
    'a full disk refuses who waits for it, and nobody else',
    async () => {
      const [asks, does] = [
        new Redis({ port: node.ports.client }),
        new Redis({ port: node.ports.client }),
      ];
      await asks.call('CLIENT', 'ACKS', 'log');
      await limitFiles('0');
      await eventually('the log fails', async () => {
        await does.set('filler', 'x');
        return (await scrape(node.ports.http)).sum('ingot_log_failing') === 1;
      });
      await expect(asks.set('asked', '1')).rejects.toThrow(
        /^NOLOG the disk of this node takes nothing/,
      );
      expect(await does.get('asked')).toBeNull();
      expect(await does.set('other', '1')).toBe('OK');
      expect(node.log.some(({ event, level }) => event === 'log.failing' && level === 50)).toBe(
        true,
      );
      await limitFiles('unlimited');
      await eventually('it goes on', async () => {
        const reply = await asks.set('asked', '2').catch((error: Error) => error.message);
        return reply === 'OK';
      });
      await eventually('it says so', () => node.log.some(({ event }) => event === 'log.goesOn'));
      asks.disconnect();
      does.disconnect();
      await cluster.kill(1);
      cluster.restart(1);
      await node.answers('/readyz');
      const redis = new Redis({ port: node.ports.client });
      expect(await redis.get('asked')).toBe('2');
      redis.disconnect();
    },
  );

  /** Until the connection breaks. */
  async function write(number: () => number): Promise<void> {
    const redis = new Redis({ port: node.ports.client, retryStrategy: () => null });
    redis.on('error', () => undefined);
    try {
      await redis.call('CLIENT', 'ACKS', 'log');
      for (;;) {
        const batch = Array.from({ length: PIPELINE }, number);
        await Promise.all(
          batch.map(async (i) => {
            await redis.set(`key-${i % 997}-${Math.floor(i / 997)}`, String(i));
            acknowledged.set(`key-${i % 997}-${Math.floor(i / 997)}`, i);
          }),
        );
      }
    } catch {
      redis.disconnect();
    }
  }

  async function missing(): Promise<string[]> {
    const redis = new Redis({ port: node.ports.client });
    const keys = [...acknowledged.keys()];
    const found: (string | null)[] = [];
    for (let i = 0; i < keys.length; i += 500) {
      found.push(...(await redis.mget(keys.slice(i, i + 500))));
    }
    redis.disconnect();
    return keys.filter((key, i) => found[i] !== String(acknowledged.get(key)));
  }

  async function limitFiles(bytes: string): Promise<void> {
    const command = ['--pid', String(node.pid), `--fsize=${bytes}:unlimited`];
    expect(await new Child(prlimit ?? '', command).ended).toMatchObject({ code: 0 });
  }
});
