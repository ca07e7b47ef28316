import { once } from 'node:events';
import { connect } from 'node:net';
import { expect, test } from 'vitest';
import { freePort } from '../../../../test/support/ports.ts';
import { LoadingDoors } from './loading-doors.ts';

test('while a node loads its ports say so, and how far it is; then they are free', async () => {
  const doors = new LoadingDoors();
  const port = await freePort();
  await doors.open('127.0.0.1', [port]);
  doors.progressed(0.425);
  const socket = connect(port, '127.0.0.1');
  socket.write('*1\r\n$4\r\nPING\r\n');
  let text = '';
  socket.on('data', (data) => {
    text += data.toString();
  });
  await once(socket, 'close');
  expect(text).toBe('-LOADING this node reads its checkpoints (42 %): try again soon\r\n');

  const waiting = connect(port, '127.0.0.1');
  await once(waiting, 'connect');
  await doors.close();
  if (!waiting.destroyed) await once(waiting, 'close');
  await doors.open('127.0.0.1', [port]);
  await doors.close();
});
