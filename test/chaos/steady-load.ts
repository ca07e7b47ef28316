/** Writes that do not fail: both nodes live all through a run, only copies are cut off. Remembers what was
 *  acknowledged, so that every key can be read back.
 *
 *  One connection, one batch under way. A key's value is made from its number and version alone; sizes are mixed,
 *  a few are large, and now and then a key is deleted. Keys are this load's own. */
import { connect, type Socket } from 'node:net';
import type { Random } from '../../packages/replication/src/random.fixture.ts';
import { binary, mix, numbers } from '../support/dataset.ts';
import { encode } from '../support/resp-connection.ts';
import { ReplyReader } from './reply-reader.ts';

const BATCH = 16;
const SMALL_BYTES_MAX = 400;
const LARGE_BYTES_MAX = 30_000;
/** Of 100 writes. */
const LARGE = 8;
const DELETES = 4;
const READ_BATCH = 200;
const OUTCOME_UNKNOWN = /^ERR .* is unknown$/;

export class SteadyLoad {
  /** Bytes of values acknowledged. */
  bytesWritten = 0;
  writes = 0;
  /** Writes answered -CLUSTERDOWN, thus not made: on a machine that is too busy a node may miss its heartbeats. */
  refused = 0;
  /** Writes whose outcome is not known, for the same reason: the key may read either way until it is written again. */
  unknown = 0;
  readonly #name: string;
  readonly #random: Random;
  /** Version of each key, as acknowledged; 0 = deleted, or never written. */
  readonly #versions: Int32Array;
  /** By key: versions that may have been written after the one above. */
  readonly #doubtful = new Map<number, number[]>();
  readonly #socket: Socket;
  readonly #replies: ReplyReader;
  readonly #done: Promise<void>;
  #version = 0;
  #stopped = false;

  private constructor(name: string, socket: Socket, keys: number, random: Random) {
    this.#name = name;
    this.#random = random;
    this.#socket = socket;
    this.#versions = new Int32Array(keys);
    this.#replies = new ReplyReader(socket);
    this.#done = this.#run();
    this.#done.catch(() => undefined); // whoever stops the load hears of it
  }

  /** Any node's client port will do. */
  static async start(
    { name, port, keys }: { name: string; port: number; keys: number },
    random: Random,
  ): Promise<SteadyLoad> {
    const socket = await opened(port);
    return new SteadyLoad(name, socket, keys, random);
  }

  /** Rejects where a reply was not what it must be. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#done;
    this.close();
  }

  /** Whatever is under way. */
  close(): void {
    this.#stopped = true;
    this.#socket.destroy();
  }

  /** Throws what has ended the load, if anything has. */
  async alive(): Promise<void> {
    await Promise.race([this.#done, Promise.resolve()]);
  }

  /** Reads every key at a port; answers how many are not as they were acknowledged. `readOnly` reads copies. */
  async differences(port: number, { readOnly = false } = {}): Promise<string[]> {
    const socket = await opened(port);
    const replies = new ReplyReader(socket);
    try {
      if (readOnly) {
        socket.write(encode('READONLY'));
        await replies.take(1);
      }
      const wrong: string[] = [];
      for (let from = 0; from < this.#versions.length; from += READ_BATCH) {
        const keys = numbers(Math.min(READ_BATCH, this.#versions.length - from)).map(
          (i) => from + i,
        );
        socket.write(Buffer.concat(keys.map((i) => encode('GET', this.#key(i)))));
        for (const [at, reply] of (await replies.take(keys.length)).entries()) {
          const difference = this.#difference(keys[at], reply);
          if (difference !== null) wrong.push(difference);
        }
      }
      return wrong;
    } finally {
      socket.destroy();
    }
  }

  #difference(i: number, reply: Buffer | string | null): string | null {
    const found = this.#differenceFrom(i, this.#versions[i], reply);
    const mayBe = this.#doubtful.get(i) ?? [];
    const isExcused = mayBe.some((version) => this.#differenceFrom(i, version, reply) === null);
    return isExcused ? null : found;
  }

  #differenceFrom(i: number, version: number, reply: Buffer | string | null): string | null {
    const wanted = version === 0 ? null : this.#value(i, version);
    if (typeof reply === 'string') {
      return reply.startsWith('MOVED') ? null : `${this.#key(i)}: ${reply}`;
    }
    if (wanted === null) return reply === null ? null : `${this.#key(i)} was deleted`;
    if (reply === null) return `${this.#key(i)} of version ${version} is missing`;
    return reply.equals(wanted) ? null : `${this.#key(i)} is not version ${version}`;
  }

  #key(i: number): string {
    return `${this.#name}:${i}`;
  }

  #value(i: number, version: number): Buffer {
    const roll = mix(version ^ Math.imul(i, 0x9e3779b1));
    const max = roll % 100 < LARGE ? LARGE_BYTES_MAX : SMALL_BYTES_MAX;
    return binary(version, 4 + (mix(roll) % max));
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      const batch = numbers(BATCH).map(() => this.#command());
      this.#socket.write(Buffer.concat(batch.map(({ bytes }) => bytes)));
      const replies = await this.#replies.take(BATCH);
      for (const [at, { key, version, valueBytes }] of batch.entries()) {
        const reply = replies[at];
        if (String(reply).startsWith('CLUSTERDOWN')) {
          this.refused++;
          continue;
        }
        if (OUTCOME_UNKNOWN.test(String(reply))) {
          this.unknown++;
          this.#doubtful.set(key, [...(this.#doubtful.get(key) ?? []), version]);
          continue;
        }
        const isTaken = version === 0 ? /^[01]$/.test(String(reply)) : reply === 'OK';
        if (!isTaken) throw new Error(`${this.#key(key)}: answered ${String(reply)}`);
        this.#versions[key] = version;
        this.#doubtful.delete(key);
        this.bytesWritten += valueBytes;
        this.writes++;
      }
    }
  }

  #command(): { key: number; version: number; valueBytes: number; bytes: Buffer } {
    const key = this.#random.below(this.#versions.length);
    if (this.#random.below(100) < DELETES) {
      return { key, version: 0, valueBytes: 0, bytes: encode('DEL', this.#key(key)) };
    }
    const version = ++this.#version;
    const value = this.#value(key, version);
    const bytes = encode('SET', this.#key(key), value);
    return { key, version, valueBytes: value.length, bytes };
  }
}

function opened(port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    socket.once('error', reject);
    socket.once('connect', () => resolve(socket));
  });
}
