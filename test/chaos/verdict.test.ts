/** A run of chaos that must fail does. */
import { expect, test } from 'vitest';
import { ILL_KINDS } from './ills.ts';
import { RunRecord } from './record.ts';
import { verdictOn } from './verdict.ts';

const KEY = 'isr:1';

/** Two writes that were taken by the primary of their epoch, and read. */
function goodRun(): RunRecord {
  const record = new RunRecord();
  for (const [i, value] of ['a', 'b'].entries()) {
    expect(record.outcomeOf('3 7 n1 1')).toBe('done');
    const start = 10 * i;
    record.history.push({ kind: 'write', key: KEY, value, start, end: start + 1 });
    record.history.push({ kind: 'read', key: KEY, value, start: start + 2, end: start + 3 });
  }
  return record;
}

test('verdict: a good run holds', () => {
  expect(verdictOn(goodRun(), [])).toBeNull();
});

test.each(ILL_KINDS)('verdict: a run without any %s fails', (kind) => {
  expect(verdictOn(goodRun(), [kind])).toBe(`never happened: ${kind}`);
});

test('verdict: a second writer in an epoch fails', () => {
  const record = goodRun();
  record.outcomeOf('3 7 n2 1');
  expect(verdictOn(record, [])).toMatch(/^two writers in an epoch: partition 3 epoch 7/);
});

test('verdict: a second life of the same node in an epoch fails', () => {
  const record = goodRun();
  record.outcomeOf('3 7 n1 2');
  expect(verdictOn(record, [])).toMatch(/^two writers in an epoch: partition 3 epoch 7/);
});

test.each([null, 'a'])(
  'verdict: an acknowledged write that is read no more (%s) fails',
  (value) => {
    const record = goodRun();
    record.history.push({ kind: 'read', key: KEY, value, start: 30, end: 31 });
    expect(verdictOn(record, [])).toMatch(/^key isr:1: /);
  },
);

test('verdict: a reply that no client should get fails', () => {
  const record = goodRun();
  record.outcomeOf('ERR something broke');
  expect(record.isRefusal('ERR a read broke')).toBe(true);
  expect(verdictOn(record, [])).toMatch(/nobody should get: ERR something broke; ERR a read broke/);
});

test('verdict: a run in which nobody could write fails', () => {
  const record = new RunRecord();
  expect(record.outcomeOf('CLUSTERDOWN nobody leads it')).toBe('refused');
  expect(record.outcomeOf(null)).toBe('unknown');
  expect(verdictOn(record, [])).toBe('no write was accepted');
});
