/** npm run bench:eviction: hits of Ingot's SIEVE and of Redis' allkeys-lru with equal memory, on the same requests.
 *
 *  A miss is followed by a SET, as a cache is used. Requests come in batches, and a batch's misses are set behind it, on
 *  both sides alike. Two runs:
 *    scans    values of 256 bytes, keys zipf 0.9, memory for 10 % of them, and now and then a scan of keys that are
 *             asked for once, as long as half of what memory holds
 *    shifts   values of 100, 2,000, 400, 1,000 and 200 bytes, one size after the other, keys zipf 0.9, memory for
 *             10 % of each
 *  (--only scans, --only shifts). Redis is asked by TOUCH, which counts as a read there and answers little.
 *  A true SIEVE queue and a true LRU of as many records stand beside them in the first. */

import { parseArgs } from 'node:util';
import { randomFrom, zipf } from './memory/mix.ts';
import { LruModel, SieveModel } from './memory/models.ts';
import { StoreSide } from './memory/store-side.ts';
import { RespClient } from './resp-client.ts';
import { startRedis } from './servers.ts';

const REDIS_PORT = 17_489;
const PARTITIONS = 2;
const BATCH = 500;
const KEY_BYTES = 16;
const ZIPF = 0.9;
const SCAN_EVERY = 100_000;

const { values } = parseArgs({
  options: {
    capacity: { type: 'string', default: String(32 << 20) },
    requests: { type: 'string', default: '1500000' },
    only: { type: 'string', default: '' },
  },
});
const capacityBytes = Number(values.capacity);
const requests = Number(values.requests);

interface Request {
  readonly key: number;
  readonly valueBytes: number;
  /** Requests of scans miss by design: they are not counted. */
  readonly counted: boolean;
}

/** What is asked of a side: which of these keys are there, then to set those that are not. */
interface Side {
  readonly name: string;
  run(batch: readonly Request[]): boolean[] | Promise<boolean[]>;
  hits: number;
  asked: number;
}

const nameOf = (key: number): string => `key:${String(key).padStart(12, '0')}`;
const value = Buffer.alloc(2_000, 'v');
const text = value.toString('latin1');

function* scans(): Generator<Request> {
  const valueBytes = 256;
  const held = Math.floor(capacityBytes / (valueBytes + KEY_BYTES));
  const random = randomFrom(1);
  const next = zipf(random, held * 10, ZIPF);
  let scanned = held * 10;
  for (let i = 1; i <= requests; i++) {
    yield { key: next(), valueBytes, counted: i > requests / 3 };
    if (i % SCAN_EVERY !== 0) continue;
    for (let left = held / 2; left > 0; left--) {
      yield { key: scanned++, valueBytes, counted: false };
    }
  }
}

function* shifts(): Generator<Request> {
  let firstKey = 0;
  const sizes = [100, 2_000, 400, 1_000, 200];
  for (const valueBytes of sizes) {
    const keys = Math.floor((10 * capacityBytes) / (valueBytes + KEY_BYTES));
    const next = zipf(randomFrom(valueBytes), keys, ZIPF);
    for (let i = 0; i < requests / sizes.length; i++) {
      yield { key: firstKey + next(), valueBytes, counted: true };
    }
    firstKey += keys;
  }
}

function ingotSide(store: StoreSide): Side {
  return {
    ...{ name: 'ingot', hits: 0, asked: 0 },
    run: (batch) => {
      const keys = batch.map(({ key }) => Buffer.from(nameOf(key), 'latin1'));
      const found = keys.map((key) => store.get(key));
      for (const [i, key] of keys.entries()) {
        if (!found[i]) store.set(key, value, batch[i].valueBytes);
      }
      return found;
    },
  };
}

function redisSide(client: RespClient): Side {
  return {
    ...{ name: 'redis allkeys-lru', hits: 0, asked: 0 },
    run: async (batch) => {
      const replies = await client.send(batch.map(({ key }) => ['TOUCH', nameOf(key)]));
      const found = replies.map((reply) => reply.startsWith(':1'));
      const missed = batch.filter((_, i) => !found[i]);
      if (missed.length === 0) return found;
      await client.send(
        missed.map(({ key, valueBytes }) => ['SET', nameOf(key), text.slice(0, valueBytes)]),
      );
      return found;
    },
  };
}

function modelSide(name: string, model: SieveModel | LruModel): Side {
  return {
    ...{ name, hits: 0, asked: 0 },
    run: (batch) => {
      const found = batch.map(({ key }) => model.has(key));
      for (const [i, { key }] of batch.entries()) if (!found[i]) model.add(key);
      return found;
    },
  };
}

async function drive(source: Generator<Request>, sides: readonly Side[]): Promise<void> {
  let batch: Request[] = [];
  const flush = async (): Promise<void> => {
    if (batch.length === 0) return;
    for (const side of sides) {
      const found = await side.run(batch);
      for (const [i, { counted }] of batch.entries()) {
        if (!counted) continue;
        side.asked++;
        if (found[i]) side.hits++;
      }
    }
    batch = [];
  };
  for (const request of source) {
    if (batch.push(request) === BATCH) await flush();
  }
  await flush();
}

async function compare(
  title: string,
  source: () => Generator<Request>,
  held: number,
): Promise<void> {
  const redis = await startRedis(REDIS_PORT);
  try {
    const client = await RespClient.connect(redis.port);
    const [info] = await client.send([['INFO', 'memory']]);
    const emptyBytes = Number(/used_memory:(\d+)/.exec(info ?? '')?.[1]);
    const store = new StoreSide(PARTITIONS, capacityBytes, capacityBytes);
    // All that Ingot has: images, and what scratch holds for them. What an empty Redis takes comes on top.
    const memoryBytes =
      capacityBytes + PARTITIONS * (8_192 + (540 * capacityBytes) / PARTITIONS / 65_536);
    const maxmemory = Math.round(memoryBytes + emptyBytes);
    await client.send([
      ['CONFIG', 'SET', 'maxmemory', String(maxmemory)],
      ['CONFIG', 'SET', 'maxmemory-policy', 'allkeys-lru'],
    ]);
    const models =
      held === 0
        ? []
        : [modelSide('queue of SIEVE', new SieveModel(held)), modelSide('LRU', new LruModel(held))];
    const sides = [ingotSide(store), redisSide(client), ...models];
    await drive(source(), sides);
    console.log(`${title}: ${(capacityBytes / 2 ** 20).toFixed(0)} MiB each`);
    for (const { name, hits, asked } of sides) {
      console.log(`  ${name.padEnd(20)} hit ratio ${(hits / asked).toFixed(4)}`);
    }
    const keys = store.partitions.reduce((sum, partition) => sum + partition.stats().keys, 0);
    const [size] = await client.send([['DBSIZE']]);
    console.log(`  records held at the end: ingot ${keys}, redis ${size?.trim().slice(1)}`);
    client.close();
  } finally {
    await redis.stop();
  }
}

// What Ingot holds of 256-byte values: slots of 304 bytes, and the index.
if (values.only !== 'shifts')
  await compare('zipf 0.9 with scans', scans, Math.floor(capacityBytes / 321));
if (values.only !== 'scans') await compare('shifting sizes', shifts, 0);
