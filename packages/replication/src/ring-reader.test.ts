import {
  attachPartition,
  createPartition,
  type Partition,
  PartitionMap,
  RING_EMPTY,
  RING_LAPPED,
} from '@ingot/store';
import { beforeEach, describe, expect, test, vi } from 'vitest';
import { smallGeometry } from './cluster.fixture.ts';
import { payloadChecksum } from './frame.ts';
import { idleSmallBuffersMax, RedoBuffers } from './redo-buffers.ts';
import { type RedoBlock, RingReader } from './ring-reader.ts';
import { RedoStream } from './redo-stream.ts';

let partition: Partition;
let map: PartitionMap;
let buffers: RedoBuffers;
let ring: RingReader;

beforeEach(() => {
  partition = attachPartition(createPartition(smallGeometry, 0));
  partition.promote(1, 1);
  map = new PartitionMap(partition);
  buffers = new RedoBuffers();
  ring = new RingReader(partition, buffers);
});

const write = (count: number, bytes = 100): void => {
  for (let i = 0; i < count; i++) map.set(Buffer.from(`key:${i}`), Buffer.alloc(bytes, i), 1);
};

/** A follower at the end of the ring. */
function stream(): RedoStream {
  const redo = new RedoStream(ring);
  const { seq } = partition.stats();
  redo.continueFrom(seq, 1, partition.ringFind(seq + 1));
  return redo;
}

function taken(redo: RedoStream): RedoBlock {
  const block = redo.take();
  if (typeof block === 'number') throw new Error(`no block: ${block}`);
  return block;
}

describe('one read of the ring for several followers', () => {
  test('followers at the same place share one copy and one checksum', () => {
    const followers = [stream(), stream(), stream()];
    const copies = vi.spyOn(partition, 'ringCopy');
    for (let round = 0; round < 5; round++) {
      write(20);
      const blocks = followers.map(taken);
      expect(new Set(blocks).size).toBe(1);
      expect(blocks[0].crc32).toBe(payloadChecksum(blocks[0].records));
      for (const follower of followers) follower.release();
    }
    expect(copies).toHaveBeenCalledTimes(5);
    expect(followers.map(({ seq }) => seq)).toEqual(Array(3).fill(partition.stats().seq));
  });

  test('a latecomer gets the block that the others are done with', () => {
    const [first, second] = [stream(), stream()];
    write(10);
    const block = taken(first);
    first.release();
    const copies = vi.spyOn(partition, 'ringCopy');
    expect(taken(second)).toBe(block);
    expect(copies).not.toHaveBeenCalled();
  });

  test('whoever is elsewhere in the ring gets a block of its own', () => {
    const first = stream();
    write(10);
    const second = stream();
    write(10);
    const [ahead, behind] = [taken(second), taken(first)];
    expect(behind.records.subarray(-ahead.records.length).equals(ahead.records)).toBe(true);
    first.release();
    second.release();
    write(10);
    expect(taken(first)).toBe(taken(second));
  });

  test('a stalled follower keeps its block whole and holds up nobody', () => {
    const [stalled, quick] = [stream(), stream()];
    write(10);
    const block = taken(stalled);
    const before = Buffer.from(block.records);
    expect(taken(quick)).toBe(block);
    quick.release();
    while (partition.ringCopy(block.endsAt, 131_072, buffers.take()) !== RING_LAPPED) {
      write(3, 5_000);
      taken(quick);
      quick.release();
    }
    expect(block.records.equals(before)).toBe(true);
    expect(quick.seq).toBe(partition.stats().seq);
    stalled.release();
    expect(stalled.take()).toBe(RING_LAPPED);
  });

  test('a slow follower costs one buffer, whatever the others go through', () => {
    const made = vi.spyOn(Buffer, 'allocUnsafeSlow');
    const [stalled, quick] = [stream(), stream()];
    write(1);
    taken(stalled);
    for (let round = 0; round < 100; round++) {
      write(10);
      taken(quick);
      quick.release();
    }
    expect(made.mock.calls.length).toBeLessThanOrEqual(3);
    made.mockRestore();
  });

  test('dozens of partitions with a block in flight at once need no new buffers in the end', () => {
    const streams = Array.from({ length: 64 }, () => {
      const each = attachPartition(createPartition(smallGeometry, 0));
      each.promote(1, 1);
      const redo = new RedoStream(new RingReader(each, buffers));
      redo.continueFrom(0, 1, each.ringFind(1));
      return { redo, records: new PartitionMap(each) };
    });
    const round = (): void => {
      for (const { redo, records } of streams) {
        for (let i = 0; i < 10; i++) records.set(Buffer.from(`key:${i}`), Buffer.alloc(100, i), 1);
        taken(redo);
      }
      for (const { redo } of streams) redo.release();
    };
    round();
    const made = vi.spyOn(Buffer, 'allocUnsafeSlow');
    round();
    expect(made).not.toHaveBeenCalled();
    made.mockRestore();
  });

  test('a block whose buffer serves something else is read anew', () => {
    const [first, late] = [stream(), stream()];
    write(10);
    const before = Buffer.from(taken(first).records);
    first.release();
    for (let i = 0; i < idleSmallBuffersMax; i++) buffers.take(1_000).fill(0);
    expect(taken(late).records.equals(before)).toBe(true);
  });

  test('a block that a lost connection held is never written over', () => {
    const [lost, other] = [stream(), stream()];
    write(10);
    const block = taken(lost);
    const before = Buffer.from(block.records);
    taken(other);
    lost.abandon();
    other.release();
    for (let i = 0; i < idleSmallBuffersMax; i++) buffers.take(1_000).fill(0);
    expect(block.records.equals(before)).toBe(true);
  });

  test('nothing new is no block', () => {
    expect(stream().take()).toBe(RING_EMPTY);
  });
});
