/** Entry of the log worker, which a node has with `--durability log`: writes the redo of all copies to disk, group by group.
 *  A thread of its own, because it does nothing while the disk flushes, and checkpoints must not hold it up. */
import { AckBoard } from '@ingot/replication';
import { attachPartition } from '@ingot/store';
import { LmdbLogStore, logPath } from '../redo-log/lmdb-log-store.ts';
import { LogBoard } from '../redo-log/log-board.ts';
import { LogWriter } from '../redo-log/log-writer.ts';
import { writeGroups } from '../redo-log/write-groups.ts';
import { geometryOf } from '../shared/capacity.ts';
import type { ToLogWorker } from '../shared/messages.ts';
import { closeLine, log, onMessage, ownData, post } from './worker-side.ts';

const TELL_MS = 1_000;

const data = ownData();
const { settings, nodeId, map, handles, logStart } = data;
const board = new LogBoard(data.log, map.partitions);
const acks = new AckBoard(data.acks, map.partitions);
let { incarnation } = data;
const ending = new AbortController();

const writer = new LogWriter({
  board,
  owner: { clusterId: map.clusterId, node: nodeId, geometry: geometryOf(map) },
  life: () => incarnation,
  bytesMax: settings.logBytesMax,
  open: () => new LmdbLogStore(logPath(settings.dataDir), settings.logBytesMax),
  start: logStart,
  nowMs: Date.now,
  monotonicMs: () => performance.now(),
  wantSaves: (partitions) => post({ kind: 'save', partitions }),
  failing,
});

onMessage((message: ToLogWorker) => {
  if (message.kind === 'attach') writer.attach(attachPartition(message.handle));
  else if (message.kind === 'detach') writer.detach(message.partition);
  else if (message.kind === 'life') incarnation = message.incarnation;
  else if (message.kind === 'saved') {
    for (const { partition, copy, landings, seq } of message.saves) {
      writer.saved(partition, copy, landings, seq);
    }
    acks.notify(true);
  } else if (message.kind === 'stop') ending.abort();
});

for (const handle of handles) writer.attach(attachPartition(handle));
writer.begin();
const teller = setInterval(tell, TELL_MS);
post({ kind: 'ready' });
await run();

async function run(): Promise<void> {
  await writeGroups({ writer, board, committed: () => acks.notify(true), ending: ending.signal });
  clearInterval(teller);
  tell();
  await writer.close();
  closeLine();
}

function failing(why: string | null): void {
  acks.notify(true);
  tell();
  if (why === null) {
    log('info', 'log.goesOn', { text: 'the redo log is written again' });
    return;
  }
  const text =
    `the redo log is not written (${why}): whoever asked for acks=log is refused, all else goes on; ` +
    `make room on the disk of ${settings.dataDir}, and it goes on by itself`;
  log('error', 'log.failing', { why, text });
}

function tell(): void {
  post({
    kind: 'redoLog',
    status: {
      ...writer.figures,
      keptBytes: writer.keptBytes,
      unbased: writer.unbased,
      failing: writer.failingWhy,
    },
  });
}
