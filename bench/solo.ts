/** A whole data path without a cluster: P local partitions, all led here, and one data worker.
 *  Used by the benchmark (this file is also a program) and for trying things by hand:
 *    node --conditions=source bench/solo.ts --port 7400 */

import { parseArgs } from 'node:util';
import { Worker } from 'node:worker_threads';
import { attachPartition, createPartition, planGeometry } from '../packages/store/src/index.ts';
import { createHubCounters } from '../packages/replication/src/counters.ts';
import { createCounters, WorkerCounters } from '../packages/node/src/metrics/layout.ts';
import { counterSums } from '../packages/node/src/process/node-stats.ts';
import type { ClusterMap } from '../packages/node/src/shared/map.ts';
import type {
  FromDataWorker,
  NodeStats,
  WorkerData,
} from '../packages/node/src/shared/messages.ts';
import type { Settings } from '../packages/node/src/shared/settings.ts';

const NODE_ID = 'solo';
const HOST = '127.0.0.1';

export interface SoloOptions {
  readonly port: number;
  readonly partitions: number;
  readonly capacityBytes: number;
}

/** Everything a data worker is given at start; its node leads every partition. */
export function soloData(options: SoloOptions): WorkerData {
  const { port, partitions, capacityBytes } = options;
  const ports = {
    client: port,
    replication: 0,
    control: 0,
    http: 0,
    cluster: port + 400,
    follower: port + 500,
  };
  const geometry = planGeometry({ partitions, capacityBytes });
  const settings: Settings = {
    id: NODE_ID,
    host: HOST,
    advertise: HOST,
    ports,
    dataDir: '',
    found: true,
    join: [],
    capacityBytes,
    capacityMaxBytes: capacityBytes * 8,
    partitions,
    copies: 1,
    valueMaxBytes: null,
    eviction: 'sieve',
    workers: 1,
    prealloc: false,
    insecure: false,
    logLevel: 'info',
    limits: {
      maxBulkBytes: 2 ** 29,
      maxArguments: 2 ** 20,
      maxQueryBufferBytes: 2 ** 30,
    },
    testDoor: false,
  };
  const map: ClusterMap = {
    version: 1,
    clusterId: 'solo',
    mapHost: NODE_ID,
    partitions,
    copies: 1,
    capacityBytes,
    capacityMaxBytes: capacityBytes * 8,
    valueMaxBytes: geometry.valueMaxBytes,
    eviction: 'sieve',
    nodes: [{ id: NODE_ID, incarnation: 1, state: 'up', advertise: HOST, ports }],
    placement: Array.from({ length: partitions }, () => ({
      epoch: 1,
      primary: NODE_ID,
      followers: [],
      lost: false,
    })),
    operations: {},
  };
  const handles = Array.from({ length: partitions }, (_, id) => createPartition(geometry, id));
  for (const handle of handles) attachPartition(handle).promote(1, Date.now());
  return {
    settings,
    nodeId: NODE_ID,
    incarnation: 1,
    workerIndex: 0,
    map,
    handles,
    wake: new Int32Array(new SharedArrayBuffer(8)),
    counters: createCounters(),
  };
}

/** Starts the data worker's thread; resolves when its ports are open. */
export function startSolo(options: SoloOptions): Promise<void> {
  const entry = new URL('../packages/node/src/serving/data-worker.ts', import.meta.url);
  const data = soloData(options);
  const worker = new Worker(entry, { workerData: data });
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  worker.on('error', reject);
  worker.on('message', (message: FromDataWorker) => {
    if (message.kind === 'ready') resolve();
    if (message.kind === 'failed') reject(new Error(message.text));
    if (message.kind !== 'ask') return;
    const result = message.what === 'nodeStats' ? nodeStats(data) : [];
    worker.postMessage({ kind: 'answer', id: message.id, result });
  });
  return promise;
}

/** What a node's main thread would answer for INFO. */
function nodeStats(data: WorkerData): NodeStats {
  return {
    startedAtMs: Date.now() - Math.floor(process.uptime() * 1000),
    dataWorkers: 1,
    commands: 0,
    counters: counterSums([new WorkerCounters(data.counters)]),
    replication: { partitions: [], counters: createHubCounters() },
  };
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      port: { type: 'string', default: '7400' },
      partitions: { type: 'string', default: '64' },
      capacity: { type: 'string', default: String(2 ** 30) },
    },
  });
  await startSolo({
    port: Number(values.port),
    partitions: Number(values.partitions),
    capacityBytes: Number(values.capacity),
  });
  console.log('ready');
}
