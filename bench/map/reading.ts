/** What the main thread and the readers of the map bench share. */
import type { MapHandle } from '../../packages/store/src/index.ts';

export interface ReaderTask {
  readonly handle: MapHandle;
  readonly keyCount: number;
  /** [readers that are ready, go] */
  readonly control: Int32Array;
}

/** Keys of 16 characters, the same for every caller, in an order that no cache foresees. */
export function keysInRandomOrder(count: number): string[] {
  const keys = Array.from({ length: count }, (_, i) => `key:${String(i).padStart(12, '0')}`);
  let state = 12_345;
  for (let i = count - 1; i > 0; i--) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) | 0;
    const j = (state >>> 1) % (i + 1);
    [keys[i], keys[j]] = [keys[j], keys[i]];
  }
  return keys;
}
