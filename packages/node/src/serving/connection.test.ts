import { afterEach, describe, expect, it } from 'vitest';
import { TestCluster } from './cluster.fixture.ts';
import { type Connection, READ_AHEAD_BYTES_MAX } from './connection.ts';
import { Hold } from './hold.ts';
import { queryBufferText } from './limits.ts';
import { LiveSettings } from './live-settings.ts';

const CONNECTIONS_MAX = new LiveSettings().values.maxClients;

let cluster: TestCluster;
afterEach(() => cluster.stop());

const PING = '*1\r\n$4\r\nPING\r\n';

describe('connection: what it is sent', () => {
  it('commands cut at every byte are answered in order', async () => {
    cluster = await TestCluster.start(1, 1);
    const client = await cluster.client();
    const commands =
      '*3\r\n$3\r\nSET\r\n$1\r\na\r\n$2\r\nxy\r\n*2\r\n$3\r\nGET\r\n$1\r\na\r\nPING\r\n';
    for (const byte of commands) client.write(byte);
    expect(await client.receive(3)).toEqual(['OK', 'xy', 'PONG']);
  });

  it('a protocol error is answered after what came before it, then the connection ends', async () => {
    cluster = await TestCluster.start(1, 1);
    const client = await cluster.client();
    client.write(`${PING}*1\r\n$x\r\n${PING}`);
    expect(await client.receive(3)).toEqual(['PONG', '-ERR Protocol error: invalid bulk length']);
    expect(client.closed).toBe(true);
    expect(cluster.counter(0, 'protocolErrors')).toBe(1);
  });

  it('HTTP is closed without an answer', async () => {
    cluster = await TestCluster.start(1, 1);
    for (const text of ['POST / HTTP/1.1\r\nHost: x\r\n\r\n', 'Host: x\r\n']) {
      const client = await cluster.client();
      client.write(text);
      expect(await client.receive(1)).toEqual([]);
    }
  });

  it('a GET over HTTP gets no further than its Host line', async () => {
    cluster = await TestCluster.start(1, 1);
    const client = await cluster.client();
    client.write('GET / HTTP/1.1\r\nHost: x\r\nSET a b\r\n\r\n');
    expect((await client.receive(5)).length).toBeLessThanOrEqual(1);
    expect(await (await cluster.client()).call('EXISTS', 'a')).toBe(0);
  });

  it('more unexecuted bytes than the query buffer may hold end the connection', async () => {
    cluster = await TestCluster.start(1, 1, { maxQueryBufferBytes: 100_000 });
    const client = await cluster.client();
    client.write(`*2\r\n$4\r\nECHO\r\n$200000\r\n${'x'.repeat(150_000)}`);
    expect(await client.receive(2)).toEqual([`-${queryBufferText(100_000)}`]);
    expect(cluster.counter(0, 'queryBufferEnded')).toBe(1);
    const events = cluster.nodes[0].logged.map(([event]) => event);
    // Where the machine is busy, the read took its client's turn as well.
    expect(events.filter((event) => event !== 'limit.turn')).toEqual(['limit.queryBuffer']);
    expect(await (await cluster.client()).call('PING')).toBe('PONG');
  });

  it('a client that closes its side is still answered', async () => {
    cluster = await TestCluster.start(2, 2);
    const client = await cluster.client(0);
    client.socket.end(`SET ${cluster.keyIn(1)} v\r\nGET ${cluster.keyIn(1)}\r\nPING\r\n`);
    expect(await client.receive(3)).toEqual(['OK', 'v', 'PONG']);
    expect(await client.receive(1)).toEqual([]);
  });

  it('QUIT is answered, then the connection ends', async () => {
    cluster = await TestCluster.start(1, 1);
    const client = await cluster.client();
    client.write(`QUIT\r\n${PING}`);
    expect(await client.receive(2)).toEqual(['OK']);
  });
});

describe('connection: a client that does not read', () => {
  it('is not read from beyond a bound, loses nothing, and disturbs nobody', async () => {
    cluster = await TestCluster.start(1, 1);
    const slow = await cluster.client();
    const other = await cluster.client();
    const value = 'v'.repeat(50_000);
    await slow.call('SET', 'big', value);
    slow.socket.pause();
    const gets = 4_000;
    const command = '*2\r\n$3\r\nGET\r\n$3\r\nbig\r\n';
    slow.write(command.repeat(gets));
    const before = process.memoryUsage().arrayBuffers;
    for (let i = 0; i < 200; i++) expect(await other.call('PING')).toBe('PONG');
    // 200 MB of replies are due; what is held of them is a batch or two.
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(20_000_000);
    expect(READ_AHEAD_BYTES_MAX).toBeLessThan(command.length * gets);
    slow.socket.resume();
    const replies = await slow.receive(gets);
    expect(replies.length).toBe(gets);
    expect(replies.every((reply) => reply === value)).toBe(true);
  });
});

describe('connection: a client that has said all and reads late', () => {
  it('gets every reply before the end', async () => {
    cluster = await TestCluster.start(1, 1);
    const slow = await cluster.client();
    const value = 'v'.repeat(15_000);
    await slow.call('SET', 'big', value);
    slow.socket.pause();
    // All of it fits what is read ahead.
    const gets = 2_000;
    slow.socket.end('*2\r\n$3\r\nGET\r\n$3\r\nbig\r\n'.repeat(gets));
    const other = await cluster.client();
    for (let i = 0; i < 200; i++) expect(await other.call('PING')).toBe('PONG');
    slow.socket.resume();
    expect((await slow.receive(gets)).length).toBe(gets);
  });
});

describe('connection: one too many', () => {
  it('is told so and closed, and may break without harm', async () => {
    cluster = await TestCluster.start(1, 1);
    const { sessions } = cluster.nodes[0].worker;
    const seat = { destroy: () => {} } as unknown as Connection;
    for (let i = 1; i <= CONNECTIONS_MAX; i++) sessions.set(-i, seat);
    const refused = await cluster.client();
    expect(await refused.receive(2)).toEqual(['-ERR max number of clients reached']);
    expect(refused.closed).toBe(true);
    for (let i = 0; i < 20; i++) (await cluster.client()).socket.resetAndDestroy();
    for (let i = 1; i <= CONNECTIONS_MAX; i++) sessions.delete(-i);
    expect(await (await cluster.client()).call('PING')).toBe('PONG');
  });
});

describe('connection: reasons to be on hold', () => {
  it('each is a bit of its own', () => {
    const all = Object.values(Hold);
    expect(all.every((bit) => bit > 0 && (bit & (bit - 1)) === 0)).toBe(true);
    expect(new Set(all).size).toBe(all.length);
  });
});
