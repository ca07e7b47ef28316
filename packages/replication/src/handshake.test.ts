import { connect, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { TestCluster, TestNode, until, untilEqual } from './cluster.fixture.ts';
import { ACK, encodeHeader, type FrameHeader, HELLO, payloadChecksum } from './frame.ts';
import { encodeHello } from './hello.ts';
import { offerCopy } from './offer.ts';

let cluster: TestCluster;
let a: TestNode;
let b: TestNode;
let peer: Socket;

beforeEach(async () => {
  cluster = new TestCluster();
  a = new TestNode('a');
  b = new TestNode('b');
  await cluster.start(a, b);
  cluster.lead(a, [b]);
  await untilEqual(a, b);
  peer = connect(a.hub.port, '127.0.0.1');
  peer.on('error', () => {});
  peer.resume();
});

afterEach(async () => {
  peer.destroy();
  await cluster.stop();
});

function hello(change: Partial<FrameHeader> = {}, payload?: Buffer): Buffer {
  const greeter = { clusterId: 'cluster', nodeId: 'b', incarnation: 1 };
  const bytes = payload ?? encodeHello(offerCopy(b.partition, greeter));
  const fields = { flags: 0, epoch: 1, seq: 0, generation: 0, chunk: 0, clockMs: 0 };
  const sizes = { payloadBytes: bytes.length, payloadCrc32: payloadChecksum(bytes) };
  return Buffer.concat([encodeHeader({ type: HELLO, ...fields, ...sizes, ...change }), bytes]);
}

/** The reason that the primary logs when it closes our connection. */
async function closedBecause(): Promise<string> {
  await until('the connection is closed', () => peer.destroyed || peer.readableEnded);
  await until('the reason is logged', () => a.eventsNamed('handshakeFailed').length > 0);
  return String(a.eventsNamed('handshakeFailed')[0]?.['reason']);
}

describe('replication port: what is no valid HELLO is closed, and the reason logged', () => {
  afterEach(async () => {
    a.set('others', 'are unaffected');
    await untilEqual(a, b);
  });

  test('HTTP', async () => {
    peer.write(`GET / HTTP/1.1\r\nHost: x\r\nUser-Agent: ${'y'.repeat(60)}\r\n\r\n`);
    expect(await closedBecause()).toBe('broken rule: a frame starts with its magic');
  });

  test('a frame of another type', async () => {
    const header = {
      type: ACK,
      flags: 0,
      payloadBytes: 0,
      epoch: 1,
      seq: 0,
      generation: 0,
      chunk: 0,
    };
    peer.write(encodeHeader({ ...header, clockMs: 0, payloadCrc32: 0 }));
    expect(await closedBecause()).toBe('broken rule: a connection opens with HELLO');
  });

  test('a HELLO with a changed byte', async () => {
    const bytes = hello();
    bytes[60] ^= 4;
    peer.write(bytes);
    expect(await closedBecause()).toBe('broken rule: the payload checksum holds');
  });

  test('a HELLO whose counts lie', async () => {
    const payload = encodeHello(
      offerCopy(b.partition, { clusterId: 'c', nodeId: 'n', incarnation: 1 }),
    );
    payload.writeUInt32LE(64, 48);
    peer.write(hello({}, payload));
    expect(await closedBecause()).toBe('broken rule: a HELLO is as long as its counts say');
  });

  test('silence', async () => {
    await until('the connection is up', () => peer.readyState === 'open');
    a.clockAheadMs = 6_000;
    expect(await closedBecause()).toBe('no HELLO in time');
  });

  test('half a HELLO and the end', async () => {
    peer.end(hello().subarray(0, 100));
    expect(await closedBecause()).toBe('the peer ended the connection');
  });

  test('a HELLO cut at every byte works as one piece does', async () => {
    peer.setNoDelay(true);
    const bytes = hello();
    for (let at = 0; at < bytes.length; at++) peer.write(bytes.subarray(at, at + 1));
    await until('the newer connection replaces the older one', () =>
      a
        .eventsNamed('connectionLost')
        .some(({ reason }) => reason === 'the follower connected again'),
    );
  });
});

test('a follower that sends a second HELLO loses its connection', async () => {
  peer.write(hello());
  await until('admitted', () => a.eventsNamed('connectionLost').length > 0);
  peer.write(hello());
  await until('closed', () => peer.destroyed || peer.readableEnded);
  const reasons = a.eventsNamed('connectionLost').map(({ reason }) => String(reason));
  expect(reasons.some((reason) => reason.includes('not HELLO'))).toBe(true);
});
