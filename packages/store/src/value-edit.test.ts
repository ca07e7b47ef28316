import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  APPEND,
  BUSY,
  CHUNK_BYTES,
  hashKey,
  MORE,
  NEEDS_PASSAGES,
  TOO_LARGE,
  type ValueEdit,
  VOID,
} from './index.ts';
import { bytesOf, Pair, patterned, refOf, SMALL, sweepAll } from './pair.fixture.ts';

const NOW_MS = 10;
const KEY = bytesOf('key');
const HASH = hashKey(KEY, 0, KEY.length);
const FIXED_BYTES = 3 * CHUNK_BYTES;

/** What the bytes of a value are after a change. */
function changed(before: Buffer, offset: number, bytes: Buffer): Buffer {
  const after = Buffer.alloc(Math.max(before.length, offset + bytes.length));
  before.copy(after);
  bytes.copy(after, offset);
  return after;
}

class Specimen extends Pair {
  value: Buffer = Buffer.alloc(0);

  set(bytes: number): void {
    this.value = patterned(bytes, bytes);
    this.map.set(KEY, this.value, NOW_MS);
    this.stream();
  }

  /** Changes and compares; returns redo records and bytes that it took. */
  change(offset: number, bytes: number): { records: number; redoBytes: number } {
    const source = patterned(bytes, bytes + offset);
    const { seq } = this.primary.stats();
    const head = this.primary.ringHead();
    const at = offset === APPEND ? this.value.length : offset;
    this.value = changed(this.value, at, source);
    const length =
      offset === APPEND
        ? this.map.append(KEY, source, NOW_MS)
        : this.map.setRange(KEY, offset, source, NOW_MS);
    expect(length).toBe(this.value.length);
    this.check();
    const records = this.primary.stats().seq - seq;
    return { records, redoBytes: this.primary.ringHead() - head };
  }

  check(): void {
    expect(this.map.get(KEY, NOW_MS)?.equals(this.value)).toBe(true);
    this.assertEqualAndSound();
  }

  begin(offset: number, bytes: Buffer): ValueEdit {
    const { values } = this.primary;
    const edit = values.beginEdit(HASH, KEY, 0, KEY.length, offset, bytes, 0, bytes.length);
    if (typeof edit === 'number') throw new Error(`refused: ${edit}`);
    return edit;
  }
}

const finish = (edit: ValueEdit): number => {
  for (;;) {
    const result = edit.step(NOW_MS);
    if (result !== MORE) return result;
  }
};

