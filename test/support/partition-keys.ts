/** Keys by partition: what a test writes to reach one of them. */
import { partitionOfSlot, slotOfKey } from '../../packages/store/src/hash.ts';

/** A key of each partition; as a `{tag}` it takes any other key there. */
export function keysOfPartitions(partitions: number, prefix = 'probe'): string[] {
  const keys: string[] = [];
  let found = 0;
  for (let i = 0; found < partitions; i++) {
    const key = `${prefix}:${i}`;
    const bytes = Buffer.from(key);
    const partition = partitionOfSlot(slotOfKey(bytes, 0, bytes.length), partitions);
    if (keys[partition] !== undefined) continue;
    keys[partition] = key;
    found++;
  }
  return keys;
}
