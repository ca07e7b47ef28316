import { expect, test } from 'vitest';
import { BulkSlots, bulksMax } from './bulk-slots.ts';

test(`bulk slots: ${bulksMax} run at once, the rest in the order in which they asked`, () => {
  const granted: number[] = [];
  const slots = new BulkSlots<number>((holder) => granted.push(holder));
  for (let holder = 1; holder <= 7; holder++) slots.request(holder);
  expect(granted).toEqual([1, 2, 3, 4]);
  expect([slots.running, slots.waiting]).toEqual([4, 3]);
  slots.release(6); // gave up waiting
  slots.release(2);
  slots.release(2);
  expect(granted).toEqual([1, 2, 3, 4, 5]);
  slots.release(5);
  slots.release(1);
  expect(granted).toEqual([1, 2, 3, 4, 5, 7]);
});

test('bulk slots: who runs already is granted again', () => {
  const granted: string[] = [];
  const slots = new BulkSlots<string>((holder) => granted.push(holder));
  slots.request('a');
  slots.request('a');
  expect(granted).toEqual(['a', 'a']);
});