describe('store: changes of a part of a value', () => {
  test('an append that fits the slot writes what is new, and the header', () => {
    const specimen = new Specimen();
    specimen.set(40);
    const ref = refOf(specimen.primary, 'key');
    expect(specimen.change(APPEND, 5)).toEqual({ records: 1, redoBytes: 84 });
    expect(refOf(specimen.primary, 'key')).toBe(ref);
    specimen.set(65_536 * 3 + 100);
    const before = refOf(specimen.primary, 'key');
    expect(specimen.change(APPEND, 4)).toMatchObject({ records: 1 });
    expect(refOf(specimen.primary, 'key')).toBe(before);
  });

  test('a range over the edge of two extents is patched in place, in one mutation', () => {
    const specimen = new Specimen();
    specimen.set(65_536 * 4 + 5_000);
    const ref = refOf(specimen.primary, 'key');
    expect(specimen.change(65_530, 12)).toEqual({ records: 1, redoBytes: 100 });
    expect(specimen.change(10, 65_536 + 40_000)).toMatchObject({ records: 1 });
    expect(specimen.change(65_536 * 4 - 3, 1_000)).toMatchObject({ records: 1 });
    expect(refOf(specimen.primary, 'key')).toBe(ref);
  });

  test('one that is too long for one redo record replaces the extents that it touches, and no other', () => {
    const specimen = new Specimen();
    specimen.set(65_536 * 8);
    const { records, redoBytes } = specimen.change(65_536 + 7, 3 * 65_536);
    expect(records).toBe(5 + 4); // 4 extents, the record, 4 that were given back
    expect(redoBytes).toBeLessThan(4.1 * 65_536);
    sweepAll(specimen.primary, NOW_MS);
    specimen.check();
    expect(specimen.primary.stats().usedBytes).toBe(FIXED_BYTES + 9 * CHUNK_BYTES);
  });

  test('values grow from one slot into extents, and from tail to extent, by appends', () => {
    const specimen = new Specimen();
    specimen.set(65_000);
    for (const bytes of [500, 9, 1, 20, 65_000, 6, 500, 60, 70_000, 300_000, 1]) {
      specimen.change(APPEND, bytes);
    }
    sweepAll(specimen.primary, NOW_MS);
    specimen.check();
  });

  test('what lies between the end of a value and a range behind it becomes zeros', () => {
    const specimen = new Specimen();
    for (const bytes of [0, 100, 65_000, 100_000, 65_536 * 2]) {
      specimen.set(bytes);
      specimen.change(bytes + 3, 5);
      specimen.change(bytes + 400_000, 70_000);
    }
  });

  test('an absent key is made, and an expired one is as good as absent', () => {
    const specimen = new Specimen();
    specimen.change(APPEND, 100);
    specimen.map.delete(KEY, NOW_MS);
    specimen.value = Buffer.alloc(0);
    specimen.change(70_000, 100_000);
    specimen.map.expire(KEY, NOW_MS + 1, NOW_MS);
    expect(specimen.map.append(KEY, bytesOf('new'), NOW_MS + 1)).toBe(3);
    expect(specimen.map.get(KEY, NOW_MS + 1)).toEqual(bytesOf('new'));
    expect(specimen.map.expiresAtMs(KEY, NOW_MS + 1)).toBe(0);
    expect(specimen.primary.stats()).toMatchObject({ keys: 1, expiries: 1 });
    specimen.assertEqualAndSound();
  });

  test('the expiry stays, whether the record moves or not', () => {
    const specimen = new Specimen();
    specimen.map.set(KEY, patterned(60_000, 1), NOW_MS, { expiresAtMs: 9_000 });
    for (const bytes of [1, 20_000, 400_000]) {
      specimen.map.append(KEY, patterned(bytes, 2), NOW_MS);
      expect(specimen.map.expiresAtMs(KEY, NOW_MS)).toBe(9_000);
    }
  });

  test('each change is seen by who watches the key', () => {
    const specimen = new Specimen();
    specimen.set(200_000);
    for (const [offset, bytes] of [
      [APPEND, 1],
      [5, 5],
      [APPEND, 100_000],
      [0, 200_000],
    ]) {
      const before = specimen.primary.bucketSeq(HASH);
      specimen.change(offset, bytes);
      expect(specimen.primary.bucketSeq(HASH)).not.toBe(before);
    }
  });

  test('beyond what a value may have, nothing changes', () => {
    const specimen = new Specimen();
    specimen.set(SMALL.valueMaxBytes - 10);
    const { seq } = specimen.primary.stats();
    expect(() => specimen.map.append(KEY, bytesOf('eleven byte'), NOW_MS)).toThrow(/too large/);
    expect(() => specimen.map.setRange(KEY, -1, bytesOf('x'), NOW_MS)).toThrow(RangeError);
    expect(() => specimen.map.setRange(KEY, 2 ** 31, bytesOf('x'), NOW_MS)).toThrow(/too large/);
    expect(specimen.primary.stats().seq).toBe(seq);
    specimen.change(APPEND, 10);
  });

  test('with full memory room is made, and the value itself is not taken for it', () => {
    const specimen = new Specimen();
    for (let i = 0; i < 7; i++) {
      specimen.map.set(bytesOf(`k${i}`), patterned(1 << 20, i), NOW_MS);
      specimen.stream();
    }
    specimen.set(100_000);
    for (let i = 0; i < 6; i++) {
      specimen.primary.mark(refOf(specimen.primary, 'key'));
      specimen.change(APPEND, 150_000);
    }
    expect(specimen.primary.stats().evictions).toBeGreaterThan(0);
  });
});

