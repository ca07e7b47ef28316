import { expect, test } from 'vitest';
import type { VerifyReport } from '../control/types.ts';
import { exitCodeOf, reportText } from './verify.ts';

const clean: VerifyReport = { chunksChecked: 12, differences: [], notChecked: [] };
const found = { partition: 3, chunk: 17, node: 'n2', seq: 99 };
const differences = [{ ...found, repaired: false, why: 'the primary has moved' }];
const notChecked = [{ partition: 4, node: 'n3', why: 'it is down' }];

test('verify: all equal is exit code 0', () => {
  expect(exitCodeOf(clean)).toBe(0);
  expect(reportText(clean)).toBe('12 chunks of followers compared; all copies are equal');
});

test('verify: a difference is exit code 1 and names partition, chunk and node', () => {
  expect(exitCodeOf({ ...clean, differences, notChecked })).toBe(1);
  const text = reportText({ ...clean, differences });
  expect(text).toContain(
    'DIFFERENT: partition 3 chunk 17 on n2 at seq 99: NOT repaired: the primary has moved',
  );
  expect(text).toMatch(/not all copies are proven equal$/);
});

test('verify: a difference that was repaired is still exit code 1, and said to be equal now', () => {
  const repaired = [{ ...found, repaired: true, why: '' }];
  expect(exitCodeOf({ ...clean, differences: repaired })).toBe(1);
  expect(reportText({ ...clean, differences: repaired }).split('\n')).toEqual([
    'DIFFERENT: partition 3 chunk 17 on n2 at seq 99: repaired',
    '12 chunks of followers compared; 1 differed and is equal again',
  ]);
});

test('verify: a copy that could not be checked is exit code 3 and says why', () => {
  expect(exitCodeOf({ ...clean, notChecked })).toBe(3);
  expect(reportText({ ...clean, notChecked })).toContain(
    'NOT CHECKED: partition 4 on n3: it is down',
  );
});
