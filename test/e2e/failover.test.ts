/** The client libraries, as an application makes them, through the end of a node: by kill -9 and by SIGTERM. Nobody
 *  tells them anything, and none is made anew. */
import { setTimeout as delay } from 'node:timers/promises';
import KeyvRedis from '@keyv/redis';
import { Cluster, Redis } from 'ioredis';
import { Keyv } from 'keyv';
import { createClient, createCluster } from 'redis';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { LocalCluster } from '../support/local-cluster.ts';
import { keysOfPartitions } from '../support/partition-keys.ts';

const PARTITIONS = 16;
const PAUSE_MS = 20;
/** node-redis asks for the new owners 5 s after a connection was lost. */
const RECOVERS_WITHIN_MS = 60_000;

vi.setConfig({ testTimeout: 180_000 });

interface Library {
  readonly name: string;
  set(key: string, value: string): Promise<unknown>;
  get(key: string): Promise<string | null>;
  close(): void;
}

let cluster: LocalCluster;
let users: User[];

beforeAll(async () => {
  cluster = await LocalCluster.start({
    ...{ nodes: 3, capacity: '128mb', partitions: PARTITIONS },
    args: ['--acks', 'isr'],
  });
  const [stays, , dies] = cluster.nodes.map(({ ports }) => ports.client);
  const seeds = cluster.nodes.map(({ ports }) => ({ host: '127.0.0.1', port: ports.cluster }));
  const libraries = [
    ioredis('ioredis', stays),
    await nodeRedis('node-redis', stays),
    ioredisCluster('ioredis Cluster', seeds),
    await nodeRedisCluster('node-redis cluster', seeds),
    keyv('keyv', stays),
    ioredis('ioredis on the victim', dies),
    await nodeRedis('node-redis on the victim', dies),
  ];
  users = libraries.map((library) => new User(library));
  await Promise.all(users.map((user) => user.cleanRound()));
});

afterAll(async () => {
  await Promise.all(users.map((user) => user.stop()));
  await cluster.stop();
});

test('kill -9: every client goes on by itself, and reads what it was told is written', async () => {
  const elsewhere = users.filter(({ name }) => !name.endsWith('on the victim'));
  await cluster.kill(3);
  await Promise.all(elsewhere.map((user) => user.cleanRound()));
  cluster.restart(3);
  await cluster.settled();
  await Promise.all(users.map((user) => user.cleanRound()));
  expect(users.flatMap(({ wrong }) => wrong)).toEqual([]);
});

test('SIGTERM: clients of another node see no error, cluster clients go on by themselves', async () => {
  for (const user of users) user.errors.length = 0;
  await cluster.node(2).process.signal('SIGTERM');
  await Promise.all(users.map((user) => user.cleanRound()));
  const plain = users.filter(({ name }) => !/cluster/i.test(name));
  expect(plain.flatMap(({ errors }) => errors)).toEqual([]);
  cluster.restart(2);
  await cluster.settled();
  await Promise.all(users.map((user) => user.cleanRound()));
  expect(users.flatMap(({ wrong }) => wrong)).toEqual([]);
});

/** Writes and reads a key of its own in every partition, again and again. */
class User {
  readonly name: string;
  readonly errors: string[] = [];
  /** Reads that were not as acknowledged. */
  readonly wrong: string[] = [];
  readonly #library: Library;
  readonly #keys: readonly string[];
  readonly #done: Promise<void>;
  #stopped = false;
  #begun = 0;
  #lastClean = -1;

  constructor(library: Library) {
    this.name = library.name;
    this.#library = library;
    this.#keys = keysOfPartitions(PARTITIONS, library.name);
    this.#done = this.#run();
  }

  /** Waits for a round that begins after now, and in which every write and read succeeds. */
  async cleanRound(): Promise<void> {
    const next = this.#begun;
    await eventually(
      `${this.name} writes and reads in every partition`,
      () => {
        if (this.#lastClean >= next) return true;
        throw new Error(this.errors.slice(-3).join('; '));
      },
      { withinMs: RECOVERS_WITHIN_MS },
    );
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#library.close();
    await this.#done;
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      const round = this.#begun++;
      const errorsBefore = this.errors.length;
      for (const key of this.#keys) {
        await this.#once(key, `${round}`).catch((error: Error) => this.errors.push(error.message));
      }
      if (this.errors.length === errorsBefore) this.#lastClean = round;
      await delay(PAUSE_MS);
    }
  }

  async #once(key: string, value: string): Promise<void> {
    await this.#library.set(key, value);
    const found = await this.#library.get(key);
    if (found !== value) this.wrong.push(`${this.name}: ${key} is ${found}, not ${value}`);
  }
}

function ioredis(name: string, port: number): Library {
  return reconnecting(name, new Redis(port));
}

function ioredisCluster(name: string, seeds: { host: string; port: number }[]): Library {
  return reconnecting(name, new Cluster(seeds));
}

function reconnecting(name: string, client: Redis | Cluster): Library {
  client.on('error', () => undefined); // each call that fails says so itself
  return {
    name,
    set: (key, value) => client.set(key, value),
    get: (key) => client.get(key),
    close: () => client.disconnect(),
  };
}

function keyv(name: string, port: number): Library {
  const store = new KeyvRedis(`redis://127.0.0.1:${port}`, { throwOnErrors: true });
  const client = new Keyv<string>(store, { useKeyPrefix: false, throwOnErrors: true });
  client.on('error', () => undefined);
  return {
    name,
    set: (key, value) => client.set(key, value),
    get: async (key) => (await client.get(key)) ?? null,
    close: () => void store.disconnect(true),
  };
}

async function nodeRedis(name: string, port: number): Promise<Library> {
  return await connected(name, createClient({ url: `redis://127.0.0.1:${port}` }));
}

async function nodeRedisCluster(
  name: string,
  seeds: { host: string; port: number }[],
): Promise<Library> {
  return await connected(name, createCluster({ rootNodes: seeds.map((socket) => ({ socket })) }));
}

async function connected(
  name: string,
  client: ReturnType<typeof createClient> | ReturnType<typeof createCluster>,
): Promise<Library> {
  client.on('error', () => undefined);
  await client.connect();
  return {
    name,
    set: (key, value) => client.set(key, value),
    get: (key) => client.get(key),
    close: () => client.destroy(),
  };
}
