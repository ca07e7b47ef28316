import { afterEach, describe, expect, it, vi } from 'vitest';
import { NO_CREDENTIALS } from '../shared/credentials.ts';
import type { LiveParameters } from '../shared/worker-questions.ts';
import { type TestClient, TestCluster } from './cluster.fixture.ts';
import type { Connection } from './connection.ts';
import { authTimeoutText, MAX_CLIENTS_TEXT } from './limits.ts';

let cluster: TestCluster;
afterEach(() => cluster?.stop());

const closed = { ...NO_CREDENTIALS, secret: Buffer.from('a secret'), password: 'sesame' };
const MIB = 2 ** 20;

function set(node: number, values: Partial<LiveParameters>): void {
  cluster.nodes[node].worker.live.set(values);
}

/** Fields of the lines that were logged of this event. */
function logged(event: string, node = 0): Readonly<Record<string, unknown>>[] {
  return cluster.nodes[node].logged.filter(([name]) => name === event).map(([, fields]) => fields);
}

describe('a client that does not say the password', () => {
  it('is told so and ended after --auth-timeout; others stay', async () => {
    cluster = await TestCluster.start(1, 1, { authTimeoutMs: 300 }, { credentials: closed });
    const known = await cluster.client();
    expect(await known.call('AUTH', 'sesame')).toBe('OK');
    const guest = await cluster.client();
    expect(await guest.receive(2)).toEqual([`-${authTimeoutText(0.3)}`]);
    expect(guest.closed).toBe(true);
    expect(cluster.counter(0, 'unauthenticatedEnded')).toBe(1);
    expect(logged('limit.unauthenticated')[0]).toMatchObject({ count: 1, seconds: 0.3 });
    expect(await known.call('PING')).toBe('PONG');
  });

  it('is one again after RESET', async () => {
    cluster = await TestCluster.start(1, 1, { authTimeoutMs: 300 }, { credentials: closed });
    const client = await cluster.client();
    expect(await client.call('AUTH', 'sesame')).toBe('OK');
    expect(await client.call('RESET')).toBe('RESET');
    expect(await client.receive(2)).toEqual([`-${authTimeoutText(0.3)}`]);
  });

  it('makes room for the next one where there are maxclients', async () => {
    cluster = await TestCluster.start(1, 1, { maxClients: 3 }, { credentials: closed });
    const known = await cluster.client();
    await known.call('AUTH', 'sesame');
    const [first, second] = [await cluster.client(), await cluster.client()];
    const third = await cluster.client();
    expect(await first.receive(2)).toEqual([`-${MAX_CLIENTS_TEXT}`]);
    expect(await third.call('AUTH', 'sesame')).toBe('OK');
    expect(await second.call('AUTH', 'sesame')).toBe('OK');
    const fourth = await cluster.client();
    expect(await fourth.receive(2)).toEqual([`-${MAX_CLIENTS_TEXT}`]);
    expect(await known.call('PING')).toBe('PONG');
    expect(cluster.counter(0, 'unauthenticatedEnded')).toBe(1);
    expect(cluster.counter(0, 'connectionsRefused')).toBe(1);
    expect(logged('limit.clients').length).toBe(1);
  });

  it('needs none: nobody is a guest', async () => {
    cluster = await TestCluster.start(1, 1, { authTimeoutMs: 1, maxClients: 1 });
    const client = await cluster.client();
    expect(await (await cluster.client()).receive(2)).toEqual([`-${MAX_CLIENTS_TEXT}`]);
    expect(await client.call('PING')).toBe('PONG');
  });
});

