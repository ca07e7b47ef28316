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
  const key = Buffer.from('k7');
  const hash = hashKey(key, 0, key.length);
  const word = partition.candidateWord(partition.headWordOf(hash), hash);
  expect(word * 4).toBe(partition.find(hash, key, 0, key.length, 1));
});

test('prefetch: finds the slot of a key in a second bucket through the first', () => {
  const partition = filledPartition();
  const map = new PartitionMap(partition);
  for (let i = 0; i < 6_000; i++) map.set(Buffer.from(`k${i}`), Buffer.alloc(8), 1);
  let chained = 0;
  for (let i = 0; i < 6_000; i++) {
    const key = Buffer.from(`k${i}`);
    const hash = hashKey(key, 0, key.length);
    const word = partition.candidateWord(partition.headWordOf(hash), hash);
    if (word >= 0) continue;
    chained++;
    const second = partition.candidateWord(-word, hash);
    if (second > 0) expect(second * 4).toBe(partition.find(hash, key, 0, key.length, 1));
  }
  expect(chained).toBeGreaterThan(300);
});

test('prefetch: an absent key has no candidate', () => {
  const partition = filledPartition();
  const [hash] = hashesOf(['absent']);
  expect(partition.candidateWord(partition.headWordOf(hash), hash)).toBe(0);
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
