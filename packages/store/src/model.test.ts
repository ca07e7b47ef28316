import { strict as assert } from 'node:assert';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { planGeometry, StoreError } from './index.ts';
import { flush, Pair, sweepAll } from './pair.fixture.ts';

type Step =
  | {
      op: 'set';
      key: number;
      bytes: number;
      ttlMs: number;
      nx: boolean;
      xx: boolean;
      keepTtl: boolean;
    }
  | { op: 'append'; key: number; bytes: number }
  | { op: 'setRange'; key: number; offset: number; bytes: number }
  | { op: 'delete'; key: number }
  | { op: 'persist'; key: number }
  | { op: 'get'; key: number }
  | { op: 'expire'; key: number; ttlMs: number }
  | { op: 'wait'; ms: number }
  | { op: 'flush' }
  | { op: 'sweep' };

const key = fc.nat(60);
/** More than any history here fills: nothing is to be evicted. */
const ROOMY = planGeometry({ partitions: 1, capacityBytes: 64 << 20, capacityMaxBytes: 64 << 20 });
const valueBytes = fc.oneof(
  { weight: 8, arbitrary: fc.nat(200) },
  { weight: 8, arbitrary: fc.nat(65_000) },
  { weight: 1, arbitrary: fc.integer({ min: 65_400, max: 65_600 }) },
  { weight: 1, arbitrary: fc.nat(1 << 20) },
);
const stepArbitrary: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      op: fc.constant('set' as const),
      key,
      bytes: valueBytes,
      ttlMs: fc.constantFrom(0, 0, 5, 50),
      nx: fc.boolean(),
      xx: fc.boolean(),
      keepTtl: fc.boolean(),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      op: fc.constantFrom('delete' as const, 'persist' as const, 'get' as const),
      key,
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      op: fc.constant('append' as const),
      key,
      bytes: fc.oneof(fc.nat(100), fc.nat(90_000)),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      op: fc.constant('setRange' as const),
      key,
      offset: fc.oneof(fc.nat(100), fc.nat(150_000)),
      bytes: fc.oneof(fc.integer({ min: 1, max: 100 }), fc.integer({ min: 1, max: 90_000 })),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      op: fc.constant('expire' as const),
      key,
      ttlMs: fc.integer({ min: 1, max: 40 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('wait' as const), ms: fc.nat(30) }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constantFrom('flush' as const, 'sweep' as const) }) },
);

const keyOf = (n: number): Buffer => Buffer.from(`key:${n}`);

function runModel(steps: Step[]): void {
  const pair = new Pair('sieve', ROOMY);
  const oracle = new Map<number, { value: Buffer; expiresAtMs: number }>();
  let nowMs = 1_000;
  const live = (n: number) => {
    const entry = oracle.get(n);
    return entry !== undefined && (entry.expiresAtMs === 0 || entry.expiresAtMs > nowMs)
      ? entry
      : undefined;
  };
  for (const step of steps) {
    if (step.op === 'wait') nowMs += step.ms;
    else if (step.op === 'flush') {
      flush(pair.primary, nowMs);
      oracle.clear();
    } else if (step.op === 'sweep') {
      assert.equal(pair.primary.sweep(0, 100_000, nowMs), 0);
    } else if (step.op === 'set') {
      const before = live(step.key);
      const value = Buffer.alloc(step.bytes, step.key + 1);
      const expiresAtMs = step.ttlMs === 0 ? undefined : nowMs + step.ttlMs;
      const options = {
        nx: step.nx && !step.xx,
        xx: step.xx,
        get: true,
        ...(expiresAtMs === undefined ? { keepTtl: step.keepTtl } : { expiresAtMs }),
      };
      const result = pair.map.set(keyOf(step.key), value, nowMs, options);
      const applies = before === undefined ? !options.xx : !options.nx;
      assert.deepEqual(result, { applied: applies, previous: before?.value ?? null });
      if (applies)
        oracle.set(step.key, {
          value,
          expiresAtMs: expiresAtMs ?? (step.keepTtl ? (before?.expiresAtMs ?? 0) : 0),
        });
    } else if (step.op === 'append' || step.op === 'setRange') {
      const entry = live(step.key);
      const before = entry?.value ?? Buffer.alloc(0);
      const offset = step.op === 'append' ? before.length : step.offset;
      const bytes = Buffer.alloc(step.bytes, step.key + 7);
      const value = Buffer.alloc(Math.max(before.length, offset + bytes.length));
      before.copy(value);
      bytes.copy(value, offset);
      if (value.length > pair.primary.geometry.valueMaxBytes) continue;
      const length =
        step.op === 'append'
          ? pair.map.append(keyOf(step.key), bytes, nowMs)
          : pair.map.setRange(keyOf(step.key), offset, bytes, nowMs);
      assert.equal(length, value.length);
      oracle.set(step.key, { value, expiresAtMs: entry?.expiresAtMs ?? 0 });
    } else if (step.op === 'delete') {
      assert.equal(pair.map.delete(keyOf(step.key), nowMs), live(step.key) !== undefined);
      oracle.delete(step.key);
    } else if (step.op === 'persist') {
      const entry = live(step.key);
      const persists = entry !== undefined && entry.expiresAtMs !== 0;
      assert.equal(pair.map.persist(keyOf(step.key), nowMs), persists);
      if (entry !== undefined) entry.expiresAtMs = 0;
    } else if (step.op === 'expire') {
      const entry = live(step.key);
      assert.equal(
        pair.map.expire(keyOf(step.key), nowMs + step.ttlMs, nowMs),
        entry !== undefined,
      );
      if (entry !== undefined) entry.expiresAtMs = nowMs + step.ttlMs;
    } else assert.deepEqual(pair.map.get(keyOf(step.key), nowMs), live(step.key)?.value ?? null);
    pair.stream();
  }
  for (let n = 0; n <= 60; n++) {
    assert.deepEqual(pair.map.get(keyOf(n), nowMs), live(n)?.value ?? null);
  }
  pair.assertEqualAndSound();
}

