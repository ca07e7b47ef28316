/** CPU per operation with ten times the keys, beside that with one times, on both servers. Ingot has room for all of
 *  them: the hit ratio says whether anything was evicted. */

import { type Case, hitRatio, measure, preload } from '../load.ts';
import { startIngot, startRedis } from '../servers.ts';
import { figure } from '../stream/text-table.ts';
import { Figures, type Group, inTurn, times } from './group.ts';

const TIMES = 10;
const ASKED = '1.3x or less';
const CASES: readonly Case[] = (['GET', 'SET'] as const).map((command) => ({
  command,
  pipeline: 16,
  requests: 1_000_000,
}));
/** Of key, value, header and index, and what a partition that is fuller than others needs. */
const BYTES_PER_KEY = 256;

export const MANY_KEYS: Group = {
  name: 'keys',
  measure: async ({ keys, rounds, port, progress }, pair) => {
    const few = await pair();
    const many = keys * TIMES;
    const capacityMiB = Math.max(1024, Math.ceil((many * BYTES_PER_KEY) / 2 ** 20));
    const larger = [
      await startRedis(port + 60),
      await startIngot(port + 61, ['--capacity', `${capacityMiB}mb`]),
    ];
    const figures = new Figures();
    try {
      for (const server of larger) {
        progress(`${server.name}: loading ${many} keys`);
        await preload(server, many);
      }
      const sides = [few.redis, few.ingot, ...larger];
      for (let round = 0; round < rounds; round++) {
        for (const each of CASES) {
          for (const server of inTurn(sides, round)) {
            const count = larger.includes(server) ? many : keys;
            const { cpuMicrosPerOp } = await measure(server, each, count);
            figures.add(`${server.name} ${each.command} ${count}`, cpuMicrosPerOp);
            progress(
              `${server.name}, ${each.command}, ${count} keys: ${figure(cpuMicrosPerOp)} µs`,
            );
          }
        }
      }
      const [redisHits, ingotHits] = [await hitRatio(larger[0]), await hitRatio(larger[1])];
      const rows = CASES.flatMap(({ command }) =>
        larger.map(({ name }) => {
          const [one, ten] = [keys, many].map((n) => figures.median(`${name} ${command} ${n}`));
          const asked = name === 'ingot' ? ASKED : '';
          const what = `${command} pipeline 16, ${name}`;
          return [what, one.toFixed(2), ten.toFixed(2), asked, times(ten / one)];
        }),
      );
      const ratios = `redis ${redisHits.toFixed(4)}, ingot ${ingotHits.toFixed(4)}`;
      const title = `${TIMES} times the keys (hit ratio there: ${ratios})`;
      const head = ['what', `µs/op, ${keys} keys`, `µs/op, ${many} keys`, 'asked', 'reached'];
      return [{ title, head, rows }];
    } finally {
      for (const server of larger) await server.stop();
    }
  },
};
