import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { TestCluster } from './cluster.fixture.ts';
import { large } from './large-values.fixture.ts';
import { LATE_BYTES_MAX } from './outbox.ts';

const MIB = 2 ** 20;

interface Inside {
  readonly forwarding: {
    readonly ownLinks: ReadonlyMap<number, ReadonlyMap<string, unknown>>;
    /** Commands without a reply, per partition. */
    readonly unsettled: Int32Array;
  };
  readonly sessions: ReadonlyMap<number, unknown>;
}

let cluster: TestCluster;
afterEach(() => cluster.stop());

/** What waits in this node for the client that reads least. */
function waiting(node: number): number {
  const sessions = [...cluster.nodes[node].worker.sessions.values()];
  return Math.max(...sessions.map((each) => each.outbox.waitingBytes));
}

/** Until replies have filled what this node keeps for a client that does not read: the next one has come in part. */
async function filled(node: number): Promise<void> {
  while (waiting(node) < LATE_BYTES_MAX) await sleep(5);
}

describe('links of a client of its own', () => {
  it('a client that asks for much elsewhere and does not read holds little, and holds up nobody', async () => {
    cluster = await TestCluster.start(2, 2);
    const [slow, other] = [await cluster.client(0), await cluster.client(0)];
    const key = cluster.keyIn(1);
    const value = large(MIB);
    expect(await other.call('SET', key, value)).toBe('OK');
    slow.socket.pause();
    const replies = slow.pipeline(Array.from({ length: 80 }, () => ['GET', key]));
    let most = 0;
    const look = setInterval(() => (most = Math.max(most, waiting(0))), 1);
    await filled(0);
    const rounds = Array.from({ length: 50 }, (_, i) => ['SET', `${key}${i}{${key}}`, 'v']);
    expect(await other.pipeline(rounds)).toEqual(rounds.map(() => 'OK'));
    expect((await other.call('GET', key)) === value).toBe(true);
    clearInterval(look);
    expect(most).toBeLessThan(5 * MIB);
    slow.socket.resume();
    expect((await replies).every((reply) => reply === value)).toBe(true);
  });

  for (const acks of ['local', 'isr'] as const) {
    it(`commands of a client keep their order, whatever their length: acks=${acks}`, async () => {
      cluster = await TestCluster.start(2, 4, {}, { acks });
      if (acks === 'isr') {
        for (const node of [0, 1]) {
          for (const id of [0, 1, 2, 3]) cluster.nodes[node].board.lead(id, 1, 1, 0);
        }
      }
      const client = await cluster.client(0);
      const [a, b] = [cluster.keyIn(1), cluster.keyIn(3)];
      const [x, y] = [large(300_000, 'x'), large(MIB, 'y')];
      const round = [
        ['SET', a, x],
        ['GET', a],
        ['SET', b, 'short'],
        ['SET', a, 'short'],
        ['GET', a],
        ['GET', b],
        ['SET', b, y],
        ['MGET', b, cluster.keyIn(0), a],
        ['GETRANGE', b, '0', '200000'],
        ['GETSET', b, 'z'],
        ['INCR', `{${b}}count`],
        ['GET', b],
        ['STRLEN', a],
        ['APPEND', a, x],
        ['GET', a],
        ['DEL', a, b],
      ];
      const expected = (i: number): unknown[] => [
        ...['OK', x, 'OK', 'OK', 'short', 'short', 'OK', [y, null, 'short']],
        ...[y.slice(0, 200_001), y, i + 1, 'z', 5, 300_005, `short${x}`, 2],
      ];
      const got = await client.pipeline(Array.from({ length: 8 }, () => round).flat());
      const all = Array.from({ length: 8 }, (_, i) => expected(i)).flat();
      for (const [i, reply] of got.entries()) {
        const isSame = JSON.stringify(reply) === JSON.stringify(all[i]);
        expect([i, isSame ? true : String(reply).slice(0, 100)]).toEqual([i, true]);
      }
    });
  }

  it('a reply that breaks in the middle ends the connection', async () => {
    cluster = await TestCluster.start(2, 2);
    const client = await cluster.client(0);
    const key = cluster.keyIn(1);
    await client.call('SET', key, large(MIB));
    client.socket.pause();
    client.write(Array.from({ length: 200 }, () => `GET ${key}\r\n`).join(''));
    await filled(0);
    cluster.nodes[1].worker.stop();
    client.socket.resume();
    const replies = await client.receive(200);
    expect(replies.length).toBeLessThan(200);
    expect(client.closed).toBe(true);
  });

  it('are none for clients that have gone', async () => {
    cluster = await TestCluster.start(2, 2);
    const key = cluster.keyIn(1);
    await (await cluster.client(0)).call('SET', key, large(300_000));
    const clients = await Promise.all(Array.from({ length: 5 }, () => cluster.client(0)));
    const before = cluster.counter(0, 'forwarded');
    for (const client of clients) {
      client.write(`GET ${key}\r\n`.repeat(30));
      client.socket.resetAndDestroy();
    }
    const { forwarding, sessions } = cluster.nodes[0].worker as unknown as Inside;
    while (cluster.counter(0, 'forwarded') === before || sessions.size > 1) await sleep(5);
    while (forwarding.unsettled.some((commands) => commands > 0)) await sleep(5);
    // One that carries nothing any more is closed after a while.
    const links = (): number =>
      forwarding.ownLinks.values().reduce((sum, { size }) => sum + size, 0);
    while (links() > 0) await sleep(20);
    expect(forwarding.unsettled.every((commands) => commands === 0)).toBe(true);
  });

  it('commands follow a partition that moves while a long one is on its way', async () => {
    cluster = await TestCluster.start(2, 2);
    const client = await cluster.client(0);
    const key = cluster.keyIn(1);
    const value = large(MIB);
    cluster.partition(1, 1).seal(true);
    const replies = client.pipeline([
      ['SET', key, value],
      ['GET', key],
      ['STRLEN', key],
    ]);
    await sleep(40);
    cluster.demote(1, 1);
    cluster.promote(0, 1);
    cluster.tell(cluster.moved(1, 0), 0, 1);
    expect(await replies).toEqual(['OK', value, MIB]);
  });
});
