import { beforeEach, describe, expect, test } from 'vitest';
import { createMap, type SharedMap } from './index.ts';

const MIB = 1024 * 1024;
let nowMs = 1_000;
let map: SharedMap;

/** Bytes that differ from place to place and from salt to salt. */
function valueOf(bytes: number, salt: number): Buffer {
  return Buffer.from(Array.from({ length: bytes }, (_, i) => (i * 31 + salt * 7 + 1) & 0xff));
}

beforeEach(() => {
  nowMs = 1_000;
  map = createMap({ capacityBytes: 8 * MIB, partitions: 1, clock: () => nowMs });
});

describe('store: reads in process', () => {
  // The value begins at any of four places in a word, and ends at any of four.
  const sizes = [...Array.from({ length: 20 }, (_, i) => i), 63, 64, 65, 254, 255, 256, 257, 1_000];
  test.each([1, 2, 3, 4, 15, 16, 17, 18])('every byte behind a key of %d bytes', (keyBytes) => {
    const target = Buffer.alloc(2_000);
    for (const bytes of sizes) {
      const key = String(bytes % 10).repeat(keyBytes);
      const value = valueOf(bytes, keyBytes);
      map.set(key, value);
      expect(map.get(key)).toEqual(value);
      for (const at of [0, 4, 5, 4]) {
        target.fill(0xaa);
        expect(map.getInto(key, target, at)).toBe(bytes);
        expect(target.subarray(at, at + bytes)).toEqual(value);
        expect(target[at + bytes]).toBe(0xaa);
        if (at > 0) expect(target[at - 1]).toBe(0xaa);
      }
    }
  });

  test('what a get returned stays as it is, whatever is read or written later', () => {
    const keys = Array.from({ length: 1_000 }, (_, i) => `k${i}`);
    keys.forEach((key, i) => map.set(key, valueOf(i % 80, i)));
    const first = keys.map((key) => map.get(key));
    for (const key of keys) map.set(key, 'other');
    keys.map((key) => map.get(key));
    keys.forEach((_, i) => {
      expect(first[i]).toEqual(valueOf(i % 80, i));
    });
  });

  test('a small value is a Buffer like any other', () => {
    map.set('k', 'text');
    const value = map.get('k');
    expect(Buffer.isBuffer(value)).toBe(true);
    expect(value?.toString('utf8', 1, 3)).toBe('ex');
    expect(value?.constructor).toBe(Buffer);
  });

  test('as much as there is room for, into targets of any alignment', () => {
    const value = valueOf(50, 1);
    map.set('k', value);
    for (const start of [0, 1, 2, 4]) {
      const memory = Buffer.alloc(64, 0xaa);
      const target = memory.subarray(start, start + 21);
      for (let again = 0; again < 3; again++) {
        expect(map.getInto('k', target)).toBe(50);
        expect(target).toEqual(value.subarray(0, 21));
        expect(memory[start + 21]).toBe(0xaa);
        expect(map.getInto('k', target, 16)).toBe(50);
        expect(target.subarray(16)).toEqual(value.subarray(0, 5));
        expect(map.getInto('k', target, 21)).toBe(50);
        expect(map.getInto('k', target, 32)).toBe(50);
        target.fill(0);
      }
    }
  });

  test('what has expired is absent, by the clock of the call, and what has not is there', () => {
    map.set('k', 'v', { ttlMs: 10 });
    const target = Buffer.alloc(8);
    nowMs += 9;
    expect(map.get('k')?.toString()).toBe('v');
    expect(map.getInto('k', target)).toBe(1);
    nowMs += 1;
    expect(map.get('k')).toBeNull();
    expect(map.getInto('k', target)).toBe(-1);
  });

  test('what a clear made absent is, and what came after it is not', () => {
    map.set('before', 'v');
    map.clear();
    map.set('after', 'v');
    const target = Buffer.alloc(8);
    expect([map.get('before'), map.getInto('before', target)]).toEqual([null, -1]);
    expect([map.get('after')?.toString(), map.getInto('after', target)]).toEqual(['v', 1]);
  });

  test('the clock is asked only where a record expires', () => {
    let asked = 0;
    const counted = createMap({ capacityBytes: 8 * MIB, clock: () => (asked++, nowMs) });
    counted.set('k', 'v');
    counted.set('e', 'v', { ttlMs: 10 });
    asked = 0;
    counted.get('k');
    counted.get('absent');
    counted.getInto('k', Buffer.alloc(8));
    expect(asked).toBe(0);
    counted.get('e');
    expect(asked).toBe(1);
  });

  test('a read is noted for eviction', () => {
    const small = createMap({ capacityBytes: 8 * MIB, partitions: 1, clock: () => nowMs });
    small.set('read', Buffer.alloc(200));
    for (let i = 0; i < 60_000; i++) {
      small.set(`filler:${i}`, Buffer.alloc(200));
      if (i % 100 === 0) small.get('read');
    }
    expect(small.stats().evictions).toBeGreaterThan(10_000);
    expect(small.has('read')).toBe(true);
    expect(small.has('filler:1')).toBe(false);
  });
});
