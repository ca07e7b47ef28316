import { describe, expect, test } from 'vitest';
import { tryBeginRead } from './gate.ts';
import {
  attachPartition,
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
