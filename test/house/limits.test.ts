/** docs/limits.md says what the rows of serving/limits.ts say, and these name only what exists. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { PARAMETERS } from '../../packages/node/src/commands/config.ts';
import {
  ARGUMENTS_UNKNOWN_MAX,
  BULK_BYTES_UNKNOWN_MAX,
  LINE_BYTES_MAX,
} from '../../packages/node/src/resp/limits.ts';
import { LATE_BYTES_MAX, LATE_MAX } from '../../packages/node/src/serving/outbox.ts';
import { UNKNOWN_TEXT } from '../../packages/node/src/serving/forwarded-call.ts';
import { TRY_AGAIN_TEXT } from '../../packages/node/src/serving/desk.ts';
import { STALLED_MS_MAX } from '../../packages/node/src/serving/inbox.ts';
import { LIMIT_NAMES, LIMITS, type LimitName } from '../../packages/node/src/serving/limits.ts';
import { PARKED_MAX } from '../../packages/node/src/serving/parking.ts';
import {
  CONNECT_MS_MAX,
  PENDING_MAX,
  SILENCE_MS_MAX,
  UNSENT_BYTES_MAX,
} from '../../packages/node/src/serving/peer-link.ts';
import { QUEUED_BYTES_MAX } from '../../packages/node/src/serving/transactions.ts';
import { TURN_BYTES_MAX } from '../../packages/node/src/serving/batch.ts';
import { formatBytes } from '../../packages/node/src/shared/bytes.ts';
import { limitsPath, metricOf, optionOf, withLimitTable } from './limit-table.ts';

const rows = Object.entries(LIMITS);
const source = readFileSync(
  join(import.meta.dirname, '../../packages/node/src/serving/limits.ts'),
  'utf8',
);

test('docs/limits.md has a line for each of them (npm run docs rewrites it)', () => {
  const page = readFileSync(limitsPath, 'utf8');
  expect(page).toBe(withLimitTable(page));
});

test.each(rows)('limit %s has a metric, an event and advice of its own', (name, limit) => {
  expect(metricOf(limit)).toMatch(/^ingot_\w+_total$/);
  const others = Object.values(LIMITS).filter((other) => other !== limit);
  for (const key of ['counter', 'event', 'advice'] as const) {
    expect(others.map((other) => other[key])).not.toContain(limit[key]);
  }
  expect(source).toContain(`event: '${limit.event}'`);
  expect(LIMIT_NAMES).toContain(name);
});

test.each(rows)('limit %s can be set by what it names, or says how much it is', (_, limit) => {
  if (limit.option === undefined) expect(limit.fixed).not.toBe('');
  else expect(optionOf(limit)).toBeDefined();
  if (limit.parameter === undefined) return;
  const parameter = PARAMETERS.find(({ name }) => name === limit.parameter);
  expect(parameter).toBeDefined();
  expect(parameter?.live !== undefined).toBe(limit.live === true);
});

test('those that are fixed are what they say', () => {
  const thousands = (n: number): string => String(n).replace(/(\d{3})$/, ' $1');
  const fixed: Partial<Record<LimitName, string>> = {
    unauthenticatedCommand: `${ARGUMENTS_UNKNOWN_MAX}, ${formatBytes(BULK_BYTES_UNKNOWN_MAX)}`,
    line: formatBytes(LINE_BYTES_MAX),
    stalled: `${STALLED_MS_MAX / 1000}s, and 1s for every 64 000 bytes of it`,
    transaction: formatBytes(QUEUED_BYTES_MAX),
    late: `${thousands(LATE_MAX)}, ${formatBytes(LATE_BYTES_MAX)} of what waits behind them`,
    link: `${thousands(PENDING_MAX)}, ${formatBytes(UNSENT_BYTES_MAX)}`,
    linkSilence: `${CONNECT_MS_MAX / 1000}s, ${SILENCE_MS_MAX / 1000}s`,
    parked: thousands(PARKED_MAX),
    turn: `0.5 ms, ${formatBytes(TURN_BYTES_MAX)} of replies`,
    reply: '512mb',
  };
  const said = rows.filter(([, { option }]) => option === undefined);
  expect(Object.fromEntries(said.map(([name, limit]) => [name, limit.fixed]))).toEqual(fixed);
  expect(LIMITS.linkSilence.error).toBe(UNKNOWN_TEXT);
  expect(LIMITS.parked.error).toBe(TRY_AGAIN_TEXT);
});
