import fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import { CHUNK_BYTES, hashKey, PartitionMap, ROLE_FOLLOWER, ROLE_PRIMARY } from './index.ts';
import {
  CHUNK_EXTENT,
  CHUNK_FREE,
  CHUNK_HEADER,
  CHUNK_INDEX,
  CHUNK_OVERFLOW,
  CHUNK_SLAB,
  CHUNK_TABLE,
  PATCH_HEADER_BYTES,
  REDO_HEADER_BYTES,
  REDO_RECORD_BYTES_MAX,
  REDO_REPAIR,
  REDO_TXN_END,
} from './layout.ts';
import {
  assertEqualCopies,
  bytesOf,
  flush,
  Pair,
  patterned,
  RingReader,
  usedChunksOf,
} from './pair.fixture.ts';

const nowMs = 9_000;
const KINDS = {
  header: CHUNK_HEADER,
  'chunk table': CHUNK_TABLE,
  index: CHUNK_INDEX,
  overflow: CHUNK_OVERFLOW,
  slab: CHUNK_SLAB,
  extent: CHUNK_EXTENT,
  free: CHUNK_FREE,
};

/** A pair whose image has chunks of every kind, in step. */
function wellUsedPair(): Pair {
  const pair = new Pair();
  const each = (count: number, step: number, change: (i: number) => void): void => {
    for (let i = 0; i < count; i += step) {
      change(i);
      if (i % 20 === 0) pair.stream();
    }
    pair.stream();
  };
  each(6_000, 1, (i) => pair.map.set(bytesOf(`k${i}`), Buffer.alloc(i % 60, i), 1));
  each(60, 1, (i) => pair.map.set(bytesOf(`l${i}`), Buffer.alloc(30_000), 1));
  each(60, 1, (i) => pair.map.delete(bytesOf(`l${i}`), 1));
  each(6_000, 5, (i) => pair.map.delete(bytesOf(`k${i}`), 1));
  each(3, 1, (i) => pair.map.set(bytesOf(`x${i}`), patterned(70_000 + i * 99_999, i), 1));
  pair.primary.sweep(0, 1_000, 1);
  pair.stream();
  return pair;
}

function chunkOfKind({ primary }: Pair, kind: number): number {
  for (let chunk = 0; chunk < primary.chunksTouched(); chunk++) {
    if ((primary.image32[(CHUNK_BYTES + chunk * 16) / 4] & 0xff) === kind) return chunk;
  }
  throw new Error(`the pair has no chunk of kind ${kind}`);
}

const damage = (pair: Pair, chunk: number, seed: number): void => {
  pair.follower.imageBuffer[chunk * CHUNK_BYTES + (seed % CHUNK_BYTES)] ^= 1 << (seed & 7);
};

function writeOn(pair: Pair, round: number): void {
  for (let i = 0; i < 300; i++) {
    const key = bytesOf(`k${(i * 17 + round) % 6_500}`);
    if (i % 4 === 0) pair.map.delete(key, nowMs);
    else pair.map.set(key, Buffer.alloc((i * 13) % 400, round), nowMs + i);
  }
}

/** Serves writes as a primary, next to what it had. */
function assertUsable(pair: Pair): void {
  const kept = pair.map.get(bytesOf('k1'), nowMs);
  pair.follower.promote(2, nowMs);
  const map = new PartitionMap(pair.follower);
  for (let i = 0; i < 2_000; i++) map.set(bytesOf(`new${i}`), Buffer.alloc(50, i), nowMs);
  expect(map.get(bytesOf('new1999'), nowMs)).toEqual(Buffer.alloc(50, 1_999));
  expect(map.get(bytesOf('k1'), nowMs)).toEqual(kept);
  expect(pair.follower.verify()).toBeNull();
}

