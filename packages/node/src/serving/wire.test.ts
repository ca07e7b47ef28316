import { Buffer } from 'node:buffer';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { Wire } from './wire.ts';

let server: Server;
let client: Socket;
afterEach(() => {
  client.destroy();
  server.close();
});

/** A pair of ends; `spoil` may take away from the handle what the wire relies on. */
async function pair(
  spoil: (handle: object) => void,
  events: { onBytes?: (text: string) => void; onDrain?: () => void; onClose?: () => void },
): Promise<Wire> {
  server = createServer({ pauseOnConnect: true, allowHalfOpen: true }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  client = connect((server.address() as AddressInfo).port, '127.0.0.1');
  client.pause();
  const [accepted] = (await once(server, 'connection')) as [Socket];
  spoil((accepted as unknown as { _handle: object })._handle);
  return new Wire(accepted, Buffer.alloc(64 * 1024), {
    onBytes: (buffer, bytes) => events.onBytes?.(buffer.toString('latin1', 0, bytes)),
    onDrain: () => events.onDrain?.(),
    onEnd: () => {},
    onClose: () => events.onClose?.(),
  });
}

const WAYS: readonly [string, (handle: object) => void][] = [
  ['with the handle as Node has it', () => {}],
  [
    'through documented interfaces only',
    (handle) => {
      Object.defineProperty(handle, 'useUserBuffer', { value: undefined });
      Object.defineProperty(handle, 'writeQueueSize', { value: undefined });
    },
  ],
];

for (const [name, spoil] of WAYS) {
  describe(`wire: ${name}`, () => {
    it('hands over every byte that arrives, and none while paused', async () => {
      let text = '';
      let arrived = (): void => {};
      const wire = await pair(spoil, {
        onBytes: (piece) => {
          text += piece;
          if (text.length === 300_000) arrived();
        },
      });
      const sent = Array.from({ length: 300_000 }, (_, i) => String.fromCharCode(97 + (i % 26)));
      wire.pause();
      client.write(sent.join(''));
      await new Promise((resolve) => setImmediate(resolve));
      expect(text).toBe('');
      const whole = new Promise<void>((resolve) => {
        arrived = resolve;
      });
      wire.resume();
      await whole;
      expect(text).toBe(sent.join(''));
    });

    it('says when the kernel did not take all, then when it has, and loses nothing', async () => {
      const drained = Promise.withResolvers<void>();
      const wire = await pair(spoil, { onDrain: drained.resolve });
      let written = 0;
      for (let taken = true; taken; ) {
        const bytes = Buffer.alloc(256 * 1024, written % 251);
        taken = wire.write(bytes);
        written += bytes.length;
      }
      let received = 0;
      client.on('data', (data: Buffer) => {
        received += data.length;
      });
      client.resume();
      await drained.promise;
      wire.end();
      await once(client, 'end');
      expect(received).toBe(written);
    });

    it('writes pieces in order, and says when the kernel has all of them', async () => {
      const drained = Promise.withResolvers<void>();
      const wire = await pair(spoil, { onDrain: drained.resolve });
      const expected: Buffer[] = [];
      for (let taken = true; taken; ) {
        const pieces = [1, 100_000, 3, 150_000].map((bytes, i) => Buffer.alloc(bytes, 97 + i));
        taken = wire.writePieces(pieces);
        expected.push(...pieces);
      }
      const received: Buffer[] = [];
      client.on('data', (data: Buffer) => received.push(data));
      client.resume();
      await drained.promise;
      wire.end();
      await once(client, 'end');
      expect(Buffer.concat(received).equals(Buffer.concat(expected))).toBe(true);
    });

    it('needs nothing more of what it could not write, once it is gone', async () => {
      const drained = Promise.withResolvers<void>();
      const wire = await pair(spoil, { onDrain: drained.resolve });
      while (wire.writePieces([Buffer.alloc(10), Buffer.alloc(500_000)]));
      wire.destroy();
      await drained.promise;
      expect(wire.gone).toBe(true);
      expect(wire.writePieces([Buffer.alloc(10)])).toBe(true);
    });

    it('closes when the other side is gone', async () => {
      const closed = Promise.withResolvers<void>();
      await pair(spoil, { onClose: closed.resolve });
      client.resetAndDestroy();
      await closed.promise;
      expect(client.destroyed).toBe(true);
    });
  });
}
