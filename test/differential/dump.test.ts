/** Values travel between Ingot and redis-server by DUMP and RESTORE, in both directions. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { decodeReply } from '../../packages/node/src/commands/reply.fixture.ts';
import { needs } from '../support/tools.ts';
import { ServerPair } from './server-pair.ts';
import type { Words } from './words.ts';

const VALUES: readonly Buffer[] = [
  '',
  '7',
  '-128',
  '32767',
  '-2147483648',
  '2147483648',
  '007',
  'short text',
  'x'.repeat(63),
  'x'.repeat(64),
  'it repeats, '.repeat(2_000),
  'it repeats, '.repeat(60_000),
]
  .map((text) => Buffer.from(text))
  .concat(
    [1_000, 16_383, 16_384, 500_000].map((bytes) =>
      Buffer.from(Array.from({ length: bytes }, (_, i) => Math.imul(i, 0x9e3779b1) >>> 24)),
    ),
  );

const redisServer = needs('redis-server');

describe.runIf(redisServer !== null)('DUMP and RESTORE with redis-server', () => {
  let pair: ServerPair;

  beforeAll(async () => {
    pair = await ServerPair.start(`${redisServer}`);
  });

  afterAll(async () => {
    await pair?.stop();
  });

  const directions = [
    { title: 'from Redis, which compresses', compress: 'yes', toRedis: false },
    { title: 'from Redis, which does not', compress: 'no', toRedis: false },
    { title: 'to Redis', compress: 'no', toRedis: true },
  ];

  it.each(directions)('every kind of string: $title', async ({ compress, toRedis }) => {
    const [from, to] = toRedis ? [pair.ingot, pair.redis] : [pair.redis, pair.ingot];
    await pair.redis.ask([['CONFIG', 'SET', 'rdbcompression', compress]]);
    for (const value of VALUES) {
      const set: Words = ['SET', 'key', value];
      const [, dumped] = await from.ask([set, ['DUMP', 'key']]);
      const payload = Buffer.from(decodeReply(dumped) as string, 'latin1');
      const restore: Words = ['RESTORE', 'key', '0', payload, 'REPLACE'];
      const [restored, got] = await to.ask([restore, ['GET', 'key']]);
      expect(decodeReply(restored)).toBe('OK');
      expect(decodeReply(got)).toBe(value.toString('latin1'));
    }
  });
});