describe('store: repair', () => {
  let pair: Pair;

  beforeEach(() => {
    pair = wellUsedPair();
  });

  test('is one record of one patch, the whole chunk, and changes nothing on the primary but its stamp', () => {
    const { primary } = pair;
    const before = Buffer.from(primary.imageBuffer);
    const chunk = chunkOfKind(pair, CHUNK_SLAB);
    const [stamp, { seq }] = [primary.stamps[chunk], primary.stats()];
    expect(primary.repairChunk(chunk, nowMs)).toBe(seq + 1);
    expect(primary.stats().seq).toBe(seq + 1);
    expect(primary.imageBuffer.equals(before)).toBe(true);
    expect(primary.stamps[chunk]).toBeGreaterThan(stamp);
    const bytes = pair.reader.read();
    expect(bytes).toBe(REDO_HEADER_BYTES + PATCH_HEADER_BYTES + CHUNK_BYTES);
    expect(bytes).toBeLessThan(REDO_RECORD_BYTES_MAX);
    const record = pair.reader.buffer;
    expect(record[5]).toBe(REDO_REPAIR | REDO_TXN_END);
    expect(record.readUInt16LE(6)).toBe(1);
    expect(record.readUInt32LE(REDO_HEADER_BYTES)).toBe(chunk * CHUNK_BYTES);
    expect(record.readUInt32LE(REDO_HEADER_BYTES + 4)).toBe(CHUNK_BYTES);
    expect(
      before.equals(
        Buffer.concat([
          before.subarray(0, chunk * CHUNK_BYTES),
          record.subarray(32, bytes),
          before.subarray((chunk + 1) * CHUNK_BYTES),
        ]),
      ),
    ).toBe(true);
  });

  test('is made by a primary that takes writes, by nobody else', () => {
    expect(pair.follower.repairChunk(3, nowMs)).toBe(-1);
    const sealedAt = pair.primary.seal(true);
    expect(pair.primary.repairChunk(3, nowMs)).toBe(-1);
    expect(pair.primary.stats().seq).toBe(sealedAt);
    pair.primary.seal(false);
    expect(pair.primary.repairChunk(3, nowMs)).toBe(sealedAt + 1);
  });

  test.each(Object.entries(KINDS))(
    'makes a damaged %s chunk equal again; the copy serves and can be promoted',
    (_, kind) => {
      const chunk = chunkOfKind(pair, kind);
      const token = pair.follower.readBegin();
      for (const seed of [3, 8_191, 40_000, 65_535]) damage(pair, chunk, seed);
      pair.primary.repairChunk(chunk, nowMs);
      pair.assertEqualAndSound();
      expect(pair.follower.consistent()).toBe(true);
      expect(pair.follower.readEnd(token)).toBe(false);
      writeOn(pair, 1);
      pair.assertEqualAndSound();
      assertUsable(pair);
    },
  );

  test('wherever a byte is flipped, and whatever is written before and after the repair, the copy ends equal', () => {
    fc.assert(
      fc.property(
        fc.nat(10_000),
        fc.array(fc.nat(0xffff), { minLength: 1, maxLength: 4 }),
        fc.nat(3),
        (pick, seeds, writes) => {
          const used = pair.primary.chunksTouched();
          const chunk = pick % used;
          for (const seed of seeds) damage(pair, chunk, seed);
          for (let round = 0; round < writes; round++) writeOn(pair, round);
          if (pick % 3 === 0) pair.stream(); // else all of it comes in one run
          pair.primary.repairChunk(chunk, nowMs);
          writeOn(pair, pick);
          if (pick % 50 === 0) flush(pair.primary, nowMs);
          pair.assertEqualAndSound();
        },
      ),
      { numRuns: 60, seed: 5 },
    );
    assertUsable(pair);
  });

  test('a chunk of records needs no rebuild: what readers marked stays marked', () => {
    const ref = refOf(pair, 'k59');
    pair.follower.mark(ref);
    const marks = Int32Array.from(pair.follower.accessMarks);
    pair.primary.repairChunk(ref >>> 16, nowMs);
    pair.stream();
    expect(pair.follower.accessMarks).toEqual(marks);
    expect(marks.some((word) => word !== 0)).toBe(true);
    pair.primary.repairChunk(chunkOfKind(pair, CHUNK_INDEX), nowMs);
    pair.assertEqualAndSound();
    expect(pair.follower.accessMarks.every((word) => word === 0)).toBe(true);
  });

  test('neither does an extent, even after a flush', () => {
    flush(pair.primary, nowMs);
    pair.map.set(bytesOf('x9'), patterned(300_000, 9), nowMs);
    pair.stream();
    const ref = refOf(pair, 'x9');
    pair.follower.mark(ref);
    const chunk = chunkOfKind(pair, CHUNK_EXTENT);
    damage(pair, chunk, 3_000);
    pair.primary.repairChunk(chunk, nowMs);
    pair.assertEqualAndSound();
    expect(pair.follower.accessMarks.some((word) => word !== 0)).toBe(true);
  });

  test('after a flush it does: a damaged seq would have miscounted the keys', () => {
    flush(pair.primary, nowMs);
    for (let i = 0; i < 200; i++) pair.map.set(bytesOf(`n${i}`), bytesOf('v'), nowMs);
    pair.stream();
    const ref = refOf(pair, 'n7');
    pair.follower.imageBuffer.fill(0, ref + 16, ref + 24);
    pair.map.delete(bytesOf('n7'), nowMs);
    pair.primary.repairChunk(ref >>> 16, nowMs);
    pair.assertEqualAndSound();
  });

  test('a copy in the middle of a bulk takes the bytes and stays inconsistent', () => {
    pair.follower.beginBulk(pair.primary.stats().seq);
    pair.primary.repairChunk(2, nowMs);
    pair.stream();
    expect(pair.follower.consistent()).toBe(false);
    expect(pair.follower.becomeConsistent(Math.max(...pair.primary.stamps))).toBeNull();
    assertEqualCopies(pair.primary, pair.follower);
  });

  test('where more is broken than was repaired the copy says so, is read no more, and offers no base', () => {
    const index = chunkOfKind(pair, CHUNK_INDEX);
    pair.follower.image32.fill(0x7fff_fff1, index * 16_384, index * 16_384 + 64);
    pair.follower.setChecked(true);
    pair.primary.repairChunk(chunkOfKind(pair, CHUNK_OVERFLOW), nowMs);
    const bytes = pair.reader.read();
    expect(pair.follower.applyRedo(pair.reader.buffer, 0, bytes, 0)).toEqual({
      ok: false,
      why: expect.stringMatching(/^the repaired copy is sound: bucket 0/) as string,
    });
    expect(pair.follower.consistent()).toBe(false);
    expect(pair.follower.checked()).toBe(false);
    expect(pair.follower.offer().base).toBeNull();
  });

  test('a copy that was away gets the chunk by its stamp', () => {
    const chunk = chunkOfKind(pair, CHUNK_SLAB);
    const { generation } = pair.follower.offer().base ?? { generation: 0 };
    expect(pair.primary.stamps[chunk]).toBeLessThanOrEqual(generation);
    pair.primary.repairChunk(chunk, nowMs + 1_000);
    expect(pair.primary.stamps[chunk]).toBeGreaterThan(generation);
  });

  test.each([
    ['two patches', (record: Buffer) => record.writeUInt16LE(2, 6), /patch is cut/],
    [
      'half a chunk',
      (record: Buffer) => void record.writeUInt32LE(CHUNK_BYTES / 2, 28),
      /do not fill/,
    ],
    [
      'a zero fill',
      (record: Buffer) => void record.writeInt32LE(-0x8000_0000 + CHUNK_BYTES, 28),
      /do not fill/,
    ],
    [
      'another start',
      (record: Buffer) => void record.writeUInt32LE(CHUNK_BYTES + 64, 24),
      /one whole chunk/,
    ],
  ])('off the wire with %s is refused, and nothing is applied', (_, change, rule) => {
    pair.primary.repairChunk(3, nowMs);
    const before = Buffer.from(pair.follower.imageBuffer);
    const bytes = pair.reader.read();
    change(pair.reader.buffer);
    expect(pair.follower.applyRedo(pair.reader.buffer, 0, bytes, 0)).toEqual({
      ok: false,
      why: expect.stringMatching(rule) as string,
    });
    expect(pair.follower.imageBuffer.equals(before)).toBe(true);
  });

  test('any number of repairs fits the ring: old redo makes room', () => {
    for (const chunk of usedChunksOf(pair.primary)) {
      pair.primary.repairChunk(chunk, nowMs);
      pair.stream();
    }
    for (let i = 0; i < 40; i++) pair.primary.repairChunk(i % 4, nowMs);
    const held = new RingReader(pair.primary, pair.primary.stats().seq);
    expect(held.read()).toBe(REDO_HEADER_BYTES + PATCH_HEADER_BYTES + CHUNK_BYTES);
  });
});

