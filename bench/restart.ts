/** npm run bench:restart: a node that starts again beside a redis-server that loads its RDB, and a checkpoint of what has
 *  changed beside a BGSAVE of all, with a client that reads meanwhile.
 *
 *  Both sides have the same records and, one after the other, the whole machine; they take turns. */
import { parseArgs } from 'node:util';
import { IngotOnDisk } from './restart/ingot-side.ts';
import { RedisOnDisk } from './restart/redis-side.ts';
import type { OnDisk, Saved } from './restart/side.ts';
import { median } from './statistics.ts';

const { values } = parseArgs({
  options: {
    records: { type: 'string', default: '3500000' },
    rounds: { type: 'string', default: '3' },
    /** Of the records, in one stretch, so that so much of the chunks changes. */
    changed: { type: 'string', default: '0.05' },
    capacity: { type: 'string', default: '2gb' },
  },
});
const records = Number(values.records);
const rounds = Number(values.rounds);
const changed = Math.round(records * Number(values.changed));

const sides: OnDisk[] = [
  await RedisOnDisk.loaded(records),
  await IngotOnDisk.loaded(records, values.capacity),
];
const restarts = new Map<string, number[]>(sides.map(({ name }) => [name, []]));
const saves = new Map<string, Saved[]>(sides.map(({ name }) => [name, []]));
try {
  for (let round = 0; round < rounds; round++) {
    for (const side of round % 2 === 0 ? sides : sides.toReversed()) {
      const ms = await side.restart();
      restarts.get(side.name)?.push(ms);
      console.log(`round ${round + 1}: ${side.name} restart to first hit ${seconds(ms)}`);
      const saved = await side.saveAfter(changed, round + 1);
      saves.get(side.name)?.push(saved);
      console.log(`round ${round + 1}: ${side.name} ${savedText(saved)}`);
      await side.stop();
    }
  }
  const [redis, ingot] = sides.map(({ name }) => ({
    restartMs: median(restarts.get(name) ?? []),
    bytes: median((saves.get(name) ?? []).map(({ bytes }) => bytes)),
    p99Ms: median((saves.get(name) ?? []).map(({ p99Ms }) => p99Ms)),
    idleP99Ms: median((saves.get(name) ?? []).map(({ idleP99Ms }) => idleP99Ms)),
  }));
  console.log(`\n${records} records, medians of ${rounds} rounds`);
  console.log(
    `restart to first hit: redis ${seconds(redis.restartMs)}, ingot ${seconds(ingot.restartMs)}: ` +
      `${(redis.restartMs / ingot.restartMs).toFixed(1)}x faster (asked: 10x)`,
  );
  console.log(
    `bytes of a save with ${values.changed} of the records changed: redis ${megabytes(redis.bytes)}, ` +
      `ingot ${megabytes(ingot.bytes)}: 1/${(redis.bytes / ingot.bytes).toFixed(1)} (asked: 1/10)`,
  );
  console.log(
    `p99 of a GET meanwhile: redis ${redis.p99Ms.toFixed(2)} ms (idle ${redis.idleP99Ms.toFixed(2)}), ` +
      `ingot ${ingot.p99Ms.toFixed(2)} ms (idle ${ingot.idleP99Ms.toFixed(2)}) (asked: lower)`,
  );
} finally {
  for (const side of sides) await side.remove();
}

function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(2)} s`;
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(0)} MB`;
}

function savedText({ bytes, ms, p99Ms, idleP99Ms }: Saved): string {
  const latency = `GET p99 ${p99Ms.toFixed(2)} ms, idle ${idleP99Ms.toFixed(2)} ms`;
  return `saved ${megabytes(bytes)} in ${seconds(ms)}, ${latency}`;
}
