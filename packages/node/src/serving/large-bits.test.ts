/** Commands on bits of values that do not fit one passage. */
import { hashKey } from '@ingot/store';
import { afterEach, describe, expect, it } from 'vitest';
import { LongHash } from '../commands/xxh3.ts';
import { type TestClient, TestCluster } from './cluster.fixture.ts';
import { expectWhole, large } from './large-values.fixture.ts';

const MIB = 2 ** 20;

let cluster: TestCluster;
afterEach(() => cluster.stop());

async function ask(client: TestClient, command: string): Promise<unknown> {
  return await client.call(...command.split(' '));
}

describe('bits of large values: through the owner and through another node', () => {
  it('SETBIT and BITFIELD at a far offset make the value that long, with zeros', async () => {
    cluster = await TestCluster.start(2, 2);
    for (const node of [0, 1]) {
      const client = await cluster.client(node);
      const key = cluster.keyIn(0, `${node}`);
      const last = MIB * 8 - 1;
      expect(await ask(client, `SETBIT ${key} 3 1`)).toBe(0);
      expect(await ask(client, `SETBIT ${key} ${last} 1`)).toBe(0);
      expect(await ask(client, `SETBIT ${key} ${last} 1`)).toBe(1);
      expect(await ask(client, `STRLEN ${key}`)).toBe(MIB);
      expect(await ask(client, `GETBIT ${key} ${last}`)).toBe(1);
      expect(await ask(client, `BITCOUNT ${key}`)).toBe(2);
      expect(await ask(client, `BITCOUNT ${key} 4 -1 BIT`)).toBe(1);
      expect(await ask(client, `BITPOS ${key} 1 1`)).toBe(last);
      expect(await ask(client, `SETBIT ${key} ${last + 1} 1`)).toMatch(/^-ERR bit offset is not/);
      expect(await ask(client, `DEL ${key}`)).toBe(1);
      const field = `BITFIELD ${key} SET u8 5000001 255 INCRBY i16 5000001 1 GET u9 5000000`;
      expect(await ask(client, field)).toEqual([0, -255, 255]);
      expect(await ask(client, `STRLEN ${key}`)).toBe(625_003);
    }
    expectWhole(cluster);
  });

  it('DIGEST is that of all bytes, and SET IFDEQ and DELEX IFDEQ know it', async () => {
    cluster = await TestCluster.start(2, 2);
    for (const [node, bytes] of [65_536, 65_537, 131_072 + 63, 500_000].entries()) {
      const client = await cluster.client(node % 2);
      const key = cluster.keyIn(0, `${node}`);
      const text = large(bytes);
      const value = Buffer.from(text);
      const hash = new LongHash(bytes);
      const words = (from: number, to: number): Int32Array =>
        Int32Array.from({ length: (to - from) >> 2 }, (_, i) => value.readInt32LE(from + 4 * i));
      hash.add(words(0, bytes), bytes);
      const digest = hash
        .end(words(bytes - 64, bytes))
        .toString(16)
        .padStart(16, '0');
      await client.call('SET', key, text);
      expect(await ask(client, `DIGEST ${key}`)).toBe(digest);
      expect(await ask(client, `SET ${key} x IFDEQ 0123456789abcdef`)).toBeNull();
      expect(await client.call('SET', key, text, 'IFDEQ', digest)).toBe('OK');
      expect(await ask(client, `DELEX ${key} IFDEQ ${digest}`)).toBe(1);
    }
    expectWhole(cluster);
  });

  it('one bit is changed where it lies', async () => {
    cluster = await TestCluster.start(1, 1);
    const client = await cluster.client();
    const partition = cluster.partition(0, 0);
    await ask(client, `SETBIT key ${MIB * 8 - 1} 1`);
    const before = partition.ringHead();
    expect(await ask(client, 'SETBIT key 4000000 1')).toBe(0);
    expect(partition.ringHead() - before).toBeLessThan(4_096);
    expect(await ask(client, 'BITPOS key 1')).toBe(4_000_000);
    expectWhole(cluster);
  });

  it('BITOP makes a value of a MiB, and makes it anew where its sources change meanwhile', async () => {
    cluster = await TestCluster.start(2, 2);
    for (const node of [0, 1]) {
      const client = await cluster.client(node);
      const [a, b, d] = ['a', 'b', 'd'].map((tail) => `${cluster.keyIn(0, `${node}`)}{t}${tail}`);
      const tag = `{${cluster.keyIn(0, `${node}`)}}`;
      const [x, y, z] = [`${tag}${a}`, `${tag}${b}`, `${tag}${d}`];
      await client.call('SET', x, 'w'.repeat(MIB / 2));
      await ask(client, `SETBIT ${y} ${MIB * 8 - 1} 1`);
      expect(await ask(client, `BITOP XOR ${z} ${x} ${y}`)).toBe(MIB);
      const ones = (await ask(client, `BITCOUNT ${x}`)) as number;
      expect(await ask(client, `BITCOUNT ${z}`)).toBe(ones + 1);
      expect(await ask(client, `BITOP NOT ${z} ${z}`)).toBe(MIB);
      expect(await ask(client, `BITCOUNT ${z}`)).toBe(MIB * 8 - ones - 1);
      const other = await cluster.client(node);
      const flips = Array.from({ length: 40 }, (_, i) => `SETBIT ${y} ${i} 1`.split(' '));
      const [length] = await Promise.all([
        ask(client, `BITOP OR ${z} ${y} ${y}`),
        other.pipeline(flips),
      ]);
      expect(length).toBe(MIB);
      const counted = (await ask(client, `BITCOUNT ${z}`)) as number;
      expect(counted).toBeGreaterThanOrEqual(1);
      expect(counted).toBeLessThanOrEqual(41);
    }
    expectWhole(cluster);
  });

  it('BITOP is made anew where a source has changed while its result was written', async () => {
    cluster = await TestCluster.start(1, 1);
    const client = await cluster.client();
    const partition = cluster.partition(0, 0);
    await ask(client, `SETBIT a ${MIB * 8 - 1} 1`);
    const extents = (): number => partition.budget().extents;
    const before = extents();
    const asked = ask(client, 'BITOP OR b a a');
    while (extents() === before) await new Promise<void>((resolve) => setImmediate(resolve));
    const key = Buffer.from('a');
    partition.enter();
    const ones = Buffer.from([0xff]);
    partition.values.setRange(hashKey(key, 0, 1), key, 0, 1, 9, ones, 0, 1, Date.now());
    partition.leave();
    expect(await asked).toBe(MIB);
    expect(await ask(client, 'BITCOUNT b')).toBe(9);
    expectWhole(cluster);
  });

  it('in a transaction a value does not grow by so much', async () => {
    cluster = await TestCluster.start(1, 1);
    const client = await cluster.client();
    const replies = await client.pipeline([
      ['MULTI'],
      ['SETBIT', 'key', '7', '1'],
      ['SETBIT', 'key', '5000000', '1'],
      ['BITCOUNT', 'key'],
      ['EXEC'],
    ]);
    expect(replies.at(-1)).toEqual([0, expect.stringMatching(/within a transaction/), 1]);
    expectWhole(cluster);
  });

  it('what a transaction did not do is nothing to the commands after it', async () => {
    cluster = await TestCluster.start(2, 2);
    const client = await cluster.client(0);
    const [here, there] = [cluster.keyIn(0), cluster.keyIn(1)];
    const tag = `{${here}}`;
    await ask(client, `SETBIT ${here} 5000000 1`);
    await ask(client, `SET ${there} text`);
    const replies = await client.pipeline([
      ['MULTI'],
      ['SETBIT', `${tag}far`, '5000000', '1'],
      ['BITOP', 'NOT', `${tag}made`, here],
      ['EXEC'],
      ['STRLEN', there],
      ['APPEND', there, '!'],
      ['EXISTS', `${tag}made`],
    ]);
    const refused = expect.stringMatching(/within a transaction/);
    expect(replies.slice(3)).toEqual([[refused, refused], 4, 5, 0]);
    expectWhole(cluster);
  });

  it('keys of two partitions are refused, on the client port with a hint', async () => {
    cluster = await TestCluster.start(1, 2);
    const words = ['BITOP', 'AND', cluster.keyIn(0), cluster.keyIn(1)];
    const client = await cluster.client();
    expect(await client.call(...words)).toMatch(/^-CROSSSLOT .*\(give them one \{tag\}/);
    const other = await cluster.client(0, 'cluster');
    expect(await other.call(...words)).toMatch(/^-CROSSSLOT Keys in request don't hash/);
  });
});
