import { beforeEach, describe, expect, expectTypeOf, test } from 'vitest';
import {
  bytes,
  CHUNK_BYTES,
  createMap,
  f32,
  f64,
  hashKey,
  json,
  PartitionMap,
  type SharedMap,
  struct,
  tail,
  u32,
  u64,
  u8,
} from './index.ts';
import { bytesOf, Pair, refOf } from './pair.fixture.ts';
import { TypedMap } from './typed-map.ts';

const MIB = 1024 * 1024;
const Quote = struct({ bid: f64, ask: f64, seq: u64, symbol: bytes(8), note: tail() });
const QUOTE = { bid: 1.25, ask: 1.5, seq: 7n, symbol: 'EURUSD', note: 'first' };
const Other = struct({ bid: f64, ask: f64, seq: u64, symbol: bytes(8), text: tail() });

let nowMs = 1_000;
const clock = (): number => nowMs;
let map: SharedMap;
let quotes: TypedMap<typeof Quote.shape>;

beforeEach(() => {
  nowMs = 1_000;
  map = createMap({ capacityBytes: 16 * MIB, partitions: 2, clock });
  quotes = map.typed(Quote);
});

const coded = (code: string): unknown => expect.objectContaining({ code });

describe('store: typed map: records', () => {
  test('fields and tail come back as they were set', () => {
    expect(quotes.read('q', 'bid')).toBeNull();
    expect(quotes.get('q')).toBeNull();
    expect(quotes.readTail('q')).toBeNull();
    expect(quotes.set('q', QUOTE)).toBe(true);
    expect(quotes.read('q', 'ask')).toBe(1.5);
    expect(quotes.read('q', 'seq')).toBe(7n);
    expect(quotes.read('q', 'symbol')).toEqual(Buffer.from('EURUSD\0\0'));
    expect(quotes.readTail('q')).toEqual(Buffer.from('first'));
    expect(quotes.get('q')).toEqual({
      ...QUOTE,
      symbol: Buffer.from('EURUSD\0\0'),
      note: Buffer.from('first'),
    });
    expect(map.get('q')).toHaveLength(32 + 5);
    expect(map.verify()).toBeNull();
  });

  test('keys of every length keep fields aligned', () => {
    for (let length = 0; length < 40; length++) {
      const key = 'k'.repeat(length);
      quotes.set(key, { ...QUOTE, seq: BigInt(length) });
      expect(quotes.increment(key, 'seq', 1n)).toBe(BigInt(length + 1));
      expect(quotes.read(key, 'ask')).toBe(1.5);
    }
    expect(map.verify()).toBeNull();
  });

  test('a tail may be JSON', () => {
    const Person = struct({ age: u32, more: json<{ tags: string[] }>() });
    const people = map.typed(Person);
    people.set('p', { age: 40, more: { tags: ['a', 'b'] } });
    expect(people.readTail('p')).toEqual({ tags: ['a', 'b'] });
    expect(people.writeTail('p', { tags: [] })).toBe(true);
    expect(people.get('p')).toEqual({ age: 40, more: { tags: [] } });
    expectTypeOf(people.readTail('p')).toEqualTypeOf<{ tags: string[] } | null>();
  });

  test('locate reads all fields of one moment and no object is made', () => {
    expect(quotes.locate('q')).toBe(false);
    quotes.set('q', QUOTE);
    expect(quotes.locate('q')).toBe(true);
    const { head } = quotes;
    quotes.write('q', 'bid', 9);
    expect([head.bid, head.ask, head.seq]).toEqual([1.25, 1.5, 7n]);
    expect(quotes.locate('q')).toBe(true);
    expect(head.bid).toBe(9);
    expect(quotes.locate('absent')).toBe(false);
    expect(head.bid).toBe(9);
  });

  test('nx, xx, ttl and keepTtl as of the map', () => {
    expect(quotes.set('q', QUOTE, { xx: true })).toBe(false);
    expect(quotes.set('q', QUOTE, { ttlMs: 50 })).toBe(true);
    expect(quotes.set('q', QUOTE, { nx: true })).toBe(false);
    expect(quotes.set('q', { ...QUOTE, bid: 2 }, { keepTtl: true })).toBe(true);
    expect(map.ttl('q')).toBe(50);
    expect(quotes.set('q', QUOTE)).toBe(true);
    expect(map.ttl('q')).toBe(Number.POSITIVE_INFINITY);
  });

  test('a record is as long as a slot at most, and says so', () => {
    const fits = CHUNK_BYTES - 24 - 8 - 8 - 32;
    expect(quotes.set('q', { ...QUOTE, note: 'x'.repeat(fits) })).toBe(true);
    expect(quotes.readTail('q')).toHaveLength(fits);
    expect(() => quotes.writeTail('q', 'x'.repeat(fits + 1))).toThrow(coded('STRUCT_TOO_LARGE'));
    expect(() => quotes.set('r', { ...QUOTE, note: 'x'.repeat(70_000) })).toThrow(
      coded('STRUCT_TOO_LARGE'),
    );
    expect(quotes.readTail('q')).toHaveLength(fits);
    expect(map.verify()).toBeNull();
  });

  test('the types of fields are known where the code is compiled', () => {
    expectTypeOf(quotes.read('q', 'bid')).toEqualTypeOf<number | null>();
    expectTypeOf(quotes.read('q', 'seq')).toEqualTypeOf<bigint | null>();
    expectTypeOf(quotes.read('q', 'symbol')).toEqualTypeOf<Buffer | null>();
    expectTypeOf(quotes.readTail('q')).toEqualTypeOf<Buffer | null>();
    expectTypeOf(quotes.head.seq).toEqualTypeOf<bigint>();
    // @ts-expect-error there is no such field
    expect(() => quotes.read('q', 'nothing')).toThrow(coded('FIELD_INVALID'));
    // @ts-expect-error the tail is not a field of fixed width
    expect(() => quotes.write('q', 'note', 'x')).toThrow(coded('FIELD_INVALID'));
    // @ts-expect-error bytes do not count
    expect(() => quotes.increment('q', 'symbol', 1)).toThrow(coded('FIELD_INVALID'));
    // @ts-expect-error seq is a bigint
    expect(() => quotes.write('q', 'seq', 1)).toThrow(coded('FIELD_INVALID'));
  });
});

