/** The store as a map in process, beside Map and lru-cache: nanoseconds of wall time per operation on one thread, then the
 *  reads of two threads at once on the same map.
 *    npm run bench:map -- [--keys 1000000] [--value 64] [--rounds 5]
 *
 *  Keys of 16 ASCII characters in random order, values of 64 bytes; all are there. All sides are asked with the same string
 *  objects, made by a template literal before the run: Map and lru-cache find their hash in the string and know them by their
 *  address; the store encodes, hashes and compares them each time. Start it with GLIBC_TUNABLES=glibc.malloc.hugetlb=1, too. Rounds are interleaved, figures are
 *  medians. `get` returns a Buffer on all sides: Map and lru-cache hand out the one they hold, the store a copy. */

import { once } from 'node:events';
import { parseArgs } from 'node:util';
import { Worker } from 'node:worker_threads';
import { LRUCache } from 'lru-cache';
import { createMap, type SharedMap } from '../packages/store/src/index.ts';
import { keysInRandomOrder, type ReaderTask } from './map/reading.ts';
import { median } from './statistics.ts';

const CAPACITY_BYTES = 512 * 1024 * 1024;
const READERS_MAX = 2;

const { values } = parseArgs({
  options: {
    keys: { type: 'string', default: '1000000' },
    value: { type: 'string', default: '64' },
    rounds: { type: 'string', default: '5' },
  },
});
const keyCount = Number(values.keys);
const rounds = Number(values.rounds);
const value = Buffer.alloc(Number(values.value), 7);
const keys = keysInRandomOrder(keyCount);

interface Side {
  readonly name: string;
  readonly set: () => number;
  readonly get: () => number;
}

/** Nanoseconds per key. Each side has loops of its own, so that none is made polymorphic by another. */
function timed(run: () => void): number {
  const startedAt = process.hrtime.bigint();
  run();
  return Number(process.hrtime.bigint() - startedAt) / keyCount;
}

let seen = 0;
const check = (): void => {
  if (seen !== keyCount * value.length) throw new Error(`read ${seen} bytes: keys are missing`);
  seen = 0;
};

function sideOfMap(): Side {
  const map = new Map<string, Buffer>();
  return {
    name: 'Map',
    set: () =>
      timed(() => {
        for (const key of keys) map.set(key, Buffer.from(value));
      }),
    get: () =>
      timed(() => {
        for (const key of keys) seen += map.get(key)?.length ?? 0;
      }),
  };
}

function sideOfLru(): Side {
  const cache = new LRUCache<string, Buffer>({ max: keyCount });
  return {
    name: 'lru-cache',
    set: () =>
      timed(() => {
        for (const key of keys) cache.set(key, Buffer.from(value));
      }),
    get: () =>
      timed(() => {
        for (const key of keys) seen += cache.get(key)?.length ?? 0;
      }),
  };
}

function sideOfStore(map: SharedMap): Side {
  return {
    name: '@ingot/store get',
    set: () =>
      timed(() => {
        for (const key of keys) map.set(key, value);
      }),
    get: () =>
      timed(() => {
        for (const key of keys) seen += map.get(key)?.length ?? 0;
      }),
  };
}

function sideOfGetInto(map: SharedMap): Side {
  const target = Buffer.alloc(value.length);
  return {
    name: '@ingot/store getInto',
    set: () => Number.NaN,
    get: () =>
      timed(() => {
        for (const key of keys) seen += map.getInto(key, target);
      }),
  };
}

function compareSides(map: SharedMap): void {
  const sides = [sideOfMap(), sideOfLru(), sideOfStore(map), sideOfGetInto(map)];
  const sets = sides.map((): number[] => []);
  const gets = sides.map((): number[] => []);
  for (let round = 0; round <= rounds; round++) {
    sides.forEach((side, i) => {
      const [set, get] = [side.set(), side.get()];
      check();
      if (round === 0) return; // filling and warming up
      sets[i].push(set);
      gets[i].push(get);
    });
  }
  const [ofMap] = gets.map(median);
  console.table(
    sides.map((side, i) => ({
      side: side.name,
      'get ns': Math.round(median(gets[i])),
      'get, x Map': Number((median(gets[i]) / ofMap).toFixed(2)),
      'set ns': Number.isNaN(sets[i][0]) ? '' : Math.round(median(sets[i])),
    })),
  );
}

/** Reads per second of `readers` threads together, each over all keys. */
async function readTogether(map: SharedMap, readers: number): Promise<number> {
  const control = new Int32Array(new SharedArrayBuffer(8));
  const workerData: ReaderTask = { handle: map.handle, keyCount, control };
  const workers = Array.from(
    { length: readers },
    () =>
      new Worker(new URL('map/reader.ts', import.meta.url), {
        workerData,
        execArgv: ['--conditions=source'],
      }),
  );
  const reports = workers.map((worker) => once(worker, 'message'));
  for (let ready = 0; ready < readers; ready = Atomics.load(control, 0)) {
    const waited = Atomics.waitAsync(control, 0, ready);
    if (waited.async) await waited.value;
  }
  Atomics.store(control, 1, 1);
  Atomics.notify(control, 1);
  const rates = await Promise.all(reports);
  return rates.reduce((sum, [perSecond]) => sum + (perSecond as number), 0);
}

async function compareThreads(map: SharedMap): Promise<void> {
  const ratios: number[] = [];
  const perReaders: number[][] = [[], []];
  for (let round = 0; round < rounds; round++) {
    for (let readers = 1; readers <= READERS_MAX; readers++) {
      perReaders[readers - 1].push(await readTogether(map, readers));
    }
    ratios.push((perReaders[1].at(-1) ?? 0) / (perReaders[0].at(-1) ?? 1));
  }
  const million = (rate: number): string => `${(rate / 1e6).toFixed(2)} M/s`;
  console.log(
    `getInto: one worker ${million(median(perReaders[0]))}, two on the same map ` +
      `${million(median(perReaders[1]))} together: ${median(ratios).toFixed(2)}x`,
  );
}

const map = createMap({ capacityBytes: CAPACITY_BYTES, clock: Date.now });
console.log(`GLIBC_TUNABLES=${process.env['GLIBC_TUNABLES'] ?? ''}`);
compareSides(map);
await compareThreads(map);
