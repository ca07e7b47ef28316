/** Real nodes for tests: `ingot serve` in child processes, on free ports of the loopback interface. */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { type AddressInfo, connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { PORT_FLAGS, type Ports } from '../../packages/node/src/shared/settings.ts';

const MAIN = join(import.meta.dirname, '../../packages/node/src/cli/main.ts');
const HOST = '127.0.0.1';
const POLL_MS = 50;

export class ServedNode {
  readonly id: string;
  readonly ports: Ports;
  readonly dataDir: string;
  /** exit code, or -1 for a signal */
  readonly ended: Promise<number>;
  readonly #process: ChildProcess;
  #output = '';

  private constructor(id: string, ports: Ports, dataDir: string, options: readonly string[]) {
    this.id = id;
    this.ports = ports;
    this.dataDir = dataDir;
    const portOptions = Object.entries(PORT_FLAGS).flatMap(([name, flag]) => [
      flag,
      String(ports[name as keyof Ports]),
    ]);
    const args = ['serve', '--id', id, '--data-dir', dataDir, ...portOptions, ...options];
    this.#process = spawn(process.execPath, ['--conditions=source', MAIN, ...args], {
      env: { ...process.env, INGOT_TEST_DOOR: '1' },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [this.#process.stdout, this.#process.stderr]) {
      stream?.on('data', (bytes: Buffer) => {
        this.#output += bytes.toString();
      });
    }
    this.ended = once(this.#process, 'close').then(([code]) => (code as number | null) ?? -1);
  }

  static async start(
    id: string,
    options: readonly string[],
    given: { ports?: Ports; dataDir?: string } = {},
  ): Promise<ServedNode> {
    const ports = given.ports ?? (await freePorts());
    const dataDir = given.dataDir ?? mkdtempSync(join(tmpdir(), `ingot-test-${id}-`));
    return new ServedNode(id, ports, dataDir, options);
  }

  /** What it wrote to stdout and stderr. */
  get output(): string {
    return this.#output;
  }

  get control(): string {
    return `${HOST}:${this.ports.control}`;
  }

  signal(signal: NodeJS.Signals): void {
    this.#process.kill(signal);
  }

  async http(path: string): Promise<{ status: number; body: string }> {
    const response = await fetch(`http://${HOST}:${this.ports.http}${path}`);
    return { status: response.status, body: await response.text() };
  }

  /** The value of one series of /metrics; 0 where there is none. */
  async metric(series: string): Promise<number> {
    const { body } = await this.http('/metrics');
    const line = body.split('\n').find((candidate) => candidate.startsWith(`${series} `));
    return line === undefined ? 0 : Number(line.slice(series.length + 1));
  }

  /** Resolves when /readyz says so; rejects with its output when the node ends before. */
  async ready(): Promise<void> {
    await this.until(async () => (await this.http('/readyz').catch(() => null))?.status === 200);
  }

  async until(holds: () => Promise<boolean>): Promise<void> {
    let ended = false;
    void this.ended.then(() => {
      ended = true;
    });
    while (!(await holds())) {
      if (ended) throw new Error(`${this.id} ended:\n${this.#output}`);
      await delay(POLL_MS);
    }
  }

  /** Sends inline commands in one go; resolves with `lines` lines of replies. */
  async say(commands: readonly string[], lines: number = commands.length): Promise<string[]> {
    const socket = connect(this.ports.client, HOST);
    let received = '';
    socket.setEncoding('utf8');
    socket.write(`${commands.join('\r\n')}\r\n`);
    for await (const text of socket as AsyncIterable<string>) {
      received += text;
      if (received.split('\r\n').length > lines) break;
    }
    return received.split('\r\n').slice(0, -1);
  }

  async stop(): Promise<void> {
    this.signal('SIGKILL');
    await this.ended;
    rmSync(this.dataDir, { recursive: true, force: true });
  }
}

export async function freePorts(): Promise<Ports> {
  const servers = Object.keys(PORT_FLAGS).map(() => createServer().listen(0, HOST));
  await Promise.all(servers.map((server) => once(server, 'listening')));
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(
    servers.map((server) => {
      server.close();
      return once(server, 'close');
    }),
  );
  return Object.fromEntries(
    Object.keys(PORT_FLAGS).map((name, index) => [name, ports[index]]),
  ) as unknown as Ports;
}
