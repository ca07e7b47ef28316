/** GET, SET and MGET: server CPU (user + system of all threads) per operation, which says what a core is worth and
 *  disturbs itself less than throughput does. */

import { type Case, hitRatio, MGET_KEYS, measure } from '../load.ts';
import { figure } from '../stream/text-table.ts';
import { Figures, type Group, inTurn, type Pair, type Scale, type Table, times } from './group.ts';

/** Enough requests for a second of server CPU or so. */
const REQUESTS: Readonly<Record<number, number>> = { 1: 200_000, 16: 1_000_000, 64: 2_000_000 };
const MGET_REQUESTS = 30_000;

const HEAD = ['what', 'redis µs/op', 'ingot µs/op', 'asked', 'reached', 'redis op/s', 'ingot op/s'];

interface BesideCase extends Case {
  readonly what: string;
  readonly asked: string;
}

export const PIPELINES: Group = {
  name: 'pipelines',
  measure: (scale, pair) => beside('GET and SET', scale, pair, scale.pipelines.flatMap(casesOf)),
};

export const MGET: Group = {
  name: 'mget',
  measure: (scale, pair) =>
    beside('MGET', scale, pair, [
      {
        what: `MGET of ${MGET_KEYS} keys`,
        command: 'MGET',
        pipeline: 1,
        requests: MGET_REQUESTS,
        asked: '3x',
      },
    ]),
};

function casesOf(pipeline: number): BesideCase[] {
  const requests = REQUESTS[pipeline] ?? 1_000_000;
  return (['GET', 'SET'] as const).map((command) => ({
    what: `${command} pipeline ${pipeline}`,
    command,
    pipeline,
    requests,
    asked: askedOf(command, pipeline),
  }));
}

function askedOf(command: 'GET' | 'SET', pipeline: number): string {
  if (pipeline === 1) return '1x';
  if (pipeline === 64) return '3x';
  if (pipeline !== 16) return '';
  return command === 'GET' ? '2.5x (aim 3x)' : '2x (aim 3x)';
}

async function beside(
  title: string,
  { keys, rounds, progress }: Scale,
  pair: () => Promise<Pair>,
  cases: readonly BesideCase[],
): Promise<Table[]> {
  const { redis, ingot } = await pair();
  const figures = new Figures();
  for (let round = 0; round < rounds; round++) {
    for (const each of cases) {
      for (const server of inTurn([redis, ingot], round)) {
        const { cpuMicrosPerOp, opsPerSecond } = await measure(server, each, keys);
        figures.add(`${server.name} ${each.what} cpu`, cpuMicrosPerOp);
        figures.add(`${server.name} ${each.what} ops`, opsPerSecond);
        progress(`${server.name}, ${each.what}: ${figure(cpuMicrosPerOp)} µs of CPU`);
      }
    }
  }
  const rows = cases.map(({ what, asked }) => {
    const cpu = (name: string): number => figures.median(`${name} ${what} cpu`);
    const ops = (name: string): string => figures.median(`${name} ${what} ops`).toFixed(0);
    const reached = times(cpu('redis') / cpu('ingot'));
    return [
      ...[what, cpu('redis').toFixed(2), cpu('ingot').toFixed(2), asked, reached],
      ...[ops('redis'), ops('ingot')],
    ];
  });
  const ratios = `redis ${(await hitRatio(redis)).toFixed(4)}, ingot ${(await hitRatio(ingot)).toFixed(4)}`;
  return [{ title: `${title} (hit ratio: ${ratios})`, head: HEAD, rows }];
}
