/** Entry of a loading thread: reads some of a node's checkpoints into new images, before the node is anybody.
 *  Each is whole or refused; the thread ends when it has gone through its list. */
import { attachPartition, createPartition } from '@ingot/store';
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parentPort, workerData } from 'node:worker_threads';
import { CheckpointFile, CheckpointFolder } from '../checkpoint/checkpoint-file.ts';
import { loadCheckpoint } from '../checkpoint/load.ts';
import type { FromLoader, LoaderData } from './checkpoint-recovery.ts';

/** A file whose reading was cut short so often is read by a process of its own first. */
const READINGS_MAX = 2;
const PROBE_MS = 120_000;
const PROGRESS_BYTES = 16_777_216;

const { dataDir, clusterId, node, eviction, geometry, partitions } = workerData as LoaderData;
const folder = new CheckpointFolder(dataDir);

for (const partition of partitions) post(await load(partition));

function post(message: FromLoader): void {
  parentPort?.postMessage(message);
}

async function load(partition: number): Promise<FromLoader> {
  const refused = (why: string): FromLoader => ({ kind: 'refused', partition, why });
  let file: CheckpointFile | null = null;
  try {
    const readings = folder.beginReading(partition);
    if (readings >= READINGS_MAX && !(await isReadable(partition))) {
      return refused(`the process ended ${readings} times while it was being read`);
    }
    file = new CheckpointFile(folder.fileOf(partition), null);
    return read(file, partition);
  } catch (error) {
    return refused((error as Error).message);
  } finally {
    await file?.close();
    folder.endReading(partition);
  }
}

/** Whether a process lives through reading it. */
function isReadable(partition: number): Promise<boolean> {
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
  const entry = fileURLToPath(new URL(`./checkpoint-probe.${extension}`, import.meta.url));
  const data: LoaderData = { ...(workerData as LoaderData), partitions: [partition] };
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const options = { timeout: PROBE_MS };
  const command = [...process.execArgv, entry, JSON.stringify(data)];
  execFile(process.execPath, command, options, (error) => resolve(error === null));
  return promise;
}

function read(file: CheckpointFile, partition: number): FromLoader {
  const handle = createPartition(geometry, partition, { eviction });
  const steps = loadCheckpoint(
    file,
    { clusterId, node, partition, geometry },
    attachPartition(handle),
  );
  let bytes = 0;
  for (;;) {
    const step = steps.next();
    if (step.done === true) {
      post({ kind: 'progress', bytes });
      if (typeof step.value === 'string') return { kind: 'refused', partition, why: step.value };
      const { endedLife, savedAtMs } = step.value;
      return { kind: 'loaded', handle, endedLife, savedAtMs };
    }
    bytes += step.value;
    if (bytes < PROGRESS_BYTES) continue;
    post({ kind: 'progress', bytes });
    bytes = 0;
  }
}
