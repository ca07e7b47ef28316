import { describe, expect, test } from 'vitest';
import {
  CHUNK_BYTES,
  LANDED_SINCE_BASE,
  type Partition,
  PartitionMap,
  REDO_RECORD_BYTES_MAX,
  ROLE_FOLLOWER,
} from './index.ts';
import {
  assertEqualCopies,
  bulk,
  bytesOf,
  endBulk,
  flush,
  newFollower,
  newPrimary,
  Pair,
  patterned,
  RingReader,
  SMALL,
  sweepAll,
  usedChunksOf,
} from './pair.fixture.ts';
import { SLOT_BYTES, SLOTS_PER_UNIT, UNIT_BYTES } from './size-classes.ts';

function fill(partition: Partition, count: number, bytes = 300): PartitionMap {
  const map = new PartitionMap(partition);
  for (let i = 0; i < count; i++) map.set(bytesOf(`k${i}`), Buffer.alloc(bytes, i), 1 + i);
  return map;
}

/** One redo record of a primary, in a buffer of its own. */
function oneRecord(primary: Partition): Buffer {
  const reader = new RingReader(primary, primary.stats().seq);
  return Buffer.from(reader.buffer.buffer.slice(0, reader.read()));
}

describe('store: copies: bulk', () => {
  test('chunks of a live image and the redo since give the same bytes', () => {
    const primary = newPrimary();
    const map = fill(primary, 5_000);
    const follower = newFollower();
    const { seq } = primary.stats();
    const reader = new RingReader(primary, seq + 1);
    follower.beginBulk(seq);
    let n = 0;
    const write = (): void => {
      for (let i = 0; i < 20; i++, n++) {
        if (n % 3 === 0) map.delete(bytesOf(`k${(n * 7) % 5_000}`), 6_000);
        else map.set(bytesOf(`k${(n * 13) % 6_000}`), Buffer.alloc((n * 29) % 2_000, n), 6_000 + n);
      }
      reader.feed(follower);
    };
    bulk(primary, follower, usedChunksOf(primary), write);
    reader.feed(follower);
    expect(endBulk(primary, follower)).toBeNull();
    write();
    assertEqualCopies(primary, follower);
  });

  test('a chunk that was copied in the middle of a mutation is made whole by its redo', () => {
    const primary = newPrimary();
    const map = fill(primary, 3_000);
    const follower = newFollower();
    const { seq } = primary.stats();
    const reader = new RingReader(primary, seq + 1);
    follower.beginBulk(seq);
    const left = usedChunksOf(primary);
    // The sender looks at the live image between any two steps of the writer.
    primary.onStep = () => {
      const chunk = left.pop();
      if (chunk !== undefined) bulk(primary, follower, [chunk]);
    };
    for (let i = 0; left.length > 0; i++) {
      map.set(bytesOf(`k${(i * 17) % 4_000}`), Buffer.alloc((i * 31) % 900, i), 4_000);
    }
    primary.onStep = null;
    reader.feed(follower);
    expect(endBulk(primary, follower)).toBeNull();
    assertEqualCopies(primary, follower);
  });

  test('control: without the redo of what changed meanwhile the copy differs', () => {
    const primary = newPrimary();
    const map = fill(primary, 3_000);
    const follower = newFollower();
    follower.beginBulk(primary.stats().seq);
    let n = 0;
    bulk(primary, follower, usedChunksOf(primary), () => {
      map.set(bytesOf(`k${n++}`), Buffer.alloc(300, 99), 5_000);
    });
    const bytes = primary.chunksTouched() * CHUNK_BYTES;
    const copied = follower.imageBuffer.subarray(0, bytes);
    expect(primary.imageBuffer.subarray(0, bytes).equals(copied)).toBe(false);
  });

  test('a copy is read by nobody from the first byte that lands to the last', () => {
    const pair = new Pair();
    fill(pair.primary, 100);
    pair.stream();
    const token = pair.follower.readBegin();
    pair.follower.beginBulk(pair.primary.stats().seq);
    expect(pair.follower.consistent()).toBe(false);
    expect(pair.follower.readEnd(token)).toBe(false);
    expect(endBulk(pair.primary, pair.follower)).toBeNull();
    expect(pair.follower.consistent()).toBe(true);
  });

  test('chunks of extents that are torn, reused and freed while they are sent are whole after the redo', () => {
    const primary = newPrimary();
    const map = new PartitionMap(primary);
    for (let i = 0; i < 8; i++) map.set(bytesOf(`k${i}`), patterned(500_000, i), 1);
    const follower = newFollower();
    const { seq } = primary.stats();
    const reader = new RingReader(primary, seq + 1);
    follower.beginBulk(seq);
    let n = 0;
    const write = (): void => {
      const key = bytesOf(`k${(n * 5) % 9}`);
      if (n % 7 === 3) map.delete(key, 2);
      else if (n % 3 === 0) map.set(key, patterned(60_000 + ((n * 77_777) % 500_000), n), 2);
      else if (n % 3 === 1) map.append(key, patterned(90_000, n), 2);
      else map.setRange(key, (n * 33_333) % 400_000, patterned(80_000, n), 2);
      n++;
    };
    for (const chunk of usedChunksOf(primary)) {
      const generation = primary.stamps[chunk];
      follower.chunkLands(chunk);
      for (const [from, to] of [
        [0, 20_000],
        [20_000, CHUNK_BYTES],
      ]) {
        const half = primary.chunkBytesView(chunk, from, to);
        half.copy(follower.chunkBytesView(chunk, from, to));
        write();
        reader.feed(follower);
      }
      follower.chunkLanded(chunk, generation);
    }
    expect(endBulk(primary, follower)).toBeNull();
    assertEqualCopies(primary, follower);
    write();
    reader.feed(follower);
    assertEqualCopies(primary, follower);
    follower.promote(2, 3);
    sweepAll(follower, 3);
    expect(follower.verify()).toBeNull();
  });

  test('a follower that was promoted allocates where its primary would not overwrite anything', () => {
    const pair = new Pair();
    fill(pair.primary, 8_000, 100);
    pair.stream();
    for (let i = 0; i < 8_000; i += 2) pair.map.delete(bytesOf(`k${i}`), 9_000);
    pair.stream();
    pair.follower.promote(2, 9_001);
    const map = new PartitionMap(pair.follower);
    for (let i = 0; i < 6_000; i++) map.set(bytesOf(`new${i}`), Buffer.alloc(100, 5), 9_002);
    for (let i = 1; i < 8_000; i += 2)
      expect(map.get(bytesOf(`k${i}`), 9_002)).toEqual(Buffer.alloc(100, i));
    expect(pair.follower.verify()).toBeNull();
  });

  test('a copy of a smaller image forgets what it knew of the slots of a larger one', () => {
    const large = new Pair();
    for (let i = 0; i < 60; i++) {
      large.map.set(bytesOf(`l${i}`), Buffer.alloc(60_000), 1);
      large.stream();
    }
    const copy = large.follower;
    const primary = newPrimary();
    const map = fill(primary, 10);
    copy.reset();
    copy.setRole(ROLE_FOLLOWER, 1);
    const { seq } = primary.stats();
    copy.beginBulk(seq);
    bulk(primary, copy, usedChunksOf(primary));
    expect(endBulk(primary, copy)).toBeNull();
    const reader = new RingReader(primary, seq + 1);
    for (let i = 0; i < 20_000; i++) {
      map.set(bytesOf(`k${i}`), Buffer.alloc(100), 50);
      if (i % 500 === 0) reader.feed(copy);
    }
    reader.feed(copy);
    assertEqualCopies(primary, copy);
    copy.promote(2, 60);
    fill(copy, 30_000, 100);
    expect(copy.verify()).toBeNull();
  });
});

