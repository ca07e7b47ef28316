/** Free loopback ports for nodes. Taken below the range from which the kernel gives ports to outgoing
 *  connections, so that no client of a test can take one between the asking and the use. Suites run in
 *  processes of their own; each starts at another place, and two that run side by side take from different halves:
 *  a port may be asked for long before it is used. */
import { createServer } from 'node:net';
import type { Ports } from '../../packages/node/src/shared/settings.ts';

const HALVES = [
  { lowest: 10_000, highest: 20_999 },
  // Between them `ingot up` is tested, with the ports that it makes itself.
  { lowest: 22_500, highest: 32_000 },
] as const;
/** Which of vitest's workers this is, from 1. */
const worker = Number(process.env['VITEST_POOL_ID'] ?? 1);
const { lowest, highest } = HALVES[(worker - 1) % HALVES.length];

let next = lowest + ((process.pid * 131) % (highest - lowest));

export async function freePort(host = '127.0.0.1'): Promise<number> {
  for (;;) {
    next = next + 1 > highest ? lowest : next + 1;
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
