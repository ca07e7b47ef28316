/** Entry of the storage worker: what has to be done to memory off the serving threads.
 *  Sweeps the partitions led here, and touches the pages of new images when `--prealloc` asks. */

import { setImmediate } from 'node:timers/promises';
import { attachPartition, type PartitionHandle } from '@ingot/store';
import type { ToStorageWorker } from '../shared/messages.ts';
import { touchPages } from './prealloc.ts';
import { SweepRounds } from './sweep-rounds.ts';
import { closeLine, log, onMessage, ownData, post } from './worker-side.ts';

const { settings, handles } = ownData();
const rounds = new SweepRounds();
let untouched: PartitionHandle[] = [];
let touching = false;
let timer: NodeJS.Timeout | undefined;

onMessage((message: ToStorageWorker) => {
  if (message.kind === 'attach') attach(message.handle);
  else if (message.kind === 'detach') rounds.detach(message.partition);
  else if (message.kind === 'stop') stop();
});

for (const handle of handles) attach(handle);
sweep();
post({ kind: 'ready' });

function attach(handle: PartitionHandle): void {
  rounds.attach(attachPartition(handle));
  if (!settings.prealloc) return;
  untouched.push(handle);
  if (!touching) void touchAll();
}

function sweep(): void {
  timer = setTimeout(sweep, rounds.step(Date.now()));
}

async function touchAll(): Promise<void> {
  touching = true;
  const begunMs = performance.now();
  let copies = 0;
  for (let handle = untouched.shift(); handle !== undefined; handle = untouched.shift()) {
    for (const _ of touchPages(handle)) await setImmediate();
    copies++;
  }
  touching = false;
  const seconds = (performance.now() - begunMs) / 1_000;
  log('info', 'memory.touched', { copies, seconds: Number(seconds.toFixed(2)) });
}

function stop(): void {
  clearTimeout(timer);
  untouched = [];
  closeLine();
}
