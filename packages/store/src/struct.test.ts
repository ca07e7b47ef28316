import fc from 'fast-check';
import { describe, expect, expectTypeOf, test } from 'vitest';
import {
  bytes,
  f32,
  f64,
  type FieldType,
  i16,
  i32,
  i64,
  i8,
  json,
  struct,
  type StructInput,
  type StructValue,
  tail,
  u16,
  u32,
  u64,
  u8,
} from './index.ts';
import { holds, StructBytes } from './struct-bytes.ts';

const offsets = (of: { layout: { fields: readonly { name: string; offset: number }[] } }) =>
  Object.fromEntries(of.layout.fields.map(({ name, offset }) => [name, offset]));

describe('store: structs: layout', () => {
  test('fields that need no padding lie as they were declared', () => {
    const Quote = struct({ bid: f64, ask: f64, seq: u64, symbol: bytes(8), note: tail() });
    expect(offsets(Quote)).toEqual({ bid: 0, ask: 8, seq: 16, symbol: 24 });
    expect(Quote.layout).toMatchObject({
      headBytes: 32,
      reordered: false,
      tail: { name: 'note', kind: 'tail' },
    });
  });

  test('fields that would need padding lie widest first, and the layout says so', () => {
    const Mixed = struct({ side: u8, size: u32, code: bytes(3), price: f64 });
    expect(offsets(Mixed)).toEqual({ price: 0, size: 8, side: 12, code: 13 });
    expect(Mixed.layout).toMatchObject({ headBytes: 16, reordered: true, tail: null });
  });

  test.each([
    [{ price: f64, side: u8 }, /9 bytes, and price is aligned to 8: add 7 bytes of fields/],
    [{ note: tail() }, /no field of fixed width/],
    [{ a: u8, b: tail(), c: json() }, /two tails: b and c/],
    [{ a: bytes(0) }, /a has 0 bytes/],
    [{ a: bytes(1.5) }, /a has 1.5 bytes/],
    [{ a: bytes(65_505) }, /have 65505 bytes, and a record holds 65504/],
  ])('what no order of fields can lay is refused: %#', (shape, reason) => {
    expect(() => struct(shape)).toThrow(
      expect.objectContaining({ code: 'STRUCT_INVALID', message: expect.stringMatching(reason) }),
    );
  });

  test('any set of fields is laid aligned, without overlap and padding, or refused', () => {
    const types = [u8, i8, u16, i16, u32, i32, u64, i64, f32, f64];
    const anyType: fc.Arbitrary<FieldType<unknown>> = fc.oneof(
      fc.constantFrom<FieldType<unknown>>(...types),
      fc.integer({ min: 1, max: 20 }).map((count) => bytes(count)),
    );
    fc.assert(
      fc.property(fc.array(anyType, { minLength: 1, maxLength: 12 }), (fields) => {
        const shape = Object.fromEntries(fields.map((type, i) => [`f${i}`, type]));
        const sum = fields.reduce((total, type) => total + type.bytes, 0);
        const widest = Math.max(...fields.map((type) => (type.kind === 'bytes' ? 1 : type.bytes)));
        if (sum % widest !== 0) {
          expect(() => struct(shape)).toThrow('add');
          return;
        }
        const { layout } = struct(shape);
        expect(layout.headBytes).toBe(sum);
        expect(layout.fields).toHaveLength(fields.length);
        let end = 0;
        for (const { kind, offset, bytes: width } of layout.fields) {
          expect(offset).toBe(end);
          expect(kind === 'bytes' || offset % width === 0).toBe(true);
          end += width;
        }
        const names = layout.fields.map(({ name }) => name);
        expect(layout.reordered || names.join() === Object.keys(shape).join()).toBe(true);
      }),
      { numRuns: 300 },
    );
  });

  test('the fingerprint is part of the format: of names, types, offsets and the tail', () => {
    const Quote = struct({ bid: f64, ask: f64, seq: u64, symbol: bytes(8), note: tail() });
    const others = [
      struct({ bid: f64, ask: f64, seq: u64, symbol: bytes(8) }),
      struct({ bid: f64, ask: f64, seq: u64, symbol: bytes(8), note: json() }),
      struct({ bid: f64, ask: f64, seq: u64, symbol: bytes(8), text: tail() }),
      struct({ ask: f64, bid: f64, seq: u64, symbol: bytes(8), note: tail() }),
      struct({ bid: f64, ask: f64, seq: i64, symbol: bytes(8), note: tail() }),
      struct({ bid: f64, ask: f64, seq: u64, symbol: bytes(16), note: tail() }),
    ];
    expect(Quote.fingerprint).toBe(1_929_708_841);
    const prints = new Set([Quote, ...others].map((of) => of.fingerprint));
    expect(prints.size).toBe(others.length + 1);
  });

  test('fields have types', () => {
    const All = struct({ n: f64, big: u64, raw: bytes(8), more: json<{ tags: string[] }>() });
    expectTypeOf<StructValue<typeof All.shape>>().toEqualTypeOf<{
      readonly n: number;
      readonly big: bigint;
      readonly raw: Buffer;
      readonly more: { tags: string[] };
    }>();
    expectTypeOf<StructInput<typeof All.shape>['raw']>().toEqualTypeOf<string | Uint8Array>();
  });
});

