import { describe, expect, test } from 'vitest';
import {
  attachPartition,
  createPartition,
  type Partition,
  PartitionMap,
  REDO_HEADER_BYTES,
  REDO_RECORD_BYTES_MAX,
  RING_BUSY,
  RING_EMPTY,
  RING_LAPPED,
  RING_NOT_HELD,
} from './index.ts';
import { bytesOf, newPrimary, RingReader, SMALL } from './pair.fixture.ts';

const RING_BYTES = SMALL.ringBytes;

/** Overwrites one key until the ring's head has moved by `bytes`; returns how many mutations that took. */
function write(partition: Partition, bytes: number, valueBytes = 50_000): void {
  const map = new PartitionMap(partition);
  for (let written = 0, n = 0; written < bytes; n++, written += valueBytes) {
    map.set(bytesOf('k'), Buffer.alloc(valueBytes - (n % 7) * 4, n), 1);
  }
}

/** The seqs of the records in a buffer. */
function seqsIn(buffer: Buffer, bytes: number): number[] {
  const seqs: number[] = [];
  for (let at = 0; at < bytes; at += buffer.readUInt32LE(at)) {
    expect(bytes - at).toBeGreaterThanOrEqual(REDO_HEADER_BYTES);
    seqs.push(Number(buffer.readBigUInt64LE(at + 8)));
  }
  return seqs;
}

const sequence = (from: number, to: number): number[] =>
  Array.from({ length: to - from + 1 }, (_, i) => from + i);

