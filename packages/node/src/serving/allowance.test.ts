import { afterEach, describe, expect, it } from 'vitest';
import { monotonicMs } from '../process/monotonic-clock.ts';
import { Allowance, type Holder } from './allowance.ts';
import { TestCluster } from './cluster.fixture.ts';
import { encode } from './peer-link.ts';

const MAX = 2 ** 20;

function holder(stalled = false): Holder {
  return { isStalled: () => stalled, endStalled: () => {} };
}

describe('allowance', () => {
  it('gives up to its bound; then all wait in order, but for the oldest', () => {
    const allowance = new Allowance(100);
    const [a, b, c, d] = [holder(), holder(), holder(), holder()];
    const granted: string[] = [];
    const ask = (name: string, of: Holder, bytes: number): boolean =>
      allowance.ask(of, bytes, () => granted.push(name));
    expect([ask('a', a, 60), ask('b', b, 40)]).toEqual([true, true]);
    expect([ask('c', c, 30), ask('d', d, 1), ask('b', b, 50)]).toEqual([false, false, false]);
    expect(ask('a', a, 200)).toBe(true);
    expect(allowance.bytes).toBe(240);
    allowance.free(a);
    // b is the oldest now; 100 - 50 are left for c and d.
    expect(granted).toEqual(['c', 'd', 'b']);
    expect(allowance.bytes).toBe(81);
    for (const each of [b, c, d]) allowance.free(each);
    expect(allowance.bytes).toBe(0);
    expect(ask('a', a, 1_000)).toBe(true);
  });

  it('who waits and goes is forgotten; who holds and stalls is named only where others wait', () => {
    const allowance = new Allowance(10);
    const [slow, other] = [holder(true), holder()];
    allowance.ask(slow, 10, () => {});
    expect(allowance.stalled(0)).toEqual([]);
    allowance.ask(other, 5, () => expect.unreachable());
    expect(allowance.stalled(0)).toEqual([slow]);
    allowance.free(other);
    allowance.free(slow);
    expect(allowance.bytes).toBe(0);
  });
});

describe('large commands that are arriving', () => {
  let cluster: TestCluster;
  afterEach(() => cluster.stop());
  const value = (i: number): string => String.fromCharCode(97 + i).repeat(MAX);

  it('are held to the bound, whatever clients send at once, and all are executed', async () => {
    cluster = await TestCluster.start(1, 2, { maxTransitBytes: 3 * MAX });
    const { allowance } = cluster.nodes[0].worker;
    const clients = await Promise.all(Array.from({ length: 12 }, () => cluster.client()));
    const keys = clients.map((_, i) => cluster.keyIn(i % 2, `${i}`));
    let most = 0;
    const look = setInterval(() => (most = Math.max(most, allowance.bytes)), 1);
    const replies = clients.map((client, i) =>
      client.pipeline([
        ['SET', keys[i], value(i)],
        ['STRLEN', keys[i]],
        ['MSET', keys[i], value(i), `${keys[i]}{${keys[i]}}`, 'short'],
      ]),
    );
    for (const reply of replies) expect(await reply).toEqual(['OK', MAX, 'OK']);
    clearInterval(look);
    expect(most).toBeGreaterThan(2 * MAX);
    expect(most).toBeLessThanOrEqual(4 * MAX);
    expect(allowance.bytes).toBe(0);
  });

  it('one that stops in the middle is ended where others wait for what it holds', async () => {
    cluster = await TestCluster.start(1, 1, { maxTransitBytes: MAX });
    const { allowance } = cluster.nodes[0].worker;
    const [stopped, other] = [await cluster.client(), await cluster.client()];
    const command = encode(['SET', cluster.keyIn(0), value(0)]);
    stopped.write(command.subarray(0, 300_000));
    while (allowance.bytes === 0) await new Promise((resolve) => setImmediate(resolve));
    const reply = other.call('SET', cluster.keyIn(0), value(1));
    expect(allowance.stalled(monotonicMs())).toEqual([]);
    while (allowance.stalled(monotonicMs() + 10_100).length === 0) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    for (const each of allowance.stalled(monotonicMs() + 10_100)) each.endStalled();
    expect(await reply).toBe('OK');
    expect(await stopped.receive(1)).toEqual([]);
    expect(allowance.bytes).toBe(0);
  });
});