describe('store: copies: offers', () => {
  test('a copy that was rewound offers the generation of its primary, not one that it lost', () => {
    const lost = newPrimary();
    fill(lost, 10, 300);
    for (let i = 0; i < 20; i++) new PartitionMap(lost).set(bytesOf('k'), bytesOf('v'), 1_000 * i);
    const primary = newPrimary();
    fill(primary, 5);
    lost.setRole(ROLE_FOLLOWER, 2);
    lost.beginBulk(primary.stats().seq);
    bulk(primary, lost, usedChunksOf(primary));
    for (let chunk = 0; chunk < SMALL.chunkCount; chunk++) {
      if (primary.chunkIsFree(chunk)) lost.zeroChunk(chunk);
    }
    expect(endBulk(primary, lost)).toBeNull();
    expect(lost.offer().base?.generation).toBe(Math.max(...primary.stamps));
    assertEqualCopies(primary, lost);
  });

  test('a new copy has no base; a consistent one offers what it has applied', () => {
    expect(newFollower().offer()).toMatchObject({ base: null, history: [] });
    const pair = new Pair();
    fill(pair.primary, 10);
    pair.stream();
    const offer = pair.follower.offer();
    expect(offer.base).toEqual({ epoch: 1, seq: 11, generation: 1 });
    expect(offer.stamps).toEqual(pair.primary.stamps);
  });

  test('a copy that was cut in its bulk offers its base, and says which chunks landed since', () => {
    const pair = new Pair();
    fill(pair.primary, 2_000);
    pair.stream();
    const base = pair.follower.offer();
    pair.follower.beginBulk(pair.primary.stats().seq);
    bulk(pair.primary, pair.follower, [2, 4]);
    pair.follower.chunkLands(5); // and the connection broke
    const cut = pair.follower.offer();
    expect(cut.base).toEqual(base.base);
    const landed = [...cut.stamps].flatMap((stamp, chunk) =>
      stamp === LANDED_SINCE_BASE ? [chunk] : [],
    );
    expect(landed).toEqual([2, 4, 5]);
    // Another attempt, also cut: what landed in the first still counts.
    pair.follower.beginBulk(pair.primary.stats().seq);
    pair.follower.chunkLands(6);
    expect(pair.follower.offer().stamps[4]).toBe(LANDED_SINCE_BASE);
    expect(pair.follower.offer().stamps[6]).toBe(LANDED_SINCE_BASE);
    expect(pair.follower.offer().base).toEqual(base.base);
  });

  test('redo that was applied during a cut bulk shows in the stamps', () => {
    const pair = new Pair();
    fill(pair.primary, 10);
    pair.stream();
    pair.follower.beginBulk(pair.primary.stats().seq);
    pair.map.set(bytesOf('k1'), Buffer.alloc(300), 5_000);
    pair.stream();
    const offer = pair.follower.offer();
    expect(offer.base?.seq).toBe(11);
    expect(Math.max(...offer.stamps)).toBeGreaterThan(offer.base?.generation ?? Number.NaN);
  });

  test('a zeroed chunk counts as landed', () => {
    const pair = new Pair();
    fill(pair.primary, 10);
    pair.stream();
    pair.follower.beginBulk(1);
    pair.follower.zeroChunk(3);
    expect(pair.follower.offer().stamps[3]).toBe(LANDED_SINCE_BASE);
    expect(pair.follower.chunkBytesView(3, 0, CHUNK_BYTES).every((byte) => byte === 0)).toBe(true);
  });

  test('a reset copy has no base, no byte, and no stamp', () => {
    const pair = new Pair();
    fill(pair.primary, 5_000);
    pair.stream();
    pair.follower.reset();
    expect(pair.follower.offer().base).toBeNull();
    expect(pair.follower.stamps.every((stamp) => stamp === 0)).toBe(true);
    expect(pair.follower.stats()).toMatchObject({
      keys: 0,
      records: 0,
      usedBytes: 3 * CHUNK_BYTES,
    });
    expect(pair.follower.imageBuffer.equals(newFollower().imageBuffer)).toBe(true);
    expect(pair.follower.verify()).toBeNull();
  });
});

