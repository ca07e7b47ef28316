/** npm run bench:memory: what a record costs beyond its key and its value, in Ingot and in Redis.
 *
 *  Keys of 16 bytes, values of 10 to 2,000 bytes, log-uniform; the same records go into a store in this process and
 *  into redis-server. Ingot's figure is all chunks of its images that are in use, but for pages of header and chunk table that
 *  were never written, and what scratch holds for them (stamps, access marks, free lists); the redo ring, which stands for
 *  replication, has a line of its own. Redis' is the rise of used_memory.
 *    --records 4000000  --partitions 64 */

import { parseArgs } from 'node:util';
import { IMAGE_LINES } from '../packages/store/src/index.ts';
import { logUniform, randomFrom } from './memory/mix.ts';
import { loadRedis } from './memory/redis-load.ts';
import { StoreSide } from './memory/store-side.ts';
import { RespClient } from './resp-client.ts';
import { startRedis } from './servers.ts';

const REDIS_PORT = 17_479;
const VALUE_BYTES_MIN = 10;
const VALUE_BYTES_MAX = 2_000;
const KEY_BYTES = 16;
const SEED = 42;

const { values } = parseArgs({
  options: {
    records: { type: 'string', default: '4000000' },
    partitions: { type: 'string', default: '64' },
    redis: { type: 'boolean', default: true },
  },
  allowNegative: true,
});
const count = Number(values.records);
const partitions = Number(values.partitions);
const value = Buffer.alloc(VALUE_BYTES_MAX, 'v');

const keyOf = (i: number): Buffer => Buffer.from(`key:${String(i).padStart(12, '0')}`, 'latin1');

function fillStore(): void {
  const random = randomFrom(SEED);
  const sizes = Array.from({ length: count }, () =>
    logUniform(random, VALUE_BYTES_MIN, VALUE_BYTES_MAX),
  );
  const payloadBytes = sizes.reduce((sum, bytes) => sum + KEY_BYTES + bytes, 0);
  // Room for a third more than the records need: nothing is evicted, and the default geometry otherwise.
  const capacityBytes = Math.ceil((payloadBytes + 120 * count) / 2 ** 30) * 2 ** 30;
  const store = new StoreSide(partitions, capacityBytes);
  for (let i = 0; i < count; i++) store.set(keyOf(i), value, sizes[i]);
  store.sweepAll();
  const budget = store.budget();
  const touched = budget.imageTouchedBytes + budget.scratchTouchedBytes;
  const perRecord = (bytes: number): string => (bytes / count).toFixed(1).padStart(8);
  console.log(`ingot, ${partitions} partitions, capacity ${capacityBytes / 2 ** 30} GiB`);
  console.log(`  beyond key and value     ${perRecord(touched - payloadBytes)} bytes a record`);
  console.log(`    headers                ${perRecord(budget.records - payloadBytes)}`);
  for (const line of IMAGE_LINES.filter((name) => name !== 'records')) {
    console.log(`    ${line.padEnd(22)} ${perRecord(budget[line])}`);
  }
  const untouched = budget.imageBytes - budget.imageTouchedBytes;
  console.log(`    never written of those ${perRecord(-untouched)}`);
  console.log(`    stamps, marks, lists   ${perRecord(budget.scratchTouchedBytes)}`);
  console.log(`  redo rings               ${perRecord(budget.ring + budget.ringMarks)}`);
}

async function fillRedis(): Promise<void> {
  const redis = await startRedis(REDIS_PORT);
  try {
    const client = await RespClient.connect(redis.port);
    const used = async (): Promise<number> => {
      const [info] = await client.send([['INFO', 'memory']]);
      return Number(/used_memory:(\d+)/.exec(info ?? '')?.[1]);
    };
    const random = randomFrom(SEED);
    const before = await used();
    let payloadBytes = 0;
    const valueBytesOf = (): number => {
      const bytes = logUniform(random, VALUE_BYTES_MIN, VALUE_BYTES_MAX);
      payloadBytes += KEY_BYTES + bytes;
      return bytes;
    };
    await loadRedis(redis.port, count, keyOf, valueBytesOf, value);
    const [keys] = await client.send([['DBSIZE']]);
    if (keys !== `:${count}\r\n`) throw new Error(`redis has ${keys} keys`);
    const beyond = (await used()) - before - payloadBytes;
    console.log('redis');
    console.log(
      `  beyond key and value     ${(beyond / count).toFixed(1).padStart(8)} bytes a record`,
    );
    client.close();
  } finally {
    await redis.stop();
  }
}

console.log(
  `${count} records, keys of ${KEY_BYTES} bytes, values of 10 to 2,000 bytes, log-uniform`,
);
fillStore();
if (values.redis) await fillRedis();
