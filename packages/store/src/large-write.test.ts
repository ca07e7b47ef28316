import { describe, expect, test } from 'vitest';
import {
  BUSY,
  CHUNK_BYTES,
  hashKey,
  type LargeWrite,
  OUT_OF_MEMORY,
  type Partition,
  PartitionMap,
  ROLE_FOLLOWER,
  SET_OK,
  TOO_LARGE,
  VOID,
} from './index.ts';
import {
  assertEqualCopies,
  bytesOf,
  flush,
  newPrimary,
  Pair,
  patterned,
  refOf,
  RingReader,
  SMALL,
  sweepAll,
} from './pair.fixture.ts';
import { ValuePlan, valueBytesMaxOf } from './value-plan.ts';

const MIB = 1 << 20;
const NOW_MS = 10;
/** Of an empty partition: header, chunk table, index. */
const FIXED_BYTES = 3 * CHUNK_BYTES;

function begin(partition: Partition, key: string, valueBytes: number): LargeWrite {
  const write = tryBegin(partition, key, valueBytes);
  if (typeof write === 'number') throw new Error(`refused: ${write}`);
  return write;
}

function tryBegin(partition: Partition, key: string, valueBytes: number): LargeWrite | number {
  const name = bytesOf(key);
  const hash = hashKey(name, 0, name.length);
  return partition.values.beginLarge(hash, name, 0, name.length, valueBytes);
}

/** Writes on until `until` bytes are there; pieces of `pieceBytes`. */
function writeTo(
  write: LargeWrite,
  value: Buffer,
  until: number,
  pieceBytes = CHUNK_BYTES,
): number {
  while (write.isOpen && write.written < until) {
    const bytes = Math.min(pieceBytes, until - write.written);
    const taken = write.write(value, write.written, bytes, NOW_MS);
    if (taken < 0) return taken;
  }
  return SET_OK;
}

/** After what was let go of has been swept, nothing is in use but what records refer to. */
function usedAfterSweep(partition: Partition): number {
  sweepAll(partition, NOW_MS);
  return partition.stats().usedBytes;
}

describe('store: large values: how they lie', () => {
  test.each([
    [3, 65_509, 0, 65_509],
    [3, 65_510, 1, 0],
    [3, 65_536, 1, 0],
    [3, 65_537, 1, 1],
    [3, 131_072 - 40, 1, 65_496],
    [3, 131_072 - 39, 2, 0],
    [3, 131_073, 2, 1],
    [60_000, 70_000, 1, 4_464],
    [65_511, 2, 1, 0],
  ])('key of %i bytes, value of %i: %i extents and %i bytes in the slot', (key, value, n, part) => {
    const plan = new ValuePlan();
    const fits = plan.lay(key, value, SMALL.valueMaxBytes);
    if (key === 65_511) return expect(fits).toBe(false);
    expect([fits, plan.extentCount, plan.partBytes]).toEqual([true, n, part]);
  });

  test('the longest value of a key is what fits, and one byte more does not', () => {
    const plan = new ValuePlan();
    for (const keyBytes of [0, 1, 40_000, 60_000, 65_400, 65_480, 65_496, 65_500, 65_511, 65_512]) {
      for (const valueMaxBytes of [MIB, 512 * MIB]) {
        const max = valueBytesMaxOf(keyBytes, valueMaxBytes);
        if (keyBytes <= 65_511) expect(plan.lay(keyBytes, max, valueMaxBytes)).toBe(true);
        expect(plan.lay(keyBytes, max + 1, valueMaxBytes)).toBe(false);
      }
    }
  });

  test('values of every kind of length are read as they were written, whole and in parts', () => {
    const pair = new Pair();
    for (const bytes of [65_509, 65_510, 65_536, 65_537, 131_033, 200_001, MIB - 1, MIB]) {
      const value = patterned(bytes, bytes);
      pair.map.set(bytesOf('key'), value, NOW_MS);
      expect(pair.map.get(bytesOf('key'), NOW_MS)?.equals(value)).toBe(true);
      for (const [from, to] of [
        [0, 1],
        [65_530, 65_545],
        [bytes - 70_000, bytes],
        [bytes - 1, bytes + 9],
        [bytes, bytes + 1],
      ]) {
        const range = pair.map.getRange(bytesOf('key'), Math.max(from, 0), to, NOW_MS);
        expect(range?.equals(value.subarray(Math.max(from, 0), to))).toBe(true);
      }
      pair.assertEqualAndSound();
    }
    expect(pair.map.delete(bytesOf('key'), NOW_MS)).toBe(true);
    expect(usedAfterSweep(pair.primary)).toBe(FIXED_BYTES);
    pair.assertEqualAndSound();
  });

  test('a follower that gets redo alone has the same bytes, and may be promoted and read', () => {
    const pair = new Pair();
    for (let i = 0; i < 30; i++) {
      pair.map.set(bytesOf(`k${i % 7}`), patterned(60_000 + i * 20_000, i), NOW_MS);
      pair.stream();
    }
    pair.assertEqualAndSound();
    pair.follower.promote(2, NOW_MS);
    const map = new PartitionMap(pair.follower);
    for (let i = 23; i < 30; i++) {
      const value = patterned(60_000 + i * 20_000, i);
      expect(map.get(bytesOf(`k${i % 7}`), NOW_MS)?.equals(value)).toBe(true);
    }
    for (let i = 0; i < 40; i++) map.set(bytesOf(`n${i}`), patterned(500_000, i), NOW_MS);
    expect(pair.follower.verify()).toBeNull();
  });
});

