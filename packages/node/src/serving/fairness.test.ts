/** A client that sends much at once, beside one that asks for little. */
import { afterEach, describe, expect, it } from 'vitest';
import { COMMANDS } from '../commands/table.ts';
import { type TestClient, TestCluster } from './cluster.fixture.ts';
import { encode } from './peer-link.ts';

let cluster: TestCluster;
afterEach(() => cluster?.stop());

function executed(name: string): number {
  return cluster.nodes[0].counters.calls(COMMANDS.findIndex((row) => row.name === name));
}

/** How often `client` was answered while the replies of `done` were on their way. */
async function answeredMeanwhile(client: TestClient, done: Promise<unknown>): Promise<number> {
  const state = { isDone: false };
  void done.then(() => (state.isDone = true));
  let count = 0;
  for (; !state.isDone; count++) expect(await client.call('GET', 'b')).toBe(null);
  return count;
}

describe('a client with very many commands on their way', () => {
  it('delays others by one turn of its own each, and is answered in order', async () => {
    cluster = await TestCluster.start(1, 1);
    const [greedy, modest] = [await cluster.client(), await cluster.client()];
    const count = 30_000;
    const value = 'v'.repeat(300);
    const sets = Buffer.concat(
      Array.from({ length: count }, (_, i) => encode(['SET', 'a', `${value}${i}`])),
    );
    greedy.write(sets);
    const replies = greedy.receive(count);
    // More than 150 reads of 64 KiB that follow each other at once, 32 in a turn if nobody gave way.
    expect(await answeredMeanwhile(modest, replies)).toBeGreaterThan(35);
    expect(new Set(await replies)).toEqual(new Set(['OK']));
    expect(await modest.call('GET', 'a')).toBe(`${value}${count - 1}`);
    expect(cluster.counter(0, 'turnsOver')).toBeGreaterThan(2);
  });

  it('gives way within one read, too, where they take long', async () => {
    cluster = await TestCluster.start(1, 1);
    const [greedy, modest] = [await cluster.client(), await cluster.client()];
    await greedy.call('SETRANGE', 'a', '400000', 'x');
    const count = 400;
    greedy.write('BITCOUNT a\r\n'.repeat(count));
    const replies = greedy.receive(count);
    expect(await modest.call('GET', 'b')).toBe(null);
    expect(executed('bitcount')).toBeLessThan(count / 2);
    expect((await replies).length).toBe(count);
    expect(executed('bitcount')).toBe(count);
  });

  it('and so where they were sent as arrays', async () => {
    cluster = await TestCluster.start(1, 1);
    const [greedy, modest] = [await cluster.client(), await cluster.client()];
    await greedy.call('SETRANGE', 'a', '400000', 'x');
    const count = 400;
    const commands = Array.from({ length: count }, () => ['BITCOUNT', 'a']);
    const replies = greedy.pipeline(commands);
    expect(await modest.call('GET', 'b')).toBe(null);
    expect(executed('bitcount')).toBeLessThan(count / 2);
    expect((await replies).length).toBe(count);
  });
});
