import { expect, test } from 'vitest';
import { lostText } from './local-cluster.ts';

test('up: a node that has left, one that was stopped and one that broke are told apart', () => {
  const end = { code: 0, signal: null, hasLeft: false, lastLines: [] };
  expect(lostText({ ...end, hasLeft: true })).toContain('has left the cluster');
  expect(lostText(end)).toBe('was stopped. To start it again');
  expect(lostText({ ...end, code: 4 })).toContain('ended with exit code 4');
  expect(lostText({ ...end, code: null, signal: 'SIGKILL' })).toContain('was ended by SIGKILL');
});
