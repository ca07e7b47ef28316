import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { CHUNK_BYTES, FORMAT_VERSION, hashKey } from './index.ts';
import * as layout from './layout.ts';
import { type LayoutRow, offsetOf } from './layout.ts';
import { bytesOf, flush, Pair, sweepAll } from './pair.fixture.ts';

/** valueBytes -> VALUE_BYTES */
const constantCase = (name: string): string =>
  name.replaceAll(/[A-Z]/g, (c) => `_${c}`).toUpperCase();

/** The exported constants that say where the fields of a table are, by what their names begin with. */
function constantsOf(prefix: string): [string, number][] {
  return Object.entries(layout).flatMap(([name, value]): [string, number][] =>
    name.startsWith(prefix) && typeof value === 'number' ? [[name, value]] : [],
  );
}

/** Names that begin like a field's but are sizes. */
const SIZES = new Set(['SCRATCH_ARRAYS', 'CLASS_WORDS']);
const UNITS: Readonly<Record<string, number>> = { _WORD: 4, _F64: 8 };

function offsetSaidBy(name: string, value: number): [field: string, offset: number] {
  for (const [suffix, bytes] of Object.entries(UNITS)) {
    if (name.endsWith(suffix)) return [name.slice(0, -suffix.length), value * bytes];
  }
  return [name, value];
}

function unlike(
  rows: readonly LayoutRow[],
  prefix: string,
  rename: Record<string, string> = {},
): string[] {
  const fields = new Map(rows.map(([name, offset]) => [constantCase(name), offset]));
  return constantsOf(prefix)
    .filter(([name]) => !SIZES.has(name))
    .filter(([name, value]) => {
      const [field, offset] = offsetSaidBy(name.slice(prefix.length), value);
      return fields.get(rename[field] ?? field) !== offset;
    })
    .map(([name]) => name);
}

describe('store: layout', () => {
  test('every HEADER_ constant is the offset of its row', () => {
    expect(constantsOf('HEADER_').length).toBeGreaterThan(4);
    expect(unlike(layout.HEADER_FIELDS, 'HEADER_')).toEqual([]);
  });

  test('every SCRATCH_ constant is the word or f64 index of its row, and every row has one', () => {
    const rename = { CLOCK: 'CLOCK_MS', LAST_RECORD: 'LAST_RECORD_WORD' };
    expect(unlike(layout.SCRATCH_FIELDS, 'SCRATCH_', rename)).toEqual([]);
    expect(constantsOf('SCRATCH_').length).toBe(layout.SCRATCH_FIELDS.length + 1);
  });

  test('the words of a class are those of its table', () => {
    const inBytes = layout.CLASS_FIELDS.map(([name, offset]) => [constantCase(name), offset / 4]);
    const said = constantsOf('CLASS_').filter(([name]) => !SIZES.has(name));
    const rows = new Map(inBytes.map(([name, word]) => [`CLASS_${name}`, word]));
    expect(said.filter(([name, word]) => rows.get(name) !== word)).toEqual([]);
  });

  test('a bucket is 7 entries, the overflow ref and the seq, to the byte', () => {
    expect(layout.BUCKET_OVERFLOW_WORD * 4).toBe(offsetOf(layout.BUCKET_FIELDS, 'overflow'));
    expect(layout.BUCKET_SEQ_WORD * 4).toBe(offsetOf(layout.BUCKET_FIELDS, 'seqLow'));
    expect(layout.BUCKET_ENTRIES * 8).toBe(offsetOf(layout.BUCKET_FIELDS, 'overflow'));
    expect(endOf(layout.BUCKET_FIELDS)).toBe(layout.BUCKET_BYTES);
    expect(1 << layout.BUCKET_SHIFT).toBe(layout.BUCKET_BYTES);
    expect(4 << layout.RING_SEGMENT_WORD_SHIFT).toBe(layout.RING_SEGMENT_BYTES);
    expect(1 << layout.BUCKETS_PER_CHUNK_SHIFT).toBe(layout.BUCKETS_PER_CHUNK);
    expect(1 << layout.PAGE_SHIFT).toBe(layout.PAGE_BYTES);
    expect(layout.PAGE_BYTES << layout.PAGES_PER_CHUNK_SHIFT).toBe(CHUNK_BYTES);
    expect(1 << layout.PAGES_PER_CHUNK_SHIFT).toBe(layout.PAGES_PER_CHUNK);
  });

  test('records, redo records, history and table entries have no padding', () => {
    for (const [rows, bytes] of [
      [layout.RECORD_FIELDS, layout.RECORD_HEADER_BYTES],
      [layout.REDO_FIELDS, layout.REDO_HEADER_BYTES],
      [layout.HISTORY_FIELDS, layout.HISTORY_BYTES],
      [layout.RING_MARK_FIELDS, layout.RING_MARK_BYTES],
      [layout.CHUNK_TABLE_FIELDS, layout.CHUNK_TABLE_ENTRY_BYTES],
      [layout.PAGED_TABLE_FIELDS, layout.CHUNK_TABLE_ENTRY_BYTES],
      [layout.FREE_UNIT_FIELDS, layout.FREE_UNIT_WORDS * 4],
      [layout.CLASS_FIELDS, layout.CLASS_WORDS * 4],
    ] as const) {
      expect(endOf(rows)).toBe(bytes);
      expect(
        rows.every(([, offset], i) => offset === (i === 0 ? 0 : endOf(rows.slice(0, i)))),
      ).toBe(true);
    }
  });

  test('the flags of a redo record are bits of their own, and a repair fits a record', () => {
    expect([layout.REDO_TXN_END, layout.REDO_REPAIR]).toEqual([1, 2]);
    const repairBytes = layout.REDO_HEADER_BYTES + layout.PATCH_HEADER_BYTES + CHUNK_BYTES;
    expect(repairBytes).toBeLessThanOrEqual(layout.REDO_RECORD_BYTES_MAX);
  });

  test('the index directory ends with the header chunk', () => {
    expect(endOf(layout.HEADER_FIELDS)).toBe(CHUNK_BYTES);
    expect(layout.INDEX_CHUNKS_MAX * 4).toBe(CHUNK_BYTES - layout.HEADER_INDEX_DIRECTORY);
  });
});