describe('store: typed map: another struct', () => {
  test('is an error, as is a plain value, and nothing has changed', () => {
    quotes.set('q', QUOTE);
    map.set('plain', 'x'.repeat(100));
    const others = map.typed(Other);
    const before = map.get('q');
    for (const [view, key] of [
      [others, 'q'],
      [quotes, 'plain'],
    ] as const) {
      for (const call of [
        () => view.read(key, 'bid'),
        () => view.write(key, 'bid', 1),
        () => (view as typeof quotes).increment(key, 'seq', 1n),
        () => (view as typeof quotes).increment(key, 'seq', 1),
        () => (view as typeof quotes).record(key).increment('seq', 1),
        () => view.locate(key),
        () => view.get(key),
        () => view.readTail(key),
        () => view.writeTail(key, 'x'),
      ]) {
        expect(call).toThrow(coded('STRUCT_MISMATCH'));
      }
    }
    expect(map.get('q')).toEqual(before);
  });

  test('set makes the value one of its own struct', () => {
    map.set('q', 'plain');
    quotes.set('q', QUOTE);
    const others = map.typed(Other);
    others.set('q', { bid: 3, ask: 4, seq: 5n, symbol: '', text: '' });
    expect(others.read('q', 'bid')).toBe(3);
    expect(() => quotes.read('q', 'bid')).toThrow(coded('STRUCT_MISMATCH'));
  });

  test.each([
    ['set', () => map.set('q', 'x'.repeat(37))],
    ['append', () => map.append('q', 'x')],
    ['setRange', () => map.setRange('q', 0, 'x')],
    ['compareAndSet', () => map.compareAndSet('q', map.get('q'), 'x'.repeat(37))],
  ])('a plain %s makes the value plain', (_, write) => {
    quotes.set('q', QUOTE);
    write();
    expect(() => quotes.read('q', 'bid')).toThrow(coded('STRUCT_MISMATCH'));
    expect(map.get('q')?.length).toBeGreaterThanOrEqual(37);
    expect(map.verify()).toBeNull();
  });

  test('counting with digits makes the value plain', () => {
    const Digits = struct({ digits: bytes(2) });
    map.typed(Digits).set('n', { digits: '41' });
    expect(map.increment('n', 1)).toBe(42);
    expect(() => map.typed(Digits).read('n', 'digits')).toThrow(coded('STRUCT_MISMATCH'));
  });
});

