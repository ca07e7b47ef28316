/** Calls that write plain values. */
import fc from 'fast-check';
import { bytes, key, keyOf, type Row, row, salt, ttlMs, valueOf } from './row.ts';
import type { SetOptions } from './oracle.ts';
import type { World } from './world.ts';

interface Written {
  readonly key: string;
  readonly bytes: number;
  readonly salt: number;
}

const written = { key, bytes, salt };
const flag = fc.nat(4).map((n) => n === 0);
const options = { ttlMs, keepTtl: flag, nx: flag, xx: flag };

type Optional = { readonly [N in keyof Required<SetOptions>]: SetOptions[N] | undefined };

/** Without those that are not asked for. `nx` and `xx` together would set nothing, ever. */
function optionsOf({ ttlMs: ms, keepTtl, nx, xx }: Optional): SetOptions {
  return {
    ...(ms === undefined ? {} : { ttlMs: ms }),
    ...(keepTtl === true && ms === undefined ? { keepTtl } : {}),
    ...(nx === true ? { nx } : xx === true ? { xx } : {}),
  };
}

/** A call that gives a key a value, if there is room. */
function write(
  world: World,
  { key: name, bytes: count, salt: salted }: Written,
  call: (to: World['map'] | World['oracle'], key: string, value: Buffer) => unknown,
): void {
  if (!world.hasRoomFor(count)) return;
  const value = valueOf(count, salted);
  world.both(
    () => call(world.map, keyOf(name), value),
    () => call(world.oracle, keyOf(name), value),
  );
}

/** Digits, and what is none. */
const number = fc.constantFrom(
  ...['0', '41', '-7', '', '007', '12x', '9007199254740993', '9223372036854775807'],
  '-9223372036854775808',
);
const by = fc.oneof(
  fc.integer({ min: -100, max: 100 }),
  fc.constantFrom(2 ** 53 - 1, 2n ** 63n - 1n, -(2n ** 63n)),
);

export const CHANGES: readonly Row[] = [
  row('set', 16, { ...written, ...options }, (world, asked: Written & Optional) =>
    write(world, asked, (to, name, value) => to.set(name, value, optionsOf(asked))),
  ),
  row('exchange', 3, { ...written, ...options }, (world, asked: Written & Optional) =>
    write(world, asked, (to, name, value) => to.exchange(name, value, optionsOf(asked))),
  ),
  row(
    'compareAndSet',
    5,
    { ...written, expects: fc.constantFrom('what is there', 'absent', 'something else') },
    (world, asked: Written & { expects: string }) => {
      const there = world.oracle.get(keyOf(asked.key));
      const other = Buffer.from(there ?? 'x');
      if (other.length > 0) other[other.length - 1] ^= 1;
      const expected =
        asked.expects === 'absent' ? null : asked.expects === 'what is there' ? there : other;
      write(world, asked, (to, name, value) => to.compareAndSet(name, expected, value));
    },
  ),
  row('append', 6, written, (world, asked: Written) =>
    write(world, asked, (to, name, value) => to.append(name, value)),
  ),
  row(
    'setRange',
    6,
    { ...written, offset: bytes },
    (world, asked: Written & { offset: number }) => {
      if (!world.hasRoomFor(asked.bytes + asked.offset)) return;
      write(world, asked, (to, name, value) => to.setRange(name, asked.offset, value));
    },
  ),
  row('setNumber', 4, { key, number }, (world, asked: { key: string; number: string }) =>
    world.both(
      () => world.map.set(keyOf(asked.key), asked.number),
      () => world.oracle.set(keyOf(asked.key), Buffer.from(asked.number)),
    ),
  ),
  row('increment', 6, { key, by }, (world, asked: { key: string; by: number | bigint }) =>
    world.both(
      () => world.map.increment(keyOf(asked.key), asked.by),
      () => world.oracle.increment(keyOf(asked.key), asked.by),
    ),
  ),
  row('delete', 4, { key }, (world, { key: name }: { key: string }) =>
    world.both(
      () => world.map.delete(keyOf(name)),
      () => world.oracle.delete(keyOf(name)),
    ),
  ),
  row(
    'expire',
    4,
    { key, inMs: fc.constantFrom(Number.POSITIVE_INFINITY, 40, 5, 0, -1) },
    (world, { key: name, inMs }: { key: string; inMs: number }) =>
      world.both(
        () => world.map.expire(keyOf(name), inMs),
        () => world.oracle.expire(keyOf(name), inMs),
      ),
  ),
  row('clear', 1, {}, (world) =>
    world.both(
      () => world.map.clear(),
      () => world.oracle.clear(),
    ),
  ),
];
