import { describe, expect, test } from 'vitest';
import {
  attachPartition,
  CHUNK_BYTES,
  createPartition,
  hashKey,
  PartitionMap,
  type Pin,
  ROLE_FOLLOWER,
  TORN_READS_MAX,
} from './index.ts';
import { PartitionMemory } from './memory.ts';
import { bytesOf, newPrimary, Pair, patterned, refOf, SMALL, sweepAll } from './pair.fixture.ts';
import { Pins } from './pins.ts';
import { Records } from './record.ts';

const NOW_MS = 10;
const KEY = bytesOf('key');

const bytesAt = (pin: Pin): Buffer => Buffer.concat([...pin.views]);

function pinned(map: PartitionMap, key: Buffer = KEY): Pin {
  const pin = map.pin(key, NOW_MS);
  if (pin === null) throw new Error('there is nothing to pin');
  return pin;
}

/** A primary with one value, and it pinned. */
function specimen(bytes: number): { pair: Pair; value: Buffer; pin: Pin } {
  const pair = new Pair();
  const value = patterned(bytes, 1);
  pair.map.set(KEY, value, NOW_MS);
  return { pair, value, pin: pinned(pair.map) };
}

const SIZES = [50, 16_000, 65_000, 65_536, 300_001];

describe('store: pins', () => {
  test.each(SIZES)(
    'show the bytes of a value of %i bytes, in as few views as they lie in',
    (bytes) => {
      const { value, pin } = specimen(bytes);
      expect(pin.bytes).toBe(bytes);
      expect(bytesAt(pin).equals(value)).toBe(true);
      expect(pin.views.length).toBeLessThanOrEqual(bytes > CHUNK_BYTES ? 2 : 1);
    },
  );

  test.each(SIZES)(
    'of %i bytes: overwritten, deleted and expired at once for everybody else',
    (bytes) => {
      const { pair, value, pin } = specimen(bytes);
      const { map, primary } = pair;
      const others = patterned(bytes, 2);
      map.set(KEY, others, NOW_MS);
      expect(map.get(KEY, NOW_MS)?.equals(others)).toBe(true);
      const second = pinned(map);
      map.delete(KEY, NOW_MS);
      expect(map.get(KEY, NOW_MS)).toBeNull();
      map.set(KEY, patterned(bytes, 3), NOW_MS, { expiresAtMs: 500 });
      const third = pinned(map);
      sweepAll(primary, 1_000);
      sweepAll(primary, 1_000);
      for (let i = 0; i < 400; i++) {
        map.set(bytesOf(`k${i}`), patterned(bytes, i), NOW_MS);
        pair.stream();
      }
      expect(bytesAt(pin).equals(value)).toBe(true);
      expect(bytesAt(second).equals(others)).toBe(true);
      expect(bytesAt(third).equals(patterned(bytes, 3))).toBe(true);
      for (const each of [pin, second, third]) each.unpin();
      pair.assertEqualAndSound();
    },
  );

  test.each(SIZES)('of %i bytes: patched, appended to, and given another expiry', (bytes) => {
    const { pair, value, pin } = specimen(bytes);
    pair.map.setRange(KEY, 3, bytesOf('other'), NOW_MS);
    pair.map.append(KEY, patterned(100, 3), NOW_MS);
    pair.map.expire(KEY, 90_000, NOW_MS);
    expect(bytesAt(pin).equals(value)).toBe(true);
    expect(pair.map.get(KEY, NOW_MS)?.subarray(3, 8)).toEqual(bytesOf('other'));
    pin.unpin();
    pair.assertEqualAndSound();
  });

  test('once let go of, their memory is used again', () => {
    const { pair, pin } = specimen(900_000);
    pair.map.delete(KEY, NOW_MS);
    sweepAll(pair.primary, NOW_MS);
    expect(pair.primary.stats().usedBytes).toBeGreaterThan(900_000);
    pin.unpin();
    sweepAll(pair.primary, NOW_MS);
    expect(pair.primary.stats().usedBytes).toBe(3 * CHUNK_BYTES);
    pair.assertEqualAndSound();
  });

  test('a slot in a pinned chunk is not handed out, but others of its class are', () => {
    const primary = newPrimary();
    const map = new PartitionMap(primary);
    for (let i = 0; i < 40; i++) map.set(bytesOf(`k${i}`), patterned(6_000, i), NOW_MS);
    const pin = pinned(map, bytesOf('k5'));
    const chunk = refOf(primary, 'k5') >>> 16;
    for (let i = 0; i < 40; i++) map.delete(bytesOf(`k${i}`), NOW_MS);
    for (let i = 0; i < 60; i++) {
      map.set(bytesOf(`n${i}`), patterned(6_000, 100 + i), NOW_MS);
      expect(refOf(primary, `n${i}`) >>> 16).not.toBe(chunk);
    }
    expect(bytesAt(pin).equals(patterned(6_000, 5))).toBe(true);
    pin.unpin();
    map.set(bytesOf('last'), patterned(6_000, 9), NOW_MS);
    expect(refOf(primary, 'last') >>> 16).toBe(chunk);
    expect(primary.verify()).toBeNull();
  });

  test('a full partition evicts around what is pinned, large and small', () => {
    const pair = new Pair();
    pair.map.set(KEY, patterned(800_000, 1), NOW_MS);
    const small = bytesOf('small');
    pair.map.set(small, patterned(20_000, 2), NOW_MS);
    const pins = [pinned(pair.map), pinned(pair.map, small)];
    for (let i = 0; i < 25; i++) {
      pair.map.set(bytesOf(`large${i}`), patterned(700_000, i), NOW_MS);
      pair.stream();
    }
    for (let i = 0; i < 800; i++) {
      pair.map.set(bytesOf(`k${i}`), patterned(i % 2 === 0 ? 20_000 : 3_000, i), NOW_MS);
      pair.stream();
    }
    expect(bytesAt(pins[0]).equals(patterned(800_000, 1))).toBe(true);
    expect(bytesAt(pins[1]).equals(patterned(20_000, 2))).toBe(true);
    for (const pin of pins) pin.unpin();
    pair.assertEqualAndSound();
  });

  test('two pins of one value hold it until both are gone', () => {
    const { pair, value, pin } = specimen(200_000);
    const second = pinned(pair.map);
    pair.map.delete(KEY, NOW_MS);
    pin.unpin();
    sweepAll(pair.primary, NOW_MS);
    expect(bytesAt(second).equals(value)).toBe(true);
    second.unpin();
    sweepAll(pair.primary, NOW_MS);
    expect(pair.primary.stats().usedBytes).toBe(3 * CHUNK_BYTES);
  });

  test('letting go twice is an error, and counts once', () => {
    const { pair, pin } = specimen(200_000);
    const second = pinned(pair.map);
    pin.unpin();
    expect(() => pin.unpin()).toThrow(/let go of before/);
    expect(pair.primary.values.pinStats(NOW_MS).pins).toBe(1);
    second.unpin();
  });

  test('a value that was pinned, or copied in pieces, counts as read', () => {
    const { pair, pin } = specimen(100);
    const marked = (): boolean => pair.primary.accessMarks.some((word) => word !== 0);
    expect(marked()).toBe(true);
    pin.unpin();
    pair.map.delete(KEY, NOW_MS);
    expect(marked()).toBe(false);
    pair.map.set(KEY, patterned(200_000, 1), NOW_MS);
    const hash = hashKey(KEY, 0, KEY.length);
    expect(pair.primary.values.copy(hash, KEY, 0, KEY.length, NOW_MS)?.length).toBe(200_000);
    expect(marked()).toBe(true);
  });

  test('how many there are and how old the oldest is, is told', () => {
    const { pair, pin } = specimen(100);
    const { values } = pair.primary;
    const hash = hashKey(KEY, 0, KEY.length);
    const start = 2_000_000_000_001;
    const times = [start, start + 5_000, start + 7_000];
    const pins = times.map((at) => values.pin(hash, KEY, 0, KEY.length, at));
    pin.unpin();
    expect(values.pinStats(start + 9_000)).toEqual({ pins: 3, oldestPinMs: 9_000 });
    pins[0]?.unpin();
    expect(values.pinStats(start + 9_000)).toEqual({ pins: 2, oldestPinMs: 4_000 });
    for (const each of pins.slice(1)) each?.unpin();
    expect(values.pinStats(start + 9_000)).toEqual({ pins: 0, oldestPinMs: 0 });
    const many = Array.from({ length: 100 }, () => values.pin(hash, KEY, 0, KEY.length, start));
    expect(values.pinStats(start + 10).pins).toBe(100);
    for (const each of many) each?.unpin();
    expect(values.pinStats(start + 10)).toEqual({ pins: 0, oldestPinMs: 0 });
  });

  test('an absent key has none, and neither has a copy that is not led here', () => {
    const { pair, pin } = specimen(100);
    expect(pair.map.pin(bytesOf('absent'), NOW_MS)).toBeNull();
    pair.stream();
    expect(new PartitionMap(pair.follower).pin(KEY, NOW_MS)).toBeNull();
    pin.unpin();
    pair.primary.setRole(ROLE_FOLLOWER, 2);
    expect(pair.map.pin(KEY, NOW_MS)).toBeNull();
  });

  /** A partition with one value, and pins made from outside of it, so that `find` may do what it likes. */
  function looser(bytes: number): { map: PartitionMap; memory: PartitionMemory; pins: Pins } {
    const handle = createPartition(SMALL, 0);
    const primary = attachPartition(handle);
    primary.promote(1, 1);
    const map = new PartitionMap(primary);
    map.set(KEY, patterned(bytes, 1), NOW_MS);
    const memory = new PartitionMemory(handle);
    return { map, memory, pins: new Pins(memory, new Records(memory)) };
  }

  test.each(SIZES)(
    'of %i bytes, replaced while it is looked for: the pin is of the new value',
    (bytes) => {
      const { map, memory, pins } = looser(bytes);
      let looks = 0;
      const pin = pins.pin(() => {
        const ref = refOf(map.partition, 'key');
        if (++looks > 3) return ref;
        map.delete(KEY, NOW_MS);
        map.set(bytesOf(`other${looks}`), patterned(bytes, 50), NOW_MS); // where it was
        map.set(KEY, patterned(bytes, 1 + looks), NOW_MS);
        return ref;
      }, NOW_MS);
      expect(looks).toBe(4);
      expect(pin === null ? null : bytesAt(pin).equals(patterned(bytes, 4))).toBe(true);
      pin?.unpin();
      expect(pins.stats(NOW_MS)).toEqual({ pins: 0, oldestPinMs: 0 });
      expect(memory.pins.every((count) => count === 0)).toBe(true);
    },
  );

  test('one that is disturbed every time is made through the gate', () => {
    const { map, memory, pins } = looser(100_000);
    let looks = 0;
    const pin = pins.pin(() => {
      if (++looks <= TORN_READS_MAX) map.set(bytesOf('other'), patterned(10, looks), NOW_MS);
      return refOf(map.partition, 'key');
    }, NOW_MS);
    expect(looks).toBe(TORN_READS_MAX + 1);
    expect(pin === null ? null : bytesAt(pin).equals(patterned(100_000, 1))).toBe(true);
    pin?.unpin();
    expect(memory.pins.every((count) => count === 0)).toBe(true);
    expect(map.delete(KEY, NOW_MS)).toBe(true); // the gate is open
  });

  test('inside a passage a record is pinned as it is', () => {
    const { pair, pin, value } = specimen(200_000);
    const { primary } = pair;
    primary.enter();
    const inside = primary.values.pinInside(refOf(primary, 'key'), NOW_MS);
    primary.leave();
    pin.unpin();
    pair.map.delete(KEY, NOW_MS);
    sweepAll(primary, NOW_MS);
    expect(bytesAt(inside).equals(value)).toBe(true);
    inside.unpin();
  });
});
