import { memoryUsage } from 'node:process';
import { describe, expect, test } from 'vitest';
import {
  hashKey,
  NEEDS_PASSAGES,
  OUT_OF_MEMORY,
  type Partition,
  PartitionMap,
  SET_OK,
  TOO_LARGE,
} from './index.ts';
import { bytesOf, flush, newPrimary, Pair, SMALL, sweepAll } from './pair.fixture.ts';

/** One chunk is kept in reserve. */
const FULL_BYTES = (8 << 20) - 65_536;

function set(partition: Partition, key: string, bytes: number, nowMs = 1, expiresAtMs = 0): number {
  const name = bytesOf(key);
  const value = new Uint8Array(bytes).fill(key.charCodeAt(0));
  partition.enter();
  const hash = hashKey(name, 0, name.length);
  const outcome = partition.set(hash, name, 0, name.length, value, 0, bytes, expiresAtMs, nowMs);
  partition.leave();
  return outcome;
}

function bucketSeqOf(partition: Partition, key: string): number {
  return partition.bucketSeq(hashKey(bytesOf(key), 0, key.length));
}

function fill(partition: Partition, prefix: string, bytes: number, nowMs = 1): number {
  for (let i = 0; ; i++) if (set(partition, `${prefix}${i}`, bytes, nowMs) !== SET_OK) return i;
}

describe('store: set', () => {
  test('takes any Uint8Array as value, from nothing to what fills a chunk with its key and header', () => {
    const primary = newPrimary();
    for (const bytes of [0, 1, 3, 31, 32, 33, 63, 64, 65, 1_000, 65_536 - 24 - 3]) {
      expect(set(primary, 'abc', bytes)).toBe(SET_OK);
      expect(new PartitionMap(primary).get(bytesOf('abc'), 1)).toEqual(Buffer.alloc(bytes, 'a'));
    }
    expect(set(primary, 'abc', 65_536 - 24 - 2)).toBe(NEEDS_PASSAGES);
    expect(set(primary, 'abc', SMALL.valueMaxBytes + 1)).toBe(TOO_LARGE);
    expect(primary.verify()).toBeNull();
  });

  test('keys of every length and alignment are told apart to the last byte', () => {
    const primary = newPrimary();
    const map = new PartitionMap(primary);
    const keys = Array.from({ length: 40 }, (_, bytes) => Buffer.alloc(bytes, 7));
    for (const key of keys) map.set(key, Buffer.from([key.length]), 1);
    for (const key of keys) expect(map.get(key, 1)).toEqual(Buffer.from([key.length]));
    for (const key of keys.slice(1)) {
      const other = Buffer.from(key);
      other[key.length - 1] = 8;
      expect(map.get(other, 1)).toBeNull();
    }
  });

  test('over a flushed record counts one key, not two and not none', () => {
    const pair = new Pair();
    set(pair.primary, 'k', 50);
    flush(pair.primary, 2);
    expect(pair.primary.stats()).toMatchObject({ keys: 0, records: 1 });
    set(pair.primary, 'k', 50, 3);
    expect(pair.primary.stats()).toMatchObject({ keys: 1, records: 1 });
    pair.assertEqualAndSound();
  });

  test.each([50, 5_000])(
    'over an expired record of another size (%d) counts the expiry',
    (bytes) => {
      const pair = new Pair();
      set(pair.primary, 'k', 50, 1, 10);
      set(pair.primary, 'k', bytes, 20);
      expect(pair.primary.stats()).toMatchObject({ keys: 1, expiries: 1 });
      pair.assertEqualAndSound();
    },
  );

  test('beyond its longest chain a bucket refuses, and nothing has changed', () => {
    const primary = newPrimary();
    const value = bytesOf('v');
    const attempt = (i: number): number => {
      const key = bytesOf(`k${i}`);
      primary.enter();
      const outcome = primary.set(42, key, 0, key.length, value, 0, 1, 0, 1); // all alike: hash 42
      primary.leave();
      return outcome;
    };
    const outcomes = Array.from({ length: 460 }, (_, i) => attempt(i));
    expect(outcomes.filter((outcome) => outcome === SET_OK).length).toBe(448);
    expect(outcomes.slice(448).every((outcome) => outcome === OUT_OF_MEMORY)).toBe(true);
    expect(attempt(3)).toBe(SET_OK);
  });

  test('a value and an overflow bucket that both need a chunk are both served when all is full', () => {
    const pair = new Pair();
    for (let i = 0; i < 130; i++) {
      set(pair.primary, `large${i}`, 60_000);
      pair.stream();
    }
    expect(pair.primary.stats().usedBytes).toBe(FULL_BYTES);
    const put = (n: number, valueBytes: number): number => {
      const key = bytesOf(`chained${n}`);
      pair.primary.enter();
      const value = Buffer.alloc(valueBytes);
      const outcome = pair.primary.set(42, key, 0, key.length, value, 0, valueBytes, 0, 1);
      pair.primary.leave();
      return outcome;
    };
    for (let n = 0; n < 7; n++) expect(put(n, 10)).toBe(SET_OK);
    const { records } = pair.primary.stats();
    expect(put(7, 1_000)).toBe(SET_OK);
    expect(pair.primary.stats().records).toBe(records + 1 - 2);
    pair.stream();
    expect(pair.follower.stats().records).toBe(records - 1);
  });

  test('allocates nothing in place, and finds and removes without allocating', () => {
    const primary = newPrimary();
    const key = bytesOf('some key of 24 bytes ...');
    const value = Buffer.alloc(64, 1);
    const hash = hashKey(key, 0, key.length);
    const nowMs = 1_800_000_000_000.5;
    const round = (count: number): void => {
      for (let i = 0; i < count; i++) {
        primary.enter();
        primary.set(hash, key, 0, key.length, value, 0, 64, 0, nowMs);
        if ((i & 3) === 0) primary.remove(hash, key, 0, key.length, nowMs);
        primary.leave();
        const token = primary.readBegin();
        const ref = primary.find(hash, key, 0, key.length, nowMs);
        primary.readEnd(token);
        if (ref !== 0) primary.mark(ref);
      }
    };
    round(200_000); // until the optimizing compiler is through
    const before = memoryUsage().heapUsed;
    round(200_000);
    expect((memoryUsage().heapUsed - before) / 200_000).toBeLessThan(1);
  });
});