function endOf(rows: readonly LayoutRow[]): number {
  const [, offset, width] = rows[rows.length - 1];
  return offset + width;
}

// ---------------------------------------------------------------- golden bytes

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
const hex = (bytes: Buffer, from: number, count: number): string =>
  bytes.toString('hex', from, from + count);

/** A small history that touches every kind of byte: classes, overflow, a split, expiry, removal, flush. */
function golden(): string {
  const pair = new Pair();
  const redo: Buffer[] = [];
  const stream = (): void => {
    const from = pair.reader.position;
    pair.stream();
    const into = Buffer.from(new ArrayBuffer(layout.REDO_RECORD_BYTES_MAX));
    for (let at = from; ; ) {
      const bytes = pair.primary.ringCopy(at, into.length, into);
      if (bytes <= 0) break;
      redo.push(Buffer.from(into.subarray(0, bytes)));
      at += bytes;
    }
  };
  pair.map.set(bytesOf('hello'), bytesOf('world'), 1_000, { expiresAtMs: 5_000 });
  const first = redo.length;
  stream();
  const { imageBuffer } = pair.primary;
  const head = pair.primary.find(hashOf('hello'), bytesOf('hello'), 0, 5, 1_000);
  const lines = [`format ${FORMAT_VERSION}`, `record ${hex(imageBuffer, head, 40)}`];
  const record = redo[first];
  const epochRecordBytes = record.readUInt32LE(0);
  lines.push(`redo ${hex(record, epochRecordBytes, record.readUInt32LE(epochRecordBytes))}`);
  for (let i = 0; i < 5_000; i++) {
    pair.map.set(bytesOf(`key:${i}`), Buffer.alloc((i * 37) % 900, i), 1_001 + i);
    if (i % 100 === 0) stream();
  }
  for (let i = 0; i < 5_000; i += 3) pair.map.delete(bytesOf(`key:${i}`), 7_000);
  pair.map.set(bytesOf('large'), Buffer.alloc(60_000, 9), 7_000);
  pair.map.persist(bytesOf('key:1'), 7_000);
  stream();
  pair.primary.appendCheck(3);
  stream();
  lines.push(`header ${hex(imageBuffer, 0, 96)}`);
  lines.push(`full ${pair.primary.stats().seq} ${sha256(usedBytes(pair))}`);
  pair.map.set(bytesOf('extents'), Buffer.alloc(200_000, 'extents.'), 7_001);
  stream();
  lines.push(...largeLines(pair));
  pair.map.append(bytesOf('extents'), Buffer.alloc(70_000, 'appended'), 7_002);
  pair.map.setRange(bytesOf('extents'), 65_530, bytesOf('over an edge'), 7_003);
  stream();
  lines.push(`changed ${pair.primary.stats().seq} ${sha256(usedBytes(pair))}`);
  flush(pair.primary, 8_000);
  pair.map.set(bytesOf('after'), bytesOf('the flush'), 8_001);
  sweepAll(pair.primary, 8_002);
  stream();
  lines.push(`swept ${pair.primary.stats().seq} ${sha256(usedBytes(pair))}`);
  lines.push(`redo of all ${sha256(Buffer.concat(redo))}`);
  pair.primary.repairChunk(3, 8_003);
  stream();
  lines.push(`repair ${hex(redo[redo.length - 1], 0, layout.REDO_HEADER_BYTES + 8)}`);
  pair.assertEqualAndSound();
  return `${lines.join('\n')}\n`;
}

/** The record of a value with extents up to its list, and the chunk table's entry of the second of them. */
function largeLines({ primary }: Pair): string[] {
  const { imageBuffer } = primary;
  const ref = primary.find(hashOf('extents'), bytesOf('extents'), 0, 7, 7_001);
  const second = imageBuffer.readUInt32LE(ref + 32 + 8);
  const entry = CHUNK_BYTES + second * layout.CHUNK_TABLE_ENTRY_BYTES;
  return [`extents ${hex(imageBuffer, ref, 56)}`, `extent ${hex(imageBuffer, entry, 16)}`];
}

function usedBytes(pair: Pair): Buffer {
  return pair.primary.imageBuffer.subarray(0, pair.primary.chunksTouched() * CHUNK_BYTES);
}

function hashOf(key: string): number {
  return hashKey(bytesOf(key), 0, key.length);
}

describe('store: format', () => {
  test('a fixed history gives the golden bytes of this format version', async () => {
    await expect(golden()).toMatchFileSnapshot(`../golden/format-${FORMAT_VERSION}.txt`);
  });
});
