/** GET of values of 1 MiB by 50 connections, as `npm run bench:large` measures it among other sizes. */

import { ASKED, CAPACITY, fill, LOADS, measure } from '../large-values.ts';
import { startIngot, startRedis } from '../servers.ts';
import { figure } from '../stream/text-table.ts';
import { Figures, type Group, inTurn, times } from './group.ts';

const WHAT = '1 MiB';

export const LARGE: Group = {
  name: 'large',
  measure: async ({ rounds, port, progress }) => {
    const loads = LOADS.filter(({ name }) => name === WHAT);
    const servers = [await startRedis(port + 70), await startIngot(port + 71, CAPACITY)];
    const figures = new Figures();
    try {
      for (const server of servers) for (const load of loads) await fill(server, load);
      for (let round = 0; round < rounds; round++) {
        for (const load of loads) {
          for (const server of inTurn(servers, round)) {
            const micros = await measure(server, load);
            figures.add(server.name, micros);
            progress(`${server.name}, GET of ${load.name}: ${figure(micros)} µs of CPU`);
          }
        }
      }
    } finally {
      for (const server of servers) await server.stop();
    }
    const [redis, ingot] = servers.map(({ name }) => figures.median(name));
    const reached = times(ingot / redis);
    return [
      {
        title: 'GET of large values',
        head: ['what', 'redis µs/op', 'ingot µs/op', 'asked, of its CPU', 'reached'],
        rows: [[`GET of ${WHAT}`, figure(redis), figure(ingot), `${ASKED}x or less`, reached]],
      },
    ];
  },
};
