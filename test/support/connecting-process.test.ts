import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { expect, test } from 'vitest';
import { Child } from './child.ts';
import { connectingProcess } from './connecting-process.ts';

const HOST = '127.0.0.9';

test('who connects is told from who only might have', async () => {
  const server = createServer().listen(0, HOST);
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const script = `require('node:net').connect(${port}, '${HOST}')`;
  const [one, other] = [new Child(process.execPath, ['--eval', script]), idle()];
  try {
    const [socket] = (await once(server, 'connection')) as [Socket];
    expect(opener(socket, port, [other.pid, one.pid])).toBe(one.pid);
    expect(opener(socket, port, [other.pid])).toBeNull();
    socket.destroy();

    connect(port, HOST).unref();
    const [own] = (await once(server, 'connection')) as [Socket];
    expect(opener(own, port, [other.pid, process.pid])).toBe(process.pid);
    own.destroy();
  } finally {
    await Promise.all([one, other].map((child) => child.signal('SIGKILL')));
    server.close();
  }
});

function idle(): Child {
  return new Child(process.execPath, ['--eval', 'setInterval(() => {}, 1_000)']);
}

function opener(socket: Socket, port: number, pids: number[]): number | null {
  const { remoteAddress: host = '', remotePort = 0 } = socket;
  return connectingProcess({ host, port: remotePort }, { host: HOST, port }, pids);
}
