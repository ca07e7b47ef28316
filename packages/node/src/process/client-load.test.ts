import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { expect, test } from 'vitest';
import { Counter, createCounters, WorkerCounters } from '../metrics/layout.ts';
import { ClientLoadMeter } from './client-load.ts';

test('client load: what all data workers have received', () => {
  const blocks = [createCounters(), createCounters()];
  const meter = new ClientLoadMeter(blocks);
  for (const block of blocks) new WorkerCounters(block).add(Counter.receivedBytes, 50);
  expect(meter.read().receivedBytes).toBe(100);
  meter.close();
});

test.runIf(process.platform === 'linux')(
  'client load: how often threads named data-N ran, and how long they waited to',
  async () => {
    const busy = `const { parentPort } = require('node:worker_threads');
      parentPort.on('message', () => parentPort.postMessage('awake'));`;
    const worker = new Worker(busy, { eval: true, name: 'data-0' });
    await once(worker, 'online');
    const meter = new ClientLoadMeter([createCounters()]);
    const before = meter.read();
    for (let i = 0; i < 20; i++) {
      worker.postMessage('wake up');
      await once(worker, 'message');
    }
    const after = meter.read();
    expect(after.runs).toBeGreaterThanOrEqual(before.runs + 10);
    expect(after.waitedMs).toBeGreaterThan(before.waitedMs);
    meter.close();
    await worker.terminate();
  },
);
