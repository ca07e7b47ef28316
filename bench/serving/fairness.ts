/** How long a GET takes while another client pipelines 1,000,000 SETs, beside how long it takes on an idle server: one
 *  connection, one GET at a time. Both clients share a core; Redis has the same. */

import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { keyOf } from '../load.ts';
import { RespClient } from '../resp-client.ts';
import type { BenchedServer } from '../servers.ts';
import { percentile } from '../statistics.ts';
import { figure } from '../stream/text-table.ts';
import { Figures, type Group, inTurn, times } from './group.ts';

const IDLE_GETS = 10_000;
/** Of 1,000,000 SETs each, in a round: one alone leaves few GETs to take the 99.9th percentile of. */
const FLOODS = 3;
const SHARE = 0.999;
const ASKED = '10x or less';

export const FAIRNESS: Group = {
  name: 'fairness',
  measure: async ({ keys, rounds, progress }, pair) => {
    const { redis, ingot } = await pair();
    const servers = [redis, ingot];
    const figures = new Figures();
    const floods = new Map<BenchedServer, ChildProcess>();
    try {
      for (const server of servers) floods.set(server, await startFlood(server.port, keys));
      for (let round = 0; round < rounds; round++) {
        for (const server of inTurn(servers, round)) {
          const taken = await measureOne(server, floods.get(server) as ChildProcess, keys);
          for (const [name, ms] of Object.entries(taken)) figures.add(`${server.name} ${name}`, ms);
          const { idleMs, floodedMs, gets } = taken;
          progress(
            `${server.name}: p99.9 of a GET ${figure(idleMs)} ms idle, ${figure(floodedMs)} ms beside SETs (${gets} GETs)`,
          );
        }
      }
    } finally {
      for (const child of floods.values()) child.kill();
    }
    const rows = servers.map(({ name }) => {
      const of = (what: string): number => figures.median(`${name} ${what}`);
      const [idle, flooded] = [of('idleMs'), of('floodedMs')];
      const asked = name === 'ingot' ? ASKED : '';
      const figuresOf = [figure(idle), figure(flooded), asked, times(flooded / idle)];
      return [`p99.9 of a GET, ${name}`, ...figuresOf, figure(of('medianMs'))];
    });
    const head = ['what', 'idle, ms', 'beside 1,000,000 SETs', 'asked', 'reached', 'median there'];
    return [{ title: 'A GET while another client pipelines 1,000,000 SETs', head, rows }];
  },
};

async function startFlood(port: number, keys: number): Promise<ChildProcess> {
  const file = join(import.meta.dirname, 'flood.ts');
  const child = fork(file, [String(port), String(keys)], { execArgv: ['--conditions=source'] });
  await once(child, 'message');
  return child;
}

async function measureOne(
  server: BenchedServer,
  flood: ChildProcess,
  keys: number,
): Promise<Record<'idleMs' | 'floodedMs' | 'medianMs' | 'gets', number>> {
  const client = await RespClient.connect(server.port);
  try {
    let left = IDLE_GETS;
    const idle = await getWhile(client, keys, () => left-- > 0);
    const flooded: number[] = [];
    for (let i = 0; i < FLOODS; i++) {
      let isOn = true;
      const done = once(flood, 'message').then(() => (isOn = false));
      flood.send('go');
      flooded.push(...(await getWhile(client, keys, () => isOn)));
      await done;
    }
    return {
      idleMs: percentile(idle, SHARE),
      floodedMs: percentile(flooded, SHARE),
      medianMs: percentile(flooded, 0.5),
      gets: flooded.length,
    };
  } finally {
    client.close();
  }
}

async function getWhile(
  client: RespClient,
  keys: number,
  goesOn: () => boolean,
): Promise<number[]> {
  const taken: number[] = [];
  while (goesOn()) {
    const command = ['GET', keyOf(Math.floor(Math.random() * keys))];
    const beganMs = performance.now();
    await client.send([command]);
    taken.push(performance.now() - beganMs);
  }
  return taken;
}
