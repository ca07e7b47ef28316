/** What no client library sends: to the three RESP ports, to the replication port, on the command line. */
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { binary, numbers } from '../support/dataset.ts';
import { eventually } from '../support/eventually.ts';
import { ingot } from '../support/ingot.ts';
import { LocalCluster } from '../support/local-cluster.ts';
import { residentBytes } from '../support/memory.ts';
import { freePort } from '../support/ports.ts';
import { encode, RespConnection } from '../support/resp-connection.ts';

const MB = 1 << 20;

let cluster: LocalCluster;
const port = (name: 'client' | 'cluster' | 'follower' | 'replication'): number =>
  cluster.node(1).ports[name];

beforeAll(async () => {
  cluster = await LocalCluster.start({
    nodes: 1,
    copies: 1,
    capacity: '64mb',
    partitions: 4,
    args: ['--resp-query-max', '4mb'],
  });
});

afterAll(() => cluster.stop());

const CRLF = Buffer.from('\r\n');

/** [what, bytes, the error that ends the connection] */
const HOSTILE: readonly (readonly [string, string | Buffer, string])[] = [
  ['a bulk longer than the limit', '*1\r\n$536870913\r\n', 'invalid bulk length'],
  ['a bulk length beyond 64 bits', '*1\r\n$99999999999999999999\r\n', 'invalid bulk length'],
  ['a negative bulk length', '*1\r\n$-1\r\n', 'invalid bulk length'],
  ['a bulk length that is no number', '*1\r\n$ten\r\n', 'invalid bulk length'],
  ['no bulk length', '*1\r\n$\r\n', 'invalid bulk length'],
  ['a bulk header without LF', '*1\r\n$4\rPING\r\n', 'invalid bulk length'],
  ['more arguments than the limit', '*1048577\r\n', 'invalid multibulk length'],
  ['an argument count beyond 64 bits', '*99999999999999999999\r\n', 'invalid multibulk length'],
  ['an argument count that is no number', '*one\r\n', 'invalid multibulk length'],
  ['no dollar', '*1\r\n:4\r\nPING\r\n', "expected '$', got ':'"],
  ['another array in an array', '*1\r\n*1\r\n$4\r\nPING\r\n', "expected '$', got '*'"],
  ['a bulk longer than it said', '*1\r\n$4\r\nPINGPONG\r\n', ''],
  ['quotes that never close', 'SET a "b\r\n', 'unbalanced quotes in request'],
  ['an inline command without an end', 'x'.repeat(70_000), 'too big inline request'],
];

describe.each(['client', 'cluster', 'follower'] as const)('RESP on the %s port', (name) => {
  let witness: RespConnection;
  beforeAll(async () => {
    witness = await RespConnection.open(port(name));
  });
  afterAll(() => witness.destroy());

  test.each(HOSTILE)('%s: a protocol error, then closed', async (_what, bytes, error) => {
    const hostile = await RespConnection.open(port(name));
    await hostile.send(bytes);
    expect(await hostile.untilClosed()).toMatch(/^-ERR Protocol error: [^\r]+\r\n$/);
    expect(hostile.received).toContain(error);
    await stillServed(witness);
  });

  test('HTTP is turned away before a header can smuggle a command in', async () => {
    const browser = await RespConnection.open(port(name));
    await browser.send(
      'POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 20\r\n\r\nSET smuggled yes\r\n',
    );
    await browser.untilClosed();
    await witness.ask(encode('EXISTS', 'smuggled').toString(), ':0\r\n');
  });

  test('what was sent before the error is answered first', async () => {
    const hostile = await RespConnection.open(port(name));
    await hostile.send('*1\r\n$4\r\nPING\r\n*1\r\n$4\r\nPING\r\n*1\r\n$-5\r\n*1\r\n$4\r\nPING\r\n');
    expect(await hostile.untilClosed()).toBe(
      '+PONG\r\n+PONG\r\n-ERR Protocol error: invalid bulk length\r\n',
    );
  });

  test('empty and negative counts are no commands, as in Redis', async () => {
    const odd = await RespConnection.open(port(name));
    await odd.ask('*0\r\n*-1\r\n\r\nPING\r\n', '+PONG\r\n');
    expect(odd.received).toBe('+PONG\r\n');
    odd.destroy();
  });

  const TALK = Buffer.concat([
    encode('SET', '{cut}key', binary(5, 40)),
    encode('GET', '{cut}key'),
    Buffer.from('PING inline\r\n'),
    encode('MGET', '{cut}key', '{cut}absent'),
  ]);

  test('cut at every byte and continued, the answers are the same', async () => {
    const whole = await answersTo([TALK]);
    expect(whole).toContain('$6\r\ninline\r\n*2\r\n');
    for (const at of numbers(TALK.length)) {
      expect(await answersTo([TALK.subarray(0, at), TALK.subarray(at)])).toBe(whole);
    }
  });

  test('cut at every byte and left, nobody else notices', async () => {
    for (const at of numbers(TALK.length)) {
      const leaver = await RespConnection.open(port(name));
      await leaver.send(TALK.subarray(0, at));
      leaver.destroy();
    }
    await stillServed(witness);
  });

  /** The replies to TALK in pieces, each sent once the one before is on its way. */
  async function answersTo(pieces: readonly Buffer[]): Promise<string> {
    const connection = await RespConnection.open(port(name));
    for (const piece of pieces) if (piece.length > 0) await connection.send(piece);
    connection.finish();
    return connection.untilClosed();
  }
});