describe('store: noeviction', () => {
  test('after a flush a full partition takes writes at once, of any size, before any sweep', () => {
    const primary = newPrimary('noeviction');
    expect(fill(primary, 'old', 1_000)).toBeGreaterThan(5_000);
    flush(primary, 2);
    for (let i = 0; i < 500; i++) {
      expect(set(primary, `new${i}`, 1_000, 3)).toBe(SET_OK);
      expect(set(primary, `other${i}`, 40, 3)).toBe(SET_OK);
    }
    expect(primary.stats()).toMatchObject({ keys: 1_000, evictions: 0, expiries: 0 });
    expect(primary.verify()).toBeNull();
  });

  test('a full partition makes room from what has expired, and counts expiries, not evictions', () => {
    const primary = newPrimary('noeviction');
    for (let i = 0; set(primary, `k${i}`, 10_000, 1, 100) === SET_OK; i++);
    expect(set(primary, 'late', 10_000, 200)).toBe(SET_OK);
    expect(primary.stats()).toMatchObject({ evictions: 0, expiries: 1 });
    expect(primary.verify()).toBeNull();
  });
});

describe('store: eviction', () => {
  test('expired records that give way count as expiries, flushed ones as nothing', () => {
    const expired = newPrimary();
    for (let i = 0; expired.stats().usedBytes < FULL_BYTES; i++)
      set(expired, `k${i}`, 5_000, 1, 100);
    for (let i = 0; i < 2_000; i++) set(expired, `new${i}`, 5_000, 200);
    expect(expired.stats().expiries).toBeGreaterThan(1_000);
    const flushed = newPrimary();
    for (let i = 0; flushed.stats().usedBytes < FULL_BYTES; i++) set(flushed, `k${i}`, 5_000, 1);
    flush(flushed, 2);
    for (let i = 0; i < 1_000; i++) set(flushed, `new${i}`, 5_000, 3);
    expect(flushed.stats()).toMatchObject({ evictions: 0, expiries: 0, keys: 1_000 });
    expect(flushed.verify()).toBeNull();
  });

  test('a capacity lowered below what is used ends no loop late: sets go on, and chunks come back', () => {
    const pair = new Pair();
    for (let i = 0; pair.primary.stats().usedBytes < FULL_BYTES; i++) {
      set(pair.primary, `k${i}`, 900);
      if (i % 500 === 0) pair.stream();
    }
    pair.primary.setCapacityChunks(20);
    expect(set(pair.primary, 'k1', 900, 2)).toBe(SET_OK);
    for (let i = 0; i < 60; i++) {
      set(pair.primary, `large${i}`, 60_000, 2);
      pair.stream();
    }
    expect(set(pair.primary, 'large', 60_000, 2)).toBe(SET_OK);
    expect(pair.primary.stats().usedBytes).toBeLessThanOrEqual(20 * 65_536);
    pair.assertEqualAndSound();
  });

  test('a capacity of nothing refuses every new record and keeps the rest', () => {
    const primary = newPrimary();
    set(primary, 'k', 100);
    primary.setCapacityChunks(0);
    expect(set(primary, 'other', 30_000)).toBe(OUT_OF_MEMORY);
    expect(primary.verify()).toBeNull();
  });

  test('a full partition of tiny records still grows its index', () => {
    const pair = new Pair();
    for (let i = 0; i < 230_000; i++) {
      set(pair.primary, `${i}`, 1);
      if (i % 1_000 === 0) pair.stream();
    }
    const { records, evictions } = pair.primary.stats();
    expect(evictions).toBeGreaterThan(10_000);
    expect(records / pair.primary.bucketCount()).toBeLessThan(9.1);
    pair.assertEqualAndSound();
  });
});

describe('store: what WATCH compares', () => {
  test('changes with every change of a key, also of one that stays absent', () => {
    const primary = newPrimary();
    const seen = [bucketSeqOf(primary, 'k')];
    set(primary, 'k', 10);
    seen.push(bucketSeqOf(primary, 'k'));
    new PartitionMap(primary).expire(bytesOf('k'), 50, 2);
    seen.push(bucketSeqOf(primary, 'k'));
    new PartitionMap(primary).delete(bytesOf('k'), 3);
    seen.push(bucketSeqOf(primary, 'k'));
    flush(primary, 4);
    seen.push(bucketSeqOf(primary, 'k'));
    expect(new Set(seen).size).toBe(seen.length);
  });

  test('does not come back to a value it had when the index shrinks', () => {
    const primary = newPrimary();
    for (let i = 0; i < 20_000; i++) set(primary, `k${i}`, 10);
    const seen = Array.from({ length: 500 }, (_, i) => bucketSeqOf(primary, `k${i}`));
    for (let i = 0; i < 20_000; i++) new PartitionMap(primary).delete(bytesOf(`k${i}`), 2);
    sweepAll(primary, 3);
    expect(primary.bucketCount()).toBe(1_024);
    expect(seen.filter((value, i) => value === bucketSeqOf(primary, `k${i}`))).toEqual([]);
  });
});
