import { describe, expect, test } from 'vitest';
import {
  CHUNK_BYTES,
  hashKey,
  OUT_OF_MEMORY,
  type Partition,
  PartitionMap,
  ROLE_FOLLOWER,
  SET_OK,
} from './index.ts';
import { bytesOf, newPrimary, Pair, sweepAll } from './pair.fixture.ts';
import { DRAIN_WORK, RECORD_WORK, URGENT_WORK } from './room.ts';

function set(partition: Partition, key: string, value: Buffer, expiresAtMs = 0, nowMs = 1): number {
  const name = bytesOf(key);
  partition.enter();
  const hash = hashKey(name, 0, name.length);
  const bytes = value.length;
  const outcome = partition.set(hash, name, 0, name.length, value, 0, bytes, expiresAtMs, nowMs);
  partition.leave();
  return outcome;
}

function refOf(partition: Partition, key: string, nowMs = 1): number {
  const name = bytesOf(key);
  return partition.find(hashKey(name, 0, name.length), name, 0, name.length, nowMs);
}

function read(partition: Partition, key: string): void {
  const ref = refOf(partition, key);
  if (ref !== 0) partition.mark(ref);
}

describe('store: chunks between classes', () => {
  test('a mix that shifts from 100 B to 4 KB to 300 B starves no class, in passages of bounded work', () => {
    const pair = new Pair();
    const { primary } = pair;
    let n = 0;
    let worst = 0;
    const bytesKept = (from: number, bytes: number): number => {
      let kept = 0;
      for (let i = from; i < n; i++) kept += refOf(primary, `k${i}`) === 0 ? 0 : bytes;
      return kept;
    };
    for (const bytes of [100, 4_000, 300, 20_000]) {
      const from = n;
      const value = Buffer.alloc(bytes, 1);
      for (let written = 0; written < 12_000_000; written += bytes + 60) {
        const { roomWork } = primary.stats();
        expect(set(primary, `k${n++}`, value)).toBe(SET_OK);
        worst = Math.max(worst, primary.stats().roomWork - roomWork);
        if (n % 20 === 0) pair.stream();
      }
      // It has got its share of the 8 MB from those who had them.
      expect(bytesKept(from, bytes)).toBeGreaterThan(3_000_000);
      pair.assertEqualAndSound();
    }
    expect(worst).toBeLessThanOrEqual(DRAIN_WORK + URGENT_WORK + 4 * RECORD_WORK);
    expect(primary.stats().drains).toBeGreaterThan(100);
  });

  test('records that are read all the while stay through a shift, and are moved rather than lost', () => {
    const primary = newPrimary();
    const hot = Array.from({ length: 300 }, (_, i) => `hot${i}`);
    for (let i = 0; primary.stats().evictions === 0; i++) {
      if (i % 60 === 0 && i < 18_000) set(primary, `hot${i / 60}`, Buffer.alloc(200, i / 60));
      set(primary, `k${i}`, Buffer.alloc(200));
    }
    for (let i = 0; i < 2_000; i++) {
      if (i % 10 === 0) for (const key of hot) read(primary, key);
      set(primary, `large${i}`, Buffer.alloc(4_000));
    }
    const map = new PartitionMap(primary);
    const kept = hot.filter((key, i) => map.get(bytesOf(key), 1)?.equals(Buffer.alloc(200, i)));
    expect(kept.length).toBeGreaterThanOrEqual(hot.length - 1);
    expect(primary.stats().moves).toBeGreaterThan(0);
    expect(primary.verify()).toBeNull();
  });

  test('classes of equal demand come to hold equal shares, whoever was there first', () => {
    const primary = newPrimary();
    for (let i = 0; primary.stats().evictions < 100; i++) set(primary, `k${i}`, Buffer.alloc(900));
    for (let i = 0; i < 30_000; i++) {
      set(primary, `a${i}`, Buffer.alloc(900));
      set(primary, `b${i}`, Buffer.alloc(700));
    }
    const kept = (name: string): number => {
      let count = 0;
      for (let i = 0; i < 30_000; i++) count += refOf(primary, `${name}${i}`) === 0 ? 0 : 1;
      return count;
    };
    expect(kept('b') / kept('a')).toBeGreaterThan(0.6);
    expect(kept('b') / kept('a')).toBeLessThan(1.7);
  });

  test('a moved record keeps expiry, seq and mark, and does not disturb WATCH', () => {
    const pair = new Pair();
    const { primary } = pair;
    for (let i = 0; i < 600; i++) set(primary, `k${i}`, Buffer.alloc(1_000, i), 5_000 + i);
    for (let i = 0; i < 600; i++) if (i % 64 > 20) pair.map.delete(bytesOf(`k${i}`), 1);
    const keys = Array.from({ length: 600 }, (_, i) => i).filter((i) => i % 64 <= 20);
    for (const i of keys) read(primary, `k${i}`);
    const watched = keys.map((i) =>
      primary.bucketSeq(hashKey(bytesOf(`k${i}`), 0, `k${i}`.length)),
    );
    const seqs = keys.map((i) => primary.recordSeq(refOf(primary, `k${i}`)));
    const used = primary.stats().usedBytes;
    primary.setCapacityChunks(used / CHUNK_BYTES - 5);
    sweepAll(primary, 2);
    expect(primary.stats().moves).toBeGreaterThan(20);
    expect(primary.stats().evictions).toBe(0);
    expect(primary.stats().usedBytes).toBeLessThan(used - 3 * CHUNK_BYTES);
    expect(keys.map((i) => primary.recordSeq(refOf(primary, `k${i}`)))).toEqual(seqs);
    expect(
      keys.map((i) => primary.bucketSeq(hashKey(bytesOf(`k${i}`), 0, `k${i}`.length))),
    ).toEqual(watched);
    for (const i of keys) {
      expect(pair.map.get(bytesOf(`k${i}`), 1)).toEqual(Buffer.alloc(1_000, i));
      expect(pair.map.expiresAtMs(bytesOf(`k${i}`), 1)).toBe(5_000 + i);
      const bit = refOf(primary, `k${i}`) >>> 5;
      expect(primary.accessMarks[bit >>> 5] & (1 << (bit & 31))).not.toBe(0);
    }
    pair.assertEqualAndSound();
  });

  test('what is free in cut chunks becomes whole chunks where those are needed, and no record is lost', () => {
    const pair = new Pair('noeviction');
    const { primary } = pair;
    const keys: string[] = [];
    const bytesOfKey = (i: number): number => (i % 3 === 0 ? 100 : i % 3 === 1 ? 500 : 1_800);
    for (let i = 0; set(primary, `k${i}`, Buffer.alloc(bytesOfKey(i), i)) === SET_OK; i++) {
      keys.push(`k${i}`);
      if (i % 50 === 0) pair.stream();
    }
    // Of each cut chunk one page is left, or one unit of four.
    const kept = keys.filter((key) => ((refOf(primary, key) >>> 13) & 7) === 3);
    const isKept = new Set(kept);
    for (const [i, key] of keys.entries()) {
      if (!isKept.has(key)) pair.map.delete(bytesOf(key), 1);
      if (i % 500 === 0) pair.stream();
    }
    let large = 0;
    while (set(primary, `large${large}`, Buffer.alloc(50_000, large)) === SET_OK) {
      large++;
      pair.stream();
    }
    expect(large).toBeGreaterThan(80); // of the 128 chunks that there are
    expect(primary.stats().moves).toBeGreaterThan(100);
    expect(primary.stats().evictions).toBe(0);
    for (const key of kept) {
      const i = Number(key.slice(1));
      expect(pair.map.get(bytesOf(key), 1)).toEqual(Buffer.alloc(bytesOfKey(i), i));
    }
    expect(primary.budget().freeUnits).toBeLessThan(3 * CHUNK_BYTES);
    pair.assertEqualAndSound();
  });

  test('a pinned chunk is neither drained nor given back', () => {
    const primary = newPrimary();
    for (let i = 0; primary.stats().evictions === 0; i++)
      set(primary, `k${i}`, Buffer.alloc(1_000));
    const pinned = refOf(primary, 'k70') >>> 16;
    const pin = new PartitionMap(primary).pin(bytesOf('k70'), 1);
    const before = Buffer.from(primary.chunkBytesView(pinned, 0, CHUNK_BYTES));
    for (let i = 0; i < 1_500; i++) set(primary, `large${i}`, Buffer.alloc(60_000));
    expect(primary.chunkIsFree(pinned)).toBe(false);
    expect(primary.chunkBytesView(pinned, 0, CHUNK_BYTES).equals(before)).toBe(true);
    pin?.unpin();
    expect(primary.verify()).toBeNull();
  });

  test('a copy that is promoted in the middle of a drain goes on with all its chunks', () => {
    const pair = new Pair();
    const { primary } = pair;
    for (let i = 0; primary.stats().evictions < 10; i++) {
      set(primary, `k${i}`, Buffer.alloc(150));
      if (i % 500 === 0) pair.stream();
    }
    set(primary, 'large', Buffer.alloc(3_000));
    for (let i = 0; i < 3; i++) set(primary, `more${i}`, Buffer.alloc(150));
    expect(primary.stats().draining).toBe(1);
    pair.stream();
    primary.setRole(ROLE_FOLLOWER, 2);
    expect(primary.verify()).toBeNull();
    primary.promote(3, 2);
    expect(primary.stats().draining).toBe(0);
    expect(primary.verify()).toBeNull();
  });
});