describe('store: large writes', () => {
  test('arrive in pieces of any length, and are seen when they are published', () => {
    for (const pieceBytes of [1_000, 4_096, 65_535, 65_536, 1_000_000]) {
      const pair = new Pair();
      const value = patterned(300_001, 1);
      pair.map.set(bytesOf('key'), bytesOf('before'), NOW_MS);
      const write = begin(pair.primary, 'key', value.length);
      expect(writeTo(write, value, value.length, pieceBytes)).toBe(SET_OK);
      expect(pair.map.get(bytesOf('key'), NOW_MS)).toEqual(bytesOf('before'));
      pair.assertEqualAndSound();
      expect(write.publish(5_000, NOW_MS)).toBe(SET_OK);
      expect(write.isOpen).toBe(false);
      expect(pair.map.get(bytesOf('key'), NOW_MS)?.equals(value)).toBe(true);
      expect(pair.map.expiresAtMs(bytesOf('key'), NOW_MS)).toBe(5_000);
      pair.assertEqualAndSound();
    }
  });

  test('what fits one slot is written into it alone, whatever lies behind', () => {
    const pair = new Pair();
    const { primary, map } = pair;
    // Slots side by side, once those of values with a list of extents; every second one is free again.
    for (let i = 0; i < 40; i++) {
      map.set(bytesOf(`k${i}`), Buffer.alloc(65_512, i), NOW_MS);
      pair.stream();
    }
    for (let i = 0; i < 40; i += 2) map.delete(bytesOf(`k${i}`), NOW_MS);
    for (let bytes = 0; bytes < 20; bytes++) {
      const value = patterned(bytes, bytes);
      const write = begin(primary, `n${bytes}`, bytes);
      writeTo(write, value, bytes);
      expect(write.publish(0, NOW_MS)).toBe(SET_OK);
      expect(map.get(bytesOf(`n${bytes}`), NOW_MS)).toEqual(value);
    }
    for (let i = 1; i < 40; i += 2) {
      expect(map.get(bytesOf(`k${i}`), NOW_MS)).toEqual(Buffer.alloc(65_512, i));
    }
    pair.assertEqualAndSound();
  });

  test('one passage takes no more than 64 KiB', () => {
    const primary = newPrimary();
    const write = begin(primary, 'key', 200_000);
    const value = patterned(200_000, 1);
    expect(write.write(value, 0, 1_000, NOW_MS)).toBe(1_000);
    expect(write.write(value, 1_000, 199_000, NOW_MS)).toBe(CHUNK_BYTES - 1_000);
    const before = primary.ringHead();
    expect(write.write(value, CHUNK_BYTES, 70_000, NOW_MS)).toBe(CHUNK_BYTES);
    expect(primary.ringHead() - before).toBeLessThan(CHUNK_BYTES + 200);
    write.abort(NOW_MS);
  });

  test('given up: its extents come back, the key keeps what it had', () => {
    const pair = new Pair();
    pair.map.set(bytesOf('key'), bytesOf('before'), NOW_MS);
    const write = begin(pair.primary, 'key', MIB);
    writeTo(write, patterned(MIB, 1), 700_000);
    write.abort(NOW_MS);
    write.abort(NOW_MS); // nothing more happens
    expect(usedAfterSweep(pair.primary)).toBe(FIXED_BYTES + CHUNK_BYTES);
    expect(pair.map.get(bytesOf('key'), NOW_MS)).toEqual(bytesOf('before'));
    expect(pair.primary.values.pinStats(NOW_MS).pins).toBe(0);
    pair.assertEqualAndSound();
  });

  test('under way: its extents are no orphans, neither for the sweeper nor for who needs room', () => {
    const pair = new Pair();
    const value = patterned(MIB, 1);
    const write = begin(pair.primary, 'key', MIB);
    writeTo(write, value, MIB);
    sweepAll(pair.primary, NOW_MS);
    for (let i = 0; i < 30; i++) {
      pair.map.set(bytesOf(`other${i}`), patterned(900_000, i), NOW_MS);
      pair.stream();
    }
    for (let i = 0; i < 300; i++) pair.map.set(bytesOf(`small${i}`), patterned(30_000, i), NOW_MS);
    expect(write.publish(0, NOW_MS)).toBe(SET_OK);
    expect(pair.map.get(bytesOf('key'), NOW_MS)?.equals(value)).toBe(true);
    expect(pair.primary.verify()).toBeNull();
  });

  test('under way in a full partition of many classes: another gives a chunk to who has none', () => {
    const pair = new Pair();
    pair.primary.setCapacityChunks(16);
    const write = begin(pair.primary, 'key', 66_000);
    writeTo(write, patterned(66_000, 1), 66_000);
    for (let i = 0; i < 40; i++) {
      const bytes = 60_000 - i * 1_480;
      expect(pair.map.set(bytesOf(`k${i}`), patterned(bytes, i), NOW_MS).applied).toBe(true);
      pair.stream();
    }
    expect(write.publish(0, NOW_MS)).toBe(SET_OK);
    pair.assertEqualAndSound();
  });

  test('two of the same key: the one that is published last stays, and nothing of the other', () => {
    const pair = new Pair();
    const [first, second] = [patterned(300_000, 1), patterned(500_000, 2)];
    const a = begin(pair.primary, 'key', first.length);
    const b = begin(pair.primary, 'key', second.length);
    writeTo(a, first, 200_000);
    writeTo(b, second, second.length);
    writeTo(a, first, first.length);
    expect(b.publish(0, NOW_MS)).toBe(SET_OK);
    expect(pair.map.get(bytesOf('key'), NOW_MS)?.equals(second)).toBe(true);
    expect(a.publish(0, NOW_MS)).toBe(SET_OK);
    expect(pair.map.get(bytesOf('key'), NOW_MS)?.equals(first)).toBe(true);
    pair.assertEqualAndSound();
    expect(usedAfterSweep(pair.primary)).toBe(FIXED_BYTES + 5 * CHUNK_BYTES);
  });

  test('what never fits is refused before anything is evicted for it', () => {
    const pair = new Pair();
    for (let i = 0; i < 7; i++) {
      pair.map.set(bytesOf(`k${i}`), patterned(MIB, i), NOW_MS);
      pair.stream();
    }
    const { evictions, seq } = pair.primary.stats();
    expect(tryBegin(pair.primary, 'key', MIB + 1)).toBe(TOO_LARGE);
    pair.primary.setCapacityChunks(10);
    expect(tryBegin(pair.primary, 'key', 7 * CHUNK_BYTES)).toBe(TOO_LARGE);
    expect(typeof tryBegin(pair.primary, 'key', 6 * CHUNK_BYTES)).toBe('object');
    expect(pair.primary.stats()).toMatchObject({ evictions, seq });
    const set = (): unknown => pair.map.set(bytesOf('key'), patterned(2 * MIB, 1), NOW_MS);
    expect(set).toThrow(/too large: raise --capacity or --value-max, or lower --partitions/);
  });

  test('those under way ask for half the capacity at most; the next is told to wait', () => {
    const primary = newPrimary();
    const writes = [1, 2, 3, 4].map((i) => begin(primary, `k${i}`, MIB));
    expect(tryBegin(primary, 'k5', MIB)).toBe(BUSY);
    writes[0].abort(NOW_MS);
    const last = tryBegin(primary, 'k5', MIB);
    expect(typeof last).toBe('object');
    for (const write of [...writes, last]) if (typeof write === 'object') write.abort(NOW_MS);
  });

  test('noeviction: a full partition says so, gives back what was written, and takes it once there is room', () => {
    const pair = new Pair('noeviction');
    for (let i = 0; i < 7; i++) {
      pair.map.set(bytesOf(`k${i}`), patterned(MIB, i), NOW_MS);
      pair.stream();
    }
    const { usedBytes } = pair.primary.stats();
    const write = begin(pair.primary, 'key', MIB);
    expect(writeTo(write, patterned(MIB, 9), MIB)).toBe(OUT_OF_MEMORY);
    expect(write.isOpen).toBe(false);
    expect(usedAfterSweep(pair.primary)).toBe(usedBytes);
    expect(pair.primary.stats()).toMatchObject({ keys: 7, evictions: 0 });
    pair.map.delete(bytesOf('k0'), NOW_MS);
    pair.map.set(bytesOf('key'), patterned(MIB, 9), NOW_MS);
    pair.assertEqualAndSound();
  });
});

