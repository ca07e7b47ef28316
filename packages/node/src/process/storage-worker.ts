/** Entry of the storage worker: what has to be done to memory off the serving threads.
 *  Sweeps the partitions led here, looks after pins, and touches the pages of new images when `--prealloc`
 *  asks. */

import { setImmediate } from 'node:timers/promises';
import { attachPartition, type Partition, type PartitionHandle } from '@ingot/store';
import type { ToStorageWorker } from '../shared/messages.ts';
import { PinWatch } from './pin-watch.ts';
import { touchPages } from './prealloc.ts';
import { SweepRounds } from './sweep-rounds.ts';
import { closeLine, log, onMessage, ownData, post } from './worker-side.ts';

const PIN_LOOK_MS = 1_000;

const { settings, handles } = ownData();
const rounds = new SweepRounds();
const pinWatch = new PinWatch(settings.pinMaxMs, log);
const copies: Map<number, Partition> = new Map();
let untouched: PartitionHandle[] = [];
let touching = false;
let timer: NodeJS.Timeout | undefined;
const pinTimer = setInterval(lookAtPins, PIN_LOOK_MS);

onMessage((message: ToStorageWorker) => {
  if (message.kind === 'attach') attach(message.handle);
  else if (message.kind === 'detach') detach(message.partition);
  else if (message.kind === 'stop') stop();
});

for (const handle of handles) attach(handle);
sweep();
post({ kind: 'ready' });

function attach(handle: PartitionHandle): void {
  const partition = attachPartition(handle);
  copies.set(partition.id, partition);
  rounds.attach(partition);
  if (!settings.prealloc) return;
  untouched.push(handle);
  if (!touching) void touchAll();
}

function detach(partition: number): void {
  copies.delete(partition);
  rounds.detach(partition);
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

function stop(): void {
  clearTimeout(timer);
  clearInterval(pinTimer);
  untouched = [];
  closeLine();
}
