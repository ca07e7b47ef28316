import { describe, expect, test } from 'vitest';
import { CHUNK_BYTES, RECORD_HEADER_BYTES } from './layout.ts';
import {
  CLASS_COUNT,
  classOfRecord,
  OVERFLOW_CLASS,
  SLOT_BYTES,
  SLOTS_PER_UNIT,
  UNIT_BYTES,
  UNIT_PAGES,
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

  test('up to 192 bytes a slot wastes less than 8 bytes, but for records below 25 bytes', () => {
    const wasteful = everyRecordSize.filter(
      (bytes) => bytes > 24 && bytes <= 192 && SLOT_BYTES[classOfRecord(bytes)] - bytes >= 8,
    );
    expect(wasteful).toEqual([]);
  });

  test('up to 2 KiB a slot wastes at most 10 %; above that a chunk holds as many records as can be', () => {
    const share = (bytes: number): number => 1 - bytes / SLOT_BYTES[classOfRecord(bytes)];
    const middle = everyRecordSize.filter((bytes) => bytes > 192 && bytes <= 2_048);
    expect(Math.max(...middle.map(share))).toBeLessThan(0.1);
    const large = everyRecordSize.filter((bytes) => bytes > 2_112);
    const slotsFor = (bytes: number): number => Math.floor(CHUNK_BYTES / ((bytes + 7) & ~7));
    expect(large.filter((bytes) => SLOTS_PER_UNIT[classOfRecord(bytes)] < slotsFor(bytes))).toEqual(
      [],
    );
  });

  test('the tail of a unit is shorter than one slot and at most 9 % of it, and slots lie on 8 bytes', () => {
    for (let sizeClass = 0; sizeClass < CLASS_COUNT; sizeClass++) {
      const used = SLOT_BYTES[sizeClass] * SLOTS_PER_UNIT[sizeClass];
      const tail = UNIT_BYTES[sizeClass] - used;
      expect(tail).toBeGreaterThanOrEqual(0);
      expect(tail).toBeLessThan(SLOT_BYTES[sizeClass]);
      expect(tail / UNIT_BYTES[sizeClass]).toBeLessThan(0.09);
      expect(SLOT_BYTES[sizeClass] % 8).toBe(0);
    }
  });

  test('units are pages or chunks, and free counts of their slots fit 14 bits', () => {
    expect(new Set(UNIT_PAGES)).toEqual(new Set([1, 4, 8]));
    expect(Math.max(...SLOTS_PER_UNIT)).toBeLessThan(1 << 14);
  });

  test('classes fit their byte in the record header and the chunk table', () => {
    expect(CLASS_COUNT).toBeLessThanOrEqual(128);
    expect(SLOT_BYTES[CLASS_COUNT - 1]).toBe(CHUNK_BYTES);
    expect(SLOT_BYTES.slice(1)).toEqual(SLOT_BYTES.slice(1).sort());
  });
});