describe('store: large writes and who leads', () => {
  test('sealed, or led in another epoch: void, and only lets go', () => {
    for (const change of [
      (primary: Partition): unknown => primary.seal(true),
      (primary: Partition): unknown => primary.setRole(ROLE_FOLLOWER, 2),
      (primary: Partition): unknown => primary.promote(2, NOW_MS),
    ]) {
      const primary = newPrimary();
      const value = patterned(MIB, 1);
      const writes = ['a', 'b', 'c'].map((key) => begin(primary, key, MIB));
      writeTo(writes[0], value, 300_000);
      writeTo(writes[1], value, MIB);
      writeTo(writes[2], value, 100_000);
      change(primary);
      const { seq } = primary.stats();
      expect(writes[0].write(value, 0, 100, NOW_MS)).toBe(VOID);
      expect(writes[1].publish(0, NOW_MS)).toBe(VOID);
      writes[2].abort(NOW_MS);
      expect(writes.every((write) => !write.isOpen)).toBe(true);
      expect(primary.stats().seq).toBe(seq);
      expect(primary.values.pinStats(NOW_MS)).toEqual({ pins: 0, oldestPinMs: 0 });
      expect(refOf(primary, 'b')).toBe(0);
    }
  });

  test('what is asked inside each passage may stop it', () => {
    const primary = newPrimary();
    let holdsLease = true;
    const name = bytesOf('key');
    const hash = hashKey(name, 0, name.length);
    const lease = (): boolean => holdsLease;
    const write = primary.values.beginLarge(hash, name, 0, name.length, MIB, lease);
    if (typeof write === 'number') throw new Error('refused');
    writeTo(write, patterned(MIB, 1), MIB);
    holdsLease = false;
    expect(write.publish(0, NOW_MS)).toBe(VOID);
    expect(refOf(primary, 'key')).toBe(0);
  });

  test('what an old primary left half written, the new one sweeps', () => {
    const pair = new Pair();
    pair.map.set(bytesOf('whole'), patterned(200_000, 3), NOW_MS);
    const write = begin(pair.primary, 'half', MIB);
    writeTo(write, patterned(MIB, 1), 800_000);
    pair.assertEqualAndSound();
    expect(pair.follower.stats().usedBytes).toBe(FIXED_BYTES + (13 + 4) * CHUNK_BYTES);
    pair.follower.promote(2, NOW_MS);
    expect(usedAfterSweep(pair.follower)).toBe(FIXED_BYTES + 4 * CHUNK_BYTES);
    expect(pair.follower.verify()).toBeNull();
    const map = new PartitionMap(pair.follower);
    expect(map.get(bytesOf('whole'), NOW_MS)?.equals(patterned(200_000, 3))).toBe(true);
  });

  test('a primary that follows for a while and leads again forgets its list of orphans', () => {
    const pair = new Pair();
    const { primary, follower } = pair;
    const put = (map: PartitionMap, prefix: string): void => {
      for (let i = 0; i < 4; i++) {
        map.set(bytesOf(`${prefix}${i}`), patterned(900_000, i), NOW_MS);
        if (primary.epoch() === 1) pair.stream();
      }
    };
    put(pair.map, 'k');
    for (let i = 0; i < 4; i++) pair.map.delete(bytesOf(`k${i}`), NOW_MS); // most is left in the list
    expect(primary.stats().usedBytes).toBeGreaterThan(FIXED_BYTES + 20 * CHUNK_BYTES);
    pair.stream();
    primary.setRole(ROLE_FOLLOWER, 2);
    follower.promote(2, NOW_MS);
    const back = new RingReader(follower, follower.stats().seq);
    const map = new PartitionMap(follower);
    sweepAll(follower, NOW_MS);
    for (let i = 0; i < 4; i++) {
      map.set(bytesOf(`n${i}`), patterned(900_000, i), NOW_MS); // in the chunks of the list
      back.feed(primary);
    }
    primary.promote(3, NOW_MS);
    put(pair.map, 'm');
    for (let i = 0; i < 4; i++) {
      expect(pair.map.get(bytesOf(`m${i}`), NOW_MS)?.equals(patterned(900_000, i))).toBe(true);
    }
    expect(primary.verify()).toBeNull();
    flush(primary, NOW_MS);
    expect(usedAfterSweep(primary)).toBe(FIXED_BYTES);
  });
});