describe('store: a capacity that changes while writers write', () => {
  test('raised, it is honoured by the next set', () => {
    const primary = newPrimary('noeviction');
    primary.setCapacityChunks(10);
    let count = 0;
    while (set(primary, `k${count}`, Buffer.alloc(1_000)) === SET_OK) count++;
    primary.setCapacityChunks(20);
    for (let i = 0; i < 500; i++)
      expect(set(primary, `more${i}`, Buffer.alloc(1_000))).toBe(SET_OK);
    expect(primary.stats().usedBytes).toBeGreaterThan(17 * CHUNK_BYTES);
  });

  test('lowered, it is reached by the storage worker alone, in passages of bounded work', () => {
    const pair = new Pair();
    for (let i = 0; pair.primary.stats().evictions === 0; i++) {
      set(pair.primary, `k${i}`, Buffer.alloc(200));
      if (i % 500 === 0) pair.stream();
    }
    pair.primary.setCapacityChunks(40);
    let worst = 0;
    for (
      let steps = 0;
      pair.primary.stats().usedBytes > 39 * CHUNK_BYTES && steps < 5_000;
      steps++
    ) {
      const { roomWork } = pair.primary.stats();
      pair.primary.sweep(1, 1, 2);
      worst = Math.max(worst, pair.primary.stats().roomWork - roomWork);
      pair.stream();
    }
    expect(pair.primary.stats().usedBytes).toBe(39 * CHUNK_BYTES);
    expect(worst).toBeLessThanOrEqual(DRAIN_WORK + 2 * RECORD_WORK);
    pair.assertEqualAndSound();
  });
});

