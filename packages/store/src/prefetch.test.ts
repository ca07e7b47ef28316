import { expect, test } from 'vitest';
import {
  attachPartition,
  createPartition,
  hashKey,
  type Partition,
  PartitionMap,
  planGeometry,
  Prefetch,
} from './index.ts';
import { BUCKET_OVERFLOW_WORD } from './layout.ts';
import { headWordOf, slotWordIn } from './prefetch.ts';

const GEOMETRY = planGeometry({ partitions: 1, capacityBytes: 8 << 20 });
const LOOKUPS = 8;

function filledPartition(): Partition {
  const partition = attachPartition(createPartition(GEOMETRY, 0));
  partition.promote(1, 1);
  const map = new PartitionMap(partition);
  for (let i = 0; i < 100; i++) map.set(Buffer.from(`k${i}`), Buffer.alloc(i), 1);
  return partition;
}

const hashesOf = (names: string[]): Int32Array =>
  Int32Array.from(names, (name) => hashKey(Buffer.from(name), 0, name.length));

test('prefetch: finds the slot of a key through its head bucket', () => {
  const partition = filledPartition();
  const { image32 } = partition;
  const key = Buffer.from('k7');
  const hash = hashKey(key, 0, key.length);
  const word = slotWordIn(image32, headWordOf(image32, hash), hash);
  expect(word * 4).toBe(partition.find(hash, key, 0, key.length, 1));
});

test('prefetch: finds every key in its head bucket or in the next, however many buckets there are', () => {
  const partition = filledPartition();
  const { image32 } = partition;
  const map = new PartitionMap(partition);
  let chained = 0;
  let farther = 0;
  for (let keys = 6_000; keys <= 18_000; keys += 6_000) {
    for (let i = keys - 6_000; i < keys; i++) map.set(Buffer.from(`k${i}`), Buffer.alloc(8), 1);
    for (let i = 0; i < 6_000; i++) {
      const key = Buffer.from(`k${i}`);
      const hash = hashKey(key, 0, key.length);
      const head = headWordOf(image32, hash);
      let word = slotWordIn(image32, head, hash);
      if (word === 0) {
        word = slotWordIn(image32, image32[head + BUCKET_OVERFLOW_WORD] >>> 2, hash);
        chained++;
      }
      if (word === 0) farther++;
      else expect(word * 4).toBe(partition.find(hash, key, 0, key.length, 1));
    }
  }
  expect(chained).toBeGreaterThan(300);
  expect(farther).toBeLessThan(300);
});

test('prefetch: an absent key has no slot', () => {
  const { image32 } = filledPartition();
  const [hash] = hashesOf(['absent']);
  expect(slotWordIn(image32, headWordOf(image32, hash), hash)).toBe(0);
});

test('prefetch: changes no byte, and passes over lookups without a partition here', () => {
  const partition = filledPartition();
  const image = Buffer.from(partition.imageBuffer);
  const marks = partition.accessMarks.slice();
  const ids = Int16Array.from([0, -1, 1, 0]);
  const prefetch = new Prefetch(LOOKUPS);
  prefetch.run([partition, null], ids, hashesOf(['k1', 'k2', 'k3', 'absent']), ids.length);
  expect(partition.imageBuffer.equals(image)).toBe(true);
  expect(partition.accessMarks).toEqual(marks);
});
