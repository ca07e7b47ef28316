import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { processClocks } from '../lease/clocks.ts';
import { FOREVER, NO_LEASE } from '../lease/lease-holder.ts';
import type { LeaseWriter } from '../lease/lease-word.ts';
import { Counter } from '../metrics/layout.ts';
import { TestCluster } from './cluster.fixture.ts';

let cluster: TestCluster;

beforeEach(async () => {
  cluster = await TestCluster.start(2, 2);
});

afterEach(() => cluster.stop());

/** The lease of node 0 ends while a command looks a key up in this partition, or `happens` does. */
function endWithin(
  partition: number,
  happens: (lease: LeaseWriter) => void = (lease) => lease.extend(NO_LEASE),
): void {
  const [{ partitions, lease }] = cluster.nodes;
  const own = partitions[partition];
  const find = own.find.bind(own);
  own.find = (...question) => {
    happens(lease);
    own.find = find;
    return find(...question);
  };
}

function giveBack(): void {
  const [{ lease, worker }] = cluster.nodes;
  lease.extend(FOREVER);
  worker.roleChanged();
}

describe('lease: without one', () => {
  it('what is led here waits until it is back, in order; other keys are served', async () => {
    const client = await cluster.client();
    const other = await cluster.client();
    const [here, there] = [cluster.keyIn(0), cluster.keyIn(1)];
    await client.call('SET', here, 'before');
    cluster.nodes[0].lease.extend(NO_LEASE);
    const waiting = [client.call('SET', here, 'after'), client.call('GET', here)];
    expect(await other.call('SET', there, 'v')).toBe('OK');
    expect(await other.call('PING')).toBe('PONG');
    giveBack();
    expect(await Promise.all(waiting)).toEqual(['OK', 'after']);
  });

  it('either clock ends it', async () => {
    const client = await cluster.client();
    const [{ lease, counters }] = cluster.nodes;
    const [nowMs, wallMs] = [processClocks.nowMs(), processClocks.wallMs()];
    const key = cluster.keyIn(0);
    for (const end of [
      { ...FOREVER, nowMs },
      { ...FOREVER, wallMs },
    ]) {
      const parks = counters.get(Counter.parks);
      lease.extend(end);
      const waiting = client.call('GET', key);
      await vi.waitUntil(() => counters.get(Counter.parks) > parks);
      giveBack();
      expect(await waiting).toBe(null);
    }
  });

  it('a wall clock that is set neither shortens the wait nor makes it longer', async () => {
    vi.useFakeTimers({ toFake: ['Date'] });
    onTestFinished(() => void vi.useRealTimers());
    const [{ worker, counters, lease }] = cluster.nodes;
    const client = await cluster.client();
    lease.extend(NO_LEASE);
    const waiting = client.call('SET', cluster.keyIn(0), 'v');
    await vi.waitUntil(() => counters.get(Counter.parks) > 0);
    const beforeMs = worker.nowMs();
    vi.setSystemTime(beforeMs + 3_600_000);
    await vi.waitUntil(() => worker.nowMs() > beforeMs + 3_000_000);
    expect(await (await cluster.client()).call('PING')).toBe('PONG');
    giveBack();
    expect(await waiting).toBe('OK');
  });

  it('commands over all partitions wait too', async () => {
    const client = await cluster.client();
    await client.call('SET', cluster.keyIn(0), 'v');
    cluster.nodes[0].lease.extend(NO_LEASE);
    const waiting = client.call('DBSIZE');
    giveBack();
    expect(await waiting).toBe(1);
  });
});

describe('lease: one that ends while commands run', () => {
  it('what ran is not told: the connection breaks', async () => {
    const client = await cluster.client();
    const key = cluster.keyIn(0);
    await client.call('SET', key, 'v');
    endWithin(0);
    expect(await client.call('GET', key)).toBe(undefined);
    expect(client.closed).toBe(true);
    expect(cluster.nodes[0].counters.get(Counter.disowned)).toBe(1);
  });

  it('nor what others ran before in the same turn of the event loop', async () => {
    const [first, second] = [await cluster.client(), await cluster.client()];
    const key = cluster.keyIn(0);
    await first.call('SET', key, 'v');
    await second.call('PING');
    const earlier = first.call('GET', key);
    const later = second.call('GET', key);
    let looks = 0;
    const own = cluster.nodes[0].partitions[0];
    const find = own.find.bind(own);
    own.find = (...question) => {
      looks++;
      if (looks === 2) cluster.nodes[0].lease.extend(NO_LEASE);
      return find(...question);
    };
    expect(await Promise.all([earlier, later])).toEqual([undefined, undefined]);
    expect([first.closed, second.closed]).toEqual([true, true]);
  });

  it('nor is it under the lease of the next life', async () => {
    const client = await cluster.client();
    const key = cluster.keyIn(0);
    await client.call('SET', key, 'v');
    endWithin(0, (lease) => {
      lease.begin(2);
      lease.extend(FOREVER);
    });
    expect(await client.call('GET', key)).toBe(undefined);
    expect(client.closed).toBe(true);
  });

  it('what is left of the pipeline does not run', async () => {
    const client = await cluster.client();
    const key = cluster.keyIn(0);
    const value = 'v'.repeat(60_000);
    expect(await client.call('SET', key, value)).toBe('OK');
    endWithin(0);
    // So much that it leaves before the batch is over.
    const get = ['GET', key];
    await client.pipeline([get, get, get, get, get, ['DEL', key]]);
    expect(cluster.partition(0, 0).stats().keys).toBe(1);
  });

  it('what it needed to be in sync holds up no reply of another connection', async () => {
    const [inSync, other] = [await cluster.client(), await cluster.client()];
    cluster.nodes[0].board.lead(0, 1, 2, 1);
    await inSync.call('CLIENT', 'ACKS', 'isr');
    endWithin(0);
    expect(await inSync.call('GET', cluster.keyIn(0))).toBe(undefined);
    expect(await other.call('PING')).toBe('PONG');
    expect(cluster.counter(0, 'acksHeld')).toBe(0);
  });

  it('another node that has forwarded it says that the outcome is unknown', async () => {
    const client = await cluster.client(1);
    const key = cluster.keyIn(0);
    await client.call('SET', key, 'v');
    endWithin(0);
    expect(await client.call('GET', key)).toMatch(/^-ERR .*unknown/);
  });
});
