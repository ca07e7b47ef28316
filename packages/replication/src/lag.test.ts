import { expect, test } from 'vitest';
import { LagClock } from './lag.ts';

test('lag is the age of the oldest redo that is not acknowledged', () => {
  const lag = new LagClock();
  expect(lag.seconds(5_000)).toBe(0);
  lag.sent(10, 1_000);
  lag.sent(20, 2_000);
  expect(lag.seconds(5_000)).toBe(4);
  lag.acknowledged(15);
  expect(lag.seconds(5_000)).toBe(3);
  lag.acknowledged(20);
  expect(lag.seconds(9_000)).toBe(0);
});

test('lag keeps the oldest of more than it can hold', () => {
  const lag = new LagClock();
  for (let seq = 0; seq < 1_000; seq++) lag.sent(seq, seq);
  expect(lag.seconds(2_000)).toBe(2);
});
