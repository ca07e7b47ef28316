/** iperf3, the yardstick of the raw stream: one connection, the same cores, its own figures. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Readable } from 'node:stream';
import { promisify } from 'node:util';
import { debianTool } from '../../test/debian-tools.ts';
import { freePort } from '../../test/support/ports.ts';
import { RECEIVER_CORE, SENDER_CORE } from './children.ts';
import type { StreamFigures } from './raw-stream.ts';

const GIB = 2 ** 30;

/** Whether it is there; says what to install where it is not. */
export function hasIperf3(): boolean {
  return debianTool('iperf3', 'iperf3: apt-get install iperf3') !== null;
}

/** `zeroCopy`: the sender uses sendfile, and so reads nothing of what it sends. */
export async function measureIperf3(seconds: number, zeroCopy: boolean): Promise<StreamFigures> {
  const port = String(await freePort());
  const server = spawn('iperf3', ['-s', '-1', '-p', port, '--forceflush'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  try {
    await untilItListens(server);
    const cores = ['-A', `${SENDER_CORE},${RECEIVER_CORE}`];
    const how = ['-t', String(seconds), '-J', ...(zeroCopy ? ['-Z'] : [])];
    const { stdout } = await promisify(execFile)('iperf3', [
      ...['-c', '127.0.0.1', '-p', port],
      ...cores,
      ...how,
    ]);
    return figuresOf(JSON.parse(stdout) as Iperf3Report);
  } finally {
    server.kill('SIGKILL');
    if (server.exitCode === null && server.signalCode === null) await once(server, 'exit');
  }
}

interface Iperf3Report {
  readonly end: {
    readonly sum_received: { readonly bytes: number; readonly seconds: number };
    /** Share of one core over the run, in percent; `remote` is the server. */
    readonly cpu_utilization_percent: {
      readonly host_total: number;
      readonly remote_total: number;
    };
  };
}

function figuresOf({ end }: Iperf3Report): StreamFigures {
  const { bytes, seconds } = end.sum_received;
  const { host_total, remote_total } = end.cpu_utilization_percent;
  const cpuPerGib = (percent: number): number => ((percent / 100) * seconds) / (bytes / GIB);
  return {
    gbPerSecond: bytes / seconds / 1e9,
    senderCpuPerGib: cpuPerGib(host_total),
    receiverCpuPerGib: cpuPerGib(remote_total),
  };
}

/** The server's first words come once it listens. */
async function untilItListens(server: ChildProcess): Promise<void> {
  const ended = once(server, 'exit').then(() => {
    throw new Error('iperf3 did not start');
  });
  await Promise.race([once(server.stdout as Readable, 'data'), ended]);
}
