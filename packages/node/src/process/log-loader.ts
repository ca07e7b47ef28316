/** Entry of a loading thread: reads the redo log and applies it to the copies that the checkpoints gave, or to empty
 *  ones where there was none, before the node is anybody. One pass over the log; the thread ends behind it. What cannot be read is judged here, where
 *  the error still is what was thrown. */
import { attachPartition, createPartition, type PartitionHandle } from '@ingot/store';
import { parentPort, workerData } from 'node:worker_threads';
import { isDamage } from '../checkpoint/lmdb-file.ts';
import { ForeignLog } from '../redo-log/log-group.ts';
import { LmdbLogStore } from '../redo-log/lmdb-log-store.ts';
import { LogReplay, readLog } from '../redo-log/log-replay.ts';
import type { FromLogLoader, LogLoaderData } from './log-recovery.ts';

const PROGRESS_BYTES = 16_777_216;

const { path, owner, eviction, handles, partitions } = workerData as LogLoaderData;
const mine = new Set(partitions);
const replays = new Map<number, { handle: PartitionHandle; replay: LogReplay }>();
for (const handle of handles) {
  replays.set(handle.id, { handle, replay: new LogReplay(attachPartition(handle)) });
}
try {
  await run();
} catch (error) {
  const isForeign = error instanceof ForeignLog;
  post({ kind: 'failed', isDamage: isDamage(error), isForeign, why: (error as Error).message });
}

async function run(): Promise<void> {
  const store = new LmdbLogStore(path, null);
  try {
    const groups = readLog(store, owner);
    let bytes = 0;
    for (let step = groups.next(); ; step = groups.next()) {
      if (step.done === true) {
        for (const loaded of replays.values()) tell(loaded.handle, loaded.replay);
        post({ kind: 'end', end: step.value });
        return;
      }
      const { entries, clockMs } = step.value;
      for (const entry of entries) {
        if (!mine.has(entry.partition)) continue;
        replayOf(entry.partition).take(entry, clockMs);
        bytes += entry.records.length;
      }
      if (bytes < PROGRESS_BYTES) continue;
      post({ kind: 'progress', bytes });
      bytes = 0;
    }
  } finally {
    await store.close();
  }
}

function replayOf(partition: number): LogReplay {
  const known = replays.get(partition);
  if (known !== undefined) return known.replay;
  const handle = createPartition(owner.geometry, partition, { eviction });
  const replay = new LogReplay(attachPartition(handle));
  replay.beginEmpty();
  replays.set(partition, { handle, replay });
  return replay;
}

function tell(handle: PartitionHandle, { partition, applied, gap, broken }: LogReplay): void {
  const seq = partition.committedSeq();
  post({ kind: 'copy', handle, seq, landings: partition.landings(), applied, gap, broken });
}

function post(message: FromLogLoader): void {
  parentPort?.postMessage(message);
}
