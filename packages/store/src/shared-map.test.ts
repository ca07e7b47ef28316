import { createHash } from 'node:crypto';
import { Worker } from 'node:worker_threads';
import fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import { attachMap, createMap, type MapOptions, type SharedMap } from './shared-map.ts';

const MIB = 1024 * 1024;
let nowMs = 1_000_000;
const clock = (): number => nowMs;
let map: SharedMap;

const mapOf = (options: Partial<MapOptions> = {}): SharedMap =>
  createMap({ capacityBytes: 16 * MIB, partitions: 2, clock, ...options });

beforeEach(() => {
  nowMs = 1_000_000;
  map = mapOf();
});

describe('store: shared map: reads and writes', () => {
  test('a value is there until it is deleted; an absent key is null', () => {
    expect(map.get('a')).toBeNull();
    expect(map.set('a', 'one')).toBe(true);
    expect(map.get('a')?.toString()).toBe('one');
    expect(map.has('a')).toBe(true);
    expect(map.delete('a')).toBe(true);
    expect(map.delete('a')).toBe(false);
    expect(map.has('a')).toBe(false);
    expect(map.get('a')).toBeNull();
  });

  test('strings, Buffers and Uint8Arrays of the same bytes are the same key and value', () => {
    const text = 'clé € 🔑';
    const plain = new Uint8Array(Buffer.from(text));
    map.set(text, text);
    expect(map.get(Buffer.from(text))?.toString()).toBe(text);
    expect(map.get(plain)?.toString()).toBe(text);
    map.set(plain, plain);
    expect(map.stats().keys).toBe(1);
    expect(map.get(text)?.toString()).toBe(text);
  });

  test('strings of every length around the kept buffers come back', () => {
    for (const unit of ['a', 'é', '€', '🔑']) {
      for (const length of [0, 1, 24, 47, 48, 49, 1_365, 1_366, 4_095, 4_096, 4_097]) {
        const text = unit.repeat(Math.ceil(length / unit.length));
        map.set(`k${text}`, text);
        expect(map.get(`k${text}`)?.toString(), `${length} x ${unit}`).toBe(text);
      }
    }
  });

  test('what get returned stays as it was; a copy, not the memory itself', () => {
    map.set('a', 'before');
    const copy = map.get('a');
    map.set('a', 'after!');
    expect(copy?.toString()).toBe('before');
  });

  test('getInto says how long the value is, and copies what has room', () => {
    const target = Buffer.alloc(8, 0x2e);
    expect(map.getInto('a', target)).toBe(-1);
    map.set('a', 'abcdef');
    expect(map.getInto('a', target, 1)).toBe(6);
    expect(target.toString()).toBe('.abcdef.');
    expect(map.getInto('a', target, 5)).toBe(6);
    expect(target.toString()).toBe('.abcdabc');
  });

  test('values from nothing to the largest come back, whole and in part', () => {
    for (const bytes of [0, 1, 64, 65_000, 65_536, 65_537, 200_000, MIB]) {
      const value = Buffer.alloc(bytes, createHash('sha1').update(`${bytes}`).digest());
      map.set('v', value);
      expect(map.get('v')?.equals(value), `${bytes} bytes`).toBe(true);
      expect(map.getRange('v', bytes - 10, bytes + 10)?.equals(value.subarray(-10))).toBe(true);
    }
    expect(map.verify()).toBeNull();
  });

  test('a value beyond the maximum is refused, and the former one stays', () => {
    map.set('v', 'small');
    expect(() => map.set('v', Buffer.alloc(MIB + 1))).toThrow(
      expect.objectContaining({ code: 'VALUE_TOO_LARGE' }),
    );
    expect(map.get('v')?.toString()).toBe('small');
  });

  test('append and setRange make values longer, with zeros in between', () => {
    expect(map.append('a', 'xy')).toBe(2);
    expect(map.append('a', 'z')).toBe(3);
    expect(map.setRange('a', 5, 'end')).toBe(8);
    expect(map.get('a')?.toString('latin1')).toBe('xyz\0\0end');
    expect(map.getRange('a', 1, 3)?.toString()).toBe('yz');
    expect(map.getRange('none', 0, 1)).toBeNull();
  });

  test('pinned bytes stay while the key is overwritten and deleted', () => {
    const value = Buffer.alloc(300_000, 7);
    map.set('a', value);
    const pin = map.pin('a');
    map.set('a', Buffer.alloc(300_000, 8));
    map.delete('a');
    for (let i = 0; i < 40; i++) map.set(`other${i}`, Buffer.alloc(300_000, 9));
    nowMs += 5_000;
    expect(map.stats().pins).toBe(1);
    expect(Math.abs(map.stats().oldestPinMs - 5_000)).toBeLessThanOrEqual(1);
    expect(Buffer.concat(pin?.views ?? []).equals(value)).toBe(true);
    pin?.unpin();
    expect(() => pin?.unpin()).toThrow(expect.objectContaining({ code: 'PIN_RELEASED' }));
    expect(map.stats().pins).toBe(0);
    expect(map.pin('a')).toBeNull();
  });
});

