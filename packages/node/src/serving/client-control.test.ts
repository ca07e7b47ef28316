/** CLIENT KILL, PAUSE, REPLY, RESET, SLOWLOG and CONFIG SET over real connections of one worker. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { TestCluster } from './cluster.fixture.ts';

let cluster: TestCluster;
beforeEach(async () => {
  cluster = await TestCluster.start(1, 1);
});
afterEach(() => cluster?.stop());

describe('CLIENT KILL', () => {
  it('ends others by id, type or address, and the asker after its reply', async () => {
    const [asker, victim, other] = [
      await cluster.client(),
      await cluster.client(),
      await cluster.client(),
    ];
    const id = String(await victim.call('CLIENT', 'ID'));
    expect(await asker.call('CLIENT', 'KILL', 'ID', id)).toBe(1);
    await victim.receive(1);
    expect([victim.closed, other.closed]).toEqual([true, false]);
    expect(await asker.call('CLIENT', 'KILL', 'ID', id)).toBe(0);
    expect(await asker.call('CLIENT', 'KILL', '1.2.3.4:5')).toBe('-ERR No such client');
    expect(await asker.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'no')).toBe(2);
    await Promise.all([asker.receive(1), other.receive(1)]);
    expect([asker.closed, other.closed]).toEqual([true, true]);
  });

  it('a link is no normal client', async () => {
    const [asker, link] = [await cluster.client(), await cluster.client(0, 'cluster')];
    await link.call('INGOT.LINK');
    expect(await asker.call('CLIENT', 'LIST', 'TYPE', 'master')).toMatch(/^id=\d+ .* flags=M /);
    expect(await asker.call('CLIENT', 'KILL', 'TYPE', 'normal')).toBe(0);
    expect(await link.call('PING')).toBe('PONG');
  });
});

describe('CLIENT NO-TOUCH and NO-EVICT', () => {
  it('what is read does not count as used, but by TOUCH', async () => {
    const client = await cluster.client();
    const partition = cluster.partition(0, 0);
    // What is pinned to be sent is noted by the pin.
    const noted = [
      vi.spyOn(partition, 'mark'),
      vi.spyOn(partition.values, 'pin'),
      vi.spyOn(partition.values, 'pinRead'),
    ];
    const reads = [['GET'], ['MGET'], ['STRLEN'], ['GETRANGE', '0', '1'], ['BITCOUNT']];
    const isNoted = async (...words: string[]): Promise<boolean> => {
      for (const spy of noted) spy.mockClear();
      await client.call(...words);
      return noted.some(({ mock }) => mock.calls.length > 0);
    };
    for (const key of ['short', 'long']) {
      await client.call('SET', key, 'v'.repeat(key === 'short' ? 10 : 100_000));
      for (const [name, ...more] of reads) expect(await isNoted(name, key, ...more)).toBe(true);
      expect(await client.call('CLIENT', 'NO-TOUCH', 'on')).toBe('OK');
      for (const [name, ...more] of reads) expect(await isNoted(name, key, ...more)).toBe(false);
      expect(await isNoted('TOUCH', key)).toBe(true);
      expect(await client.call('CLIENT', 'NO-TOUCH', 'OFF')).toBe('OK');
    }
    expect(await isNoted('GET', 'short')).toBe(true);
  });

  it('CLIENT LIST shows both, and RESET ends them', async () => {
    const client = await cluster.client();
    await client.call('CLIENT', 'NO-TOUCH', 'ON');
    await client.call('CLIENT', 'NO-EVICT', 'ON');
    expect(await client.call('CLIENT', 'INFO')).toMatch(/ flags=eT /);
    expect(await client.call('RESET')).toBe('RESET');
    expect(await client.call('CLIENT', 'INFO')).toMatch(/ flags=N /);
  });
});

describe('CLIENT PAUSE', () => {
  it('WRITE lets writes wait, and reads go on; UNPAUSE lets them go', async () => {
    const [asker, writer] = [await cluster.client(), await cluster.client()];
    await asker.call('SET', 'a', '0');
    expect(await asker.call('CLIENT', 'PAUSE', '600000', 'WRITE')).toBe('OK');
    const written = writer.pipeline([
      ['SET', 'a', '1'],
      ['GET', 'a'],
    ]);
    expect(
      await asker.pipeline([
        ['GET', 'a'],
        ['GET', 'a'],
      ]),
    ).toEqual(['0', '0']);
    expect(writer.unread).toBe(0);
    expect(await asker.call('CLIENT', 'UNPAUSE')).toBe('OK');
    expect(await written).toEqual(['OK', '1']);
  });

  it('ALL lets everything wait until its time is over', async () => {
    const [asker, other] = [await cluster.client(), await cluster.client()];
    expect(await asker.call('CLIENT', 'PAUSE', '20', 'ALL')).toBe('OK');
    expect(await other.call('PING')).toBe('PONG');
  });
});

describe('CLIENT REPLY', () => {
  it('OFF answers nothing, ON answers again, SKIP passes one reply over', async () => {
    const client = await cluster.client();
    client.write('CLIENT REPLY OFF\r\nSET a 1\r\nGET a\r\nNOSUCH\r\nDBSIZE\r\nCLIENT LIST\r\n');
    client.write('CLIENT REPLY SKIP\r\nCLIENT REPLY ON\r\n');
    expect(await client.receive(1)).toEqual(['OK']);
    client.write('CLIENT REPLY SKIP\r\nSET a 2\r\nGET a\r\nGET a\r\n');
    expect(await client.receive(2)).toEqual(['2', '2']);
    expect(client.unread).toBe(0);
  });
});

describe('RESET', () => {
  it('leaves a transaction, watched keys and RESP3', async () => {
    const client = await cluster.client();
    await client.pipeline([['HELLO', '3'], ['CLIENT', 'SETNAME', 'x'], ['WATCH', 'a'], ['MULTI']]);
    expect(await client.call('RESET')).toBe('RESET');
    expect(await client.call('EXEC')).toBe('-ERR EXEC without MULTI');
    expect(await client.call('CLIENT', 'INFO')).toMatch(/ name= .* watch=0 .* resp=2 /);
  });
});

describe('SLOWLOG', () => {
  it('notes what takes longer than its threshold, without passwords', async () => {
    const client = await cluster.client();
    await client.call('CONFIG', 'SET', 'slowlog-log-slower-than', '0');
    await client.pipeline([
      ['SET', 'a', '1'],
      ['AUTH', 'default', 'sesame'],
      ['GET', 'a'],
    ]);
    const words = (await client.call('SLOWLOG', 'GET')) as unknown[][];
    expect(words.map((entry) => entry[3]).slice(1, 3)).toEqual([
      ['GET', 'a'],
      ['SET', 'a', '1'],
    ]);
    await client.call('CONFIG', 'SET', 'slowlog-log-slower-than', '-1');
    expect(await client.call('SLOWLOG', 'RESET')).toBe('OK');
    await client.call('KEYS', '*');
    expect(await client.call('SLOWLOG', 'LEN')).toBe(0);
  });
});