describe('store: edits in many passages', () => {
  const append = (specimen: Specimen, bytes: Buffer): number => {
    specimen.primary.enter();
    const { values } = specimen.primary;
    const result = values.append(HASH, KEY, 0, KEY.length, bytes, 0, bytes.length, NOW_MS);
    specimen.primary.leave();
    return result;
  };

  test('readers see the former value until the last of them', () => {
    const specimen = new Specimen();
    specimen.set(100_000);
    const bytes = patterned(500_000, 1);
    expect(append(specimen, bytes)).toBe(NEEDS_PASSAGES);
    const edit = specimen.begin(APPEND, bytes);
    for (let passages = 1; ; passages++) {
      const result = edit.step(NOW_MS);
      if (result === MORE) {
        specimen.check();
        sweepAll(specimen.primary, NOW_MS); // takes none of it
        continue;
      }
      expect([result, passages]).toEqual([600_000, 9]);
      break;
    }
    specimen.value = Buffer.concat([specimen.value, bytes]);
    specimen.check();
    expect(specimen.primary.values.pinStats(NOW_MS).pins).toBe(0);
  });

  test('begin again when the value changes under them, and give up in the end', () => {
    const specimen = new Specimen();
    specimen.set(100_000);
    const bytes = patterned(500_000, 1);
    const edit = specimen.begin(APPEND, bytes);
    for (let i = 0; i < 4; i++) edit.step(NOW_MS);
    specimen.change(APPEND, 3);
    expect(finish(edit)).toBe(600_003);
    specimen.value = Buffer.concat([specimen.value, bytes]);
    specimen.check();
    specimen.set(10);
    const starved = specimen.begin(APPEND, bytes);
    let result = MORE;
    for (let i = 0; result === MORE; i++) {
      result = starved.step(NOW_MS);
      specimen.map.set(KEY, patterned(20, i), NOW_MS);
      specimen.stream();
    }
    expect(result).toBe(BUSY);
    specimen.map.delete(KEY, NOW_MS);
    sweepAll(specimen.primary, NOW_MS);
    expect(specimen.primary.stats().usedBytes).toBe(FIXED_BYTES);
    specimen.assertEqualAndSound();
  });

  test('sealed meanwhile they are void; given up, nothing is left of them', () => {
    const specimen = new Specimen();
    specimen.set(100_000);
    const bytes = patterned(500_000, 1);
    const edits = [specimen.begin(APPEND, bytes), specimen.begin(50, bytes)];
    for (const edit of edits) edit.step(NOW_MS);
    edits[0].abort(NOW_MS);
    edits[0].abort(NOW_MS);
    specimen.primary.seal(true);
    expect(edits[1].step(NOW_MS)).toBe(VOID);
    specimen.primary.seal(false);
    sweepAll(specimen.primary, NOW_MS);
    expect(specimen.primary.stats().usedBytes).toBe(FIXED_BYTES + 2 * CHUNK_BYTES);
    expect(specimen.primary.values.pinStats(NOW_MS).pins).toBe(0);
    specimen.check();
  });

  test('too much at once is told so', () => {
    const specimen = new Specimen();
    const { values } = specimen.primary;
    const bytes = Buffer.alloc(SMALL.valueMaxBytes + 1);
    expect(finish(specimen.begin(APPEND, bytes))).toBe(TOO_LARGE);
    specimen.primary.seal(true);
    expect(values.beginEdit(HASH, KEY, 0, KEY.length, 0, bytes, 0, 5)).toBe(VOID);
  });
});

describe('store: changes of a part of a value: model', () => {
  const step = fc.record({
    offset: fc.oneof(fc.constant(APPEND), fc.nat(400_000), fc.constantFrom(0, 65_535, 65_536)),
    bytes: fc.oneof(fc.nat(100), fc.nat(70_000), fc.nat(300_000)),
    isPinned: fc.boolean(),
  });

  test('any row of changes gives the bytes that it gives a Buffer, here and on the follower; pins see none', () => {
    const property = fc.property(
      fc.nat(150_000),
      fc.array(step, { maxLength: 8 }),
      (first, steps) => {
        const specimen = new Specimen();
        specimen.set(first);
        for (const { offset, bytes, isPinned } of steps) {
          const before = Buffer.from(specimen.value);
          const end = Math.max(before.length, (offset === APPEND ? before.length : offset) + bytes);
          if (end > SMALL.valueMaxBytes || bytes === 0) continue;
          const pin = isPinned ? specimen.map.pin(KEY, NOW_MS) : null;
          specimen.change(offset, bytes);
          if (pin === null) continue;
          expect(Buffer.concat([...pin.views]).equals(before)).toBe(true);
          pin.unpin();
        }
      },
    );
    fc.assert(property, { numRuns: 40 });
  });
});
