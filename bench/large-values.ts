/** GETs of large values: what a server is asked, and what it costs. The client reads and forgets. */

import { once } from 'node:events';
import { connect } from 'node:net';
import { encode } from '../packages/node/src/serving/peer-link.ts';
import type { BenchedServer } from './servers.ts';

const MIB = 2 ** 20;
export interface Load {
  readonly name: string;
  /** Of each value. */
  readonly bytes: number;
  readonly keys: number;
  readonly connections: number;
  /** Requests of one connection that are on their way. */
  readonly pipeline: number;
  /** In a round, all connections together. */
  readonly gets: number;
}
export const LOADS: readonly Load[] = [
  { name: '16 KiB', bytes: 16 * 1024, keys: 50, connections: 50, pipeline: 1, gets: 20_000 },
  { name: '64 KiB', bytes: 64 * 1024, keys: 50, connections: 50, pipeline: 1, gets: 10_000 },
  { name: '1 MiB', bytes: MIB, keys: 50, connections: 50, pipeline: 1, gets: 2_000 },
  { name: '1 MiB, alone', bytes: MIB, keys: 1, connections: 1, pipeline: 4, gets: 2_000 },
  { name: '100 MiB, alone', bytes: 100 * MIB, keys: 1, connections: 1, pipeline: 1, gets: 20 },
];
export const ASKED = 0.5;
/** The sizes that something was asked of. */
export const ASKED_BYTES_MIN = MIB;
export const CAPACITY = ['--capacity', '2gb', '--partitions', '4', '--value-max', '128mb'];
const RECEIVED: Buffer = Buffer.allocUnsafeSlow(256 * 1024);

const keyOf = ({ bytes, keys }: Load, i: number): string => `${bytes}:${i % keys}`;

/** Sends what `next` gives until it gives null, and resolves once each was answered with `replyBytes` bytes. */
async function ask(
  port: number,
  next: () => Buffer | null,
  replyBytes: number,
  pipeline: number,
): Promise<void> {
  let received = 0;
  let sent = 0;
  const send = (): void => {
    const command = next();
    if (command === null) return;
    sent++;
    socket.write(command);
  };
  const socket = connect({
    port,
    host: '127.0.0.1',
    noDelay: true,
    onread: {
      buffer: RECEIVED,
      callback: (bytes) => {
        const before = Math.floor(received / replyBytes);
        received += bytes;
        const answered = Math.floor(received / replyBytes);
        for (let i = before; i < answered; i++) send();
        if (answered === sent) socket.destroy();
        return true;
      },
    },
  });
  await once(socket, 'connect');
  for (let i = 0; i < pipeline; i++) send();
  if (sent === 0) socket.destroy();
  await once(socket, 'close');
  if (received !== sent * replyBytes) throw new Error(`${received} bytes came`);
}

export async function fill(server: BenchedServer, load: Load): Promise<void> {
  const value = Buffer.alloc(load.bytes, 'v');
  let set = 0;
  const next = (): Buffer | null => {
    if (set === load.keys) return null;
    const key = keyOf(load, set++);
    const head = `*3\r\n$3\r\nSET\r\n$${key.length}\r\n${key}\r\n$${load.bytes}\r\n`;
    return Buffer.concat([Buffer.from(head), value, Buffer.from('\r\n')]);
  };
  await ask(server.port, next, '+OK\r\n'.length, 1);
}

/** CPU microseconds of the server per value. */
export async function measure(server: BenchedServer, load: Load): Promise<number> {
  const { bytes, gets, connections, pipeline } = load;
  let asked = 0;
  const next = (): Buffer | null => (asked === gets ? null : encode(['GET', keyOf(load, asked++)]));
  const replyBytes = `$${bytes}\r\n`.length + bytes + 2;
  const before = server.cpuSeconds();
  await Promise.all(
    Array.from({ length: connections }, () => ask(server.port, next, replyBytes, pipeline)),
  );
  return ((server.cpuSeconds() - before) * 1e6) / gets;
}
