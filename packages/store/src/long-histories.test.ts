import { describe, expect, test } from 'vitest';
import { StoreError } from './index.ts';
import { flush, Pair, sweepAll } from './pair.fixture.ts';

describe('store: long histories', () => {
  test('the index grows by splits: 60,000 small records stay findable and scan whole', () => {
    const pair = new Pair('noeviction');
    const count = 60_000;
    for (let i = 0; i < count; i++) {
      pair.map.set(Buffer.from(`k${i}`), Buffer.from(`v${i}`), 1);
      if (i % 500 === 0) pair.stream();
    }
    expect(pair.primary.bucketCount()).toBeGreaterThan(count / 8);
    for (let i = 0; i < count; i += 7)
      expect(pair.map.get(Buffer.from(`k${i}`), 1)?.toString()).toBe(`v${i}`);
    const seen = new Set<string>();
    let cursor = 0;
    do {
      const page = pair.map.scan(cursor, 100, 1);
      for (const k of page.keys) seen.add(k.toString());
      cursor = page.cursor;
    } while (cursor !== 0);
    expect(seen.size).toBe(count);
    pair.assertEqualAndSound();
  });

  test('a full partition evicts under sieve and goes on through changing sizes', () => {
    const pair = new Pair('sieve');
    let n = 0;
    for (const bytes of [60_000, 100, 3_000, 20, 30_000]) {
      for (let i = 0; i < 12_000_000 / bytes && i < 60_000; i++) {
        pair.map.set(Buffer.from(`k${n++}`), Buffer.alloc(bytes, n), 1);
        if (n % 20 === 0) pair.stream();
      }
      pair.assertEqualAndSound();
    }
    expect(pair.primary.stats().evictions).toBeGreaterThan(0);
    expect(pair.primary.stats().usedBytes).toBeLessThanOrEqual(8 << 20);
  });

  test('noeviction answers out of memory, changes nothing, and takes writes again after a delete', () => {
    const pair = new Pair('noeviction');
    let stored = 0;
    const fill = (): void => {
      for (;;) pair.map.set(Buffer.from(`k${stored++}`), Buffer.alloc(30_000, stored), 1);
    };
    expect(fill).toThrow(StoreError);
    stored--;
    const seq = stored;
    expect(() => pair.map.set(Buffer.from('more'), Buffer.alloc(30_000), 1)).toThrow(/full/);
    expect(pair.map.get(Buffer.from('k0'), 1)?.length).toBe(30_000);
    expect(pair.map.delete(Buffer.from('k0'), 1)).toBe(true);
    expect(pair.map.set(Buffer.from('more'), Buffer.alloc(30_000), 1).applied).toBe(true);
    expect(pair.primary.stats().keys).toBe(seq);
  });

  test('after a flush and a sweep all chunks but the first are free again and the index is small', () => {
    const pair = new Pair('sieve');
    for (let i = 0; i < 40_000; i++) {
      pair.map.set(Buffer.from(`k${i}`), Buffer.alloc(20), 1);
      if (i % 500 === 0) pair.stream();
    }
    flush(pair.primary, 2);
    expect(pair.primary.stats().keys).toBe(0);
    expect(pair.map.get(Buffer.from('k1'), 2)).toBeNull();
    pair.stream();
    for (let cursor = 0; ; ) {
      cursor = pair.primary.sweep(cursor, 1, 2);
      pair.stream();
      if (cursor === 0) break;
    }
    sweepAll(pair.primary, 2);
    expect(pair.primary.bucketCount()).toBe(1_024);
    expect(pair.primary.stats().usedBytes).toBe(3 * 65_536);
    pair.assertEqualAndSound();
  });
});