describe('store: typed map: one field in place', () => {
  test('expiry, tail and the other fields stay', () => {
    quotes.set('q', QUOTE, { ttlMs: 500 });
    expect(quotes.write('q', 'bid', 2.5)).toBe(true);
    expect(quotes.increment('q', 'seq', 3n)).toBe(10n);
    expect(quotes.increment('q', 'ask', -0.25)).toBe(1.25);
    expect(quotes.write('q', 'symbol', 'USD')).toBe(true);
    expect(map.ttl('q')).toBe(500);
    expect(quotes.writeTail('q', 'a longer one than before')).toBe(true);
    expect(map.ttl('q')).toBe(500);
    expect(quotes.get('q')).toEqual({
      ...{ bid: 2.5, ask: 1.25, seq: 10n, symbol: Buffer.from('USD\0\0\0\0\0') },
      note: Buffer.from('a longer one than before'),
    });
    nowMs += 500;
    expect(quotes.write('q', 'bid', 1)).toBe(false);
    expect(quotes.increment('q', 'seq', 1n)).toBeNull();
    expect(quotes.writeTail('q', '')).toBe(false);
    expect(quotes.read('q', 'bid')).toBeNull();
    map.clear();
    expect(quotes.write('q', 'bid', 1)).toBe(false);
  });

  test('a sum that the field cannot hold is refused; floats are rounded to their width', () => {
    const Counts = struct({ part: f32, big: u32, a: u8, b: u8, c: bytes(2) });
    const counts = map.typed(Counts);
    counts.set('c', { part: 0, big: 2 ** 32 - 1, a: 250, b: 0, c: '' });
    expect(counts.increment('c', 'a', 5)).toBe(255);
    expect(() => counts.increment('c', 'a', 1)).toThrow(coded('FIELD_OVERFLOW'));
    expect(() => counts.increment('c', 'b', -1)).toThrow(coded('FIELD_OVERFLOW'));
    expect(() => counts.increment('c', 'big', 1)).toThrow(coded('FIELD_OVERFLOW'));
    expect(() => counts.increment('c', 'big', 0.5)).toThrow(coded('FIELD_INVALID'));
    expect(() => counts.write('c', 'b', 256)).toThrow(coded('FIELD_INVALID'));
    expect(counts.increment('c', 'part', 0.1)).toBe(Math.fround(0.1));
    expect(counts.read('c', 'part')).toBe(Math.fround(0.1));
    quotes.set('q', { ...QUOTE, seq: 2n ** 64n - 1n });
    expect(() => quotes.increment('q', 'seq', 1n)).toThrow(coded('FIELD_OVERFLOW'));
    expect(quotes.read('q', 'seq')).toBe(2n ** 64n - 1n);
    expect(counts.get('c')).toMatchObject({ a: 255, b: 0, big: 2 ** 32 - 1 });
  });

  test('pinned bytes stay, and the record goes to another slot', () => {
    quotes.set('q', QUOTE, { ttlMs: 500 });
    const before = map.get('q');
    const pin = map.pin('q');
    expect(quotes.write('q', 'bid', 99)).toBe(true);
    expect(quotes.increment('q', 'seq', 1n)).toBe(8n);
    expect(quotes.writeTail('q', 'other')).toBe(true);
    expect(Buffer.concat(pin?.views ?? [])).toEqual(before);
    expect(quotes.get('q')).toMatchObject({ bid: 99, seq: 8n, note: Buffer.from('other') });
    expect(map.ttl('q')).toBe(500);
    expect(map.verify()).toBeNull();
    pin?.unpin();
    expect(quotes.write('q', 'bid', 1)).toBe(true);
    expect(map.verify()).toBeNull();
  });
});

describe('store: typed map: replication', () => {
  const Row = struct({ n: f64, small: u8, raw: bytes(7), note: tail() });

  test('a follower is equal byte for byte; WATCH sees a change in place', () => {
    const pair = new Pair();
    const rows = new TypedMap([pair.map], () => 1, Row);
    for (let i = 0; i < 50; i++) {
      const key = `key-${'x'.repeat(i % 9)}${i}`;
      rows.set(key, { n: i, small: i, raw: `r${i}`, note: 'n'.repeat(i * 7) });
    }
    pair.assertEqualAndSound();
    const name = bytesOf('key-0');
    const hash = hashKey(name, 0, name.length);
    const watched = pair.primary.bucketSeq(hash);
    const { seq } = pair.primary.stats();
    const ref = refOf(pair.primary, 'key-0');
    rows.increment('key-0', 'n', 1);
    expect(pair.primary.bucketSeq(hash)).not.toBe(watched);
    expect(pair.primary.stats().seq).toBe(seq + 1);
    expect(refOf(pair.primary, 'key-0')).toBe(ref);
    expect(pair.primary.recordSeq(ref)).toBe(seq + 1);
    for (let i = 0; i < 50; i++) {
      const key = `key-${'x'.repeat(i % 9)}${i}`;
      const pin = i % 5 === 0 ? pair.map.pin(bytesOf(key), 1) : null;
      rows.write(key, 'small', 255 - i);
      rows.write(key, 'raw', 'changed');
      rows.increment(key, 'n', 0.5);
      pin?.unpin();
      if (i % 3 === 0) pair.map.append(bytesOf(key), bytesOf('plain now'), 1);
    }
    pair.assertEqualAndSound();
    const copy = new PartitionMap(pair.follower).get(bytesOf('key-0'), 1);
    expect(copy?.readDoubleLE(0)).toBe(1.5);
  });
});