describe('store: volatile-ttl', () => {
  test('the records that are nearest to their expiry go, and none without one', () => {
    const primary = newPrimary('volatile-ttl');
    const value = Buffer.alloc(1_000);
    for (let i = 0; i < 2_000; i++) set(primary, `keep${i}`, value);
    let count = 0;
    while (primary.stats().evictions === 0) {
      set(primary, `t${count}`, value, 1_000_000 + ((count * 7_919) % 10_007));
      count++;
    }
    for (let i = 0; i < 1_000; i++) expect(set(primary, `new${i}`, value)).toBe(SET_OK);
    for (let i = 0; i < 2_000; i++) expect(refOf(primary, `keep${i}`)).not.toBe(0);
    for (let i = 0; i < 1_000; i++) expect(refOf(primary, `new${i}`)).not.toBe(0);
    let goneMs = 0;
    let gone = 0;
    for (let i = 0; i < count; i++) {
      if (refOf(primary, `t${i}`) !== 0) continue;
      goneMs += (i * 7_919) % 10_007;
      gone++;
    }
    // 1,001 of some 4,800 spread over 10,007 ms went; by chance their mean would be 5,000 ms.
    expect(gone).toBeGreaterThan(1_000);
    expect(goneMs / gone).toBeLessThan(2_000);
    expect(primary.verify()).toBeNull();
  });

  test('a record of another size pushes out those with an expiry', () => {
    const pair = new Pair('volatile-ttl');
    for (let i = 0; i < 3_000; i++) set(pair.primary, `keep${i}`, Buffer.alloc(400));
    for (let i = 0; pair.primary.stats().evictions === 0; i++) {
      set(pair.primary, `t${i}`, Buffer.alloc(400), 1_000_000 + i);
      if (i % 500 === 0) pair.stream();
    }
    for (let i = 0; i < 100; i++) {
      expect(set(pair.primary, `large${i}`, Buffer.alloc(9_000))).toBe(SET_OK);
      pair.stream();
    }
    for (let i = 0; i < 3_000; i++) expect(refOf(pair.primary, `keep${i}`)).not.toBe(0);
    for (let i = 0; i < 100; i++) expect(refOf(pair.primary, `large${i}`)).not.toBe(0);
    pair.assertEqualAndSound();
  });

  test('where no record has an expiry, a full partition is out of memory and keeps what it has', () => {
    const primary = newPrimary('volatile-ttl');
    let count = 0;
    while (set(primary, `k${count}`, Buffer.alloc(1_000)) === SET_OK) count++;
    expect(count).toBeGreaterThan(5_000);
    for (const bytes of [10, 1_000, 30_000]) {
      expect(set(primary, 'more', Buffer.alloc(bytes), 50_000)).toBe(OUT_OF_MEMORY);
    }
    expect(primary.stats()).toMatchObject({ keys: count, evictions: 0 });
    expect(primary.verify()).toBeNull();
  });
});
