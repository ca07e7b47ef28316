import { describe, expect, test } from 'vitest';
import type { Command } from '../resp/resp-client.ts';
import { ReplyError, type ReplyValue } from '../resp/reply-value.ts';
import { countFailure, newCounts } from './counts.ts';
import { Importer, type Server } from './importer.ts';
import { Pace, rateFrom } from './pace.ts';
import { sourceFrom } from './source-url.ts';
import { progressText, reportText } from './texts.ts';

const NOW_MS = 1_000_000;

/** Strings of one page, each with what the source says of its expiry. */
function sourceOf(
  strings: Record<string, { value: string; expiry: number }>,
  asked: string[],
  knowsExpiryTimes: boolean,
): Server {
  const reply = ([name, key = '']: Command): ReplyValue => {
    asked.push(String(name));
    const found = strings[String(key)];
    switch (name) {
      case 'PEXPIRETIME':
        if (!knowsExpiryTimes) return new ReplyError("ERR unknown command 'PEXPIRETIME'");
        return found?.expiry ?? -2;
      case 'PTTL':
        return found?.expiry ?? -2;
      case 'SCAN':
        return [
          Buffer.from('0'),
          [...Object.keys(strings), 'late'].map((each) => Buffer.from(each)),
        ];
      case 'TYPE':
        return 'string';
      case 'STRLEN':
        return found?.value.length ?? 0;
      case 'GET':
        return found === undefined ? null : Buffer.from(found.value);
    }
    return 'QUEUED';
  };
  return {
    ask: (commands) => {
      const replies = commands.map(reply);
      if (commands[0][0] === 'MULTI') replies.push(replies.slice(1, -1));
      return Promise.resolve(replies);
    },
  };
}

async function run(knowsExpiryTimes: boolean, expiry: number): Promise<[string[][], string[]]> {
  const written: string[][] = [];
  const asked: string[] = [];
  const counts = newCounts();
  const strings = {
    a: { value: 'for ever', expiry: -1 },
    b: { value: 'a while', expiry },
  };
  const importer = new Importer(
    {
      source: sourceOf(strings, asked, knowsExpiryTimes),
      target: {
        ask: (commands) => {
          written.push(...commands.map((command) => command.map(String)));
          return Promise.resolve(commands.map(() => 'OK'));
        },
      },
      ...{ replace: true, pace: new Pace(rateFrom(null)), nowMs: () => NOW_MS },
      ...{ rest: () => Promise.resolve(), stopped: () => false, pageDone: () => undefined },
    },
    counts,
  );
  expect(await importer.run('0')).toBe(true);
  expect(counts).toMatchObject({ seen: 3, gone: 1 + (written.length === 1 ? 1 : 0) });
  return [written, asked];
}

describe('import', () => {
  test('value and expiry are read in one transaction, and a key that has gone is none', async () => {
    const [written, asked] = await run(true, NOW_MS + 5);
    expect(written).toEqual([
      ['SET', 'a', 'for ever'],
      ['SET', 'b', 'a while', 'PXAT', String(NOW_MS + 5)],
    ]);
    expect(asked.slice(asked.indexOf('MULTI'))).toEqual([
      ...['MULTI', 'PEXPIRETIME', 'GET', 'PEXPIRETIME', 'GET', 'PEXPIRETIME', 'GET', 'EXEC'],
    ]);
  });

  test('of a server before 7.0 the time to live is taken', async () => {
    const [written] = await run(false, 700);
    expect(written[1]).toEqual(['SET', 'b', 'a while', 'PXAT', String(NOW_MS + 700)]);
  });

  test('what has expired by now is not written', async () => {
    const [written] = await run(true, NOW_MS);
    expect(written).toEqual([['SET', 'a', 'for ever']]);
  });
});

describe('rate', () => {
  test.each([
    ['5000', 5_000, 0, 1_000],
    ['20mb', 7, 20 * 1_048_576, 1_000],
    [null, 1_000_000, 1_000_000_000, 0],
  ])('%s: so much takes that long', (text, keys, bytes, ms) => {
    const pace = new Pace(rateFrom(text));
    pace.done(0, 0, NOW_MS);
    const first = pace.done(keys, bytes, NOW_MS);
    expect(first + (text === null ? 0 : 200)).toBe(ms);
    expect(pace.done(keys, bytes, NOW_MS + first)).toBe(ms);
  });

  test('pages and pieces are small where little may pass', () => {
    expect(new Pace(rateFrom('10')).pageKeys).toBe(1);
    expect(new Pace(rateFrom('1mb')).pieceBytes).toBe(52_429);
  });
});

test.each([
  ['redis://h', { host: 'h', port: 6379, database: 0, isTls: false, password: null }],
  [
    'rediss://me:p%40@[::1]:7/9',
    { host: '::1', port: 7, database: 9, isTls: true, password: 'p@' },
  ],
])('%s', (text, source) => {
  expect(sourceFrom(text)).toMatchObject(source);
});

test.each(['localhost:6379', 'redis://h/x', 'redis://h?db=1', 'http://h'])(
  'no source: %s',
  (text) => {
    expect(() => sourceFrom(text)).toThrow(/redis:\/\/127\.0\.0\.1:6379\/0/);
  },
);

test('reasons are counted, and bounded', () => {
  const counts = newCounts();
  for (let i = 0; i < 50; i++) countFailure(counts, Buffer.from(`k${i}`), `ERR ${i % 30}`);
  expect(Object.keys(counts.failed)).toHaveLength(21);
  expect(counts.failed['ERR 0']).toEqual({ count: 2, key: 'k0' });
  expect(counts.failed['other reasons']?.count).toBe(10);
});

test('progress and report', () => {
  const counts = { ...newCounts(), seen: 500, imported: 490, bytes: 1_048_576, gone: 10 };
  const progress = { counts, keysTotal: 2_000, keysSince: 500, bytesSince: 1_048_576, seconds: 2 };
  expect(progressText(progress)).toBe(
    '500 of 2,000 keys (25 %), 250 keys/s, 0.5 MiB/s, 6.0 s left',
  );
  expect(reportText(counts, 2)).toBe(
    'imported 490 strings, 1.0 MiB, in 2.0 s\nexpired, deleted or changed meanwhile: 10',
  );
});
