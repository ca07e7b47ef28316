import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { STILL_WAITS_MAX, tryBeginRead } from './gate.ts';
import {
  attachPartition,
  createMap,
  createPartition,
  newStableView,
  type Partition,
  type PartitionHandle,
} from './index.ts';
import { SMALL, wordsOf } from './pair.fixture.ts';

function newHandle(): [PartitionHandle, Partition] {
  const handle = createPartition(SMALL, 0);
  const partition = attachPartition(handle);
  partition.promote(1, 1);
  return [handle, partition];
}

describe('store: gate', () => {
  test('the gate may run over the end of its 32 bits', () => {
    const [handle, partition] = newHandle();
    wordsOf(handle)[0] = 0x7fff_fffe;
    const before = partition.readBegin();
    partition.enter();
    expect(tryBeginRead(wordsOf(handle))).toBe(-1);
    partition.leave();
    expect(partition.readEnd(before)).toBe(false);
    const after = partition.readBegin();
    expect(after).toBe(-0x8000_0000);
    expect(partition.readEnd(after)).toBe(true);
    wordsOf(handle)[0] = -2;
    partition.enter();
    partition.leave();
    expect(partition.readBegin()).toBe(0);
  });

  test('a reader that is disturbed every time goes through the gate itself', () => {
    const [, partition] = newHandle();
    let tries = 0;
    const read = (): number => {
      if (++tries <= 64) {
        partition.enter();
        partition.leave();
      }
      return tries;
    };
    expect(partition.readStable(read)).toBe(65);
    partition.enter();
    partition.leave();
  });

  test('what needs a stable view without waiting is told that a writer is inside', () => {
    const [, partition] = newHandle();
    const view = newStableView();
    partition.enter();
    expect(partition.tryStable(view)).toBe(false);
    partition.leave();
    expect(partition.tryStable(view)).toBe(true);
    expect(view).toMatchObject({ seq: 1, epoch: 1, role: 1, consistent: true });
  });
});

describe('store: gate: whoever is inside is lost', () => {
  afterEach(() => void vi.restoreAllMocks());
  const stuck = expect.objectContaining({ code: 'GATE_STUCK' }) as Error;

  /** In place of waits of a millisecond. */
  const waits = (onWait: () => void = () => {}) =>
    vi.spyOn(Atomics, 'wait').mockImplementation(() => {
      onWait();
      return 'timed-out';
    });

  test('who waits for a gate that does not move is told, reader and writer alike', () => {
    const [, partition] = newHandle();
    const wait = waits();
    partition.enter();
    expect(() => partition.readBegin()).toThrow(stuck);
    expect(() => partition.enter()).toThrow(stuck);
    expect(wait).toHaveBeenCalledTimes(2 * (STILL_WAITS_MAX + 1));
    partition.leave();
    expect(partition.verify()).toBeNull();
  });

  test('a gate that is always closed, but moves, is waited for', () => {
    const [handle, partition] = newHandle();
    const words = wordsOf(handle);
    partition.enter();
    let left = 2.5 * STILL_WAITS_MAX;
    waits(() => {
      left--;
      // Another one entered, or at last nobody.
      if (left % 50_000 === 0) words[0] += left === 0 ? 1 : 2;
    });
    expect(partition.readBegin() & 1).toBe(0);
    expect(left).toBe(0);
  });

  test('a worker that ends inside leaves the gate closed behind it', async () => {
    const map = createMap({ capacityBytes: 8 << 20, clock: () => 1_000 });
    map.set('k', 'value');
    const index = new URL('index.ts', import.meta.url).href;
    const code = `
      import { workerData } from 'node:worker_threads';
      import { attachPartition } from ${JSON.stringify(index)};
      attachPartition(workerData.partitions[0]).enter();
      process.exit(3);`;
    const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(code)}`), {
      ...{ workerData: map.handle, execArgv: ['--conditions=source'] },
    });
    expect(await once(worker, 'exit')).toEqual([3]);
    waits();
    expect(() => map.get('k')).toThrow(stuck);
    expect(() => map.set('k', 'other')).toThrow(stuck);
  });
});
