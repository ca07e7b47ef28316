/** npm run bench: Ingot and Redis side by side, in the same run on the same machine.
 *
 *    -- --rounds 5 --keys 1000000 --pipelines 1,16,64 --rows pipelines,mget,... --port 17400 --markdown
 *
 *  Values of 64 bytes, 50 connections, every key preloaded, servers on one core and their clients on another. Figures are
 *  medians of rounds. `--pipelines` alone measures nothing else. */

import { parseArgs } from 'node:util';
import { preload, VALUE_BYTES } from './load.ts';
import { CLIENT_CORE, startIngot, startRedis } from './servers.ts';
import { MGET, PIPELINES } from './serving/beside-redis.ts';
import { holdToCore } from './serving/cluster-load.ts';
import { FAIRNESS } from './serving/fairness.ts';
import { FORWARDING } from './serving/forwarding.ts';
import type { Group, Pair, Scale } from './serving/group.ts';
import { LARGE } from './serving/large.ts';
import { MANY_KEYS } from './serving/many-keys.ts';
import { THREE_NODES } from './serving/three-nodes.ts';
import { textTable } from './stream/text-table.ts';

const GROUPS: readonly Group[] = [
  ...[PIPELINES, MGET, FAIRNESS, MANY_KEYS],
  ...[THREE_NODES, LARGE, FORWARDING],
];

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    keys: { type: 'string', default: '1000000' },
    pipelines: { type: 'string' },
    rows: { type: 'string' },
    port: { type: 'string', default: '17400' },
    markdown: { type: 'boolean', default: false },
  },
});
const startedMs = performance.now();
const scale: Scale = {
  rounds: Number(values.rounds),
  keys: Number(values.keys),
  pipelines: (values.pipelines ?? '1,16,64').split(',').map(Number),
  port: Number(values.port),
  progress: (line) => {
    const seconds = ((performance.now() - startedMs) / 1_000).toFixed(0).padStart(4);
    process.stderr.write(`${seconds} s  ${line}\n`);
  },
};
const everything = values.pipelines === undefined ? GROUPS.map(({ name }) => name) : ['pipelines'];
const wanted = values.rows?.split(',') ?? everything;
const unknown = wanted.filter((name) => !GROUPS.some((group) => group.name === name));
if ([scale.rounds, scale.keys, scale.port, ...scale.pipelines].some((value) => !(value > 0))) {
  process.stderr.write('--rounds, --keys, --port and --pipelines take numbers\n');
  process.exit(2);
}
if (unknown.length > 0) {
  const names = GROUPS.map(({ name }) => name).join(', ');
  process.stderr.write(`--rows takes some of ${names}; not ${unknown.join(', ')}\n`);
  process.exit(2);
}

const started: Promise<Pair>[] = [];
const print = (line: string): void => void process.stdout.write(`${line}\n`);

holdToCore(process.pid, CLIENT_CORE);
try {
  const { keys, rounds } = scale;
  print(`${keys} keys, values of ${VALUE_BYTES} bytes, medians of ${rounds} rounds`);
  for (const group of GROUPS.filter(({ name }) => wanted.includes(name))) {
    const tables = await group.measure(scale, pairOnce);
    for (const { title, head, rows } of tables) {
      print(`\n${title}\n${textTable(head, rows, values.markdown)}`);
    }
  }
} finally {
  for (const pair of started) {
    const { redis, ingot } = await pair;
    for (const server of [redis, ingot]) await server.stop();
  }
}

function pairOnce(): Promise<Pair> {
  if (started.length === 0) started.push(startPair());
  return started[0];
}

async function startPair(): Promise<Pair> {
  const redis = await startRedis(scale.port + 20);
  const ingot = await startIngot(scale.port);
  for (const server of [redis, ingot]) {
    scale.progress(`${server.name}: loading ${scale.keys} keys`);
    await preload(server, scale.keys);
  }
  return { redis, ingot };
}
