import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { encodeHeader, type FrameHeader, payloadChecksum, PING, REDO } from './frame.ts';
import { type Link, type LinkOwner, listenForLinks, type Listener } from './link.ts';

const security = {
  nodeId: 'a',
  secret: null,
  certificates: null,
  refused: (): void => {},
  refusedHandshake: (): void => {},
};

const headerOf = (type: number, payload: Buffer, seq: number): FrameHeader => ({
  type,
  flags: 0,
  payloadBytes: payload.length,
  epoch: 1,
  seq,
  generation: 1,
  chunk: 0,
  clockMs: 1,
  payloadCrc32: payload.length === 0 ? 0 : payloadChecksum(payload),
});
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('what a link sends', () => {
  let listener: Listener;
  let link: Link;
  let client: Socket;
  let closed: string[];
  let expected: Buffer[];

  beforeEach(async () => {
    closed = [];
    expected = [];
    const opened = Promise.withResolvers<Link>();
    listener = await listenForLinks('127.0.0.1', 0, security, (accepted) => {
      opened.resolve(accepted);
      const owner: LinkOwner = {
        opened: () => {},
        closed: (reason) => void closed.push(reason),
        place: () => 'nothing is expected',
        frame: () => 'nothing is expected',
      };
      return owner;
    });
    client = connect(listener.port, '127.0.0.1').pause();
    link = await opened.promise;
    // The first write of a process goes through the stream, whatever its size.
    await new Promise<void>((resolve) => send(PING, 0, resolve) && resolve());
  });
  afterEach(async () => {
    client.destroy();
    link.close('the test is over');
    await listener.close();
  });

  /** @returns whether the kernel took it at once */
  function send(type: number, bytes: number, written: () => void = () => {}): boolean {
    const payload = Buffer.alloc(bytes, expected.length);
    const header = headerOf(type, payload, expected.length);
    expected.push(encodeHeader(header), payload);
    return link.send([{ header, payload }], written);
  }

  async function receiveAll(): Promise<Buffer> {
    const received: Buffer[] = [];
    let missing = expected.reduce((sum, { length }) => sum + length, 0);
    client.on('data', (bytes) => {
      received.push(bytes);
      missing -= bytes.length;
    });
    client.resume();
    while (missing > 0) await once(client, 'data');
    return Buffer.concat(received);
  }

  test('small batches are taken at once, and stay in order with large ones', async () => {
    const taken = [200, 131_072, 64, 16_000, 100_000, 200].map((bytes) => send(REDO, bytes));
    expect(taken[0]).toBe(true);
    expect(taken[1]).toBe(false);
    expect((await receiveAll()).equals(Buffer.concat(expected))).toBe(true);
  });

  test('where the kernel does not take all, `written` follows, once, and nothing is lost', async () => {
    let calls = 0;
    let late = 0;
    while (late === 0) {
      if (!send(REDO, 16_000, () => calls++)) late++;
    }
    send(REDO, 400, () => calls++);
    late++;
    await turn();
    expect(calls).toBe(0);
    expect((await receiveAll()).equals(Buffer.concat(expected))).toBe(true);
    while (calls < late) await turn();
    await turn();
    expect(calls).toBe(late);
    expect(send(REDO, 200)).toBe(true);
    expect(closed).toEqual([]);
  });

  test('a peer that does not read is cut off, however small the batches are', () => {
    for (let i = 0; closed.length === 0 && i < 100_000; i++) send(REDO, 1_000);
    expect(closed).toEqual(['the peer does not read']);
  });
});
