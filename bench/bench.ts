/** npm run bench: Ingot and Redis side by side, in the same run on the same machine.
 *
 *  GET and SET of 64-byte values at pipeline 1, 16 and 64, every key preloaded; server CPU (user +
 *  system of all threads) per operation, which says what a core is worth and disturbs itself less
 *  than throughput does. The two servers take turns within a round; figures are medians of rounds. */

import { parseArgs } from 'node:util';
import { type Case, hitRatio, type Measurement, measure, preload, VALUE_BYTES } from './load.ts';
import { type BenchedServer, startIngot, startRedis } from './servers.ts';
import { median } from './statistics.ts';

const REDIS_PORT = 17_379;
const INGOT_PORT = 17_400;

/** Enough requests for a second of server CPU or so. */
const REQUESTS: Readonly<Record<number, number>> = { 1: 200_000, 16: 1_000_000, 64: 2_000_000 };

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    keys: { type: 'string', default: '1000000' },
    pipelines: { type: 'string', default: '1,16,64' },
  },
});
const rounds = Number(values.rounds);
const keys = Number(values.keys);
const cases: readonly Case[] = values.pipelines.split(',').flatMap((text) => {
  const pipeline = Number(text);
  const requests = REQUESTS[pipeline] ?? 1_000_000;
  return [
    { command: 'GET', pipeline, requests },
    { command: 'SET', pipeline, requests },
  ] as const;
});

const redis = await startRedis(REDIS_PORT);
const ingot = await startIngot(INGOT_PORT);
const servers: readonly BenchedServer[] = [redis, ingot];
try {
  console.log(`${keys} keys, values of ${VALUE_BYTES} bytes, medians of ${rounds} rounds`);
  for (const server of servers) await preload(server, keys);
  const results = new Map<string, Measurement[]>();
  for (let round = 0; round < rounds; round++) {
    for (const each of cases) {
      // Whoever goes first finds other caches: take turns.
      const order = round % 2 === 0 ? servers : servers.toReversed();
      for (const server of order) {
        const key = `${server.name} ${each.command} ${each.pipeline}`;
        const list = results.get(key) ?? [];
        list.push(await measure(server, each, keys));
        results.set(key, list);
      }
    }
  }
  printTable(results);
  for (const server of servers) {
    console.log(`hit ratio ${server.name}: ${(await hitRatio(server)).toFixed(4)}`);
  }
} finally {
  for (const server of servers) await server.stop();
}

function printTable(results: ReadonlyMap<string, readonly Measurement[]>): void {
  console.log('command  pipeline   redis us/op   ingot us/op   ratio   redis ops/s   ingot ops/s');
  for (const { command, pipeline } of cases) {
    const of = (name: string, field: keyof Measurement): number =>
      median((results.get(`${name} ${command} ${pipeline}`) ?? []).map((each) => each[field]));
    const redisCpu = of('redis', 'cpuMicrosPerOp');
    const ingotCpu = of('ingot', 'cpuMicrosPerOp');
    console.log(
      command.padEnd(7),
      String(pipeline).padStart(9),
      redisCpu.toFixed(2).padStart(13),
      ingotCpu.toFixed(2).padStart(13),
      `${(redisCpu / ingotCpu).toFixed(2)}x`.padStart(7),
      of('redis', 'opsPerSecond').toFixed(0).padStart(13),
      of('ingot', 'opsPerSecond').toFixed(0).padStart(13),
    );
  }
}
