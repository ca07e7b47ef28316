/** Values travel between Ingot and redis-server by DUMP and RESTORE, in both directions. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { decodeReply } from '../../packages/node/src/commands/reply.fixture.ts';
import { Child } from '../support/child.ts';
import { eventually } from '../support/eventually.ts';
import { LocalCluster } from '../support/local-cluster.ts';
import { freePort } from '../support/ports.ts';
import { needs } from '../support/tools.ts';
import { Conversation } from './conversation.ts';

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
  const folder = mkdtempSync(join(tmpdir(), 'ingot-dump-'));
  let cluster: LocalCluster;
  let redisProcess: Child;
  let ingot: Conversation;
  let redis: Conversation;

  beforeAll(async () => {
    const port = await freePort();
    const options = { port: String(port), save: '', appendonly: 'no', dir: folder };
    const words = Object.entries(options).flatMap(([name, value]) => [`--${name}`, value]);
    redisProcess = new Child('setpriv', ['--pdeathsig', 'KILL', `${redisServer}`, ...words]);
    redis = await eventually('redis-server answers', () => Conversation.open(port));
    cluster = await LocalCluster.start({ nodes: 1, copies: 1, partitions: 1, capacity: '64mb' });
    ingot = await Conversation.open(cluster.node(1).ports.client);
  });

  afterAll(async () => {
    ingot?.close();
    redis?.close();
    await cluster?.stop();
    await redisProcess?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  for (const direction of ['from Redis', 'to Redis']) {
    it(`every kind of string: ${direction}`, async () => {
      const [from, to] = direction === 'to Redis' ? [ingot, redis] : [redis, ingot];
      for (const value of VALUES) {
        const [, dumped] = await from.ask([
          ['SET', 'key', value],
          ['DUMP', 'key'],
        ]);
        const payload = Buffer.from(decodeReply(dumped) as string, 'latin1');
        const [restored, got] = await to.ask([
          ['RESTORE', 'key', '0', payload, 'REPLACE'],
          ['GET', 'key'],
        ]);
        expect(decodeReply(restored)).toBe('OK');
        expect(decodeReply(got)).toBe(value.toString('latin1'));
      }
    });
  }
});
