// Two workers and the main thread, one map.
import { once } from 'node:events';
import { isMainThread, Worker, workerData } from 'node:worker_threads';
import { attachMap, createMap } from '@ingot/store';

if (isMainThread) {
  const map = createMap({ capacityBytes: 64 * 1024 * 1024, clock: Date.now });
  map.set('greeting', 'hello', { ttlMs: 60_000 });

  const workers = ['a', 'b'].map((name) => {
    const url = new URL(import.meta.url);
    return new Worker(url, { workerData: { name, handle: map.handle } });
  });
  await Promise.all(workers.map((worker) => once(worker, 'exit')));

  console.log(map.get('from:a').toString(), map.get('from:b').toString());
  console.log(map.get('hits').toString());
} else {
  const { name, handle } = workerData;
  const map = attachMap(handle, { clock: Date.now });
  map.set(`from:${name}`, `${map.get('greeting')} from ${name}`);
  for (let i = 0; i < 1_000; i++) map.increment('hits');
}
