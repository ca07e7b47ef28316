import { REDO_TXN_END } from '@ingot/store';
import { afterEach, describe, expect, it } from 'vitest';
import { TestCluster } from './cluster.fixture.ts';

let cluster: TestCluster;
afterEach(() => cluster.stop());

const EXECABORT = '-EXECABORT Transaction discarded because of previous errors.';

describe('transactions: one partition of this node', () => {
  it('queues, then answers all commands in one array', async () => {
    cluster = await TestCluster.start(1, 1);
    const client = await cluster.client();
    const commands = [['MULTI'], ['SET', 'a', '1'], ['INCR', 'a'], ['GET', 'a'], ['EXEC']];
    const queued = ['QUEUED', 'QUEUED', 'QUEUED'];
    expect(await client.pipeline(commands)).toEqual(['OK', ...queued, ['OK', 2, '2']]);
  });

  it('keyless commands keep their place among the others', async () => {
    cluster = await TestCluster.start(1, 4);
    const client = await cluster.client();
    const commands = [
      ['MULTI'],
      ['PING'],
      ['SET', 'a', '1'],
      ['ECHO', 'x'],
      ['GET', 'a'],
      ['EXEC'],
    ];
    expect((await client.pipeline(commands)).at(-1)).toEqual(['PONG', 'OK', 'x', '1']);
  });

  it('an error at run time is one of the replies, the rest is executed', async () => {
    cluster = await TestCluster.start(1, 1);
    const client = await cluster.client();
    await client.pipeline([['SET', 'a', 'x'], ['MULTI'], ['INCR', 'a'], ['SET', 'b', '1']]);
    const reply = (await client.call('EXEC')) as unknown[];
    expect(reply[0]).toMatch(/^-ERR value is not an integer/);
    expect(reply[1]).toBe('OK');
  });

  it('an error while queueing discards the transaction', async () => {
    cluster = await TestCluster.start(1, 1);
    const client = await cluster.client();
    for (const wrong of [['NOSUCH'], ['GET'], ['DBSIZE']]) {
      const replies = await client.pipeline([['MULTI'], ['SET', 'a', '1'], wrong, ['EXEC']]);
      expect(replies[2]).toMatch(/^-ERR /);
      expect(replies[3]).toBe(EXECABORT);
    }
    expect(await client.call('EXISTS', 'a')).toBe(0);
  });

  it('DISCARD forgets, and what has no MULTI is refused', async () => {
    cluster = await TestCluster.start(1, 1);
    const client = await cluster.client();
    expect(
      await client.pipeline([['MULTI'], ['MULTI'], ['SET', 'a', '1'], ['DISCARD'], ['GET', 'a']]),
    ).toEqual(['OK', '-ERR MULTI calls can not be nested', 'QUEUED', 'OK', null]);
    expect(await client.call('EXEC')).toBe('-ERR EXEC without MULTI');
    await client.call('MULTI');
    expect(await client.call('EXEC', 'x')).toBe(
      "-EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command",
    );
    expect(await client.call('DISCARD')).toBe('-ERR DISCARD without MULTI');
    expect(await client.call('DISCARD')).toBe('-ERR DISCARD without MULTI');
  });

  it('an empty transaction is an empty array', async () => {
    cluster = await TestCluster.start(1, 1);
    const client = await cluster.client();
    expect(await client.pipeline([['MULTI'], ['EXEC']])).toEqual(['OK', []]);
  });

  it('is one transaction for followers: its last redo record alone ends it', async () => {
    cluster = await TestCluster.start(1, 1);
    const client = await cluster.client();
    const partition = cluster.partition(0, 0);
    await client.call('SET', 'before', '0');
    const firstSeq = partition.stats().seq + 1;
    await client.pipeline([['MULTI'], ['SET', 'a', '1'], ['SET', 'b', '2'], ['EXEC']]);
    const ring = Buffer.alloc(64 * 1024);
    const bytes = partition.ringCopy(partition.ringFind(firstSeq), ring.length, ring);
    const endsTransaction: boolean[] = [];
    for (let at = 0; at < bytes; at += ring.readUInt32LE(at)) {
      endsTransaction.push((ring.readUInt8(at + 5) & REDO_TXN_END) !== 0);
    }
    expect(endsTransaction).toEqual([false, true]);
  });
});

