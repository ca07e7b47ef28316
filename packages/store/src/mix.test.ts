import { describe, expect, test } from 'vitest';
import { type Partition, PartitionMap } from './index.ts';
import { bytesOf, newPrimary, refOf } from './pair.fixture.ts';

/** Reads a key as a client does. */
function read(partition: Partition, key: string): void {
  const ref = refOf(partition, key);
  if (ref !== 0) partition.mark(ref);
}

function kept(partition: Partition, name: string, end: number): number {
  let count = 0;
  for (let i = 0; i < end; i++) count += refOf(partition, `${name}${i}`) === 0 ? 0 : 1;
  return count;
}

/** Fills a partition with values of one size, of which one in four was read. */
function fill(partition: Partition, name: string, valueBytes: number): void {
  const map = new PartitionMap(partition);
  const value = Buffer.alloc(valueBytes, 1);
  for (let count = 0; partition.stats().evictions === 0; count++) {
    map.set(bytesOf(`${name}${count}`), value, 1);
    if (count % 4 === 0) read(partition, `${name}${count}`);
  }
}

describe('store: a mix of sizes', () => {
  test('the sizes of a new mix have most of the memory once as many bytes were written as it holds', () => {
    for (const [before, after] of [
      [100, 1_500],
      [1_500, 100],
    ]) {
      const primary = newPrimary();
      const map = new PartitionMap(primary);
      fill(primary, 'old', before);
      const value = Buffer.alloc(after, 1);
      const writes = Math.floor((8 << 20) / (after + 40));
      for (let i = 0; i < writes; i++) map.set(bytesOf(`new${i}`), value, 1);
      expect(kept(primary, 'new', writes) / writes).toBeGreaterThan(0.45);
      expect(primary.verify()).toBeNull();
    }
  });

  test('of records that nobody reads, small ones stay longer than large ones, but not for ever', () => {
    const primary = newPrimary();
    const map = new PartitionMap(primary);
    const [small, large] = [Buffer.alloc(100), Buffer.alloc(1_800)];
    const writes = 20_000;
    for (let i = 0; i < writes; i++) {
      map.set(bytesOf(`small${i}`), small, 1);
      map.set(bytesOf(`large${i}`), large, 1);
    }
    expect(kept(primary, 'small', writes)).toBeGreaterThan(2 * kept(primary, 'large', writes));
    expect(kept(primary, 'large', writes)).toBeGreaterThan(1_500);
  });

  test('keys that were popular make way for those that are', () => {
    const primary = newPrimary();
    const map = new PartitionMap(primary);
    const value = Buffer.alloc(1_000);
    let count = 0;
    for (; primary.stats().evictions === 0; count++) map.set(bytesOf(`old${count}`), value, 1);
    for (let i = 0; i < count; i++) read(primary, `old${i}`);
    // Each new key is asked for once more, after a third of the records has been written anew.
    let hits = 0;
    for (let i = 0; i < 4 * count; i++) {
      map.set(bytesOf(`new${i}`), value, 1);
      const again = i - Math.floor(count / 3);
      if (refOf(primary, `new${again}`) !== 0) hits++;
      read(primary, `new${again}`);
    }
    expect(hits / (4 * count)).toBeGreaterThan(0.5);
    expect(kept(primary, 'old', count)).toBe(0);
  });
});
