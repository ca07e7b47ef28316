/** `ingot import` from a real redis-server into a real node: what arrives, what stays, what is told, and going on. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { RespClient } from '../../packages/node/src/resp/resp-client.ts';
import { TestAuthority } from '../../packages/replication/src/authority.fixture.ts';
import { within } from '../support/eventually.ts';
import { ingot, type Outcome, startIngot } from '../support/ingot.ts';
import { LocalCluster } from '../support/local-cluster.ts';
import { PLAIN, RedisServer } from '../support/redis-server.ts';
import { needs } from '../support/tools.ts';

const MB = 1 << 20;
const HOUR_MS = 3_600_000;
const program = needs('redis-server');

describe.runIf(program !== null)('ingot import', () => {
  let cluster: LocalCluster;
  let redis: RedisServer;
  let target: RespClient;
  let folder: string;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'ingot-import-'));
    [cluster, redis] = await Promise.all([
      LocalCluster.start({
        ...{ nodes: 1, copies: 1, partitions: 4, capacity: '64mb' },
        foundArgs: ['--value-max', '4mb'],
        args: ['--password', 'of the cluster'],
      }),
      RedisServer.start(
        program ?? '',
        (port) => ['--port', String(port), '--requirepass', 'p@ss', '--rdbcompression', 'no'],
        { password: 'p@ss' },
      ),
    ]);
    const { client: port } = cluster.node(1).ports;
    target = await RespClient.open({ ...PLAIN, port, password: 'of the cluster' });
  });

  afterAll(async () => {
    target.close();
    await Promise.all([cluster.stop(), redis.stop()]);
    rmSync(folder, { recursive: true, force: true });
  });

  beforeEach(async () => {
    await redis.client.ask([['FLUSHALL']]);
    await target.ask([['FLUSHALL']]);
  });

  const state = (): string => join(folder, 'state.json');
  const args = (...more: readonly string[]): string[] => [
    ...['import', `redis://:p%40ss@127.0.0.1:${redis.port}/3`, '--state', state()],
    ...['--to', `127.0.0.1:${cluster.node(1).ports.client}`, '--password', 'of the cluster'],
    ...more,
  ];
  const imported = (...more: readonly string[]): Promise<Outcome> => ingot(args(...more));
  const atSource = (...commands: (readonly (string | Buffer)[])[]): Promise<unknown> =>
    redis.client.ask([['SELECT', '3'], ...commands]);

  test('strings arrive byte for byte, with their expiry; others are counted', async () => {
    const key = Buffer.from([0, 13, 10, 255]);
    const long = Buffer.alloc(3 * MB, 'long value ');
    const at = Date.now() + HOUR_MS;
    await atSource(
      ['SET', key, Buffer.from([10, 0, 13])],
      ['SET', 'long', long],
      ['SET', 'empty', ''],
      ['SET', 'expires', 'later', 'PXAT', String(at)],
      ['SET', 'number', '42'],
      ['RPUSH', 'list', 'a'],
      ['RPUSH', 'list2', 'a'],
      ['HSET', 'hash', 'f', 'v'],
      ['SELECT', '0'],
      ['SET', 'elsewhere', '1'],
    );
    const { exitCode, stdout } = await imported('--json');
    expect(exitCode).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      ...{ seen: 8, imported: 5, kept: 0, gone: 0, ended: true },
      ...{ others: { list: 2, hash: 1 }, failed: {} },
    });
    expect(
      await target.ask([
        ...[
          ['GET', key],
          ['GET', 'long'],
          ['GET', 'empty'],
          ['PEXPIRETIME', 'expires'],
        ],
        ...[['PEXPIRETIME', 'number'], ['INCR', 'number'], ['DBSIZE']],
      ]),
    ).toEqual([Buffer.from([10, 0, 13]), long, Buffer.alloc(0), at, -1, 43, 5]);
    expect(existsSync(state())).toBe(false);
  });

  test('what is there already stays, unless it is to be replaced', async () => {
    await atSource(['SET', 'a', 'old'], ['SET', 'b', 'old']);
    await target.ask([['SET', 'a', 'new', 'EX', '1000']]);
    const kept = await imported();
    expect(kept).toMatchObject({ exitCode: 0 });
    expect(kept.stdout).toContain('left as they were: 1 that were there already');
    expect(await target.ask([['MGET', 'a', 'b']])).toEqual([['new', 'old'].map(bytes)]);
    expect(await imported('--replace')).toMatchObject({ exitCode: 0 });
    expect(
      await target.ask([
        ['GET', 'a'],
        ['TTL', 'a'],
      ]),
    ).toEqual([bytes('old'), -1]);
  });

  test('what one key is refused for is told, and the exit code is 1', async () => {
    await atSource(['SET', 'too long', Buffer.alloc(5 * MB)], ['SET', 'short', 'value']);
    const { exitCode, stdout } = await imported();
    expect(exitCode).toBe(1);
    expect(stdout).toMatch(/^FAILED: 1 \(first "too long"\): ERR /m);
    expect(await target.ask([['GET', 'short']])).toEqual([bytes('value')]);
  });

  test('interrupted, it goes on from where it was, at the rate it was given', async () => {
    const keys = Array.from({ length: 2_000 }, (_, i) => ['SET', `key:${i}`, String(i)]);
    await atSource(...keys);
    const child = startIngot(args('--rate', '1000'));
    await within('keys arrive', 20_000, arrival(target));
    await child.signal('SIGINT');
    const end = await within('it ends', 20_000, child.ended);
    expect(end.code).toBe(130);
    expect(child.output).toContain('the same command goes on from what');
    const { cursor, counts } = JSON.parse(readFileSync(state(), 'utf8')) as {
      cursor: string;
      counts: { imported: number };
    };
    expect(cursor).not.toBe('0');
    expect(counts.imported).toBeGreaterThan(0);
    expect(counts.imported).toBeLessThan(2_000);
    const other = await imported('--replace');
    expect(other).toMatchObject({ exitCode: 4 });
    expect(other.stderr).toContain('that import ran without --replace');
    const rest = await imported('--json');
    expect(rest).toMatchObject({ exitCode: 0 });
    const report = JSON.parse(rest.stdout) as { imported: number; kept: number; seen: number };
    expect(report.imported).toBe(2_000);
    expect(await target.ask([['DBSIZE']])).toEqual([2_000]);
  });

  test('a state of another life of the source is worth nothing', async () => {
    await atSource(['SET', 'a', '1']);
    const identity = {
      source: `127.0.0.1:${redis.port}/3`,
      target: `127.0.0.1:${cluster.node(1).ports.client}`,
      replace: false,
    };
    const counts = { seen: 9, imported: 9, bytes: 0, kept: 0, gone: 0, others: {}, failed: {} };
    const stale = { version: 1, identity, runId: 'another', cursor: '77', counts };
    writeFileSync(state(), JSON.stringify(stale));
    const { exitCode, stderr, stdout } = await imported();
    expect({ exitCode, stdout }).toMatchObject({ exitCode: 0 });
    expect(stderr).toContain('the source was restarted: beginning again');
    expect(stdout).toMatch(/^imported 1 strings/);
  });

  test.each<[string, () => string[], number, string]>([
    ['a wrong password', () => ['import', `redis://:no@127.0.0.1:${redis.port}`], 4, 'WRONGPASS'],
    ['nobody there', () => ['import', 'redis://127.0.0.1:1'], 3, 'ECONNREFUSED'],
    ['no address', () => ['import', 'http://:secret@x'], 2, 'not "http://...@x"'],
    ['no rate', () => args('--rate', 'fast'), 2, '--rate must be'],
    [
      'itself',
      () => args('--to', `127.0.0.1:${redis.port}`, '--password', 'p@ss'),
      2,
      'are the same server',
    ],
  ])('refused: %s', async (_, given, code, sentence) => {
    const { exitCode, stderr } = await ingot(given());
    expect(exitCode).toBe(code);
    expect(stderr).toContain(sentence);
    expect(stderr).not.toContain('secret');
  });

  test('from a server that speaks TLS', async () => {
    const authority = new TestAuthority();
    const { paths, ca } = authority.issue('localhost');
    const files = ['--tls-cert-file', paths.cert, '--tls-key-file', paths.key];
    const secure = await RedisServer.start(
      program ?? '',
      (port) => [
        ...['--port', '0', '--tls-port', String(port), ...files],
        ...['--tls-ca-cert-file', paths.ca, '--tls-auth-clients', 'no'],
      ],
      { host: 'localhost', tls: { ca: Buffer.from(ca) } },
    );
    try {
      await secure.client.ask([['SET', 'over', 'TLS']]);
      const source = `rediss://localhost:${secure.port}`;
      const [, , ...rest] = args();
      const unknown = await ingot(['import', source, ...rest]);
      expect(unknown.exitCode).toBe(3);
      expect(await ingot(['import', source, ...rest, '--source-ca', paths.ca])).toMatchObject({
        exitCode: 0,
      });
      expect(await target.ask([['GET', 'over']])).toEqual([bytes('TLS')]);
    } finally {
      await secure.stop();
      authority.remove();
    }
  });
});

const bytes = (text: string): Buffer => Buffer.from(text);

async function arrival(target: RespClient): Promise<void> {
  for (;;) {
    const [size] = await target.ask([['DBSIZE']]);
    if (typeof size === 'number' && size > 0) return;
  }
}