describe('memory', () => {
  test('lengths that are only announced cost nothing', async () => {
    const before = residentBytes(cluster.node(1).pid);
    const liars = await Promise.all(numbers(100).map(() => RespConnection.open(port('client'))));
    for (const liar of liars) await liar.send('*1048576\r\n$3\r\nSET\r\n$536870912\r\nonly this');
    await stillServed(liars[0] === undefined ? null : await RespConnection.open(port('client')));
    expect(residentBytes(cluster.node(1).pid) - before).toBeLessThan(64 * MB);
    for (const liar of liars) liar.destroy();
  });

  test('a command larger than --resp-query-max ends its connection', async () => {
    const before = residentBytes(cluster.node(1).pid);
    const hostile = await RespConnection.open(port('client'));
    await hostile.send('*129\r\n$4\r\nMSET\r\n');
    const pair = Buffer.concat([Buffer.from(`$1\r\nk\r\n$${MB}\r\n`), Buffer.alloc(MB), CRLF]);
    for (let sent = 0; sent < 64 && !hostile.isClosed; sent++) await hostile.send(pair);
    await hostile.untilClosed();
    expect(residentBytes(cluster.node(1).pid) - before).toBeLessThan(64 * MB);
  });

  test('arguments without end end their connection', async () => {
    const hostile = await RespConnection.open(port('client'));
    await hostile.send('*1000000\r\n');
    const some = Buffer.from('$1\r\nx\r\n'.repeat(10_000));
    for (let sent = 0; sent < 200 && !hostile.isClosed; sent++) await hostile.send(some);
    await hostile.untilClosed();
  });

  test('random bytes never end the node', async () => {
    for (const i of numbers(200)) {
      const noise = await RespConnection.open(port('client'));
      await noise.send(Buffer.concat([Buffer.from(i % 2 === 0 ? '*' : ''), binary(i, 500)]));
      noise.destroy();
    }
    const witness = await RespConnection.open(port('client'));
    await stillServed(witness);
    witness.destroy();
    expect(cluster.node(1).isRunning).toBe(true);
  });
});

describe('the replication port', () => {
  test.each([
    ['text', Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n'.padEnd(64, '.'))],
    ['zeros', Buffer.alloc(4_096)],
    ['noise', binary(77, 8_192)],
  ])('%s is closed and counted, and the log says why', async (_what, bytes) => {
    const refusals = (): unknown[] =>
      cluster.node(1).log.filter(({ event }) => event === 'handshakeFailed');
    const broken = (): Promise<number> => cluster.sum('ingot_broken_frames_total');
    const before = await broken();
    const stranger = await RespConnection.open(port('replication'));
    await stranger.send(bytes);
    await stranger.untilClosed();
    await eventually('it is counted', async () => (await broken()) > before);
    // Once in a while for one host and reason.
    await eventually('the log says so', () => refusals().length > 0);
    expect(refusals().at(-1)).toMatchObject({
      level: 40,
      reason: expect.stringMatching(/\w+ \w+/),
    });
  });
});

describe.concurrent('the command line', () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'ingot-cli-'));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  test('an unknown flag', async () => {
    await expectRefusal(['serve', '--no-such-flag'], 2, /--no-such-flag/);
  });

  test('a value that is none', async () => {
    await expectRefusal(['serve', '--partitions', '63'], 2, /power of two/);
  });

  test('a port in use', async () => {
    const taken = createServer().listen(0, '127.0.0.1');
    const inUse = await eventually('it listens', () => taken.address());
    if (typeof inUse === 'string') throw new Error('no port');
    await expectRefusal(
      ['serve', ...(await elsewhere()), '--found', '--http-port', String(inUse.port)],
      4,
      new RegExp(`port ${inUse.port} .*--http-port`),
    );
    taken.close();
  });

  test('nobody at --join', async () => {
    const nobody = `127.0.0.1:${await freePort()}`;
    await expectRefusal(['serve', ...(await elsewhere()), '--join', nobody], 3, new RegExp(nobody));
  });

  test('a data dir of another cluster', async () => {
    const other = await LocalCluster.start({
      ...{ nodes: 1, copies: 1, capacity: '64mb', partitions: 4 },
    });
    const { control } = cluster.node(1).ports;
    try {
      await other.kill(1);
      const { dataDir } = other.node(1);
      await expectRefusal(
        ['serve', ...(await elsewhere()), '--data-dir', dataDir, '--join', `127.0.0.1:${control}`],
        4,
        /belongs to .*cluster/,
      );
    } finally {
      await other.stop();
    }
  });

  test('an address that others reach, without credentials', async () => {
    await expectRefusal(
      ['serve', ...(await elsewhere()), '--found', '--host', '0.0.0.0'],
      4,
      /--insecure/,
    );
  });

  /** One sentence on stderr that says what to do, nothing on stdout but log lines. */
  async function expectRefusal(args: string[], exitCode: number, says: RegExp): Promise<void> {
    const outcome = await ingot(args, { cwd: folder });
    expect(outcome.stderr).toMatch(/^ingot: [^\n]+$/);
    expect(outcome.stderr).toMatch(says);
    expect(outcome.exitCode).toBe(exitCode);
  }

  /** Ports and a data dir that nobody uses. */
  async function elsewhere(): Promise<string[]> {
    const planned = await LocalCluster.plan({ nodes: 1 });
    await planned.stop();
    const [, ...args] = planned.node(1).args.filter((word) => word !== '--found');
    return [...args, '--data-dir', mkdtempSync(join(folder, 'data-'))];
  }
});

/** Another client still gets its answers. */
async function stillServed(witness: RespConnection | null): Promise<void> {
  await witness?.ask(encode('ECHO', 'still here').toString(), 'still here');
}
