/** npm run bench:large: what it costs to answer GETs of large values, beside redis-server.
 *
 *    -- --rounds 5
 *
 *  Server CPU per value of 1 MiB and of 100 MiB, in turn on both servers, each on one core, and one connection that reads
 *  and forgets. Prints what was asked beside what was reached. */

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
/** Bytes of a value, how often it is asked for in a round, how many requests are on their way. */
const SIZES = [
  { name: '1 MiB', bytes: MIB, gets: 2_000, pipeline: 4 },
  { name: '100 MiB', bytes: 100 * MIB, gets: 20, pipeline: 1 },
] as const;
const ASKED = 0.5;
const CAPACITY = ['--capacity', '2gb', '--partitions', '4', '--value-max', '128mb'];

const print = (line: string): void => void process.stdout.write(`${line}\n`);

/** Sends a command and resolves once `replies` replies of `replyBytes` bytes have come. */
async function ask(
  port: number,
  command: Buffer,
  replies: number,
  replyBytes: number,
  pipeline: number,
): Promise<void> {
  const socket = connect({
    port,
    host: '127.0.0.1',
    noDelay: true,
    onread: {
      buffer: Buffer.allocUnsafeSlow(MIB),
      callback: (bytes) => {
        received += bytes;
        const due = Math.min(replies, Math.floor(received / replyBytes) + pipeline) - sent;
        for (let i = 0; i < due; i++) send();
        if (received >= replies * replyBytes) socket.destroy();
        return true;
      },
    },
  });
  let received = 0;
  let sent = 0;
  const send = (): void => {
    sent++;
    socket.write(command);
  };
  await once(socket, 'connect');
  const first = Math.min(pipeline, replies);
  for (let i = 0; i < first; i++) send();
  await once(socket, 'close');
  if (received !== replies * replyBytes) throw new Error(`${received} bytes came`);
}

/** CPU microseconds of the server per value. */
async function measure(server: BenchedServer, size: (typeof SIZES)[number]): Promise<number> {
  const { bytes, gets, pipeline, name } = size;
  const before = server.cpuSeconds();
  const replyBytes = `$${bytes}\r\n`.length + bytes + 2;
  await ask(server.port, encode(['GET', name]), gets, replyBytes, pipeline);
  return ((server.cpuSeconds() - before) * 1e6) / gets;
}

const servers = [await startIngot(port, CAPACITY), await startRedis(port + 1)];
try {
  const micros = servers.map(() => SIZES.map((): number[] => []));
  for (const server of servers) {
    for (const { name, bytes } of SIZES) {
      const command = Buffer.concat([
        Buffer.from(`*3\r\n$3\r\nSET\r\n$${name.length}\r\n${name}\r\n$${bytes}\r\n`),
        Buffer.alloc(bytes, 'v'),
        Buffer.from('\r\n'),
      ]);
      await ask(server.port, command, 1, '+OK\r\n'.length, 1);
    }
  }
  for (let round = 0; round < rounds; round++) {
    for (const [s, size] of SIZES.entries()) {
      for (const [i, server] of servers.entries()) {
        const taken = await measure(server, size);
        micros[i][s].push(taken);
        print(`${server.name}, ${size.name}: ${figure(taken)} µs of CPU per value`);
      }
    }
  }
  const rows = SIZES.map(({ name }, s) => {
    const [ingot, redis] = micros.map((of) => median(of[s]));
    return [name, figure(ingot), figure(redis), `${ASKED}x`, `${figure(ingot / redis)}x`];
  });
  const head = ['GET of', 'ingot, µs of CPU', 'redis', 'asked', 'reached'];
  print(`\n${textTable(head, rows, values.markdown)}`);
} finally {
  for (const server of servers) await server.stop();
}
