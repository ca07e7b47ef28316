/** Calls of typed records: two structs over the same keys, so that each also meets plain values and those of the other. */
import { strict as assert } from 'node:assert';
import fc from 'fast-check';
import {
  bytesOf,
  bytesOfField,
  fieldOf,
  Quote,
  type QuoteRecord,
  Rate,
  type RateRecord,
} from './records.ts';
import { key, keyOf, type Row, row, salt, ttlMs, valueOf } from './row.ts';
import type { World } from './world.ts';

interface Named {
  readonly key: string;
}

const u32 = fc.nat(2 ** 32 - 1);
const u64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
/** Into one slot, or not. */
const tailBytes = fc.oneof(fc.nat(300), fc.integer({ min: 65_350, max: 65_550 }));
const f64 = fc.double({ noNaN: true });
const f32 = fc.float({ noNaN: true });

const quote = { size: u32, bid: f64, seq: u64, venue: fc.nat(4), tailBytes, salt };
type DrawnQuote = Omit<QuoteRecord, 'venue' | 'note'> & {
  venue: number;
  tailBytes: number;
  salt: number;
};
const quoteOf = ({
  venue,
  tailBytes: count,
  salt: salted,
  ...fields
}: DrawnQuote): QuoteRecord => ({
  ...{ size: fields.size, bid: fields.bid, seq: fields.seq },
  ...{ venue: Buffer.from('ABCD').subarray(0, venue), note: valueOf(count, salted) },
});

const WRITES = fc.oneof(
  fc.record({ name: fc.constant('size' as const), value: u32 }),
  fc.record({ name: fc.constant('bid' as const), value: f64 }),
  fc.record({ name: fc.constant('seq' as const), value: u64 }),
);
type Write =
  | { name: 'size'; value: number }
  | { name: 'bid'; value: number }
  | { name: 'seq'; value: bigint };

/** A record as its bytes: what both sides are compared by. */
const quoteBytes = (record: object | null): Buffer | null =>
  record === null ? null : bytesOf(Quote, record);

const U64_MAX = 2n ** 64n - 1n;

function addToSeq({ oracle }: World, name: string, by: bigint): bigint | null | 'overflow' {
  const record = oracle.record(Quote, name);
  if (record === null) return null;
  const { offset } = fieldOf(Quote, 'seq');
  const sum = record.readBigUInt64LE(offset) + by;
  if (sum < 0n || sum > U64_MAX) return 'overflow';
  const field = Buffer.alloc(8);
  field.writeBigUInt64LE(sum);
  oracle.writeRecord(Quote, name, offset, field);
  return sum;
}

export const TYPED: readonly Row[] = [
  row(
    'quote.set',
    6,
    { key, ttlMs, ...quote },
    (world, asked: Named & DrawnQuote & { ttlMs: number | undefined }) => {
      const record = quoteOf(asked);
      const options = asked.ttlMs === undefined ? {} : { ttlMs: asked.ttlMs };
      world.both(
        () => world.quotes.set(keyOf(asked.key), record, options),
        () => world.oracle.setRecord(Quote, keyOf(asked.key), bytesOf(Quote, record), options),
      );
    },
  ),
  row('quote.get', 3, { key }, (world, { key: name }: Named) => {
    world.both(
      () => quoteBytes(world.quotes.get(keyOf(name))),
      () => world.oracle.record(Quote, keyOf(name)),
    );
    world.both(
      () => world.quotes.readTail(keyOf(name)),
      () => world.oracle.record(Quote, keyOf(name))?.subarray(Quote.layout.headBytes) ?? null,
    );
  }),
  row('quote.locate', 3, { key }, (world, { key: name }: Named) => {
    const { headBytes } = Quote.layout;
    const nothing = Buffer.alloc(0);
    world.both(
      () => {
        if (!world.quotes.locate(keyOf(name))) return null;
        const { size, bid, seq, venue } = world.quotes.head;
        return bytesOf(Quote, { size, bid, seq, venue, note: nothing });
      },
      () => world.oracle.record(Quote, keyOf(name))?.subarray(0, headBytes) ?? null,
    );
    world.both(
      () => world.quotes.read(keyOf(name), 'bid'),
      () =>
        world.oracle.record(Quote, keyOf(name))?.readDoubleLE(fieldOf(Quote, 'bid').offset) ?? null,
    );
  }),
  row(
    'quote.write',
    5,
    { key, write: WRITES },
    (world, { key: name, write }: Named & { write: Write }) => {
      const field = fieldOf(Quote, write.name);
      world.both(
        () => world.quotes.write(keyOf(name), write.name, write.value),
        () =>
          world.oracle.writeRecord(
            Quote,
            keyOf(name),
            field.offset,
            bytesOfField(field, write.value),
          ),
      );
    },
  ),
  row(
    'quote.increment',
    5,
    { key, by: fc.bigInt({ min: -5n, max: 1_000n }) },
    (world, { key: name, by }: Named & { by: bigint }) => {
      const before = world.oracle.entry(keyOf(name));
      let expected: ReturnType<typeof addToSeq> = null;
      if (before === null || before.fingerprint === Quote.fingerprint) {
        expected = addToSeq(world, keyOf(name), by);
      }
      if (expected === 'overflow') {
        assert.throws(() => world.quotes.increment(keyOf(name), 'seq', by), {
          code: 'FIELD_OVERFLOW',
        });
        return;
      }
      world.both(
        () => world.quotes.increment(keyOf(name), 'seq', by),
        () => (world.oracle.record(Quote, keyOf(name)) === null ? null : expected),
      );
    },
  ),
  row(
    'quote.writeTail',
    3,
    { key, tailBytes, salt },
    (world, asked: Named & { tailBytes: number; salt: number }) => {
      const note = valueOf(asked.tailBytes, asked.salt);
      world.both(
        () => world.quotes.writeTail(keyOf(asked.key), note),
        () => world.oracle.writeTail(Quote, keyOf(asked.key), note),
      );
    },
  ),
  row(
    'rate.set',
    3,
    {
      key,
      flags: fc.nat(255),
      days: fc.integer({ min: -9, max: 9 }),
      spare: fc.nat(255),
      rate: f32,
      doc: fc.jsonValue({ maxDepth: 1 }),
    },
    (world, { key: name, ...record }: Named & RateRecord) =>
      world.both(
        () => world.rates.set(keyOf(name), record),
        () => world.oracle.setRecord(Rate, keyOf(name), bytesOf(Rate, record), {}),
      ),
  ),
  row('rate.get', 2, { key }, (world, { key: name }: Named) => {
    world.both(
      () => {
        const record = world.rates.get(keyOf(name));
        return record === null ? null : bytesOf(Rate, record);
      },
      () => world.oracle.record(Rate, keyOf(name)),
    );
    world.both(
      () => world.rates.has(keyOf(name)),
      () => world.oracle.record(Rate, keyOf(name)) !== null,
    );
  }),
];
