/** Calls that read plain values, pins, and walks over all keys. */
import { strict as assert } from 'node:assert';
import fc from 'fast-check';
import { bytes, key, keyOf, type Row, row } from './row.ts';
import { sorted } from './world.ts';

const PINS_MAX = 6;
const INTO_BYTES = 70_000;

interface Named {
  readonly key: string;
}

interface Ranged extends Named {
  readonly from: number;
  readonly bytes: number;
}

export const READS: readonly Row[] = [
  row('get', 6, { key }, (world, { key: name }: Named) =>
    world.both(
      () => world.map.get(keyOf(name)),
      () => world.oracle.get(keyOf(name)),
    ),
  ),
  row(
    'getInto',
    3,
    { key, offset: fc.nat(100) },
    (world, { key: name, offset }: Named & { offset: number }) => {
      const targets = [Buffer.alloc(INTO_BYTES), Buffer.alloc(INTO_BYTES)];
      world.both(
        () => world.map.getInto(keyOf(name), targets[0], offset),
        () => world.oracle.getInto(keyOf(name), targets[1], offset),
      );
      assert(targets[0].equals(targets[1]), 'getInto copies what there is room for');
    },
  ),
  row(
    'getRange',
    4,
    { key, from: fc.oneof(bytes, fc.integer({ min: -9, max: -1 })), bytes },
    (world, { key: name, from, bytes: count }: Ranged) =>
      world.both(
        () => world.map.getRange(keyOf(name), from, from + count),
        () => world.oracle.getRange(keyOf(name), from, from + count),
      ),
  ),
  row('ask', 4, { key }, (world, { key: name }: Named) => {
    world.both(
      () => world.map.has(keyOf(name)),
      () => world.oracle.has(keyOf(name)),
    );
    world.both(
      () => world.map.ttl(keyOf(name)),
      () => world.oracle.ttl(keyOf(name)),
    );
  }),
  row('pin', 6, { key }, (world, { key: name }: Named) => {
    const there = world.oracle.get(keyOf(name));
    if (world.pins.length >= PINS_MAX || !world.hasRoomFor(there?.length ?? 0)) return;
    const pin = world.map.pin(keyOf(name));
    assert.equal(pin === null, there === null, 'pin finds what is there');
    if (pin === null || there === null) return;
    assert.equal(pin.bytes, there.length);
    assert(Buffer.concat([...pin.views]).equals(there), 'the views show the value');
    world.pins.push({ pin, bytes: there });
  }),
  row('unpin', 5, { index: fc.nat(PINS_MAX) }, (world, { index }: { index: number }) => {
    if (world.pins.length > 0) world.unpin(index);
  }),
  row(
    'scan',
    1,
    { count: fc.integer({ min: 1, max: 9 }) },
    (world, { count }: { count: number }) => {
      const found: Buffer[] = [];
      for (let cursor = 0, isFirst = true; isFirst || cursor !== 0; isFirst = false) {
        const page = world.map.scan(cursor, count);
        found.push(...page.keys);
        cursor = page.cursor;
      }
      assert.deepEqual(sorted(found), world.oracle.keys());
    },
  ),
  row('entries', 1, {}, (world) => {
    const entries = [...world.map.entries()];
    assert.deepEqual(sorted(entries.map(([name]) => name)), world.oracle.keys());
    for (const [name, value] of entries) {
      assert(world.oracle.get(name.toString())?.equals(value), 'entries have their values');
    }
  }),
];
