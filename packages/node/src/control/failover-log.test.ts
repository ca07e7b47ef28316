import { expect, test } from 'vitest';
import { FailoverLog } from './failover-log.ts';
import type { LogFields } from './types.ts';

function logTo(events: string[]): FailoverLog {
  const log = ({ event, why }: LogFields): void => void events.push(`${event}: ${String(why)}`);
  return new FailoverLog({ info: log, warn: log, error: log });
}

test('failover log: who does not answer is named once, until it has answered', () => {
  const events: string[] = [];
  const log = logTo(events);
  for (let round = 0; round < 3; round++) log.notSealed('n2', new Error('no answer'));
  log.notSealed('n3', new Error('no answer'));
  expect(events).toEqual(['copies.notSealed: no answer', 'copies.notSealed: no answer']);
  log.sealed('n2');
  log.notSealed('n2', new Error('no answer'));
  log.notSealed('n3', new Error('another life is there'));
  expect(events).toHaveLength(4);
});

test('failover log: why partitions stay without a primary is said once', () => {
  const events: string[] = [];
  const log = logTo(events);
  for (let round = 0; round < 3; round++) log.notSettled(new Error('no majority answers'));
  expect(events).toEqual(['failover.failed: no majority answers']);
  log.couldSettle();
  log.notSettled(new Error('no majority answers'));
  expect(events).toHaveLength(2);
});
