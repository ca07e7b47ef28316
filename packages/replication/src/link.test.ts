import { connect, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
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

async function takeBytes(socket: Socket, bytes: number): Promise<Buffer> {
  const received: Buffer[] = [];
  let count = 0;
  for await (const chunk of socket.iterator({ destroyOnReturn: false })) {
    received.push(chunk as Buffer);
    count += (chunk as Buffer).length;
    if (count >= bytes) break;
  }
  return Buffer.concat(received);
}

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
    const bytes = expected.reduce((sum, { length }) => sum + length, 0);
    client.resume();
    return takeBytes(client, bytes);
  }

  test('small batches are taken at once, and stay in order with large ones', async () => {
    const taken = [200, 131_072, 64, 16_000, 100_000, 200].map((bytes) => send(REDO, bytes));
    expect(taken[0]).toBe(true);
    expect(taken[1]).toBe(false);
    expect((await receiveAll()).equals(Buffer.concat(expected))).toBe(true);
  });

  test('where the kernel does not take all, `written` follows, once, and nothing is lost', async () => {
    const done = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const written = [vi.fn<() => void>(done[0].resolve), vi.fn<() => void>(done[1].resolve)];
    while (send(REDO, 16_000, written[0])) expect(written[0]).not.toHaveBeenCalled();
    send(REDO, 400, written[1]);
    await turn();
    for (const each of written) expect(each).not.toHaveBeenCalled();
    expect((await receiveAll()).equals(Buffer.concat(expected))).toBe(true);
    await Promise.all(done.map(({ promise }) => promise));
    await turn();
    for (const each of written) expect(each).toHaveBeenCalledTimes(1);
    expect(send(REDO, 200)).toBe(true);
    expect(closed).toEqual([]);
  });

  test('a peer that does not read is cut off, however small the batches are', () => {
    for (let i = 0; closed.length === 0 && i < 100_000; i++) send(REDO, 1_000);
    expect(closed).toEqual(['the peer does not read']);
  });
});
