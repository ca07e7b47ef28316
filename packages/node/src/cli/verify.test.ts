import { expect, test } from 'vitest';
import type { VerifyReport } from '../control/types.ts';
import { exitCodeOf, reportText } from './verify.ts';

const clean: VerifyReport = { chunksChecked: 12, differences: [], notChecked: [] };
const differences = [{ partition: 3, chunk: 17, node: 'n2', seq: 99 }];
const notChecked = [{ partition: 4, node: 'n3', why: 'it is down' }];

test('verify: all equal is exit code 0', () => {
  expect(exitCodeOf(clean)).toBe(0);
  expect(reportText(clean)).toBe('12 chunks of followers compared; all copies are equal');
});

test('verify: a difference is exit code 1 and names partition, chunk and node', () => {
  expect(exitCodeOf({ ...clean, differences, notChecked })).toBe(1);
  const text = reportText({ ...clean, differences });
  expect(text).toContain('DIFFERENT: partition 3 chunk 17 on n2 at seq 99');
  expect(text).not.toContain('all copies are equal');
});

test('verify: a copy that could not be checked is exit code 3 and says why', () => {
  expect(exitCodeOf({ ...clean, notChecked })).toBe(3);
  expect(reportText({ ...clean, notChecked })).toContain(
    'NOT CHECKED: partition 4 on n3: it is down',
  );
});
