/** What tests of large values share. */
import { expect } from 'vitest';
import type { TestCluster } from './cluster.fixture.ts';

/** Text of `bytes` bytes in which no two stretches are alike. */
export function large(bytes: number, tag = ''): string {
  let text = '';
  for (let i = 0; text.length < bytes; i++) text += `${tag}${i},`;
  return text.slice(0, bytes);
}

/** Every partition is whole, and nobody holds a pin. */
export function expectWhole(cluster: TestCluster): void {
  for (const node of cluster.nodes) {
    for (const partition of node.partitions) {
      expect(partition.verify()).toBeNull();
      expect(partition.values.pinStats(Date.now()).pins).toBe(0);
    }
  }
}
