import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { expect, test } from 'vitest';
import { Child } from './child.ts';
import { connectingProcesses } from './connecting-process.ts';

const HOST = '127.0.0.9';

test('who connects is told from who only might have', async () => {
  const server = createServer().listen(0, HOST);
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const script = `require('node:net').connect(${port}, '${HOST}')`;
  const [one, other] = [new Child(process.execPath, ['--eval', script]), idle()];
  try {
    const [socket] = (await once(server, 'connection')) as [Socket];
    expect(openers([socket], port, [other.pid, one.pid])).toEqual([one.pid]);
    expect(openers([socket], port, [other.pid])).toEqual([null]);

    connect(port, HOST).unref();
    const [own] = (await once(server, 'connection')) as [Socket];
    const pids = [other.pid, process.pid, one.pid];
    expect(openers([own, socket], port, pids)).toEqual([process.pid, one.pid]);
    for (const each of [own, socket]) each.destroy();
  } finally {
    await Promise.all([one, other].map((child) => child.signal('SIGKILL')));
    server.close();
  }
});

function idle(): Child {
  return new Child(process.execPath, ['--eval', 'setInterval(() => {}, 1_000)']);
}

function openers(sockets: readonly Socket[], port: number, pids: number[]): (number | null)[] {
  const connections = sockets.map(({ remoteAddress: host = '', remotePort = 0 }) => ({
    from: { host, port: remotePort },
    to: { host: HOST, port },
  }));
  return connectingProcesses(connections, pids);
}