describe('store: shared map: options of set', () => {
  test('nx sets only what is absent, xx only what is there', () => {
    expect(map.set('a', '1', { xx: true })).toBe(false);
    expect(map.set('a', '1', { nx: true })).toBe(true);
    expect(map.set('a', '2', { nx: true })).toBe(false);
    expect(map.set('a', '3', { xx: true })).toBe(true);
    expect(map.get('a')?.toString()).toBe('3');
  });

  test('a time to live ends; setting again drops it, keepTtl keeps it', () => {
    map.set('a', '1', { ttlMs: 100 });
    expect(map.ttl('a')).toBe(100);
    map.set('a', '2', { keepTtl: true });
    expect(map.ttl('a')).toBe(100);
    nowMs += 60;
    expect(map.ttl('a')).toBe(40);
    map.set('a', '3');
    expect(map.ttl('a')).toBe(Number.POSITIVE_INFINITY);
    map.set('a', '4', { expiresAtMs: nowMs + 10 });
    nowMs += 10;
    expect(map.get('a')).toBeNull();
    expect(map.ttl('a')).toBeNull();
    expect(() => map.set('a', '5', { ttlMs: 0 })).toThrow(
      expect.objectContaining({ code: 'TTL_INVALID' }),
    );
  });

  test('expire sets a time, Infinity takes it away, none left deletes', () => {
    expect(map.expire('a', 5)).toBe(false);
    map.set('a', '1');
    expect(map.expire('a', 5)).toBe(true);
    expect(map.ttl('a')).toBe(5);
    expect(map.expire('a', Number.POSITIVE_INFINITY)).toBe(true);
    expect(map.ttl('a')).toBe(Number.POSITIVE_INFINITY);
    expect(map.expire('a', 0)).toBe(true);
    expect(map.has('a')).toBe(false);
  });

  test('exchange returns what was there', () => {
    expect(map.exchange('a', '1')).toBeNull();
    expect(map.exchange('a', '2')?.toString()).toBe('1');
  });

  test('compareAndSet sets only what is as expected, null for absent, and keeps the expiry', () => {
    expect(map.compareAndSet('a', 'x', 'y')).toBe(false);
    expect(map.has('a')).toBe(false);
    expect(map.compareAndSet('a', null, 'x')).toBe(true);
    expect(map.compareAndSet('a', null, 'z')).toBe(false);
    map.expire('a', 50);
    expect(map.compareAndSet('a', 'xx', 'z')).toBe(false);
    expect(map.compareAndSet('a', 'x', 'y')).toBe(true);
    expect([map.get('a')?.toString(), map.ttl('a')]).toEqual(['y', 50]);
    const large = Buffer.alloc(100_000, 3);
    map.set('l', large);
    expect(map.compareAndSet('l', Buffer.alloc(100_000, 4), 'no')).toBe(false);
    expect(map.compareAndSet('l', large, 'yes')).toBe(true);
  });

  test('increment counts exactly in 64 bits and refuses what is no integer', () => {
    expect(map.increment('n')).toBe(1);
    expect(map.increment('n', -5)).toBe(-4);
    map.set('n', '9007199254740991');
    expect(map.increment('n', 2n)).toBe(9_007_199_254_740_993n);
    map.set('n', '9223372036854775807');
    expect(() => map.increment('n')).toThrow(expect.objectContaining({ code: 'COUNTER_OVERFLOW' }));
    expect(() => map.increment('n', 0.5)).toThrow(
      expect.objectContaining({ code: 'NOT_AN_INTEGER' }),
    );
    map.set('n', 'one');
    expect(() => map.increment('n')).toThrow(expect.objectContaining({ code: 'NOT_AN_INTEGER' }));
    expect(map.get('n')?.toString()).toBe('one');
  });
});

