import { describe, expect, test } from 'vitest';
import { CHUNK_BYTES, RECORD_HEADER_BYTES } from './layout.ts';
import {
  CLASS_COUNT,
  classOfRecord,
  OVERFLOW_CLASS,
  SLOT_BYTES,
  SLOTS_PER_CHUNK,
} from './size-classes.ts';

const everyRecordSize = Array.from(
  { length: CHUNK_BYTES - RECORD_HEADER_BYTES + 1 },
  (_, i) => i + RECORD_HEADER_BYTES,
);

describe('store: size classes', () => {
  test('every record from a bare header to a whole chunk fits its class', () => {
    const misfits = everyRecordSize.filter((bytes) => {
      const sizeClass = classOfRecord(bytes);
      return sizeClass === OVERFLOW_CLASS || SLOT_BYTES[sizeClass] < bytes;
    });
    expect(misfits).toEqual([]);
  });

  test('no smaller class would do', () => {
    const loose = everyRecordSize.filter((bytes) => {
      const smaller = classOfRecord(bytes) - 1;
      return smaller > OVERFLOW_CLASS && SLOT_BYTES[smaller] >= bytes;
    });
    expect(loose).toEqual([]);
  });

  test('up to 368 bytes a slot wastes less than 16 bytes, but for records below 17 bytes', () => {
    const wasteful = everyRecordSize.filter(
      (bytes) => bytes > 32 && bytes <= 368 && SLOT_BYTES[classOfRecord(bytes)] - bytes >= 16,
    );
    expect(wasteful).toEqual([]);
  });

  test('up to 4 KiB a slot wastes at most 12 %; above 13 KiB a chunk holds as many records as can be', () => {
    const share = (bytes: number): number => 1 - bytes / SLOT_BYTES[classOfRecord(bytes)];
    const middle = everyRecordSize.filter((bytes) => bytes > 368 && bytes <= 4_096);
    expect(Math.max(...middle.map(share))).toBeLessThan(0.12);
    const upper = everyRecordSize.filter((bytes) => bytes > 4_096 && bytes <= 13_000);
    expect(Math.max(...upper.map(share))).toBeLessThan(0.17);
    const large = everyRecordSize.filter((bytes) => bytes > 13_000);
    const slotsFor = (bytes: number): number => Math.floor(CHUNK_BYTES / ((bytes + 15) & ~15));
    expect(
      large.filter((bytes) => SLOTS_PER_CHUNK[classOfRecord(bytes)] < slotsFor(bytes)),
    ).toEqual([]);
  });

  test('the tail of a chunk is shorter than one slot, and slots lie on 16 bytes', () => {
    for (let sizeClass = 0; sizeClass < CLASS_COUNT; sizeClass++) {
      const used = SLOT_BYTES[sizeClass] * SLOTS_PER_CHUNK[sizeClass];
      expect(used).toBeLessThanOrEqual(CHUNK_BYTES);
      expect(CHUNK_BYTES - used).toBeLessThan(SLOT_BYTES[sizeClass]);
      expect(SLOT_BYTES[sizeClass] % 16).toBe(0);
    }
  });

  test('classes fit their byte in the record header and the chunk table', () => {
    expect(CLASS_COUNT).toBeLessThanOrEqual(128);
    expect(SLOT_BYTES[CLASS_COUNT - 1]).toBe(CHUNK_BYTES);
  });
});
