/** Values that do not fit one passage, made of others or of a payload. */
import { afterEach, describe, expect, it } from 'vitest';
import { TestCluster } from './cluster.fixture.ts';
import { expectWhole, large } from './large-values.fixture.ts';

const MIB = 2 ** 20;

let cluster: TestCluster;
afterEach(() => cluster.stop());

describe('copies of large values: through the owner and through another node', () => {
  it('COPY, RENAME, RENAMENX, DUMP and RESTORE take a value of a MiB', async () => {
    cluster = await TestCluster.start(2, 2);
    for (const node of [0, 1]) {
      const client = await cluster.client(node);
      const tag = `{${cluster.keyIn(0, `${node}`)}}`;
      const [a, b, c] = [`${tag}a`, `${tag}b`, `${tag}c`];
      const [one, two] = [large(MIB, 'one'), large(MIB - 1, 'two')];
      await client.call('SET', a, one, 'EX', '100');
      expect(await client.call('COPY', a, b)).toBe(1);
      expect(await client.call('GET', b)).toBe(one);
      expect(await client.call('TTL', b)).toBe(100);
      await client.call('SET', a, two);
      expect(await client.call('COPY', a, b)).toBe(0);
      expect(await client.call('RENAMENX', a, b)).toBe(0);
      expect(await client.call('RENAME', a, b)).toBe('OK');
      expect(await client.call('EXISTS', a)).toBe(0);
      expect(await client.call('RENAMENX', b, c)).toBe(1);
      expect(await client.call('GET', c)).toBe(two);
      expect(await client.call('OBJECT', 'ENCODING', c)).toBe('raw');
      expect(await client.call('MEMORY', 'USAGE', c)).toBeGreaterThan(MIB);
      const payload = (await client.call('DUMP', c)) as string;
      expect(payload.length).toBe(MIB - 1 + 16);
    }
    expectWhole(cluster);
  });

  it('RESTORE of a large value is what DUMP has taken', async () => {
    cluster = await TestCluster.start(2, 2);
    for (const node of [0, 1]) {
      const client = await cluster.client(node);
      const tag = `{${cluster.keyIn(0, `${node}`)}}`;
      const value = large(300_000);
      await client.call('SET', `${tag}a`, value);
      const payload = Buffer.from((await client.call('DUMP', `${tag}a`)) as string, 'latin1');
      const words = ['RESTORE', `${tag}b`, '0', payload, 'REPLACE'].map((word) => {
        const bytes = Buffer.from(word as string);
        return [Buffer.from(`$${bytes.length}\r\n`), bytes, Buffer.from('\r\n')];
      });
      client.write(Buffer.concat([Buffer.from('*5\r\n'), ...words.flat()]));
      expect(await client.receive(1)).toEqual(['OK']);
      expect(await client.call('GET', `${tag}b`)).toBe(value);
    }
    expectWhole(cluster);
  });

  it('MSETNX, SET IFEQ, DELIFEQ and DELEX take long values', async () => {
    cluster = await TestCluster.start(2, 2);
    const client = await cluster.client(1);
    const tag = `{${cluster.keyIn(0)}}`;
    const [one, two] = [large(MIB / 2, 'one'), large(MIB / 2, 'two')];
    expect(await client.call('MSETNX', `${tag}a`, one, `${tag}b`, two)).toBe(1);
    expect(await client.call('MSETNX', `${tag}c`, one, `${tag}b`, one)).toBe(0);
    expect(await client.call('MGET', `${tag}a`, `${tag}b`, `${tag}c`)).toEqual([one, two, null]);
    expect(await client.call('SET', `${tag}a`, two, 'IFEQ', two)).toBe(null);
    expect(await client.call('SET', `${tag}a`, two, 'IFEQ', one, 'GET')).toBe(one);
    expect(await client.call('DELIFEQ', `${tag}a`, one)).toBe(0);
    expect(await client.call('DELIFEQ', `${tag}a`, two)).toBe(1);
    expect(await client.call('DELEX', `${tag}b`, 'IFNE', two)).toBe(0);
    expect(await client.call('DELEX', `${tag}b`, 'IFEQ', two)).toBe(1);
    expectWhole(cluster);
  });

  it('a copy is of what the source holds when it is made', async () => {
    cluster = await TestCluster.start(1, 1);
    const [client, other] = [await cluster.client(), await cluster.client()];
    const values = Array.from({ length: 6 }, (_, i) => large(MIB / 4, `${i}:`));
    await client.call('SET', 'a', values[0]);
    const copies = Array.from({ length: 6 }, (_, i) => ['COPY', 'a', `b${i}`]);
    const sets = values.slice(1).map((value) => ['SET', 'a', value]);
    const [copied] = await Promise.all([client.pipeline(copies), other.pipeline(sets)]);
    expect(copied).toEqual(copies.map(() => 1));
    for (const [, , key] of copies) expect(values).toContain(await client.call('GET', key));
    expectWhole(cluster);
  });
});

describe('subcommands with keys', () => {
  it('go to the owner of their key, alone and in a transaction', async () => {
    cluster = await TestCluster.start(2, 2);
    const client = await cluster.client(0);
    const keys = [cluster.keyIn(0), cluster.keyIn(1)];
    await client.call('MSET', keys[0], '1', keys[1], 'text');
    expect(await client.call('OBJECT', 'ENCODING', keys[0])).toBe('int');
    expect(await client.call('object', 'encoding', keys[1])).toBe('embstr');
    const replies = await client.pipeline([
      ['MULTI'],
      ['OBJECT', 'ENCODING', keys[1]],
      ['OBJECT', 'ENCODING', keys[0]],
      ['OBJECT', 'HELP'],
      ['EXEC'],
    ]);
    const help = expect.arrayContaining([expect.stringMatching(/ENCODING/)]);
    expect(replies.at(-1)).toEqual(['embstr', 'int', help]);
    const there = await cluster.client(0, 'cluster');
    expect(await there.call('OBJECT', 'ENCODING', keys[1])).toMatch(/^-MOVED /);
    expect(await there.call('OBJECT|ENCODING', 'x', keys[0])).toMatch(/^-ERR unknown command/);
  });

  it('keys of two partitions cannot be renamed', async () => {
    cluster = await TestCluster.start(1, 2);
    const client = await cluster.client(0);
    expect(await client.call('RENAME', cluster.keyIn(0), cluster.keyIn(1))).toMatch(/^-CROSSSLOT/);
  });
});
