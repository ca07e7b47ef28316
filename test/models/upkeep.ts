/** What goes on beside the calls of a map: time, sweeps, large writes piece by piece, transactions, what replication asks for,
 *  and the moment from which the redo is replayed. */
import { strict as assert } from 'node:assert';
import { hashKey, SET_OK } from '@ingot/store';
import fc from 'fast-check';
import { bytes, key, keyOf, type Row, row, salt, valueOf } from './row.ts';
import type { World } from './world.ts';

const KEY_BYTES_MAX = 65_511;
const NEVER = 0;

const hashOf = (name: Buffer): number => hashKey(name, 0, name.length);

/** A step of a transaction: a short value, or a deletion. */
interface Step {
  readonly key: string;
  readonly bytes: number | null;
}

const steps = fc.array(fc.record({ key, bytes: fc.option(fc.nat(2_000)) }), {
  ...{ minLength: 1, maxLength: 5 },
});

function transact(world: World, { key: keyText, bytes: count }: Step): void {
  const { partition, oracle } = world;
  const name = Buffer.from(keyOf(keyText));
  if (name.length > KEY_BYTES_MAX) return;
  if (count === null) {
    const removed = partition.remove(hashOf(name), name, 0, name.length, oracle.nowMs);
    assert.equal(removed === 1, oracle.delete(keyOf(keyText)));
    return;
  }
  // What would take a value out of its slot needs passages of its own.
  const value = valueOf(Math.min(count, 65_536 - 24 - name.length), count % 1_000);
  const { length } = name;
  const code = partition.set(
    ...([hashOf(name), name, 0, length, value, 0, value.length, NEVER, oracle.nowMs] as const),
  );
  assert.equal(code, SET_OK);
  oracle.set(keyOf(keyText), value);
}

export const UPKEEP: readonly Row[] = [
  row('wait', 5, { ms: fc.nat(30) }, ({ oracle }, { ms }: { ms: number }) => {
    oracle.nowMs += ms;
  }),
  row(
    'sweep',
    3,
    { chunks: fc.integer({ min: 1, max: 300 }) },
    ({ map }, { chunks }: { chunks: number }) => map.sweep(chunks),
  ),
  row(
    'begin',
    3,
    { key, bytes, salt },
    (world, asked: { key: string; bytes: number; salt: number }) => {
      const { partition, writes } = world;
      const name = Buffer.from(keyOf(asked.key));
      if (writes.length > 0 || !world.hasRoomFor(asked.bytes)) return;
      const write = partition.values.beginLarge(hashOf(name), name, 0, name.length, asked.bytes);
      const isTooLarge = asked.bytes > partition.values.valueBytesMax(name.length);
      assert.equal(typeof write === 'number', isTooLarge);
      if (typeof write === 'number') return;
      writes.push({ key: keyOf(asked.key), value: valueOf(asked.bytes, asked.salt), write });
    },
  ),
  row('feed', 6, { bytes }, ({ writes, oracle }, { bytes: count }: { bytes: number }) => {
    for (const { write, value } of writes) {
      const left = value.length - write.written;
      if (left === 0 || count === 0) continue;
      assert(write.write(value, write.written, Math.min(left, count), oracle.nowMs) > 0);
    }
  }),
  row(
    'finish',
    3,
    { how: fc.constantFrom('publish', 'publish', 'abort') },
    ({ writes, oracle }, { how }: { how: string }) => {
      const open = writes.pop();
      if (open === undefined) return;
      const { key: name, value, write } = open;
      if (how === 'abort') return write.abort(oracle.nowMs);
      while (write.written < value.length) {
        const left = value.length - write.written;
        assert(write.write(value, write.written, left, oracle.nowMs) > 0);
      }
      assert.equal(write.publish(NEVER, oracle.nowMs), SET_OK);
      oracle.set(name, value);
    },
  ),
  row('transaction', 3, { steps }, (world, asked: { steps: Step[] }) => {
    world.partition.enter();
    world.partition.beginTransaction();
    for (const step of asked.steps) transact(world, step);
    world.partition.endTransaction();
    world.partition.leave();
  }),
  row('check', 1, { chunk: fc.nat(255) }, ({ partition }, { chunk }: { chunk: number }) => {
    assert.notEqual(partition.appendCheck(chunk % partition.chunksTouched()), -1);
  }),
  row(
    'repair',
    1,
    { chunk: fc.nat(255) },
    ({ partition, oracle }, { chunk }: { chunk: number }) => {
      const at = chunk % partition.chunksTouched();
      assert.notEqual(partition.repairChunk(at, oracle.nowMs), -1);
    },
  ),
  row('verify', 1, {}, ({ map }) => assert.equal(map.verify(), null)),
  row('remember', 2, {}, (world) => world.remember()),
];
