import { expect, test } from 'vitest';
import { refusal } from '../shared/errors.ts';
import { AcceptorLog } from './acceptor-log.ts';
import type { LogFields } from './types.ts';

function logTo(events: string[]): AcceptorLog {
  const log = ({ event }: LogFields): void => void events.push(event);
  return new AcceptorLog({ info: log, warn: log, error: log });
}

test('acceptor log: that one refuses a life is said once per life and reason', () => {
  const events: string[] = [];
  const log = logTo(events);
  for (let beat = 0; beat < 3; beat++) log.refused('n2', refusal('FENCED', 'it is over'));
  expect(events).toEqual(['acceptor.refused']);
  log.refused('n3', refusal('FENCED', 'it is over'));
  log.refused('n2', refusal('REPLACED', 'there is a later one'));
  log.lifeBegan();
  log.refused('n2', refusal('REPLACED', 'there is a later one'));
  expect(events).toHaveLength(4);
});

test('acceptor log: that it cannot write is said once, until it can', () => {
  const events: string[] = [];
  const log = logTo(events);
  for (let write = 0; write < 3; write++) log.wrote(new Error('ENOSPC'));
  log.wrote(null);
  expect(events).toEqual(['map.notWritten']);
  log.wrote(new Error('ENOSPC'));
  expect(events).toHaveLength(2);
});
