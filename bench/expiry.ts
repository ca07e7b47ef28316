/** npm run bench:expiry: whether the sweeper keeps up with 100,000 expiries a second, what it costs, and what GETs notice.
 *
 *  One node with one data worker. Keys are written that expire one after the other, so many a second, for some seconds,
 *  `--lead` seconds from the start; nobody reads them, so only the sweeper frees them. Meanwhile GETs of other keys are
 *  timed one by one, before the first expiry and while they go on. */

import { performance } from 'node:perf_hooks';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { RespClient } from './resp-client.ts';
import { startIngot } from './servers.ts';
import { percentile } from './statistics.ts';

const BATCH = 1_000;
const READ_KEYS = 10_000;
const SAMPLES_MS = 5_000;

const { values } = parseArgs({
  options: {
    port: { type: 'string', default: '17500' },
    rate: { type: 'string', default: '100000' },
    seconds: { type: 'string', default: '8' },
    lead: { type: 'string', default: '30' },
  },
});
const rate = Number(values.rate);
const seconds = Number(values.seconds);
const ingot = await startIngot(Number(values.port));
try {
  const client = await RespClient.connect(ingot.port);
  const reader = await RespClient.connect(ingot.port);
  for (let from = 0; from < READ_KEYS; from += BATCH) {
    await client.send(
      Array.from({ length: BATCH }, (_, i) => ['SET', `read:${from + i}`, 'x'.repeat(64)]),
    );
  }
  const begunMs = Date.now();
  const firstExpiryMs = begunMs + Number(values.lead) * 1_000;
  for (let from = 0; from < rate * seconds; from += BATCH) {
    await client.send(
      Array.from({ length: BATCH }, (_, i) => {
        const expiresAtMs = Math.floor(firstExpiryMs + ((from + i) * 1_000) / rate);
        return ['SET', `gone:${from + i}`, 'x', 'PXAT', String(expiresAtMs)];
      }),
    );
  }
  const writtenSeconds = (Date.now() - begunMs) / 1_000;
  const before = await timeGets(reader);
  if (Date.now() > firstExpiryMs) throw new Error('writing took too long: give more --lead');
  await delay(Math.max(firstExpiryMs + 1_500 - Date.now(), 0));
  const [cpuBefore, expiredBefore, fromMs] = [
    ingot.cpuSeconds(),
    await expired(client),
    performance.now(),
  ];
  const during = await timeGets(reader);
  const tookSeconds = (performance.now() - fromMs) / 1_000;
  const cpu = ingot.cpuSeconds() - cpuBefore;
  const freed = (await expired(client)) - expiredBefore;
  const due = Math.min(rate * seconds, ((Date.now() - firstExpiryMs) / 1_000) * rate);
  console.log(`${rate * seconds} keys that expire, written in ${writtenSeconds.toFixed(1)} s`);
  console.log(
    `  freed            ${(freed / tookSeconds).toFixed(0)} a second, over ${tookSeconds.toFixed(1)} s`,
  );
  console.log(`  due, not freed   ${Math.max(due - (await expired(client)), 0).toFixed(0)}`);
  console.log(
    `  server CPU       ${((100 * cpu) / tookSeconds).toFixed(0)} % of a core, GETs included`,
  );
  console.log(`  GET p50, p99     ${before} before, ${during} meanwhile`);
  client.close();
  reader.close();
} finally {
  await ingot.stop();
}

async function expired(client: RespClient): Promise<number> {
  const [info] = await client.send([['INFO', 'stats']]);
  return Number(/expired_keys:(\d+)/.exec(info ?? '')?.[1]);
}

/** Microseconds of single GETs for some seconds. */
async function timeGets(client: RespClient): Promise<string> {
  const micros: number[] = [];
  for (const endMs = performance.now() + SAMPLES_MS; performance.now() < endMs; ) {
    const sentMs = performance.now();
    await client.send([['GET', `read:${micros.length % READ_KEYS}`]]);
    micros.push((performance.now() - sentMs) * 1_000);
  }
  return `${percentile(micros, 0.5).toFixed(0)} us, ${percentile(micros, 0.99).toFixed(0)} us`;
}
