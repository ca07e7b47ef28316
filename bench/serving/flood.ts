/** A child of the fairness bench: at each message it pipelines 1,000,000 SETs on one connection, all of them written
 *  before the first reply is needed, and says when every reply is there.
 *
 *    flood.ts PORT KEYS */

import { once } from 'node:events';
import { connect } from 'node:net';
import { setsOf } from '../load.ts';

const SETS = 1_000_000;
const SLICE = 10_000;
const REPLY_BYTES = SETS * '+OK\r\n'.length;

const [port, keys] = process.argv.slice(2).map(Number);
const slices: Buffer[] = [];
for (let i = 0; i < SETS; i += SLICE) {
  const from = i % Math.max(SLICE, keys - SLICE);
  slices.push(setsOf(from, from + SLICE));
}

process.on('message', () => void flood());
process.send?.('ready');

async function flood(): Promise<void> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  await once(socket, 'connect');
  let bytes = 0;
  socket.on('data', (data: Buffer) => {
    bytes += data.length;
    if (bytes === REPLY_BYTES) socket.destroy();
  });
  for (const slice of slices) socket.write(slice);
  await once(socket, 'close');
  if (bytes !== REPLY_BYTES) throw new Error(`${bytes} bytes of replies`);
  process.send?.('done');
}
