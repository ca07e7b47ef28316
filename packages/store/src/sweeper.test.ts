import { describe, expect, test } from 'vitest';
import { PartitionMap, ROLE_FOLLOWER } from './index.ts';
import { bytesOf, flush, newPrimary, Pair, sweepAll } from './pair.fixture.ts';

const FIXED_BYTES = 3 * 65_536;

describe('store: sweeper', () => {
  test('removes what has expired, counts it, and leaves the rest', () => {
    const pair = new Pair();
    for (let i = 0; i < 1_000; i++) {
      pair.map.set(bytesOf(`k${i}`), Buffer.alloc(50), 1, { expiresAtMs: i % 2 === 0 ? 100 : 0 });
    }
    sweepAll(pair.primary, 50);
    expect(pair.primary.stats()).toMatchObject({ keys: 1_000, expiries: 0 });
    sweepAll(pair.primary, 100);
    expect(pair.primary.stats()).toMatchObject({ keys: 500, records: 500, expiries: 500 });
    pair.assertEqualAndSound();
  });

  test('gives empty chunks back, and they serve another class', () => {
    const pair = new Pair();
    for (let i = 0; i < 2_000; i++) pair.map.set(bytesOf(`k${i}`), Buffer.alloc(500), 1);
    pair.stream();
    const used = pair.primary.stats().usedBytes;
    for (let i = 0; i < 2_000; i++) pair.map.delete(bytesOf(`k${i}`), 1);
    pair.stream();
    expect(pair.primary.stats().usedBytes).toBe(used);
    sweepAll(pair.primary, 2);
    expect(pair.primary.stats().usedBytes).toBe(FIXED_BYTES);
    const touched = pair.primary.chunksTouched();
    for (let i = 0; i < 10; i++) pair.map.set(bytesOf(`l${i}`), Buffer.alloc(60_000), 3);
    expect(pair.primary.chunksTouched()).toBe(touched);
    pair.assertEqualAndSound();
  });

  test('an index of one chunk lets go of its overflow buckets too, once it is empty', () => {
    const pair = new Pair();
    for (let i = 0; i < 4_500; i++) pair.map.set(bytesOf(`k${i}`), bytesOf('v'), 1);
    expect(pair.primary.bucketCount()).toBe(1_024);
    const slabBytes = Math.ceil(4_500 / 2_048) * 65_536;
    expect(pair.primary.stats().usedBytes).toBe(FIXED_BYTES + slabBytes + 65_536);
    flush(pair.primary, 2);
    sweepAll(pair.primary, 3);
    expect(pair.primary.stats().usedBytes).toBe(FIXED_BYTES);
    pair.assertEqualAndSound();
  });

  test('sets that come between its passages survive it', () => {
    const primary = newPrimary();
    const map = new PartitionMap(primary);
    for (let i = 0; i < 30_000; i++) map.set(bytesOf(`k${i}`), Buffer.alloc(20), 1);
    flush(primary, 2);
    let kept = 0;
    for (let cursor = 0, steps = 0; ; steps++) {
      if (steps % 3 === 0) map.set(bytesOf(`kept${kept++}`), Buffer.alloc(20), 3);
      cursor = primary.sweep(cursor, 2, 4);
      if (cursor === 0) break;
    }
    sweepAll(primary, 5);
    expect(primary.stats()).toMatchObject({ keys: kept, records: kept });
    for (let i = 0; i < kept; i++) expect(map.get(bytesOf(`kept${i}`), 5)).not.toBeNull();
    expect(primary.verify()).toBeNull();
  });

  test('grows again after it has shrunk', () => {
    const pair = new Pair();
    for (let life = 0; life < 3; life++) {
      for (let i = 0; i < 20_000; i++) {
        pair.map.set(bytesOf(`k${i}`), bytesOf(`${life}`), life * 10 + 1);
        if (i % 1_000 === 0) pair.stream();
      }
      expect(pair.primary.bucketCount()).toBeGreaterThan(2_500);
      expect(pair.map.get(bytesOf('k7'), life * 10 + 1)).toEqual(bytesOf(`${life}`));
      flush(pair.primary, life * 10 + 2);
      for (let cursor = 0; ; ) {
        cursor = pair.primary.sweep(cursor, 1, life * 10 + 3);
        pair.stream();
        if (cursor === 0) break;
      }
      sweepAll(pair.primary, life * 10 + 3);
      expect(pair.primary.bucketCount()).toBe(1_024);
      expect(pair.primary.stats().usedBytes).toBe(FIXED_BYTES);
      pair.assertEqualAndSound();
    }
  });

  test.each(['sealed', 'follower'])('leaves a partition alone that is %s', (state) => {
    const primary = newPrimary();
    const map = new PartitionMap(primary);
    map.set(bytesOf('k'), bytesOf('v'), 1, { expiresAtMs: 2 });
    if (state === 'sealed') primary.seal(true);
    else primary.setRole(ROLE_FOLLOWER, 2);
    const { seq } = primary.stats();
    sweepAll(primary, 3);
    expect(primary.stats()).toMatchObject({ seq, records: 1, expiries: 0 });
  });
});
