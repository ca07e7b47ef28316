import type { Geometry } from '@ingot/store';
import { expect, test } from 'vitest';
import { copyBytes, memoryLimit, memoryRefusal, snapshotMemoryRefusal } from './memory.ts';

const geometry: Geometry = {
  partitions: 64,
  imageBytes: 128 << 20,
  chunkCount: 2048,
  capacityChunks: 256,
  ringBytes: 1 << 20,
  valueMaxBytes: 1 << 20,
  format: 2,
};

test('memory: a copy costs its capacity, ring and scratch, not what it is laid out for', () => {
  expect(copyBytes(geometry)).toBeGreaterThan(17 << 20);
  expect(copyBytes(geometry)).toBeLessThan(18 << 20);
});

test('memory: copies that fit to the byte are accepted, one more is refused', () => {
  const limit = { bytes: 64 * copyBytes(geometry), of: 'machine' } as const;
  expect(memoryRefusal(geometry, 64, limit)).toBeNull();
  expect(memoryRefusal(geometry, 65, limit)?.code).toBe('MEMORY');
});

test('memory: the refusal names what is needed, what there is and what to do', () => {
  const refused = memoryRefusal(geometry, 64, { bytes: 512 << 20, of: 'container' });
  expect(refused?.message).toMatch(/64 partition copies of 18 MiB need 1,097 MiB/);
  expect(refused?.message).toMatch(/this container has 512 MiB; lower --capacity/);
});

test('memory: snapshots count two images of every partition', () => {
  const limit = { bytes: 64 * copyBytes(geometry), of: 'machine' } as const;
  expect(snapshotMemoryRefusal(geometry, 32, limit)).toBeNull();
  const refused = snapshotMemoryRefusal(geometry, 33, limit);
  expect(refused?.code).toBe('MEMORY');
  expect(refused?.message).toMatch(/two images of each of 33 partitions/);
});

test('memory: this machine has some', () => {
  expect(memoryLimit().bytes).toBeGreaterThan(1 << 28);
});
