/** The cluster's secret on replication connections: real sockets, real stores. */
import { connect, createServer, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { TestCluster, TestNode, until, untilEqual } from './cluster.fixture.ts';
import { encodeHeader, HELLO, payloadChecksum } from './frame.ts';
import { encodeHello } from './hello.ts';
import { offerCopy } from './offer.ts';
import { MESSAGE_BYTES } from './preamble.ts';

const SECRET = Buffer.from('the secret of this very cluster');
const OTHER = Buffer.from('the secret of some other cluster');

let cluster: TestCluster;
const others: (Socket | Server)[] = [];

beforeEach(() => {
  cluster = new TestCluster();
});

afterEach(async () => {
  for (const other of others.splice(0)) {
    if ('destroy' in other) other.destroy();
    else other.close();
  }
  await cluster.stop();
});

async function pair(first?: Uint8Array, second?: Uint8Array): Promise<[TestNode, TestNode]> {
  const a = new TestNode('a', first === undefined ? {} : { secret: first });
  const b = new TestNode('b', second === undefined ? {} : { secret: second });
  await cluster.start(a, b);
  cluster.lead(a, [b]);
  a.set('key', 'value');
  return [a, b];
}

const refusedOn = (node: TestNode): Record<string, number> =>
  Object.fromEntries(
    Object.entries(node.hub.counters().peersRefused).filter(([, count]) => count > 0),
  );

/** What the node logged of the end of its connections. */
const reasonsOf = (node: TestNode): string[] =>
  node.events
    .filter(({ event }) => event === 'handshakeFailed' || event === 'connectionLost')
    .map(({ reason }) => String(reason));

async function open(node: TestNode): Promise<{ socket: Socket; got: () => Buffer }> {
  const socket = connect(node.hub.port, '127.0.0.1');
  others.push(socket);
  const pieces: Buffer[] = [];
  socket.on('error', () => {});
  socket.on('data', (bytes: Buffer) => pieces.push(bytes));
  await until('connected', () => socket.readyState === 'open');
  return { socket, got: () => Buffer.concat(pieces) };
}

function hello(node: TestNode): Buffer {
  const offer = offerCopy(node.partition, { clusterId: 'cluster', nodeId: 'b', incarnation: 1 });
  const payload = encodeHello(offer);
  const fields = { type: HELLO, flags: 0, epoch: 1, seq: 0, generation: 0, chunk: 0, clockMs: 0 };
  const sizes = { payloadBytes: payload.length, payloadCrc32: payloadChecksum(payload) };
  return Buffer.concat([encodeHeader({ ...fields, ...sizes }), payload]);
}

test('one secret on both sides: the copy becomes equal', async () => {
  const [a, b] = await pair(SECRET, SECRET);
  await untilEqual(a, b);
  expect([refusedOn(a), refusedOn(b)]).toEqual([{}, {}]);
});

describe('nothing is sent to or applied from a peer that has not proved itself', () => {
  test.each([
    ['another secret', SECRET, OTHER, 'otherSecret', 'otherSecret', 'give both nodes the same'],
    [
      'a follower without one',
      SECRET,
      undefined,
      'noSecret',
      'noSecretHere',
      'start this side with',
    ],
    ['a primary without one', undefined, SECRET, 'noSecretHere', 'noSecret', 'start it with the'],
  ])('%s: both sides log and count it', async (_, first, second, atA, atB, told) => {
    const [a, b] = await pair(first, second);
    await until('both refused', () => reasonsOf(a).length > 0 && reasonsOf(b).length > 0);
    expect(refusedOn(a)[atA]).toBeGreaterThan(0);
    expect(refusedOn(b)[atB]).toBeGreaterThan(0);
    expect(reasonsOf(b)[0]).toContain(told);
    expect(b.partition.stats().keys).toBe(0);
    expect(a.hub.counters().chunkBytesSent + a.hub.counters().redoBytesSent).toBe(0);
  });

  test('a HELLO without a proof gets one refusal and nothing else', async () => {
    const [a, b] = await pair(SECRET, SECRET);
    await untilEqual(a, b);
    const stranger = await open(a);
    stranger.socket.write(hello(b));
    await until('closed', () => stranger.socket.destroyed);
    expect(stranger.got().length).toBe(MESSAGE_BYTES);
    expect(refusedOn(a)).toEqual({ noSecret: 1 });
    expect(reasonsOf(a)).toEqual([
      'the peer has no cluster secret: start it with the same --secret-file as this node',
    ]);
    a.set('others', 'are unaffected');
    await untilEqual(a, b);
  });

  test('a peer that comes again and again is counted each time and logged once', async () => {
    const [a, b] = await pair(SECRET, SECRET);
    await untilEqual(a, b);
    for (let i = 0; i < 5; i++) (await open(a)).socket.write(hello(b));
    await until('all counted', () => refusedOn(a)['noSecret'] === 5);
    expect(reasonsOf(a)).toHaveLength(1);
    a.clockAheadMs = 11_000;
    (await open(a)).socket.write(hello(b));
    await until('said again', () => reasonsOf(a).length === 2);
  });

  test('garbage and silence get nothing at all', async () => {
    const [a] = await pair(SECRET, SECRET);
    const noise = await open(a);
    const silence = await open(a);
    noise.socket.write('GET / HTTP/1.1\r\n\r\n');
    await until('both closed', () => noise.socket.destroyed && silence.socket.destroyed);
    expect(noise.got().length + silence.got().length).toBe(0);
    expect(refusedOn(a)).toEqual({ stranger: 1, timeout: 1 });
  });

  test('a primary that answers with frames at once is not believed', async () => {
    const [a, b] = await pair(SECRET, SECRET);
    await untilEqual(a, b);
    const impostor = createServer((socket) => {
      socket.on('error', () => {});
      socket.write(hello(b));
    });
    others.push(impostor);
    await new Promise<void>((resolve) => impostor.listen(0, '127.0.0.1', resolve));
    const address = impostor.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    cluster.lead(a, [b], { epoch: 2, port });
    await until('refused', () => refusedOn(b)['stranger'] === 1);
    expect(b.partition.consistent()).toBe(true);
  });

  test('another node of the cluster at the address of the primary', async () => {
    const [a, b] = await pair(SECRET, SECRET);
    await untilEqual(a, b);
    const c = new TestNode('c', { secret: SECRET });
    await cluster.start(c);
    cluster.lead(a, [b], { epoch: 2, port: c.hub.port });
    await until('refused', () => refusedOn(c)['otherNode'] !== undefined);
    await until('both know', () => refusedOn(b)['otherNode'] !== undefined);
  });
});
