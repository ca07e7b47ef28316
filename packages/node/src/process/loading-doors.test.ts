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

test('over HTTP a node that loads is alive and not ready; then that port is free, too', async () => {
  const doors = new LoadingDoors();
  const port = await freePort();
  await doors.openHttp('127.0.0.1', port);
  doors.progressed(0.425);
  const health = await fetch(`http://127.0.0.1:${port}/healthz`);
  expect([health.status, await health.text()]).toEqual([200, 'alive\n']);
  const ready = await fetch(`http://127.0.0.1:${port}/readyz`);
  expect([ready.status, await ready.text()]).toEqual([503, 'not ready\nloading 42 %\n']);
  await doors.closeHttp();
  await doors.open('127.0.0.1', [port]);
  doors.progressed(0.5);
  const socket = connect(port, '127.0.0.1');
  socket.write('PING\r\n');
  const [answer] = (await once(socket, 'data')) as [Buffer];
  expect(answer.toString()).toContain('(50 %)');
  await doors.close();
});