describe('store: large values that go', () => {
  test('deleted, overwritten, expired, flushed: all of their extents come back', () => {
    const pair = new Pair();
    const put = (key: string, expiresAtMs = 0): void => {
      pair.map.set(bytesOf(key), patterned(700_000, 1), NOW_MS, { expiresAtMs });
      pair.stream();
    };
    for (const go of [
      (): unknown => pair.map.delete(bytesOf('key'), NOW_MS),
      (): unknown => pair.map.set(bytesOf('key'), bytesOf('small'), NOW_MS),
      (): unknown => pair.primary.sweep(0, 1_000, 2_000),
      (): unknown => flush(pair.primary, NOW_MS),
    ]) {
      put('key', 1_000);
      go();
      pair.map.delete(bytesOf('key'), NOW_MS);
      expect(usedAfterSweep(pair.primary)).toBe(FIXED_BYTES);
      pair.assertEqualAndSound();
    }
  });

  test('a delete gives a few back at once, in a passage that stays short', () => {
    const pair = new Pair();
    pair.map.set(bytesOf('key'), patterned(MIB, 1), NOW_MS);
    pair.stream();
    const { seq } = pair.primary.stats();
    pair.map.delete(bytesOf('key'), NOW_MS);
    expect(pair.primary.stats().seq - seq).toBe(5);
    pair.assertEqualAndSound();
  });

  test('so does an overwrite, even by what fits the slot of the record that listed them', () => {
    const pair = new Pair();
    pair.map.set(bytesOf('key'), patterned(4 * CHUNK_BYTES, 1), NOW_MS);
    pair.map.set(bytesOf('key'), patterned(33, 1), NOW_MS);
    expect(pair.primary.stats().usedBytes).toBe(FIXED_BYTES + CHUNK_BYTES);
    pair.assertEqualAndSound();
  });

  test('an extent that is used again holds nothing of what it held', () => {
    const pair = new Pair();
    for (const bytes of [65_521, 65_523, 65_530, 65_533]) {
      pair.map.set(bytesOf('other'), Buffer.alloc(MIB, 0xff), NOW_MS);
      pair.stream();
      pair.map.delete(bytesOf('other'), NOW_MS);
      pair.map.set(bytesOf(`set${bytes}`), patterned(bytes, 1), NOW_MS);
      pair.map.setRange(bytesOf(`range${bytes}`), bytes - 5, bytesOf('bytes'), NOW_MS);
      pair.assertEqualAndSound(); // which looks at the zeros
    }
  });

  test('overwrites with full memory take what the former value leaves, and evict nobody for it', () => {
    const pair = new Pair();
    const [others, value] = [patterned(MIB, 1), patterned(MIB, 2)];
    for (let i = 0; i < 5; i++) {
      pair.map.set(bytesOf(`k${i}`), others, NOW_MS);
      pair.stream();
    }
    for (let i = 0; i < 12; i++) {
      pair.map.set(bytesOf('key'), value, NOW_MS);
      pair.stream();
    }
    expect(pair.primary.stats()).toMatchObject({ keys: 6, evictions: 0 });
    pair.assertEqualAndSound();
  });

  test('the hand spares a large value that was read, and evicts one that was not', () => {
    const pair = new Pair();
    for (let i = 0; i < 7; i++) {
      pair.map.set(bytesOf(`k${i}`), patterned(MIB, i), NOW_MS);
      pair.stream();
    }
    for (const key of ['k0', 'k1', 'k3']) pair.primary.mark(refOf(pair.primary, key));
    pair.map.set(bytesOf('key'), patterned(MIB, 9), NOW_MS);
    const left = [0, 1, 2, 3, 4, 5, 6].filter((i) => refOf(pair.primary, `k${i}`) !== 0);
    expect(left).toEqual([0, 1, 3, 4, 5, 6]);
    assertEqualCopies(pair.primary, (pair.stream(), pair.follower));
  });
});
