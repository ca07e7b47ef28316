/** npm run bench:eviction: hits of Ingot's SIEVE and of Redis' allkeys-lru with equal memory, on the same requests.
 *
 *  Each shape of traces.ts, with several seeds, on all sides in turns of 100 requests. Equal memory: Redis may take as
 *  much beyond what it takes empty as Ingot's images and what scratch holds for them; what both really took is printed.
 *  Redis keeps the time of a read in seconds, and here memory is turned over in a few: so ideal LRUs stand beside
 *  it, one whose records take what they take in Redis, and one, and a queue of SIEVE, with Ingot's.
 *    --shape scans  --seeds 2  --requests 1000000  --capacity 33554432  --no-redis */

import { parseArgs } from 'node:util';
import { LruModel, SieveModel } from './eviction/models.ts';
import {
  ingotBytes,
  ingotSide,
  modelSide,
  RedisSide,
  redisBytes,
  type Side,
} from './eviction/sides.ts';
import { SHAPES, type Trace } from './eviction/traces.ts';
import { StoreSide } from './memory/store-side.ts';
import { startRedis } from './servers.ts';

const REDIS_PORT = 17_489;
const PARTITIONS = 2;
const BATCH = 100;
/** Batches between two looks at what a side holds. */
const LOOK_EVERY = 500;
const SCRATCH_BYTES_PER_CHUNK = 540;
const CHUNK_BYTES = 65_536;

const { values } = parseArgs({
  options: {
    shape: { type: 'string', default: '' },
    seeds: { type: 'string', default: '2' },
    requests: { type: 'string', default: '1000000' },
    capacity: { type: 'string', default: String(32 << 20) },
    redis: { type: 'boolean', default: true },
  },
  allowNegative: true,
});
const capacityBytes = Number(values.capacity);
const requests = Number(values.requests);
const seeds = Array.from({ length: Number(values.seeds) }, (_, i) => i + 1);

interface Result {
  hits: number;
  asked: number;
  /** The largest that were seen. */
  bytes: number;
  records: number;
}

async function replay(trace: Trace, sides: readonly Side[]): Promise<Map<string, Result>> {
  const results = sides.map(() => ({ hits: 0, asked: 0, bytes: 0, records: 0 }));
  const found = new Uint8Array(BATCH);
  for (let from = 0, batch = 1; from < trace.length; from += BATCH, batch++) {
    const end = Math.min(from + BATCH, trace.length);
    for (const [at, side] of sides.entries()) {
      const result = results[at];
      await side.run(trace, from, end, found);
      for (let i = from; i < end; i++) {
        result.asked += trace.counted[i];
        result.hits += trace.counted[i] & found[i - from];
      }
      if (batch % LOOK_EVERY !== 0) continue;
      const { bytes, records } = await side.held();
      result.bytes = Math.max(result.bytes, bytes);
      result.records = records;
    }
  }
  return new Map(sides.map(({ name }, at) => [name, results[at]]));
}

async function runSeed(trace: Trace): Promise<Map<string, Result>> {
  const store = new StoreSide(PARTITIONS, capacityBytes, capacityBytes);
  const recordBytes = capacityBytes + (SCRATCH_BYTES_PER_CHUNK * capacityBytes) / CHUNK_BYTES;
  const sides: Side[] = [
    ingotSide(store),
    modelSide('LRU, bytes as Redis', new LruModel(recordBytes), redisBytes),
    modelSide('LRU, bytes as Ingot', new LruModel(capacityBytes), ingotBytes),
    modelSide('SIEVE, bytes as Ingot', new SieveModel(capacityBytes), ingotBytes),
  ];
  if (!values.redis) return replay(trace, sides);
  const server = await startRedis(REDIS_PORT);
  try {
    const redis = await RedisSide.connect(server.port, Math.round(recordBytes));
    const results = await replay(trace, [redis, ...sides]);
    redis.close();
    return results;
  } finally {
    await server.stop();
  }
}

for (const shape of SHAPES.filter(({ name }) => name.startsWith(values.shape))) {
  const runs: Map<string, Result>[] = [];
  for (const seed of seeds) {
    runs.push(await runSeed(shape.trace(capacityBytes, requests, seed)));
  }
  console.log(`${shape.name}: ${shape.doc}`);
  for (const name of runs[0].keys()) {
    const results = runs.flatMap((run) => run.get(name) ?? []);
    const ratios = results.map(({ hits, asked }) => (hits / asked).toFixed(4));
    const mean = results.reduce((sum, { hits, asked }) => sum + hits / asked, 0) / results.length;
    const { bytes, records } = results[0];
    const held = bytes === 0 ? '' : `, ${(bytes / 2 ** 20).toFixed(1)} MiB`;
    const each = `(${ratios.join(' ')})`;
    console.log(`  ${name.padEnd(22)} ${mean.toFixed(4)} ${each}  ${records} records${held}`);
  }
}
