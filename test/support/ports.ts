/** Free loopback ports for nodes. Taken below the range from which the kernel gives ports to outgoing
 *  connections, so that no client of a test can take one between the asking and the use. Suites run in
 *  processes of their own; each starts at another place. */
import { createServer } from 'node:net';
import type { Ports } from '../../packages/node/src/shared/settings.ts';

const LOWEST = 10_000;
const HIGHEST = 32_000;

let next = LOWEST + ((process.pid * 131) % (HIGHEST - LOWEST));

export async function freePort(host = '127.0.0.1'): Promise<number> {
  for (;;) {
    next = next + 1 > HIGHEST ? LOWEST : next + 1;
    const port = next;
    if (await isFree(port, host)) return port;
  }
}

export async function nodePorts(): Promise<Ports> {
  const ports: number[] = [];
  for (let i = 0; i < 6; i++) ports.push(await freePort());
  const [client, replication, control, http, cluster, follower] = ports;
  return { client, replication, control, http, cluster, follower };
}

function isFree(port: number, host: string): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ port, host, exclusive: true }, () => server.close(() => resolve(true)));
  });
}
