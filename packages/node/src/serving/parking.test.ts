import { afterEach, describe, expect, it } from 'vitest';
import { TestCluster } from './cluster.fixture.ts';
import { Parking } from './parking.ts';
import { encode } from './peer-link.ts';

const PARK_MS_MAX = 5_000;

describe('parking: who waits, and for how long', () => {
  const waiter = (): { runs: number; unpark: () => void } => {
    const it = { runs: 0, unpark: () => void it.runs++ };
    return it;
  };

  it('a change lets everybody try again', () => {
    const parking = new Parking(() => true, PARK_MS_MAX);
    const [a, b] = [waiter(), waiter()];
    expect(parking.park(a, 1, 0)).toBe('parked');
    expect(parking.park(b, 2, 0)).toBe('parked');
    parking.changed();
    expect([a.runs, b.runs, parking.size]).toEqual([1, 1, 0]);
  });

  it('a partition is waited for so long and no longer, however often something else changes', () => {
    const parking = new Parking(() => true, PARK_MS_MAX);
    const a = waiter();
    parking.park(a, 1, 1_000);
    parking.changed();
    expect(parking.park(a, 1, 1_000 + PARK_MS_MAX - 1)).toBe('parked');
    parking.expire(1_000 + PARK_MS_MAX - 1);
    expect(a.runs).toBe(1);
    parking.expire(1_000 + PARK_MS_MAX);
    expect(a.runs).toBe(2);
    expect(parking.park(a, 1, 1_000 + PARK_MS_MAX)).toBe('gaveUp');
  });

  it('once a partition has settled, its next trouble is a new wait', () => {
    let unsettled = true;
    const parking = new Parking(() => unsettled, PARK_MS_MAX);
    parking.park(waiter(), 1, 0);
    unsettled = false;
    parking.changed();
    expect(parking.park(waiter(), 1, 10 * PARK_MS_MAX)).toBe('parked');
  });

  it('a partition that settled unheard is no old trouble when it moves again', () => {
    const parking = new Parking(() => false, PARK_MS_MAX);
    const a = waiter();
    parking.park(a, 1, 0);
    parking.expire(PARK_MS_MAX);
    expect(a.runs).toBe(1);
    expect(parking.park(a, 1, 2 * PARK_MS_MAX)).toBe('parked');
  });

  it('who has left is not woken', () => {
    const parking = new Parking(() => true, PARK_MS_MAX);
    const a = waiter();
    parking.park(a, 1, 0);
    parking.forget(a);
    parking.changed();
    expect(a.runs).toBe(0);
  });
});

describe('parking: on a partition between two owners', () => {
  let cluster: TestCluster;
  afterEach(() => cluster.stop());

  it('commands wait in order and are executed once it is open again', async () => {
    cluster = await TestCluster.start(1, 2);
    const client = await cluster.client();
    const key = cluster.keyIn(0);
    cluster.partition(0, 0).seal(true);
    const replies = client.pipeline([
      ['PING'],
      ['APPEND', key, 'a'],
      ['APPEND', key, 'b'],
      ['GET', key],
    ]);
    const other = await cluster.client();
    expect(await other.call('SET', cluster.keyIn(1), 'v')).toBe('OK');
    expect(cluster.counter(0, 'parks')).toBeGreaterThan(0);
    cluster.partition(0, 0).seal(false);
    cluster.nodes[0]?.worker.roleChanged();
    expect(await replies).toEqual(['PONG', 1, 2, 'ab']);
  });

  it('a partition that goes to another node takes the waiting commands along', async () => {
    cluster = await TestCluster.start(2, 2);
    const client = await cluster.client(0);
    const key = cluster.keyIn(0);
    cluster.partition(0, 0).seal(true);
    const reply = client.call('SET', key, 'v');
    const other = await cluster.client(0);
    await other.call('PING');
    const map = cluster.moved(0, 1);
    cluster.promote(1, 0);
    cluster.demote(0, 0);
    cluster.tell(map, 1, 0);
    expect(await reply).toBe('OK');
    expect(cluster.counter(0, 'forwarded')).toBe(1);
    expect(await (await cluster.client(1)).call('GET', key)).toBe('v');
  });

  it('on the cluster port they are redirected once the map says where to', async () => {
    cluster = await TestCluster.start(2, 2);
    const client = await cluster.client(0, 'cluster');
    cluster.partition(0, 0).seal(true);
    const reply = client.call('GET', cluster.keyIn(0));
    await (await cluster.client(0)).call('PING');
    const map = cluster.moved(0, 1);
    cluster.demote(0, 0);
    cluster.tell(map, 0);
    expect(await reply).toMatch(/^-MOVED /);
  });

  it('a long command that arrives behind a waiting one is read from its own first byte', async () => {
    cluster = await TestCluster.start(1, 2);
    const client = await cluster.client();
    const key = cluster.keyIn(0);
    const pairs = Array.from({ length: 100 }, (_, i) => [`{${key}}${i}`, `v${i}`]);
    const long = encode(['MSET', ...pairs.flat()]);
    const cut = long.length - 300;
    cluster.partition(0, 0).seal(true);
    client.write(Buffer.concat([encode(['APPEND', key, 'a']), long.subarray(0, cut)]));
    await (await cluster.client()).call('PING');
    expect(cluster.counter(0, 'parks')).toBe(1);
    cluster.partition(0, 0).seal(false);
    cluster.nodes[0]?.worker.roleChanged();
    expect(await client.receive(1)).toEqual([1]);
    client.write(long.subarray(cut));
    expect(await client.receive(1)).toEqual(['OK']);
    expect(await client.call('GET', `{${key}}99`)).toBe('v99');
  });

  it('a client that leaves while it waits is forgotten', async () => {
    cluster = await TestCluster.start(1, 1);
    const client = await cluster.client();
    cluster.partition(0, 0).seal(true);
    client.write('GET a\r\n');
    const other = await cluster.client();
    while (cluster.counter(0, 'parks') === 0) await other.call('PING');
    client.socket.resetAndDestroy();
    while ((cluster.nodes[0]?.worker.sessions.size ?? 0) > 1) await other.call('PING');
    cluster.partition(0, 0).seal(false);
    cluster.nodes[0]?.worker.roleChanged();
    expect(await other.call('GET', 'a')).toBe(null);
  });
});
