import { Buffer } from 'node:buffer';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { expect, it } from 'vitest';
import { encode, type Executed, NOTHING, type PeerCall, PeerLink } from './peer-link.ts';

/** Says what became of it: its reply has come, or it was executed or not. */
function call(): { call: PeerCall; outcome: Promise<Executed | 'replied'> } {
  const { promise, resolve } = Promise.withResolvers<Executed | 'replied'>();
  return {
    outcome: promise,
    call: {
      ...{ due: 1, sent: NOTHING, sentStart: 0, sentEnd: 0, encoded: null },
      callsOf: () => [],
      replied: () => resolve('replied'),
      endRead: () => {},
      piece: () => {},
      failed: resolve,
    },
  };
}

it('a command that is flushed to a link whose socket has ended was not executed', async () => {
  const received: Buffer[] = [];
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.on('data', (data: Buffer) => {
      received.push(data);
      socket.write('+OK\r\n');
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const link = new PeerLink({
    host: '127.0.0.1',
    port: (server.address() as AddressInfo).port,
    mode: { protocol: 2, awaits: 0 },
    isOwn: false,
    receiveBuffer: Buffer.alloc(4_096),
    proof: () => null,
    nowMs: () => 0,
    onClose: () => {},
    onSilent: () => {},
    onRoom: () => {},
  });
  const first = call();
  link.send(encode(['PING']), first.call);
  expect(await first.outcome).toBe('replied');
  // As at 'end' and 'error': 'close' comes later.
  (link as unknown as { socket: Socket }).socket.destroy();
  const second = call();
  link.send(encode(['APPEND', 'k', 'v']), second.call);
  link.flush();
  expect(await second.outcome).toBe('no');
  expect(Buffer.concat(received).includes('APPEND')).toBe(false);
  server.close();
});