describe('store: model', () => {
  test('any history agrees with a plain Map, verifies, and gives a follower the same bytes by redo alone', () => {
    fc.assert(fc.property(fc.array(stepArbitrary, { maxLength: 120 }), runModel), { numRuns: 80 });
  });

  test('the index grows by splits: 60,000 small records stay findable and scan whole', () => {
    const pair = new Pair('noeviction');
    const count = 60_000;
    for (let i = 0; i < count; i++) {
      pair.map.set(Buffer.from(`k${i}`), Buffer.from(`v${i}`), 1);
      if (i % 500 === 0) pair.stream();
    }
    expect(pair.primary.bucketCount()).toBeGreaterThan(count / 5);
    for (let i = 0; i < count; i += 7)
      expect(pair.map.get(Buffer.from(`k${i}`), 1)?.toString()).toBe(`v${i}`);
    const seen = new Set<string>();
    let cursor = 0;
    do {
      const page = pair.map.scan(cursor, 100, 1);
      for (const k of page.keys) seen.add(k.toString());
      cursor = page.cursor;
    } while (cursor !== 0);
    expect(seen.size).toBe(count);
    pair.assertEqualAndSound();
  });

  test('a full partition evicts under sieve and goes on through changing sizes', () => {
    const pair = new Pair('sieve');
    let n = 0;
    for (const bytes of [60_000, 100, 3_000, 20, 30_000]) {
      for (let i = 0; i < 12_000_000 / bytes && i < 60_000; i++) {
        pair.map.set(Buffer.from(`k${n++}`), Buffer.alloc(bytes, n), 1);
        if (n % 20 === 0) pair.stream();
      }
      pair.assertEqualAndSound();
    }
    expect(pair.primary.stats().evictions).toBeGreaterThan(0);
    expect(pair.primary.stats().usedBytes).toBeLessThanOrEqual(8 << 20);
  });

  test('noeviction answers out of memory, changes nothing, and takes writes again after a delete', () => {
    const pair = new Pair('noeviction');
    let stored = 0;
    const fill = (): void => {
      for (;;) pair.map.set(Buffer.from(`k${stored++}`), Buffer.alloc(30_000, stored), 1);
    };
    expect(fill).toThrow(StoreError);
    stored--;
    const seq = stored;
    expect(() => pair.map.set(Buffer.from('more'), Buffer.alloc(30_000), 1)).toThrow(/full/);
    expect(pair.map.get(Buffer.from('k0'), 1)?.length).toBe(30_000);
    expect(pair.map.delete(Buffer.from('k0'), 1)).toBe(true);
    expect(pair.map.set(Buffer.from('more'), Buffer.alloc(30_000), 1).applied).toBe(true);
    expect(pair.primary.stats().keys).toBe(seq);
  });

  test('after a flush and a sweep all chunks but the first are free again and the index is small', () => {
    const pair = new Pair('sieve');
    for (let i = 0; i < 40_000; i++) {
      pair.map.set(Buffer.from(`k${i}`), Buffer.alloc(20), 1);
      if (i % 500 === 0) pair.stream();
    }
    flush(pair.primary, 2);
    expect(pair.primary.stats().keys).toBe(0);
    expect(pair.map.get(Buffer.from('k1'), 2)).toBeNull();
    pair.stream();
    for (let cursor = 0; ; ) {
      cursor = pair.primary.sweep(cursor, 1, 2);
      pair.stream();
      if (cursor === 0) break;
    }
    sweepAll(pair.primary, 2);
    expect(pair.primary.bucketCount()).toBe(1_024);
    expect(pair.primary.stats().usedBytes).toBe(3 * 65_536);
    pair.assertEqualAndSound();
  });
});