describe('store: structs: fields', () => {
  const All = struct({
    ...{ a: f64, b: i64, c: u64, d: f32, e: u32, f: i32, g: u16, h: i16, i: u8, j: i8 },
    k: bytes(6),
  });

  test('lie as a DataView reads them', () => {
    const at = 16;
    const memory = new ArrayBuffer(64 + at);
    const fields = new StructBytes(memory);
    const view = new DataView(memory, at);
    const of = Object.fromEntries(All.layout.fields.map((field) => [field.name, field]));
    const values = {
      ...{ a: Math.PI, b: -5n, c: 2n ** 64n - 1n, d: 1.5, e: 4e9, f: -2e9 },
      ...{ g: 65_535, h: -32_768, i: 255, j: -128, k: Buffer.from('abc') },
    };
    for (const [name, value] of Object.entries(values)) fields.write(of[name], at, value);
    expect(view.getFloat64(of['a'].offset, true)).toBe(values.a);
    expect(view.getBigInt64(of['b'].offset, true)).toBe(values.b);
    expect(view.getBigUint64(of['c'].offset, true)).toBe(values.c);
    expect(view.getFloat32(of['d'].offset, true)).toBe(values.d);
    expect(view.getUint32(of['e'].offset, true)).toBe(values.e);
    expect(view.getInt32(of['f'].offset, true)).toBe(values.f);
    expect(view.getUint16(of['g'].offset, true)).toBe(values.g);
    expect(view.getInt16(of['h'].offset, true)).toBe(values.h);
    expect(view.getUint8(of['i'].offset)).toBe(values.i);
    expect(view.getInt8(of['j'].offset)).toBe(values.j);
    for (const [name, value] of Object.entries(values)) {
      const expected = name === 'k' ? Buffer.from('abc\0\0\0') : value;
      expect(fields.read(of[name], at)).toEqual(expected);
    }
  });

  test.each([
    ['u8', u8, [0, 255], [-1, 256, 0.5, 1n, '1', Number.NaN]],
    ['i16', i16, [-32_768, 32_767], [-32_769, 32_768]],
    ['u32', u32, [0, 2 ** 32 - 1], [-1, 2 ** 32]],
    ['u64', u64, [0n, 2n ** 64n - 1n], [-1n, 2n ** 64n, 1]],
    ['i64', i64, [-(2n ** 63n), 2n ** 63n - 1n], [2n ** 63n]],
    ['f64', f64, [0.1, Number.NaN, -Infinity], [1n, '1', null, undefined]],
    ['bytes', bytes(3), ['abc', '', new Uint8Array(3)], ['abcd', 'é€', new Uint8Array(4), 1]],
  ])('%s holds what it can and nothing else', (_, type, good, bad) => {
    const [field] = struct({ x: type }).layout.fields;
    for (const value of good) expect(holds(field, value)).toBe(true);
    for (const value of bad) expect(holds(field, value)).toBe(false);
  });
});
