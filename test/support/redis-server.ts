/** A redis-server of a test's own: nothing on disk but a folder that goes with it. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { RespAddress } from '../../packages/node/src/resp/resp-client.ts';
import { RespClient } from '../../packages/node/src/resp/resp-client.ts';
import { Child } from './child.ts';
import { eventually } from './eventually.ts';
import { freePort } from './ports.ts';

export const PLAIN: Omit<RespAddress, 'port'> = {
  host: '127.0.0.1',
  tls: null,
  username: null,
  password: null,
  database: 0,
};

export class RedisServer {
  readonly client: RespClient;
  readonly port: number;
  readonly #process: Child;
  readonly #folder: string;

  private constructor(client: RespClient, port: number, process: Child, folder: string) {
    this.client = client;
    this.port = port;
    this.#process = process;
    this.#folder = folder;
  }

  /** `address`: how this test gets in. */
  static async start(
    program: string,
    args: (port: number) => readonly string[] = (port) => ['--port', String(port)],
    address: Partial<RespAddress> = {},
  ): Promise<RedisServer> {
    const folder = mkdtempSync(join(tmpdir(), 'ingot-redis-'));
    const port = await freePort();
    const words = ['--save', '', '--appendonly', 'no', '--dir', folder, ...args(port)];
    const process = new Child(program, words);
    const client = await eventually('redis-server answers', () =>
      RespClient.open({ ...PLAIN, ...address, port }),
    );
    return new RedisServer(client, port, process, folder);
  }

  async stop(): Promise<void> {
    this.client.close();
    await this.#process.stop();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