describe('store: ring', () => {
  test('gives whole records in seq order, as many as fit what was asked', () => {
    const primary = newPrimary();
    for (let i = 0; i < 3_000; i++)
      new PartitionMap(primary).set(bytesOf(`k${i}`), Buffer.alloc(90), 1);
    const reader = new RingReader(primary, 1);
    const seqs: number[] = [];
    for (let bytes = reader.read(); bytes > 0; bytes = reader.read()) {
      seqs.push(...seqsIn(reader.buffer, bytes));
    }
    expect(seqs).toEqual(sequence(1, primary.stats().seq));
  });

  test('records that end behind the ring come out whole, wherever they are cut', () => {
    const primary = newPrimary();
    const reader = new RingReader(primary, 1);
    let expected = 1;
    for (let i = 0; i < 600; i++) {
      const bytes = 8_000 + ((i * 4) % 1_000);
      new PartitionMap(primary).set(bytesOf('k'), Buffer.alloc(bytes, i), 1);
      for (let read = reader.read(); read > 0; read = reader.read()) {
        for (const seq of seqsIn(reader.buffer, read)) expect(seq).toBe(expected++);
      }
    }
    expect(expected).toBe(primary.stats().seq + 1);
    expect(reader.position).toBeGreaterThan(2 * RING_BYTES);
  });

  test('every cut of a record by the end of the ring gives the same bytes', () => {
    const primary = newPrimary();
    const map = new PartitionMap(primary);
    const reader = new RingReader(primary, 1);
    const drain = (): void => {
      while (reader.read() > 0);
    };
    for (let lap = 1; lap <= 40; lap++) {
      map.set(bytesOf('fill'), Buffer.alloc(40_000, 1), 1);
      drain();
      while (lap * RING_BYTES - reader.position > 60_000) {
        map.set(bytesOf('fill'), Buffer.alloc(50_000, 2), 1);
        drain();
      }
      // What is left before the end differs by one word from lap to lap.
      const left = lap * RING_BYTES - reader.position;
      map.set(bytesOf('pad'), Buffer.alloc(Math.max(left - 200 - lap * 4, 4)), 1);
      drain();
      const value = Buffer.from(sequence(1, 150));
      map.set(bytesOf('cut'), value, 1);
      const bytes = reader.read();
      expect(reader.buffer.subarray(0, bytes).includes(value)).toBe(true);
    }
  });

  test('a reader that the writer has overtaken is told so', () => {
    const primary = newPrimary();
    const reader = new RingReader(primary, 1);
    write(primary, RING_BYTES + 200_000);
    expect(reader.read()).toBe(RING_LAPPED);
  });

  test('a reader that is overtaken while it copies is told so, and handed nothing', () => {
    const primary = newPrimary();
    write(primary, RING_BYTES / 2);
    const reader = new RingReader(primary, 2);
    expect(overtakenWhileCopying(primary, reader)).toBe(RING_LAPPED);
  });

  test('while a writer is inside, a copy does not wait', () => {
    const primary = newPrimary();
    const reader = new RingReader(primary, 1);
    primary.enter();
    expect(reader.read()).toBe(RING_BUSY);
    primary.leave();
    expect(reader.read()).toBeGreaterThan(0);
    expect(reader.read()).toBe(RING_EMPTY);
  });

  test('a transaction shows only once it is whole, and only its last record ends it', () => {
    const primary = newPrimary();
    const map = new PartitionMap(primary);
    const reader = new RingReader(primary, 2);
    primary.enter();
    primary.beginTransaction();
    const key = bytesOf('k');
    for (let i = 0; i < 3; i++) primary.set(7, key, 0, 1, key, 0, 1, 0, 1);
    expect(reader.read()).toBe(RING_BUSY);
    primary.endTransaction();
    primary.leave();
    map.set(bytesOf('other'), key, 1);
    const bytes = reader.read();
    const flags: number[] = [];
    for (let at = 0; at < bytes; at += reader.buffer.readUInt32LE(at))
      flags.push(reader.buffer[at + 5]);
    expect(flags).toEqual([0, 0, 1, 1]);
  });

  test('finds every seq that it holds, and no other', () => {
    const primary = newPrimary();
    write(primary, 3 * RING_BYTES);
    const { seq } = primary.stats();
    const held = sequence(1, seq).filter((wanted) => primary.ringFind(wanted) !== RING_NOT_HELD);
    expect(held).toEqual(sequence(held[0], seq));
    expect(held[0]).toBeGreaterThan(1);
    expect(primary.ringFind(seq + 2)).toBe(RING_NOT_HELD);
    for (const wanted of [held[0], held[5], seq]) {
      const reader = new RingReader(primary, wanted);
      expect(seqsIn(reader.buffer, reader.read())[0]).toBe(wanted);
    }
    expect(new RingReader(primary, seq + 1).read()).toBe(RING_EMPTY);
  });

  test('a CHECK marker at the tail is not taken for the mutation whose seq it carries', () => {
    const primary = newPrimary();
    write(primary, 300_000);
    const marked = primary.stats().seq;
    for (let i = 0; i < 2_000; i++) primary.appendCheck(2);
    write(primary, RING_BYTES - 600_000);
    expect(primary.ringFind(marked)).toBeGreaterThan(0);
    const small = new PartitionMap(primary);
    while (primary.ringFind(marked) !== RING_NOT_HELD)
      small.set(bytesOf('k'), Buffer.alloc(900), 1);
    const reader = new RingReader(primary, marked + 1);
    expect(seqsIn(reader.buffer, reader.read())[0]).toBe(marked + 1);
  });

  test('after a reset it holds nothing of the former life', () => {
    const partition = attachPartition(createPartition(SMALL, 0));
    partition.promote(1, 1);
    write(partition, RING_BYTES / 2);
    const { seq } = partition.stats();
    partition.reset();
    expect(partition.ringFind(seq)).toBe(RING_NOT_HELD);
    partition.promote(2, 1);
    for (let i = 0; i < seq; i++) new PartitionMap(partition).set(bytesOf('k'), bytesOf('v'), 1);
    for (const wanted of [1, seq >>> 1, seq]) {
      const reader = new RingReader(partition, wanted);
      expect(seqsIn(reader.buffer, reader.read())[0]).toBe(wanted);
    }
    expect(partition.verify()).toBeNull();
  });

  test('no record is longer than its bound, not even the largest value in a new chunk and a new bucket', () => {
    const primary = newPrimary();
    new PartitionMap(primary).set(bytesOf('k'), Buffer.alloc(65_536 - 25), 1);
    const reader = new RingReader(primary, 2);
    expect(reader.read()).toBeLessThan(REDO_RECORD_BYTES_MAX);
  });
});

/** Lets the writer lap the ring between the moment a copy reads the ring's state and the moment it checks again. */
function overtakenWhileCopying(primary: Partition, reader: RingReader): number {
  const target = reader.buffer;
  const copyNow = Buffer.prototype.copy;
  let overtaken = false;
  Buffer.prototype.copy = function copy(
    this: Buffer,
    into: Uint8Array,
    ...range: number[]
  ): number {
    if (into === target && !overtaken) {
      overtaken = true;
      write(primary, RING_BYTES);
    }
    return copyNow.call(this, into, ...range);
  } as typeof copyNow;
  try {
    return reader.read();
  } finally {
    Buffer.prototype.copy = copyNow;
  }
}
