import { beforeEach, describe, expect, test } from 'vitest';
import { attachMap, createMap, f32, f64, i64, type SharedMap, struct, u64, u8 } from './index.ts';

const MIB = 1024 * 1024;
const Counts = struct({
  big: u64,
  signed: i64,
  mean: f64,
  part: f32,
  small: u8,
  spare: u8,
  x: u8,
  y: u8,
});
const COUNTS = { big: 7n, signed: -3n, mean: 1.5, part: 0, small: 250, spare: 0, x: 0, y: 0 };
const coded = (code: string): unknown => expect.objectContaining({ code });

let nowMs = 1_000;
let map: SharedMap;
let counts: ReturnType<typeof map.typed<typeof Counts.shape>>;

beforeEach(() => {
  nowMs = 1_000;
  map = createMap({ capacityBytes: 16 * MIB, partitions: 2, clock: () => nowMs, redo: true });
  counts = map.typed(Counts);
});

describe('store: typed record', () => {
  test('counts by numbers, by key and by record, across the halves of 64 bits', () => {
    counts.set('c', { ...COUNTS, big: 2n ** 32n - 1n });
    const record = counts.record('c');
    expect(record.increment('big', 1)).toBe(2 ** 32);
    expect(counts.increment('c', 'big', -1)).toBe(2 ** 32 - 1);
    expect(record.increment('big', 2 ** 40)).toBe(2 ** 40 + 2 ** 32 - 1);
    expect(counts.read('c', 'big')).toBe(2n ** 40n + 2n ** 32n - 1n);
    expect(record.increment('signed', 2)).toBe(-1);
    expect(record.increment('signed', -(2 ** 40))).toBe(-(2 ** 40) - 1);
    expect(record.read('signed')).toBe(-(2n ** 40n) - 1n);
    expect(record.increment('mean', 0.25)).toBe(1.75);
    expect(record.increment('part', 0.1)).toBe(Math.fround(0.1));
    expect(record.increment('small', 5)).toBe(255);
    expect(record.write('small', 3)).toBe(true);
    expect(record.increment('small', 1)).toBe(4);
    expect(map.verify()).toBeNull();
  });

  test('what neither field nor number can hold is an error, and nothing has changed', () => {
    counts.set('c', { ...COUNTS, big: 2n ** 53n - 1n, signed: -(2n ** 60n) });
    const record = counts.record('c');
    expect(() => record.increment('big', 1)).toThrow(coded('FIELD_OVERFLOW'));
    expect(() => record.increment('big', -(2 ** 53))).toThrow(coded('FIELD_OVERFLOW'));
    expect(() => record.increment('signed', 1)).toThrow(coded('FIELD_OVERFLOW'));
    expect(() => record.increment('small', 6)).toThrow(coded('FIELD_OVERFLOW'));
    expect(() => record.increment('small', 0.5)).toThrow(coded('FIELD_INVALID'));
    expect(counts.increment('c', 'big', 1n)).toBe(2n ** 53n);
    expect(() => record.increment('big', -1)).toThrow(coded('FIELD_OVERFLOW'));
    expect(counts.read('c', 'small')).toBe(250);
  });

  test('a record that was deleted, set anew, moved or flushed meanwhile is noticed', () => {
    counts.set('c', COUNTS);
    const record = counts.record('c');
    expect(record.increment('big', 1)).toBe(8);
    counts.set('c', COUNTS);
    expect(record.increment('big', 1)).toBe(8);
    map.delete('c');
    expect(record.increment('big', 1)).toBeNull();
    for (let i = 0; i < 50; i++) counts.set(`other:${i}`, { ...COUNTS, big: 100n });
    expect(record.increment('big', 1)).toBeNull();
    counts.set('c', COUNTS);
    expect(record.increment('big', 1)).toBe(8);
    map.set('c', 'plain, and in another slot');
    expect(() => record.increment('big', 1)).toThrow(coded('STRUCT_MISMATCH'));
    counts.set('c', COUNTS);
    expect(record.increment('big', 1)).toBe(8);
    map.clear();
    expect(record.increment('big', 1)).toBeNull();
    for (let i = 0; i < 50; i++) expect(counts.read(`other:${i}`, 'big')).toBeNull();
  });

  test('records are found again while the index grows under them, and none counts for another', () => {
    const keys = Array.from({ length: 20_000 }, (_, i) => `k${i}`);
    const records = keys.slice(0, 200).map((key) => {
      counts.set(key, COUNTS);
      return counts.record(key);
    });
    for (const [i, key] of keys.entries()) {
      counts.set(key, { ...COUNTS, big: i < 200 ? (counts.read(key, 'big') ?? 0n) : 1n });
      if (i % 100 === 0) for (const record of records) record.increment('big', 1);
    }
    for (const record of records) expect(record.read('big')).toBe(207n);
    for (const key of keys.slice(200)) expect(counts.read(key, 'big')).toBe(1n);
    expect(map.verify()).toBeNull();
  });

  test('an expiry is asked of the clock of the call', () => {
    counts.set('c', COUNTS, { ttlMs: 10 });
    const record = counts.record('c');
    expect(record.increment('big', 1)).toBe(8);
    nowMs += 9;
    expect(record.increment('big', 1)).toBe(9);
    nowMs += 1;
    expect(record.increment('big', 1)).toBeNull();
    expect(counts.increment('c', 'big', 1)).toBeNull();
  });

  test('pinned bytes stay as they are', () => {
    counts.set('c', COUNTS);
    const record = counts.record('c');
    record.increment('big', 1);
    const pin = map.pin('c');
    const before = Buffer.concat(pin?.views ?? []);
    expect(record.increment('big', 1)).toBe(9);
    expect(record.increment('big', 1)).toBe(10);
    expect(Buffer.concat(pin?.views ?? [])).toEqual(before);
    pin?.unpin();
    expect(record.increment('big', 1)).toBe(11);
    expect(map.verify()).toBeNull();
  });

  test('two maps over the same memory count together', () => {
    counts.set('c', COUNTS);
    const here = counts.record('c');
    const there = attachMap(map.handle, { clock: () => nowMs })
      .typed(Counts)
      .record('c');
    for (let i = 0; i < 100; i++) {
      here.increment('big', 1);
      there.increment('big', 1);
      there.increment('big', 1);
    }
    expect(here.read('big')).toBe(307n);
  });

  test('the clock is asked once in a while only where nothing expires', () => {
    let asked = 0;
    const counted = createMap({ capacityBytes: 8 * MIB, clock: () => (asked++, nowMs) });
    counted.typed(Counts).set('c', COUNTS);
    const record = counted.typed(Counts).record('c');
    asked = 0;
    for (let i = 0; i < 1_000; i++) record.increment('big', 1);
    expect(asked).toBeGreaterThan(10);
    expect(asked).toBeLessThan(20);
  });
});
