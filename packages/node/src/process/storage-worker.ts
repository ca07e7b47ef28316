/** Entry of the storage worker: what has to be done to memory off the serving threads.
 *  Sweeps the partitions led here, saves all copies (`checkpoint/`), looks after pins, and touches the pages of new
 *  images when `--prealloc` asks. */

import { setImmediate } from 'node:timers/promises';
import { attachPartition, type Partition, type PartitionHandle } from '@ingot/store';
import { CheckpointFolder } from '../checkpoint/checkpoint-file.ts';
import { diskSpace } from '../checkpoint/disk-space.ts';
import { CheckpointRounds } from '../checkpoint/rounds.ts';
import { type ClusterMap, copiesOn } from '../shared/map.ts';
import type { ToStorageWorker } from '../shared/messages.ts';
import { PinWatch } from './pin-watch.ts';
import { touchPages } from './prealloc.ts';
import { SweepRounds } from './sweep-rounds.ts';
import { closeLine, log, onMessage, ownData, post } from './worker-side.ts';

const PIN_LOOK_MS = 1_000;

const { settings, nodeId, map, handles } = ownData();
const rounds = new SweepRounds();
const pinWatch = new PinWatch(settings.pinMaxMs, log);
const copies: Map<number, Partition> = new Map();
/** By partition: how many copies of it were given to this thread. */
const copyCounts: Map<number, number> = new Map();
const checkpoints = settings.checkpointEveryMs === 0 ? noCheckpoints() : newCheckpoints();
let held: ReadonlySet<number> = new Set(copiesOn(map, nodeId));
let untouched: PartitionHandle[] = [];
let touching = false;
let timer: NodeJS.Timeout | undefined;
const pinTimer = setInterval(lookAtPins, PIN_LOOK_MS);

onMessage((message: ToStorageWorker) => {
  if (message.kind === 'attach') attach(message.handle);
  else if (message.kind === 'detach') detach(message.partition);
  else if (message.kind === 'map') followMap(message.map);
  else if (message.kind === 'save') checkpoints?.saveSoon(message.partitions);
  else if (message.kind === 'end') void end(message.endedLife);
});

for (const handle of handles) attach(handle);
sweep();
checkpoints?.keepOnly(() => held);
checkpoints?.begin();
post({ kind: 'ready' });

function attach(handle: PartitionHandle): void {
  const partition = attachPartition(handle);
  copies.set(partition.id, partition);
  copyCounts.set(partition.id, (copyCounts.get(partition.id) ?? 0) + 1);
  rounds.attach(partition);
  checkpoints?.attach(partition);
  if (!settings.prealloc) return;
  untouched.push(handle);
  if (!touching) void touchAll();
}

function detach(partition: number): void {
  copies.delete(partition);
  rounds.detach(partition);
  checkpoints?.detach(partition, held.has(partition));
}

/** The node is in its cluster by now: what an earlier start had saved grows old, and is not to be taken for its memory. */
function noCheckpoints(): null {
  try {
    new CheckpointFolder(settings.dataDir).removeAll();
  } catch (error) {
    log('warn', 'checkpoint.notRemoved', { text: (error as Error).message });
  }
  return null;
}

function newCheckpoints(): CheckpointRounds {
  return new CheckpointRounds({
    folder: new CheckpointFolder(settings.dataDir),
    clusterId: map.clusterId,
    node: nodeId,
    everyMs: settings.checkpointEveryMs,
    bytesPerSecond: settings.checkpointBytesPerSecond,
    log,
    space: diskSpace,
    nowMs: Date.now,
    monotonicMs: () => performance.now(),
    tell: (status) => post({ kind: 'checkpoints', status }),
    saved: (partition, landings, seq) => {
      const { id } = partition;
      if (copies.get(id) !== partition) return;
      const copy = copyCounts.get(id) ?? 0;
      post({ kind: 'saved', saves: [{ partition: id, copy, landings, seq }] });
    },
  });
}

function followMap(newer: ClusterMap): void {
  held = new Set(copiesOn(newer, nodeId));
}

function lookAtPins(): void {
  const nowMs = Date.now();
  for (const partition of copies.values()) pinWatch.look(partition, nowMs);
}

function sweep(): void {
  timer = setTimeout(sweep, rounds.step(Date.now()));
}

async function touchAll(): Promise<void> {
  touching = true;
  const begunMs = performance.now();
  let touched = 0;
  for (let handle = untouched.shift(); handle !== undefined; handle = untouched.shift()) {
    for (const _ of touchPages(handle)) await setImmediate();
    touched++;
  }
  touching = false;
  const seconds = (performance.now() - begunMs) / 1_000;
  log('info', 'memory.touched', { copies: touched, seconds: Number(seconds.toFixed(2)) });
}

async function end(endedLife: number): Promise<void> {
  clearTimeout(timer);
  clearInterval(pinTimer);
  untouched = [];
  await checkpoints?.end(endedLife);
  closeLine();
}