describe('store: copies: a received image', () => {
  const HEADER_BUCKET_COUNT = 24;
  test.each([
    ['magic', 0, 1, 'header: magic'],
    ['format version', 4, 9, 'header: format version'],
    ['byte order', 6, 9, 'header: byte order'],
    ['partitions', 16, 2, 'header: partitions'],
    ['bucket count', HEADER_BUCKET_COUNT, 5, 'header: bucket count (5) out of range'],
    ['chunks touched', 28, 9_999, 'header: chunks touched (9999) out of range'],
    ['index directory', 32_768, 77, 'index directory: position 0 names chunk 77'],
  ])('with a wrong %s is refused', (_, offset, value, rule) => {
    const pair = new Pair();
    fill(pair.primary, 100);
    pair.stream();
    pair.follower.beginBulk(pair.primary.stats().seq);
    bulk(pair.primary, pair.follower, usedChunksOf(pair.primary));
    if (offset === 4 || offset === 6) pair.follower.imageBuffer.writeUInt16LE(value, offset);
    else pair.follower.imageBuffer.writeUInt32LE(value, offset);
    expect(endBulk(pair.primary, pair.follower)).toBe(rule);
    expect(pair.follower.consistent()).toBe(false);
  });

  test('with refs that are no records is refused, and the next image is not taken in by the first', () => {
    const pair = new Pair();
    fill(pair.primary, 3_000);
    pair.stream();
    pair.follower.beginBulk(pair.primary.stats().seq);
    const { imageBuffer } = pair.follower;
    for (let ref = 2 * CHUNK_BYTES; ref < 3 * CHUNK_BYTES; ref += 64) {
      if (imageBuffer.readUInt32LE(ref + 4) === 0) continue;
      imageBuffer.writeUInt32LE(imageBuffer.readUInt32LE(ref + 4) + 16, ref + 4);
      break;
    }
    expect(endBulk(pair.primary, pair.follower)).toMatch(/is no record/);
    bulk(pair.primary, pair.follower, usedChunksOf(pair.primary));
    expect(endBulk(pair.primary, pair.follower)).toBeNull();
    assertEqualCopies(pair.primary, pair.follower);
  });
});

