import { afterEach, describe, expect, it } from 'vitest';
import { Counter, createCounters, WorkerCounters } from '../metrics/layout.ts';
import { ClientMemory } from './client-memory.ts';
import { type TestClient, TestCluster } from './cluster.fixture.ts';

let cluster: TestCluster;
afterEach(() => cluster?.stop());

const MIB = 2 ** 20;

/** Queues so many bytes in a transaction. */
async function holding(bytes: number): Promise<TestClient> {
  const client = await cluster.client();
  await hold(client, bytes);
  return client;
}

async function hold(client: TestClient, bytes: number): Promise<void> {
  await client.call('MULTI');
  for (let left = bytes; left > 0; left -= MIB / 2) {
    expect(await client.call('SET', 'k', 'v'.repeat(Math.min(left, MIB / 2)))).toBe('QUEUED');
  }
}

/** `client` is served all the while. */
async function until(holds: () => boolean, client: TestClient): Promise<void> {
  while (!holds()) expect(await client.call('PING')).toBe('PONG');
}

function look(): void {
  cluster.nodes[0].worker.clientMemory.look();
}

/** Ended by the node, with nothing said. */
async function ended(client: TestClient): Promise<void> {
  expect(await client.receive(1)).toEqual([]);
  expect(client.closed).toBe(true);
}

describe('all clients together: maxmemory-clients', () => {
  it('ends whoever holds most until there is room, counts it and logs it', async () => {
    cluster = await TestCluster.start(1, 1);
    const large = await holding(MIB);
    const small = await holding(MIB / 2);
    const most = await holding(2 * MIB);
    cluster.nodes[0].worker.live.set({ clientsBytes: 3 * MIB });
    await ended(most);
    look();
    for (const client of [small, large]) expect(await client.call('PING')).toBe('QUEUED');
    expect(cluster.counter(0, 'clientsEvicted')).toBe(1);
    const line = ['limit.clientsMemory', expect.objectContaining({ count: 1, bytesMax: 3 * MIB })];
    expect(cluster.nodes[0].logged).toContainEqual(line);
  });

  it('counts half a command, what a transaction queues, and replies that are not read', async () => {
    cluster = await TestCluster.start(1, 1);
    const counted = (): number => {
      look();
      return cluster.counter(0, 'clientBytes');
    };
    const client = await cluster.client();
    await client.call('SET', 'k', 'v'.repeat(15 * 1024));
    const idle = counted();
    const half = await cluster.client();
    half.write(`*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$${MIB}\r\n${'v'.repeat(MIB / 2)}`);
    await until(() => counted() > idle + MIB / 2, client);
    // What was announced is not there yet.
    expect(counted()).toBeLessThan(idle + MIB);
    half.close();
    await until(() => counted() === idle, client);
    await holding(MIB);
    expect(counted()).toBeGreaterThan(idle + MIB);
    const deaf = await cluster.client();
    deaf.socket.pause();
    deaf.write(`*1001\r\n$4\r\nMGET\r\n${'$1\r\nk\r\n'.repeat(1000)}`);
    await until(() => counted() > idle + 8 * MIB, client);
  });

  it('spares those that asked for it, which count all the same', async () => {
    cluster = await TestCluster.start(1, 1, { maxClientsBytes: 2 * MIB });
    const spared = await cluster.client();
    expect(await spared.call('CLIENT', 'NO-EVICT', 'ON')).toBe('OK');
    await hold(spared, 2 * MIB);
    await ended(await cluster.client());
    expect(await spared.call('PING')).toBe('QUEUED');
  });

  it('is set live, in bytes or in per cent of maxmemory', async () => {
    cluster = await TestCluster.start(1, 1);
    const admin = await cluster.client();
    await admin.call('CLIENT', 'NO-EVICT', 'ON');
    const get = (): Promise<unknown> => admin.call('CONFIG', 'GET', 'maxmemory-clients');
    const set = (value: string): Promise<unknown> =>
      admin.call('CONFIG', 'SET', 'maxmemory-clients', value);
    expect(await get()).toEqual(['maxmemory-clients', '0']);
    expect(await set('3mb')).toBe('OK');
    expect(await get()).toEqual(['maxmemory-clients', String(3 * MIB)]);
    // Units of one letter are powers of ten, as in redis.conf.
    expect(await set('3M')).toBe('OK');
    expect(await get()).toEqual(['maxmemory-clients', '3000000']);
    const output = 'client-output-buffer-limit';
    expect(await admin.call('CONFIG', 'SET', output, 'normal 1g 2k 60')).toBe('OK');
    const [, shown] = (await admin.call('CONFIG', 'GET', output)) as string[];
    expect(shown).toMatch(/^normal 1000000000 2000 60 /);
    expect(await set('3mb')).toBe('OK');
    expect(await set('101%')).toMatch(/less or equal to 100/);
    expect(await set('much')).toMatch(/memory or percent value/);
    const large = await holding(MIB);
    look();
    expect(large.closed).toBe(false);
    // Of 8 MiB.
    expect(await set('10%')).toBe('OK');
    expect(await get()).toEqual(['maxmemory-clients', '10%']);
    await ended(large);
  });

  it('is looked at as soon as enough has come in, not only by the clock', async () => {
    cluster = await TestCluster.start(1, 1, { maxClientsBytes: 2 * MIB });
    const { worker } = cluster.nodes[0];
    let looks = 0;
    const memory = new ClientMemory({
      sessions: new Map(),
      live: worker.live,
      limits: worker.limits,
      counters: new WorkerCounters(createCounters()),
      get otherCounters() {
        looks++;
        return [];
      },
      capacityBytes: () => 0,
    });
    memory.grew(MIB);
    await new Promise((resolve) => setImmediate(resolve));
    expect(looks).toBe(0);
    memory.grew(1);
    await new Promise((resolve) => setImmediate(resolve));
    expect(looks).toBe(1);
  });

  it('a worker leaves it to another one whose largest client is larger', async () => {
    cluster = await TestCluster.start(1, 1);
    const client = await holding(MIB);
    const { worker } = cluster.nodes[0];
    worker.live.set({ clientsBytes: 2 * MIB });
    const other = new WorkerCounters(createCounters());
    const memory = new ClientMemory({
      sessions: worker.sessions,
      live: worker.live,
      limits: worker.limits,
      counters: worker.counters,
      otherCounters: [other],
      capacityBytes: () => 0,
    });
    other.set(Counter.clientBytes, 2 * MIB);
    other.set(Counter.clientBytesMost, 2 * MIB);
    memory.look();
    expect(cluster.counter(0, 'clientsEvicted')).toBe(0);
    other.set(Counter.clientBytesMost, MIB / 2);
    memory.look();
    expect(cluster.counter(0, 'clientsEvicted')).toBe(1);
    await ended(client);
  });
});
