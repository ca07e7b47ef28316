import { afterEach, describe, expect, it, vi } from 'vitest';
import { hashKey } from '@ingot/store';
import { COMMANDS_AT_ONCE } from './arrivals.ts';
import { TestCluster, type TestClient } from './cluster.fixture.ts';
import type { Connection, LargeWork } from './connection.ts';
import { encode } from './peer-link.ts';

const MIB = 2 ** 20;

let cluster: TestCluster;
afterEach(() => cluster.stop());

const bytesOf = (...words: string[]): Buffer => encode(words.map((word) => Buffer.from(word)));

async function clients(count: number): Promise<TestClient[]> {
  const all: TestClient[] = [];
  for (let i = 0; i < count; i++) all.push(await cluster.client());
  return all;
}

/** How many times commands were executed that had been planned with others'. */
function plannedRuns(): () => number {
  const run = vi.spyOn(cluster.nodes[0].worker, 'executePlanned');
  return () => run.mock.calls.length;
}

describe('arrivals: what many connections send in one turn', () => {
  it('is answered to each in its order, more than are planned together', async () => {
    cluster = await TestCluster.start(1, 4);
    const all = await clients(COMMANDS_AT_ONCE);
    const runs = plannedRuns();
    for (let round = 0; round < 3; round++) {
      all.forEach((client, i) => {
        client.write(Buffer.concat([bytesOf('SET', `k${i}`, `v${i}`), bytesOf('GET', `k${i}`)]));
      });
      for (const [i, client] of all.entries()) {
        expect(await client.receive(2)).toEqual(['OK', `v${i}`]);
      }
    }
    expect(runs()).toBeGreaterThan(all.length);
  });

  it('may be half a command, words of a line, or no command at all', async () => {
    cluster = await TestCluster.start(1, 4);
    const all = await clients(8);
    for (const [i, client] of all.entries()) await client.call('SET', `k${i}`, `v${i}`);
    const runs = plannedRuns();
    const sent = [
      ...['GET k0\r\n', '*2\r\n$3\r\nGET\r\n$2\r\nk1', '*2\r\n$x\r\n', '\r\n', '*0\r\n'],
      bytesOf('GET', 'k5'),
      Buffer.concat([bytesOf('GET', 'k6'), Buffer.from('*2\r\n$3\r\nGET\r\n')]),
      bytesOf('GET', 'k7'),
    ];
    all.forEach((client, i) => client.write(sent[i]));
    expect(await all[7].receive(1)).toEqual(['v7']);
    expect(runs()).toBeGreaterThan(0);
    expect(await all[2].receive(1)).toEqual(['-ERR Protocol error: invalid bulk length']);
    const rest = ['', '\r\n', '', 'GET k3\r\n', 'GET k4\r\n', '', '$2\r\nk6\r\n'];
    rest.forEach((text, i) => all[i].write(text));
    for (const i of [0, 1, 3, 4, 5]) expect(await all[i].receive(1)).toEqual([`v${i}`]);
    expect(await all[6].receive(2)).toEqual(['v6', 'v6']);
  });

  it('waits where a connection is put on hold, and those after it do not', async () => {
    cluster = await TestCluster.start(1, 2);
    const all = await clients(4);
    const [held, free] = [cluster.keyIn(0), cluster.keyIn(1)];
    await all[0].call('SET', held, 'v');
    await all[0].call('SET', free, 'w');
    cluster.demote(0, 0);
    for (const client of all.slice(0, 2)) {
      client.write(Buffer.concat([bytesOf('GET', free), bytesOf('GET', held), bytesOf('PING')]));
    }
    for (const client of all.slice(2)) client.write(bytesOf('GET', free));
    for (const client of all.slice(2)) expect(await client.receive(1)).toEqual(['w']);
    cluster.promote(0, 0);
    for (const client of all.slice(0, 2)) {
      expect(await client.receive(3)).toEqual(['w', 'v', 'PONG']);
    }
  });

  it('is not executed where the connection was ended before', async () => {
    cluster = await TestCluster.start(1, 1);
    const [victim, witness] = await clients(2);
    const { worker } = cluster.nodes[0];
    const id = Number(await victim.call('CLIENT', 'ID'));
    const { arrivals } = worker;
    const execute = arrivals.execute.bind(arrivals);
    vi.spyOn(arrivals, 'execute').mockImplementationOnce(() => {
      worker.sessions.get(id)?.endAtOnce();
      execute();
    });
    victim.write(bytesOf('SET', 'k', 'v'));
    expect(await victim.receive(1)).toEqual([]);
    expect(await witness.call('GET', 'k')).toBeNull();
  });

  it('is executed before its end is heard', async () => {
    cluster = await TestCluster.start(1, 1);
    const client = await cluster.client();
    // The end of the turn is late: the client's end comes first.
    vi.spyOn(cluster.nodes[0].worker.turn, 'schedule').mockImplementationOnce(() => {});
    client.socket.end(bytesOf('SET', 'k', 'v'));
    expect(await client.receive(2)).toEqual(['OK']);
  });

  it('is no command where it is the rest of one that is skipped', async () => {
    cluster = await TestCluster.start(1, 1, { maxQueryBufferBytes: 64 * MIB });
    const { worker } = cluster.nodes[0];
    vi.spyOn(worker.turn, 'mayGather').mockReturnValue(true);
    const [client, other] = await clients(2);
    const inside = bytesOf('SET', 'inside', '1');
    const bytes = cluster.map.valueMaxBytes + 300_000;
    const header = `*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$${bytes}\r\n`;
    const before = cluster.counter(0, 'receivedBytes');
    const first = Buffer.concat([Buffer.from(header), Buffer.alloc(bytes - inside.length, 'x')]);
    client.write(first);
    await vi.waitUntil(() => cluster.counter(0, 'receivedBytes') === before + first.length);
    client.write(inside);
    await vi.waitUntil(
      () => cluster.counter(0, 'receivedBytes') === before + first.length + inside.length,
    );
    client.write('\r\n');
    expect(await client.receive(1)).toEqual([expect.stringContaining('-ERR value of')]);
    expect(await other.call('GET', 'inside')).toBeNull();
    expect(await client.call('PING')).toBe('PONG');
  });

  it.each([
    ['planned with others', (words: string[]) => bytesOf(...words)],
    ['words of a line', (words: string[]) => Buffer.from(`${words.join(' ')}\r\n`)],
  ] as const)('is copied where it is needed for longer: %s', async (_, written) => {
    cluster = await TestCluster.start(1, 1);
    const { worker } = cluster.nodes[0];
    vi.spyOn(worker.turn, 'mayGather').mockReturnValue(true);
    const [client, ...others] = await clients(6);
    const id = Number(await client.call('CLIENT', 'ID'));
    const connection = worker.sessions.get(id) as Connection;
    const start = connection.startLarge.bind(connection);
    const { promise: met, resolve } = Promise.withResolvers<LargeWork>();
    vi.spyOn(connection, 'startLarge').mockImplementationOnce((work) => {
      connection.lendCommand();
      resolve(work);
    });
    client.write(written(['SETRANGE', 'k', '950000', 'hello']));
    const work = await met;
    const noise = ['SET', 'noise', 'SECRET'.repeat(60)];
    await Promise.all(
      others.map(async (other) => {
        other.write(written(noise));
        expect(await other.receive(1)).toEqual(['OK']);
      }),
    );
    start(work);
    expect(await client.receive(1)).toEqual([950_005]);
    expect(await client.call('GETRANGE', 'k', '949998', '-1')).toBe('\0\0hello');
  });

  it('is answered from the image that a snapshot has made current', async () => {
    cluster = await TestCluster.start(2, 1);
    const { worker } = cluster.nodes[0];
    vi.spyOn(worker.turn, 'mayGather').mockReturnValue(true);
    const [client, other] = await clients(2);
    await client.call('SET', 'k', 'old');
    const image = cluster.partition(1, 0);
    image.promote(1, Date.now());
    const [key, value] = [Buffer.from('k'), Buffer.from('new')];
    image.enter();
    image.set(hashKey(key, 0, 1), key, 0, 1, value, 0, value.length, 0, Date.now());
    image.leave();
    const runs = plannedRuns();
    const look = (): void => {
      worker.partitions[0] = image;
    };
    Object.assign(worker, { snapshots: { look } });
    for (const each of [client, other]) each.write(bytesOf('GET', 'k'));
    expect(await client.receive(1)).toEqual(['new']);
    expect(await other.receive(1)).toEqual(['new']);
    expect(runs()).toBeGreaterThan(0);
  });
});
