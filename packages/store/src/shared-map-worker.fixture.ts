/** Worker thread of shared-map.test.ts: copies `from` to `to` and counts. */
import { workerData } from 'node:worker_threads';
import { attachMap, type MapHandle } from './index.ts';

const { handle, rounds } = workerData as { handle: MapHandle; rounds: number };
const map = attachMap(handle, { clock: () => 1_000_000 });
map.set('to', map.get('from') ?? '');
for (let i = 0; i < rounds; i++) map.increment('count');