describe('transactions: WATCH', () => {
  for (const node of [0, 1]) {
    const where = node === 0 ? 'a key of this node' : 'a key of another node';
    it(`${where} that changed stops EXEC, one that did not lets it run`, async () => {
      cluster = await TestCluster.start(2, 2);
      const [client, other] = [await cluster.client(0), await cluster.client(0)];
      const key = cluster.keyIn(node);
      await client.call('WATCH', key);
      await other.call('SET', key, 'theirs');
      const stopped = await client.pipeline([['MULTI'], ['SET', key, 'ours'], ['EXEC']]);
      expect(stopped).toEqual(['OK', 'QUEUED', null]);
      expect(await client.call('GET', key)).toBe('theirs');

      await client.call('WATCH', key);
      await other.call('GET', key);
      const done = await client.pipeline([['MULTI'], ['SET', key, 'ours'], ['EXEC']]);
      expect(done).toEqual(['OK', 'QUEUED', ['OK']]);
    });
  }

  it('an absent key is watched too', async () => {
    cluster = await TestCluster.start(1, 1);
    const [client, other] = [await cluster.client(), await cluster.client()];
    await client.call('WATCH', 'a');
    await other.pipeline([
      ['SET', 'a', '1'],
      ['DEL', 'a'],
    ]);
    expect(await client.pipeline([['MULTI'], ['PING'], ['EXEC']])).toEqual(['OK', 'QUEUED', null]);
  });

  it('a flush stops EXEC', async () => {
    cluster = await TestCluster.start(1, 1);
    const [client, other] = [await cluster.client(), await cluster.client()];
    await client.pipeline([
      ['SET', 'a', '1'],
      ['WATCH', 'a'],
    ]);
    await other.call('FLUSHALL');
    expect(await client.pipeline([['MULTI'], ['GET', 'a'], ['EXEC']])).toEqual([
      'OK',
      'QUEUED',
      null,
    ]);
  });

  it('UNWATCH, DISCARD and EXEC forget', async () => {
    cluster = await TestCluster.start(1, 1);
    const [client, other] = [await cluster.client(), await cluster.client()];
    for (const forget of [[['UNWATCH']], [['MULTI'], ['DISCARD']], [['MULTI'], ['EXEC']]]) {
      await client.pipeline([['WATCH', 'a'], ...forget]);
      await other.call('INCR', 'a');
      const replies = await client.pipeline([['MULTI'], ['EXISTS', 'a'], ['EXEC']]);
      expect(replies.at(-1)).toEqual([1]);
    }
  });

  it('is refused between MULTI and EXEC, without discarding', async () => {
    cluster = await TestCluster.start(1, 1);
    const client = await cluster.client();
    const replies = await client.pipeline([['MULTI'], ['WATCH', 'a'], ['PING'], ['EXEC']]);
    expect(replies[1]).toBe('-ERR WATCH inside MULTI is not allowed');
    expect(replies[3]).toEqual(['PONG']);
  });
});

describe('transactions: keys of several partitions', () => {
  it('on the client port, without WATCH: split, replies in the order of the commands', async () => {
    cluster = await TestCluster.start(3, 8);
    const client = await cluster.client(0);
    const keys = Array.from({ length: 8 }, (_, partition) => cluster.keyIn(partition));
    const commands = keys.flatMap((key) => [
      ['SET', key, `v ${key}`],
      ['GET', key],
    ]);
    const replies = await client.pipeline([['MULTI'], ['PING'], ...commands, ['EXEC']]);
    expect(replies.at(-1)).toEqual(['PONG', ...keys.flatMap((key) => ['OK', `v ${key}`])]);
  });

  it('with WATCH: CROSSSLOT, on any port', async () => {
    cluster = await TestCluster.start(1, 2);
    for (const port of ['client', 'cluster'] as const) {
      const client = await cluster.client(0, port);
      await client.call('WATCH', cluster.keyIn(0));
      const replies = await client.pipeline([['MULTI'], ['GET', cluster.keyIn(1)], ['EXEC']]);
      expect(replies.at(-1)).toMatch(/^-CROSSSLOT /);
    }
  });

  it('on the cluster port: CROSSSLOT when queued, then EXECABORT', async () => {
    cluster = await TestCluster.start(1, 2);
    const client = await cluster.client(0, 'cluster');
    const sets = [0, 1].map((partition) => ['SET', cluster.keyIn(partition), 'v']);
    const replies = await client.pipeline([['MULTI'], ...sets, ['EXEC']]);
    expect(replies[2]).toMatch(/^-CROSSSLOT /);
    expect(replies[3]).toBe(EXECABORT);
  });

  it('on the cluster port a key of another node is MOVED when queued', async () => {
    cluster = await TestCluster.start(2, 2);
    const client = await cluster.client(0, 'cluster');
    const replies = await client.pipeline([['MULTI'], ['GET', cluster.keyIn(1)], ['EXEC']]);
    expect(replies[1]).toMatch(/^-MOVED /);
    expect(replies[2]).toBe(EXECABORT);
  });
});

describe('transactions: between nodes', () => {
  it('INGOT.EXEC refuses what does not belong to its partition', async () => {
    cluster = await TestCluster.start(1, 2);
    const client = await cluster.client(0, 'cluster');
    const foreign = cluster.keyIn(1);
    for (const words of [
      ['0', '0', '2', 'get', foreign],
      ['0', '1', foreign, 'token', '2', 'get', cluster.keyIn(0)],
      ['0', '0', '9', 'get', cluster.keyIn(0)],
      ['0', '0', '1', 'get'],
      ['0', '0', '1', 'flushall'],
      ['0', '-1'],
    ]) {
      const reply = await client.call('INGOT.EXEC', ...words);
      expect(reply, words.join(' ')).toBe('-ERR malformed command between nodes');
    }
  });
});
