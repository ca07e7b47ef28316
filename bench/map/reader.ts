/** Worker thread of the map bench: reads all keys several times and tells how many a second. */
import { parentPort, workerData } from 'node:worker_threads';
import { attachMap } from '../../packages/store/src/index.ts';
import { keysInRandomOrder, type ReaderTask } from './reading.ts';

const ROUNDS = 3;
const { handle, keyCount, control } = workerData as ReaderTask;
const keys = keysInRandomOrder(keyCount);
const map = attachMap(handle, { clock: Date.now });
const target = Buffer.alloc(64 * 1024);

function readAll(): void {
  let found = 0;
  for (const key of keys) if (map.getInto(key, target) >= 0) found++;
  if (found !== keyCount) throw new Error(`${found} of ${keyCount} keys are there`);
}

readAll();
Atomics.add(control, 0, 1);
Atomics.notify(control, 0);
Atomics.wait(control, 1, 0);
const startedAt = process.hrtime.bigint();
for (let round = 0; round < ROUNDS; round++) readAll();
const seconds = Number(process.hrtime.bigint() - startedAt) / 1e9;
parentPort?.postMessage((ROUNDS * keyCount) / seconds);
