import { describe, expect, test } from 'vitest';
import { hashKey, type Partition, PartitionMap } from './index.ts';
import { bytesOf, newPrimary } from './pair.fixture.ts';
import { SPARED_MAX, YOUNG_PASSES_MAX } from './sieve.ts';

const VALUE = Buffer.alloc(1_000, 1);

function refOf(partition: Partition, key: string): number {
  return partition.find(hashKey(bytesOf(key), 0, key.length), bytesOf(key), 0, key.length, 1);
}

/** Reads a key as a client does. Whether it was there. */
function read(partition: Partition, key: string): boolean {
  const ref = refOf(partition, key);
  if (ref !== 0) partition.mark(ref);
  return ref !== 0;
}

/** Fills a partition with records of one size; returns how many there are before the first must go. */
function fillUp(partition: Partition): number {
  const map = new PartitionMap(partition);
  let count = 0;
  while (partition.stats().evictions === 0) map.set(bytesOf(`k${count++}`), VALUE, 1);
  return count;
}

describe('store: sieve', () => {
  test('a record that was read is spared once, one that was not goes first', () => {
    const primary = newPrimary();
    const map = new PartitionMap(primary);
    const value = Buffer.alloc(20_000);
    let count = 0;
    while (primary.stats().evictions === 0) map.set(bytesOf(`k${count++}`), value, 1);
    const read100 = Array.from({ length: 100 }, (_, i) => `k${i}`);
    const kept = (): number => read100.filter((key) => refOf(primary, key) !== 0).length;
    for (const key of read100) read(primary, key);
    const evictions = primary.stats().evictions;
    for (let i = 0; i < 50; i++) map.set(bytesOf(`new${i}`), value, 1);
    expect(primary.stats().evictions - evictions).toBe(50);
    expect(kept()).toBeGreaterThanOrEqual(99);
    // Their marks are used up: they stay while the hand looks at the young, and go after so many passes of it.
    for (let i = 0; i < 4 * count; i++) map.set(bytesOf(`newer${i}`), value, 1);
    expect(kept()).toBeGreaterThanOrEqual(99);
    const passes = YOUNG_PASSES_MAX + 2;
    for (let i = 0; i < passes * count; i++) map.set(bytesOf(`newest${i}`), value, 1);
    expect(kept()).toBe(0);
  });

  test('a scan of new keys, five times what fits, does not flush keys that are read all the while', () => {
    const primary = newPrimary();
    const map = new PartitionMap(primary);
    const count = fillUp(primary);
    const hot = Array.from({ length: 200 }, (_, i) => `k${i + 500}`);
    for (let i = 0; i < 5 * count; i++) {
      if (i % 20 === 0) for (const key of hot) read(primary, key);
      map.set(bytesOf(`scan${i}`), VALUE, 1);
    }
    expect(hot.filter((key) => refOf(primary, key) !== 0).length).toBe(hot.length);
    expect(primary.verify()).toBeNull();
  });

  test('where every record is marked, a search spares a bounded number and then takes the next', () => {
    const primary = newPrimary();
    const map = new PartitionMap(primary);
    const count = fillUp(primary);
    expect(count).toBeGreaterThan(2 * SPARED_MAX);
    for (let i = 0; i < count; i++) read(primary, `k${i}`);
    map.set(bytesOf('new'), VALUE, 1);
    expect(primary.stats().evictions).toBe(2);
    expect(refOf(primary, 'new')).not.toBe(0);
    // The marks of those spared are gone: the next searches find them at once, after the hand is around.
    for (let i = 0; i < count; i++) map.set(bytesOf(`more${i}`), VALUE, 1);
    expect(primary.stats().evictions).toBe(count + 2);
  });

  test('what readers no longer see is not spared, however often it was read', () => {
    const primary = newPrimary();
    const map = new PartitionMap(primary);
    const count = fillUp(primary);
    for (let i = 0; i < count; i++) read(primary, `k${i}`);
    const doomed = Array.from({ length: count }, (_, i) => `k${i}`).filter(
      (key) => refOf(primary, key) !== 0,
    );
    for (const key of doomed.slice(0, 10)) map.expire(bytesOf(key), 50, 1);
    map.set(bytesOf('new'), VALUE, 100);
    expect(primary.stats().evictions + primary.stats().expiries).toBe(2);
  });

  test('a class without chunks gets the one in reserve, and the next from the class with the most', () => {
    const primary = newPrimary();
    const map = new PartitionMap(primary);
    const count = fillUp(primary);
    map.set(bytesOf('tiny'), bytesOf('x'), 1);
    expect(map.get(bytesOf('tiny'), 1)).toEqual(bytesOf('x'));
    expect(primary.stats().keys).toBe(count);
    map.set(bytesOf('large'), Buffer.alloc(3_000), 1);
    expect(map.get(bytesOf('large'), 1)).toHaveLength(3_000);
    expect(primary.stats().keys).toBeGreaterThan(count - 100);
    expect(primary.verify()).toBeNull();
  });

  test('removing a record takes its mark along: who gets the slot starts unread', () => {
    const primary = newPrimary();
    const map = new PartitionMap(primary);
    map.set(bytesOf('first'), VALUE, 1);
    const slot = refOf(primary, 'first');
    read(primary, 'first');
    map.delete(bytesOf('first'), 1);
    const count = fillUp(primary);
    const tenant = Array.from({ length: count }, (_, i) => `k${i}`).find(
      (key) => refOf(primary, key) === slot,
    );
    // The hand starts at the first slot, so the tenant, unread, was the first to go.
    expect(tenant).not.toBe('k0');
    expect(refOf(primary, 'k0')).toBe(0);
  });
});
