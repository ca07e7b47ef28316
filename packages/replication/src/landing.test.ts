import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { canLandReads, landReads } from './landing.ts';

describe('reads of an accepted socket', () => {
  let server: Server;
  let client: Socket;
  let accepted: Socket;

  beforeEach(async () => {
    server = createServer({ pauseOnConnect: true }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    client = connect((server.address() as AddressInfo).port, '127.0.0.1');
    [accepted] = (await once(server, 'connection')) as [Socket];
  });
  afterEach(() => {
    client.destroy();
    server.close();
  });

  test('all land in the same buffer, and the end is heard', async () => {
    expect(canLandReads(accepted)).toBe(true);
    const buffer = Buffer.alloc(16);
    let text = '';
    const socket = landReads(accepted, buffer, (bytes) => {
      text += buffer.toString('latin1', 0, bytes);
    });
    const ended = once(socket, 'end');
    const sent = 'more than the buffer holds at once, thus read in several parts';
    client.end(sent);
    await ended;
    expect(text).toBe(sent);
  });

  test('the server still knows when its last socket is closed', async () => {
    const socket = landReads(accepted, Buffer.alloc(16), () => {});
    const closed = once(server, 'close');
    server.close();
    socket.destroy();
    await closed;
  });

  test('a handle that is not as expected is left alone', () => {
    const { _handle: handle } = accepted as unknown as { _handle: object };
    Object.defineProperty(handle, 'useUserBuffer', { value: undefined });
    expect(canLandReads(accepted)).toBe(false);
    accepted.destroy();
  });
});
