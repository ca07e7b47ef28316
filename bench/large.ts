/** npm run bench:large: what it costs to answer GETs of large values, beside redis-server.
 *
 *    -- --rounds 5
 *
 *  Server CPU per value, in turn on both servers, each on one core, with a client on another that reads and forgets: 50
 *  connections that each ask for one of 50 values at a time, as the other benches of the data plane do, and one
 *  connection alone, for which Redis finds its value and its own copy of it in the cache of the core. Prints what was
 *  asked beside what was reached. */

import { parseArgs } from 'node:util';
import { ASKED, ASKED_BYTES_MIN, CAPACITY, fill, LOADS, measure } from './large-values.ts';
import { startIngot, startRedis } from './servers.ts';
import { median } from './statistics.ts';
import { figure, textTable } from './stream/text-table.ts';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    port: { type: 'string', default: '27400' },
    markdown: { type: 'boolean', default: false },
  },
});
const rounds = Number(values.rounds);
const port = Number(values.port);
if (!(rounds > 0 && port > 0)) {
  process.stderr.write('--rounds and --port take numbers\n');
  process.exit(2);
}

const print = (line: string): void => void process.stdout.write(`${line}\n`);

const servers = [await startIngot(port, CAPACITY), await startRedis(port + 1)];
try {
  const micros = servers.map(() => LOADS.map((): number[] => []));
  for (const server of servers) for (const load of LOADS) await fill(server, load);
  for (let round = 0; round < rounds; round++) {
    for (const [l, load] of LOADS.entries()) {
      for (const [i, server] of servers.entries()) {
        const taken = await measure(server, load);
        micros[i][l].push(taken);
        print(`${server.name}, ${load.name}: ${figure(taken)} µs of CPU per value`);
      }
    }
  }
  const rows = LOADS.map(({ name, bytes, connections }, l) => {
    const [ingot, redis] = micros.map((of) => median(of[l]));
    const asked = bytes >= ASKED_BYTES_MIN ? `${ASKED}x` : '';
    const reached = `${figure(ingot / redis)}x`;
    return [name, String(connections), figure(ingot), figure(redis), asked, reached];
  });
  const head = ['GET of', 'connections', 'ingot, µs of CPU', 'redis', 'asked', 'reached'];
  print(`\n${textTable(head, rows, values.markdown)}`);
} finally {
  for (const server of servers) await server.stop();
}