describe('store: shared map: walks and upkeep', () => {
  test('keys and entries are all there, once, while nobody writes', () => {
    const expected = new Map(Array.from({ length: 3_000 }, (_, i) => [`key:${i}`, `value ${i}`]));
    for (const [key, value] of expected) map.set(key, value);
    const seen = [...map].map(([key, value]) => [key.toString(), value.toString()]);
    expect(seen).toHaveLength(expected.size);
    expect(new Map(seen as [string, string][])).toEqual(expected);
    expect([...map.keys()]).toHaveLength(expected.size);
  });

  test('a scan goes on from its cursor, and refuses one that is none', () => {
    for (let i = 0; i < 500; i++) map.set(`key:${i}`, '');
    const seen = new Set<string>();
    let cursor = 0;
    let pages = 0;
    do {
      const page = map.scan(cursor, 20);
      for (const key of page.keys) seen.add(key.toString());
      cursor = page.cursor;
      pages++;
    } while (cursor !== 0);
    expect(seen.size).toBe(500);
    expect(pages).toBeGreaterThan(10);
    expect(() => map.scan(2 ** 40)).toThrow(expect.objectContaining({ code: 'CURSOR_INVALID' }));
    expect(() => map.scan(-1)).toThrow(expect.objectContaining({ code: 'CURSOR_INVALID' }));
  });

  test('clear leaves nothing; sweep gives memory of what expired back', () => {
    for (let i = 0; i < 2_000; i++) map.set(`key:${i}`, Buffer.alloc(1_000));
    map.clear();
    expect([map.stats().keys, map.get('key:1')]).toEqual([0, null]);
    for (let i = 0; i < 2_000; i++) map.set(`key:${i}`, Buffer.alloc(1_000), { ttlMs: 10 });
    const used = map.stats().usedBytes;
    nowMs += 10;
    for (let i = 0; i < 64; i++) map.sweep(16);
    expect(map.stats().usedBytes).toBeLessThan(used / 2);
    expect(map.stats().records).toBe(0);
    expect(map.verify()).toBeNull();
  });

  test('noeviction refuses what does not fit, sieve makes room', () => {
    const full = mapOf({ eviction: 'noeviction' });
    const fill = (into: SharedMap): void => {
      for (let i = 0; i < 30_000; i++) into.set(`key:${i}`, Buffer.alloc(1_000));
    };
    expect(() => fill(full)).toThrow(expect.objectContaining({ code: 'OUT_OF_MEMORY' }));
    expect(full.stats().evictions).toBe(0);
    fill(map);
    expect(map.stats().evictions).toBeGreaterThan(10_000);
  });

  test('partitions are as many as asked for, or few where the capacity is small', () => {
    expect(map.handle.partitions).toHaveLength(2);
    expect(createMap({ capacityBytes: 16 * MIB, clock }).handle.partitions).toHaveLength(1);
    expect(createMap({ capacityBytes: 256 * MIB, clock }).handle.partitions).toHaveLength(4);
    expect(createMap({ capacityBytes: 2048 * MIB, clock }).handle.partitions).toHaveLength(8);
    expect(() => createMap({ capacityBytes: MIB, clock })).toThrow(
      expect.objectContaining({ code: 'IMAGE_TOO_SMALL' }),
    );
  });
});

describe('store: shared map: as a Map', () => {
  const key = fc.constantFrom('a', 'b', 'c{t}', 'd{t}', '€');
  const value = fc.oneof(
    fc.string({ maxLength: 60 }),
    fc.integer({ min: 60_000, max: 140_000 }).map((bytes) => 'v'.repeat(bytes)),
  );
  const command = fc.oneof(
    fc.record({ name: fc.constant('set' as const), key, value }),
    fc.record({ name: fc.constant('delete' as const), key }),
    fc.record({ name: fc.constant('append' as const), key, value }),
    fc.record({ name: fc.constant('swap' as const), key, value, expected: value }),
  );

  test('any sequence of calls leaves the keys and values that a Map would have', () => {
    fc.assert(
      fc.property(fc.array(command, { maxLength: 30 }), (commands) => {
        map.clear();
        const model = new Map<string, string>();
        for (const step of commands) {
          const was = model.get(step.key);
          if (step.name === 'delete') {
            expect(map.delete(step.key)).toBe(model.delete(step.key));
          } else if (step.name === 'append') {
            model.set(step.key, (was ?? '') + step.value);
            map.append(step.key, step.value);
          } else if (step.name === 'swap') {
            expect(map.compareAndSet(step.key, step.expected, step.value)).toBe(
              was === step.expected,
            );
            if (was === step.expected) model.set(step.key, step.value);
          } else {
            model.set(step.key, step.value);
            map.set(step.key, step.value);
          }
        }
        const seen = [...map].map(([k, v]) => [k.toString(), v.toString()] as const);
        expect(new Map(seen)).toEqual(model);
        expect(map.verify()).toBeNull();
      }),
      { numRuns: 60 },
    );
  });
});

describe('store: shared map: threads', () => {
  test('another thread attached to the handle has the same map', async () => {
    map.set('from', 'main');
    const worker = new Worker(new URL('shared-map-worker.fixture.ts', import.meta.url), {
      workerData: { handle: map.handle, rounds: 2_000 },
      execArgv: ['--conditions=source'],
    });
    const ended = new Promise((resolve, reject) => {
      worker.on('exit', resolve);
      worker.on('error', reject);
    });
    for (let i = 0; i < 2_000; i++) map.increment('count');
    expect(await ended).toBe(0);
    expect(map.get('to')?.toString()).toBe('main');
    expect(map.get('count')?.toString()).toBe('4000');
  });

  test('a handle that is none is refused', () => {
    expect(() => attachMap({ partitions: [] }, { clock })).toThrow(
      expect.objectContaining({ code: 'HANDLE_INVALID' }),
    );
    const [first] = map.handle.partitions;
    const wrong = { partitions: [{ ...first, image: new SharedArrayBuffer(8) }] };
    expect(() => attachMap(wrong, { clock })).toThrow(
      expect.objectContaining({ code: 'HANDLE_INVALID' }),
    );
  });
});
