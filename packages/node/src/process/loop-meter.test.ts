import { expect, test } from 'vitest';
import { LoopMeter } from './loop-meter.ts';

function meterOver(...times: [active: number, idle: number][]): LoopMeter {
  let next = 0;
  return new LoopMeter(() => {
    const [active, idle] = times[next++];
    return { active, idle };
  });
}

test('loop meter: the share of time since the last look', () => {
  const meter = meterOver([10, 90], [40, 160], [40, 260]);
  expect(meter.busyShare()).toBeCloseTo(0.1);
  expect(meter.busyShare()).toBeCloseTo(0.3);
  expect(meter.busyShare()).toBe(0);
});

test('loop meter: never below 0, above 1 or no number', () => {
  const meter = meterOver([10, 0], [10, 0], [9.99, 5], [12, 4.9]);
  expect([1, 2, 3, 4].map(() => meter.busyShare())).toEqual([1, 0, 0, 1]);
});
