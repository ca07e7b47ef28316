/** Are the node's ports free? Asked before it joins, so that a clash is one clear sentence.
 *  Data workers share their ports (SO_REUSEPORT), and two nodes started with one port would share
 *  it too, silently; a listener without that option finds out. */

import { once } from 'node:events';
import { createServer } from 'node:net';
import { type IngotError, portInUse, refusal } from '../shared/errors.ts';
import { PORT_FLAGS, type Ports, type Settings } from '../shared/settings.ts';

/** Throws an IngotError that names the first port that cannot be bound, and the option that moves
 *  it: `flags` are those of `ingot serve` unless the ports come from elsewhere. */
export async function checkPorts(
  settings: Pick<Settings, 'host' | 'ports'>,
  flags: Readonly<Record<keyof Ports, string>> = PORT_FLAGS,
): Promise<void> {
  for (const name of Object.keys(PORT_FLAGS) as (keyof Ports)[]) {
    const port = settings.ports[name];
    if (port !== 0) await checkPort(settings.host, port, flags[name]);
  }
}

async function checkPort(host: string, port: number, flag: string): Promise<void> {
  const server = createServer();
  try {
    server.listen({ host, port, exclusive: true });
    await once(server, 'listening');
  } catch (error) {
    throw bindError(error as NodeJS.ErrnoException, flag, host, port);
  }
  server.close();
  await once(server, 'close');
}

/** The sentence for a listener that could not be opened. */
export function bindError(
  error: NodeJS.ErrnoException,
  flag: string,
  host: string,
  port: number,
): IngotError {
  if (error.code === 'EADDRINUSE') return portInUse(flag, host, port);
  return refusal(
    'CANNOT_BIND',
    `port ${port} on ${host} cannot be opened (${error.code ?? error.message}); ` +
      `check --host and ${flag}`,
  );
}
