import { attachPartition, createPartition, planGeometry } from '@ingot/store';
import { expect, test } from 'vitest';
import { touchPages } from './prealloc.ts';

test('prealloc: touching an image changes none of its bytes, and yields between slices', () => {
  const capacityBytes = 48 << 20;
  const geometry = planGeometry({ partitions: 1, capacityBytes, capacityMaxBytes: 64 << 20 });
  const handle = createPartition(geometry, 0);
  const before = Buffer.from(Buffer.from(handle.image));
  const slices = [...touchPages(handle)].length;
  expect(slices).toBe(3);
  expect(Buffer.compare(before, Buffer.from(handle.image))).toBe(0);
  expect(attachPartition(handle).verify()).toBeNull();
});
