import { attachPartition, createPartition, hashKey, planGeometry } from '@ingot/store';
import { expect, test } from 'vitest';
import { PinWatch } from './pin-watch.ts';

const LEAKED_AFTER_MS = 35_000;

test('pins: one that outlives --pin-max is told of, once a minute while it is held', () => {
  const geometry = planGeometry({ partitions: 1, capacityBytes: 16 * 2 ** 20 });
  const partition = attachPartition(createPartition(geometry, 0));
  const startMs = Date.now();
  partition.promote(1, startMs);
  const key = Buffer.from('k');
  const hash = hashKey(key, 0, 1);
  partition.set(hash, key, 0, 1, Buffer.alloc(100), 0, 100, 0, startMs);
  const told: unknown[] = [];
  const watch = new PinWatch(30_000, (level, event, fields) => told.push([level, event, fields]));
  const never = new PinWatch(0, () => expect.unreachable());
  const look = (afterMs: number): number => {
    watch.look(partition, startMs + afterMs);
    never.look(partition, startMs + afterMs);
    return told.length;
  };
  const pin = partition.values.pin(hash, key, 0, 1, startMs);
  expect(look(LEAKED_AFTER_MS - 2)).toBe(0);
  expect(look(LEAKED_AFTER_MS + 2)).toBe(1);
  expect(told).toEqual([['error', 'pins.leaked', { partition: 0, pins: 1, seconds: 35 }]]);
  expect(look(LEAKED_AFTER_MS + 60_001)).toBe(1);
  expect(look(LEAKED_AFTER_MS + 60_003)).toBe(2);
  pin?.unpin();
  expect(look(LEAKED_AFTER_MS + 200_000)).toBe(2);
});
