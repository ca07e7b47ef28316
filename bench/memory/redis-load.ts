/** Loads records into a Redis as fast as it takes them: one stream of SETs, replies counted by their bytes. */
import { once } from 'node:events';
import { connect } from 'node:net';

const BLOCK_BYTES = 1 << 20;
const OK_BYTES = '+OK\r\n'.length;

/** Sets keys 0 to `count` - 1. `valueBytesOf` is asked once per key, in order; values are that much of `value`.
 *  @throws Error when a reply is not +OK. */
export async function loadRedis(
  port: number,
  count: number,
  keyOf: (i: number) => Buffer,
  valueBytesOf: (i: number) => number,
  value: Buffer,
): Promise<void> {
  const socket = connect({ port, host: '127.0.0.1' });
  await once(socket, 'connect');
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  let left = count * OK_BYTES;
  socket.on('error', reject);
  socket.on('data', (data: Buffer) => {
    if (data.includes('-')) reject(new Error(data.toString('latin1', 0, 200)));
    left -= data.length;
    if (left === 0) resolve();
  });
  let block = Buffer.allocUnsafe(BLOCK_BYTES);
  let at = 0;
  for (let i = 0; i < count; i++) {
    const key = keyOf(i);
    const valueBytes = valueBytesOf(i);
    if (at + key.length + valueBytes + 64 > BLOCK_BYTES) {
      if (!socket.write(block.subarray(0, at))) await once(socket, 'drain');
      block = Buffer.allocUnsafe(BLOCK_BYTES);
      at = 0;
    }
    at += block.write(`*3\r\n$3\r\nSET\r\n$${key.length}\r\n`, at, 'latin1');
    at += key.copy(block, at);
    at += block.write(`\r\n$${valueBytes}\r\n`, at, 'latin1');
    at += value.copy(block, at, 0, valueBytes);
    at += block.write('\r\n', at, 'latin1');
  }
  socket.write(block.subarray(0, at));
  await promise;
  socket.destroy();
}
