import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { expect, test } from 'vitest';
import type { Ports } from '../shared/settings.ts';
import { bindError, checkPorts } from './ports.ts';

const host = '127.0.0.1';
const anyPorts: Ports = { client: 0, replication: 0, control: 0, http: 0, cluster: 0, follower: 0 };

test('ports: a port in use is refused in a sentence with the port and its flag', async () => {
  const server = createServer().listen({ host, port: 0, reusePort: true });
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const refused = checkPorts({ host, ports: { ...anyPorts, cluster: port } });
  await expect(refused).rejects.toMatchObject({
    code: 'PORT_IN_USE',
    exitCode: 4,
    message: expect.stringMatching(
      new RegExp(`port ${port} on 127.0.0.1 is already in use.*--cluster-port`),
    ),
  });
  server.close();
  await once(server, 'close');
  await checkPorts({ host, ports: { ...anyPorts, cluster: port } });
});

test('ports: an address that is not of this machine is refused', async () => {
  const refused = checkPorts({ host: '203.0.113.1', ports: { ...anyPorts, http: 7_700 } });
  await expect(refused).rejects.toMatchObject({ code: 'CANNOT_BIND' });
});

test('ports: other errors name their code', () => {
  const error = Object.assign(new Error('no'), { code: 'EACCES' });
  expect(bindError(error, '--port', host, 80).message).toMatch(/port 80 .* \(EACCES\).*--port/);
});