test('store: copies: a ref behind the last slot of its unit is no record', () => {
  const pair = new Pair();
  fill(pair.primary, 3_000);
  pair.stream();
  pair.follower.beginBulk(pair.primary.stats().seq);
  const { imageBuffer } = pair.follower;
  /** Where another slot would begin if the unit were longer; 0 where its slots fill it to the end. */
  const behindLast = (ref: number): number => {
    const sizeClass = imageBuffer[ref + 6];
    const end = SLOTS_PER_UNIT[sizeClass] * SLOT_BYTES[sizeClass];
    return end < UNIT_BYTES[sizeClass] ? (ref & -UNIT_BYTES[sizeClass]) + end : 0;
  };
  const refsAt = Array.from({ length: 1_024 }, (_, i) => 2 * CHUNK_BYTES + i * 64 + 4);
  const at = refsAt.find((word) => {
    const ref = imageBuffer.readUInt32LE(word);
    return ref !== 0 && behindLast(ref) !== 0;
  });
  if (at === undefined) throw new Error('no class leaves room behind its last slot');
  imageBuffer.writeUInt32LE(behindLast(imageBuffer.readUInt32LE(at)), at);
  expect(endBulk(pair.primary, pair.follower)).toMatch(/is no record/);
});

describe('store: copies: redo', () => {
  const PATCH_OFFSET = 24;
  const PATCH_LENGTH = 28;
  test.each<[string, (record: Buffer) => Buffer, RegExp]>([
    ['a gap', (record) => (record.writeUInt32LE(99, 8), record), /seq 99 where \d+ is due/],
    ['a repeated seq', (record) => (record.writeUInt32LE(1, 8), record), /seq 1 where/],
    ['a cut record', (record) => record.subarray(0, record.length - 4), /a record is cut/],
    ['a cut header', (record) => record.subarray(0, 12), /a record is cut/],
    [
      'bytes that are no words',
      (record) => record.subarray(0, record.length - 1),
      /a record is cut/,
    ],
    ['no records', (record) => record.subarray(0, 0), /a record is cut/],
    [
      'a record of no length',
      (record) => (record.writeUInt32LE(0, 0), record),
      /a record of 0 bytes/,
    ],
    [
      'too long a record',
      (record) => (record.writeUInt32LE(REDO_RECORD_BYTES_MAX + 4, 0), record),
      /a record of/,
    ],
    ['an unknown kind', (record) => ((record[4] = 7), record), /kind 7/],
    ['no end of its transaction', (record) => ((record[5] = 0), record), /has no end/],
    [
      'a patch behind the image',
      (record) => (record.writeUInt32LE(SMALL.imageBytes, PATCH_OFFSET), record),
      /out of range/,
    ],
    [
      'a patch at a negative offset',
      (record) => (record.writeInt32LE(-64, PATCH_OFFSET), record),
      /misaligned/,
    ],
    [
      'a patch off the words',
      (record) => (record.writeUInt32LE(70_001, PATCH_OFFSET), record),
      /misaligned/,
    ],
    [
      'a patch of nothing',
      (record) => (record.writeUInt32LE(0, PATCH_LENGTH), record),
      /misaligned/,
    ],
    [
      'a patch longer than its record',
      (record) => (record.writeUInt32LE(4_000, PATCH_LENGTH), record),
      /patch is cut|do not fill/,
    ],
    [
      'one patch too many',
      (record) => (record.writeUInt16LE(record.readUInt16LE(6) + 1, 6), record),
      /patch is cut/,
    ],
    [
      'one patch too few',
      (record) => (record.writeUInt16LE(record.readUInt16LE(6) - 1, 6), record),
      /do not fill/,
    ],
  ])('with %s is refused, and nothing is applied', (_, damage, rule) => {
    const pair = new Pair();
    fill(pair.primary, 10);
    pair.stream();
    pair.map.set(bytesOf('k3'), Buffer.alloc(300, 1), 5);
    const record = oneRecord(pair.primary);
    const before = Buffer.from(pair.follower.imageBuffer);
    const good = Buffer.from(record);
    const damaged = damage(record);
    const outcome = pair.follower.applyRedo(damaged, 0, damaged.length, 0);
    expect(outcome).toEqual({ ok: false, why: expect.stringMatching(rule) as string });
    expect(pair.follower.imageBuffer.equals(before)).toBe(true);
    const whole = Buffer.from(new ArrayBuffer(good.length));
    good.copy(whole);
    expect(pair.follower.applyRedo(whole, 0, whole.length, 0)).toMatchObject({ ok: true });
    assertEqualCopies(pair.primary, pair.follower);
  });

  test('a bad record behind good ones applies none of them', () => {
    const pair = new Pair();
    pair.stream();
    fill(pair.primary, 5);
    const reader = new RingReader(pair.primary, 2);
    const bytes = reader.read();
    const cut = pair.follower.applyRedo(reader.buffer, 0, bytes - 4, 0);
    expect(cut.ok).toBe(false);
    expect(pair.follower.stats()).toMatchObject({ seq: 1, records: 0 });
  });

  test('is refused by a copy that is no follower', () => {
    const pair = new Pair();
    fill(pair.primary, 3);
    pair.follower.setRole(0, 1);
    const reader = new RingReader(pair.primary, 1);
    expect(pair.follower.applyRedo(reader.buffer, 0, reader.read(), 0)).toEqual({
      ok: false,
      why: 'this copy is no follower',
    });
  });

  test('brings the clock of its primary: what has expired there stays expired here', () => {
    const pair = new Pair();
    pair.map.set(bytesOf('k'), bytesOf('v'), 100, { expiresAtMs: 500 });
    pair.reader.feed(pair.follower, 600);
    expect(new PartitionMap(pair.follower).get(bytesOf('k'), 100)).toBeNull();
  });

  test('a CHECK marker tells equal from different', () => {
    const pair = new Pair();
    fill(pair.primary, 100);
    pair.stream();
    const damaged = pair.follower.imageBuffer;
    damaged[4 * CHUNK_BYTES + 100] ^= 1;
    const sums = [3, 4].map((chunk) => pair.primary.appendCheck(chunk));
    const bytes = pair.reader.read();
    const outcome = pair.follower.applyRedo(pair.reader.buffer, 0, bytes, 0);
    if (!outcome.ok) throw new Error(outcome.why);
    expect(outcome.checks.map(({ chunk, expected }) => [chunk, expected])).toEqual([
      [3, sums[0]],
      [4, sums[1]],
    ]);
    expect(outcome.checks.map(({ expected, actual }) => expected === actual)).toEqual([
      true,
      false,
    ]);
  });

  test('flush, sweep and growth leave the follower with the counts of its primary', () => {
    const pair = new Pair();
    for (let i = 0; i < 12_000; i++) {
      pair.map.set(bytesOf(`k${i}`), Buffer.alloc(i % 90), 1);
      if (i % 1_000 === 999) pair.stream();
      if (i === 6_000) flush(pair.primary, 2);
    }
    pair.assertEqualAndSound();
    sweepAll(pair.primary, 3);
    pair.assertEqualAndSound();
    expect(pair.follower.stats().keys).toBe(5_999);
  });
});