describe('a client that sends nothing', () => {
  it('is ended after --idle-timeout; one that waits is not, nor is a link', async () => {
    cluster = await TestCluster.start(2, 2);
    const here = await cluster.client(0);
    expect(await here.call('SET', cluster.keyIn(1), 'v')).toBe('OK');
    const links = () => [...cluster.nodes[1].worker.sessions.values()].filter((c) => c.isLink);
    expect(links().length).toBe(1);
    const [idle, waiting] = [await cluster.client(1), await cluster.client(1)];
    await waiting.call('SET', cluster.keyIn(1), 'w');
    const waited = waiting.call('WAIT', '1', '800');
    set(1, { idleSeconds: 0.2 });
    expect(await idle.receive(1)).toEqual([]);
    expect(await waited).toBe(0);
    expect(await waiting.receive(1)).toEqual([]);
    expect(links().length).toBe(1);
    expect(cluster.counter(1, 'idleEnded')).toBe(2);
    expect(logged('limit.idle', 1)[0]).toMatchObject({ count: 1, seconds: 0.2 });
  });
});

describe('a client that does not read', () => {
  const REPLY_BYTES = 30 * MIB;

  /** Asks for that much, in one reply that is put together. */
  async function asksForMuch(reads: boolean): Promise<TestClient> {
    const client = await cluster.client();
    await client.call('SET', 'k', 'v'.repeat(15 * 1024));
    if (!reads) client.socket.pause();
    const count = REPLY_BYTES / (15 * 1024);
    client.write(`*${count + 1}\r\n$4\r\nMGET\r\n${'$1\r\nk\r\n'.repeat(count)}`);
    return client;
  }

  async function ended(): Promise<void> {
    const other = await cluster.client();
    while (cluster.counter(0, 'outputEnded') === 0) {
      expect(await other.call('PING')).toBe('PONG');
    }
  }

  it('is ended at once beyond the hard limit; others are served', async () => {
    cluster = await TestCluster.start(1, 1);
    set(0, { outputHardBytes: 2 * MIB });
    await asksForMuch(false);
    await ended();
    const [line] = logged('limit.output');
    expect(line).toMatchObject({ count: 1, limit: 'hard' });
    expect(line['bytes']).toBeGreaterThan(2 * MIB);
  });

  it('is ended beyond the soft limit after its seconds', async () => {
    cluster = await TestCluster.start(1, 1);
    set(0, { outputSoftBytes: 2 * MIB, outputSoftSeconds: 0.4 });
    await asksForMuch(false);
    await ended();
    expect(logged('limit.output')[0]).toMatchObject({ count: 1, limit: 'soft' });
  });

  it('counts what it has not read once towards what all clients hold, however often it is noted', async () => {
    cluster = await TestCluster.start(1, 1);
    const { worker } = cluster.nodes[0];
    const client = await asksForMuch(false);
    const isUnread = (): boolean =>
      [...worker.sessions.values()].some(({ unreadBytes }) => unreadBytes > MIB);
    const other = await cluster.client();
    while (!isUnread()) expect(await other.call('PING')).toBe('PONG');
    const session = [...worker.sessions.values()].find(({ unreadBytes }) => unreadBytes > MIB);
    const grew = vi.spyOn(worker.clientMemory, 'grew');
    for (let i = 0; i < 3; i++) worker.patience.noteUnread(session as Connection);
    expect(grew).not.toHaveBeenCalled();
    worker.patience.noteRead(session as Connection);
    worker.patience.noteUnread(session as Connection);
    expect(grew).toHaveBeenCalledExactlyOnceWith((session as Connection).unreadBytes);
    grew.mockRestore();
    client.close();
  });

  it('is not where it does read in time, or there is no limit', async () => {
    cluster = await TestCluster.start(1, 1);
    set(0, { outputHardBytes: 2 * REPLY_BYTES, outputSoftBytes: MIB, outputSoftSeconds: 600 });
    const client = await asksForMuch(true);
    const [values] = await client.receive(1);
    expect((values as unknown[]).length).toBe(REPLY_BYTES / (15 * 1024));
    set(0, { outputHardBytes: 0, outputSoftBytes: 0, outputSoftSeconds: 0 });
    const again = await asksForMuch(false);
    again.socket.resume();
    expect((await again.receive(1)).length).toBe(1);
    expect(cluster.counter(0, 'outputEnded')).toBe(0);
  });
});