describe('store: verify of one chunk', () => {
  test('finds nothing in any chunk of a sound pair, on either side', () => {
    const pair = wellUsedPair();
    for (let chunk = 0; chunk < pair.primary.geometry.chunkCount; chunk++) {
      expect(pair.primary.verifyChunk(chunk)).toBeNull();
      expect(pair.follower.verifyChunk(chunk)).toBeNull();
    }
    expect([pair.primary.role(), pair.follower.role()]).toEqual([ROLE_PRIMARY, ROLE_FOLLOWER]);
  });

  test.each([
    ['reserved bytes of the header', CHUNK_HEADER, 12_000, /^header: what is reserved/],
    ['a flush of the future', CHUNK_HEADER, 36, /^header: a flush from the future/],
    ['the magic', CHUNK_HEADER, 0, /^header: magic/],
    ['reserved bytes of a table entry', CHUNK_TABLE, 8, /^chunk table: entry 0/],
    ['the table behind its last entry', CHUNK_TABLE, 65_530, /^chunk table: entry 4095/],
    ['the owner of a chunk', CHUNK_TABLE, 4, /^chunk table: entry 0/],
    ['a free chunk', CHUNK_FREE, 77, /free, but not zero/],
  ])('names %s', (_, kind, byte, rule) => {
    const pair = wellUsedPair();
    const chunk = chunkOfKind(pair, kind);
    pair.primary.imageBuffer[chunk * CHUNK_BYTES + byte] ^= 1;
    expect(pair.primary.verifyChunk(chunk)).toMatch(rule);
  });

  test.each([
    ['index', CHUNK_INDEX, /^(overflow )?bucket \d+: |^record \d+: /],
    ['overflow', CHUNK_OVERFLOW, /^(overflow )?bucket \d+: |^record \d+: /],
  ])('names any flipped bit of an %s chunk, but of the seqs', (_, kind, rule) => {
    const pair = wellUsedPair();
    const chunk = chunkOfKind(pair, kind);
    for (let byte = 0; byte < CHUNK_BYTES; byte += 97) {
      const isSeq = kind === CHUNK_INDEX && byte % 64 >= 60;
      const at = chunk * CHUNK_BYTES + byte;
      pair.primary.imageBuffer[at] ^= 4;
      if (!isSeq) expect(pair.primary.verifyChunk(chunk), `byte ${byte}`).toMatch(rule);
      pair.primary.imageBuffer[at] ^= 4;
    }
  });

  test('names a flipped bit in the key, the lengths, the class and the seq of a record, and not in its value', () => {
    const pair = wellUsedPair();
    const ref = refOf(pair, 'k59');
    const chunk = ref >>> 16;
    const flip = (byte: number): string | null => {
      pair.primary.imageBuffer[ref + byte] ^= 0x10;
      const broken = pair.primary.verifyChunk(chunk);
      pair.primary.imageBuffer[ref + byte] ^= 0x10;
      return broken;
    };
    for (const byte of [1, 4, 5, 6, 7, 20, 24, 26])
      expect(flip(byte), `byte ${byte}`).toMatch(/^record/);
    expect(flip(24 + 3 + 7)).toBeNull();
  });

  test('names a byte of a chunk that was never used', () => {
    const { primary } = wellUsedPair();
    const chunk = primary.chunksTouched() + 1;
    primary.imageBuffer[chunk * CHUNK_BYTES] = 1;
    expect(primary.verifyChunk(chunk)).toMatch(/free, but not zero/);
    expect(primary.verifyChunk(chunk - 1)).toBeNull();
  });
});

function refOf({ primary }: Pair, key: string): number {
  const hash = hashKey(bytesOf(key), 0, key.length);
  return primary.find(hash, bytesOf(key), 0, key.length, 1);
}
