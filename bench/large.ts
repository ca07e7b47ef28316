/** npm run bench:large: what it costs to answer GETs of large values, beside redis-server.
 *
 *    -- --rounds 5
 *
 *  Server CPU per value, in turn on both servers, each on one core, with a client on another that reads and forgets: 50
 *  connections that each ask for one of 50 values at a time, as the other benches of the data plane do, and one
 *  connection alone, for which Redis finds its value and its own copy of it in the cache of the core. Prints what was
 *  asked beside what was reached. */

import { once } from 'node:events';
import { connect } from 'node:net';
import { parseArgs } from 'node:util';
import { encode } from '../packages/node/src/serving/peer-link.ts';
import { type BenchedServer, startIngot, startRedis } from './servers.ts';
import { median } from './statistics.ts';
import { figure, textTable } from './stream/text-table.ts';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    port: { type: 'string', default: '27400' },
    markdown: { type: 'boolean', default: false },
  },
});
const rounds = Number(values.rounds);
const port = Number(values.port);
if (!(rounds > 0 && port > 0)) {
  process.stderr.write('--rounds and --port take numbers\n');
  process.exit(2);
}

const MIB = 2 ** 20;
interface Load {
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
const LOADS: readonly Load[] = [
  { name: '16 KiB', bytes: 16 * 1024, keys: 50, connections: 50, pipeline: 1, gets: 20_000 },
  { name: '64 KiB', bytes: 64 * 1024, keys: 50, connections: 50, pipeline: 1, gets: 10_000 },
  { name: '1 MiB', bytes: MIB, keys: 50, connections: 50, pipeline: 1, gets: 2_000 },
  { name: '1 MiB, alone', bytes: MIB, keys: 1, connections: 1, pipeline: 4, gets: 2_000 },
  { name: '100 MiB, alone', bytes: 100 * MIB, keys: 1, connections: 1, pipeline: 1, gets: 20 },
];
const ASKED = 0.5;
/** The sizes that something was asked of. */
const ASKED_BYTES_MIN = MIB;
const CAPACITY = ['--capacity', '2gb', '--partitions', '4', '--value-max', '128mb'];
const RECEIVED: Buffer = Buffer.allocUnsafeSlow(256 * 1024);

const print = (line: string): void => void process.stdout.write(`${line}\n`);
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

async function fill(server: BenchedServer, load: Load): Promise<void> {
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
async function measure(server: BenchedServer, load: Load): Promise<number> {
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

const servers = [await startIngot(port, CAPACITY), await startRedis(port + 1)];
try {
  const micros = servers.map(() => LOADS.map((): number[] => []));
  for (const server of servers) for (const load of LOADS) await fill(server, load);
  for (let round = 0; round < rounds; round++) {
    for (const [l, load] of LOADS.entries()) {
      for (const [i, server] of servers.entries()) {
        const taken = await measure(server, load);
        micros[i][l].push(taken);
        print(`${server.name}, ${load.name}: ${figure(taken)} µs of CPU per value`);
      }
    }
  }
  const rows = LOADS.map(({ name, bytes, connections }, l) => {
    const [ingot, redis] = micros.map((of) => median(of[l]));
    const asked = bytes >= ASKED_BYTES_MIN ? `${ASKED}x` : '';
    const reached = `${figure(ingot / redis)}x`;
    return [name, String(connections), figure(ingot), figure(redis), asked, reached];
  });
  const head = ['GET of', 'connections', 'ingot, µs of CPU', 'redis', 'asked', 'reached'];
  print(`\n${textTable(head, rows, values.markdown)}`);
} finally {
  for (const server of servers) await server.stop();
}
