/** Commands that work on all of a long value give way to others. */
import { afterEach, describe, expect, it } from 'vitest';
import { TestCluster, type TestClient } from './cluster.fixture.ts';
import { expectWhole, large } from './large-values.fixture.ts';
import { SLICE_BYTES } from '../commands/value-pieces.ts';

const MIB = 2 ** 20;

let cluster: TestCluster;
afterEach(() => cluster.stop());

const TURNS_MAX = 100_000;

/** Turns of the event loop for which this holds. */
async function turnsWhile(holds: () => boolean): Promise<number> {
  let turns = 0;
  for (; holds(); turns++) {
    expect(turns).toBeLessThan(TURNS_MAX);
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
  return turns;
}

function somebodyWaits(): boolean {
  return [...cluster.nodes[0].worker.sessions.values()].some(({ hold }) => hold !== 0);
}

/** Turns in which others could be served, while this was under way. */
async function turnsUntil(reply: Promise<unknown>): Promise<number> {
  let there = false;
  void reply.then(() => (there = true));
  await turnsWhile(() => !there && !somebodyWaits());
  return await turnsWhile(() => !there && somebodyWaits());
}

const SLICES = MIB / SLICE_BYTES;

describe('commands on long values: others are served meanwhile', () => {
  async function start(): Promise<TestClient> {
    cluster = await TestCluster.start(1, 1);
    const client = await cluster.client();
    await client.call('SET', '{k}a', large(MIB - 100));
    await client.call('SET', '{k}b', large(MIB - 100, 'b'));
    return client;
  }

  it.each([
    [['BITCOUNT', '{k}a'], SLICES],
    [['BITPOS', '{k}a', '1', '-3'], 0],
    [['DIGEST', '{k}a'], SLICES],
    [['COPY', '{k}a', '{k}c'], 2 * SLICES],
    [['RENAME', '{k}a', '{k}c'], 2 * SLICES],
    [['BITOP', 'XOR', '{k}c', '{k}a', '{k}b'], 4 * SLICES],
  ] as const)('%j takes a turn for each slice', async (command, slices) => {
    const client = await start();
    const turns = await turnsUntil(client.call(...command));
    expect(turns).toBeGreaterThanOrEqual(slices === 0 ? 0 : slices - 2);
    expectWhole(cluster);
  });

  it('another client is answered in the middle of it', async () => {
    const client = await start();
    const other = await cluster.client();
    await client.call('SET', '{k}a', large(MIB - 100));
    const order: string[] = [];
    const many = Array.from({ length: 8 }, () => ['DIGEST', '{k}a']);
    const digests = client.pipeline(many).then(() => order.push('digests'));
    await other.call('PING').then(() => order.push('ping'));
    await digests;
    expect(order).toEqual(['ping', 'digests']);
  });

  it('tells what the value was, though it changes meanwhile, and in the order of the commands', async () => {
    const client = await start();
    const other = await cluster.client();
    const digest = await client.call('DIGEST', '{k}a');
    const ones = await client.call('BITCOUNT', '{k}a');
    const replies = client.pipeline([
      ['DIGEST', '{k}a'],
      ['BITCOUNT', '{k}a'],
      ['SET', '{k}a', 'x'],
      ['BITCOUNT', '{k}a'],
    ]);
    expect(await replies).toEqual([digest, ones, 'OK', 4]);
    await client.call('SET', '{k}a', large(MIB - 100));
    const counting = client.call('BITCOUNT', '{k}a');
    await turnsWhile(() => !somebodyWaits());
    await other.call('SET', '{k}a', 'x');
    expect([ones, 4]).toContain(await counting);
    expectWhole(cluster);
  });

  it('copies what is there when it is published, whatever changes meanwhile', async () => {
    const client = await start();
    const other = await cluster.client();
    const copying = client.call('COPY', '{k}a', '{k}c');
    for (let i = 0; i < 3; i++) await other.call('SETRANGE', '{k}a', String(i), 'z');
    expect(await copying).toBe(1);
    const [source, target] = [await other.call('GET', '{k}a'), await other.call('GET', '{k}c')];
    expect((target as string).slice(3)).toBe((source as string).slice(3));
    expect('zzz'.startsWith(/^z*/.exec(target as string)?.[0] as string)).toBe(true);
    expectWhole(cluster);
  });

  it('leaves nothing behind where its client goes', async () => {
    const client = await start();
    client.write('*2\r\n$6\r\nDIGEST\r\n$4\r\n{k}a\r\n');
    await turnsWhile(() => !somebodyWaits());
    client.close();
    const { sessions } = cluster.nodes[0].worker;
    await turnsWhile(() => sessions.size > 0);
    await turnsWhile(() => cluster.partition(0, 0).values.pinStats(Date.now()).pins > 0);
    expectWhole(cluster);
  });
});
