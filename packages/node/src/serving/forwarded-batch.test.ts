import { once } from 'node:events';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { TestCluster } from './cluster.fixture.ts';
import { LATE_MAX } from './outbox.ts';
import { encode } from './peer-link.ts';

let cluster: TestCluster;
let stranger: Server | null = null;
afterEach(() => {
  cluster.stop();
  stranger?.close();
  stranger = null;
});

/** Stands in for node 1, as node 0 sees it. What it is asked with this word in it is the last that it answers. */
async function stand(answer: (text: string) => string, last?: string): Promise<void> {
  stranger = createServer((socket) => {
    socket.on('error', () => socket.destroy());
    socket.on('data', (data) => {
      const text = data.toString('latin1');
      if (last !== undefined && text.includes(last)) socket.end(answer(text));
      else socket.write(answer(text));
    });
  }).listen(0, '127.0.0.1');
  await once(stranger, 'listening');
  const { port } = stranger.address() as AddressInfo;
  const map = structuredClone(cluster.nodes[0].worker.map);
  const [, owner] = map.nodes;
  const nodes = map.nodes.with(1, { ...owner, ports: { ...owner.ports, cluster: port } });
  cluster.tell({ ...map, nodes, version: map.version + 1 }, 0);
}

describe('batches with keys of other nodes', () => {
  it('are answered in order, whatever is executed here, elsewhere, or in both places', async () => {
    cluster = await TestCluster.start(3, 4);
    const client = await cluster.client(0);
    const [here, there, elsewhere] = [0, 1, 2].map((id) => cluster.keyIn(id));
    const replies = await client.pipeline([
      ['SET', there, '1'],
      ['SET', here, '2'],
      ['INCR', there],
      ['MGET', there, here, elsewhere],
      ['GET', here],
      ['APPEND', elsewhere, 'x'],
      ['MULTI'],
      ['GET', there],
      ['EXEC'],
      ['GET', there, 'too many'],
      ['STRLEN', elsewhere],
      ['PING'],
      ['GET', there],
    ]);
    expect(replies).toEqual([
      ...['OK', 'OK', 2, ['2', '2', null], '2', 1, 'OK', 'QUEUED', ['2']],
      ...[expect.stringMatching(/^-ERR wrong number/), 1, 'PONG', '2'],
    ]);
  });

  it('may be longer than what may be due to a client at once', async () => {
    cluster = await TestCluster.start(2, 2);
    const client = await cluster.client(0);
    const count = LATE_MAX * 2 + 100;
    const key = cluster.keyIn(1);
    const replies = await client.pipeline(Array.from({ length: count }, () => ['INCR', key]));
    expect(replies).toEqual(Array.from({ length: count }, (_, i) => i + 1));
    expect(cluster.counter(0, 'forwarded')).toBe(count);
  });

  it('do not keep replies back for one that has to wait', async () => {
    cluster = await TestCluster.start(2, 4);
    cluster.partition(1, 3).seal(true);
    const client = await cluster.client(0);
    const increments = [1, 0, 3, 1, 0].map((id) => encode(['INCR', cluster.keyIn(id)]));
    client.write(Buffer.concat(increments));
    expect(await client.receive(2)).toEqual([1, 1]);
    expect(client.unread).toBe(0);
    cluster.partition(1, 3).seal(false);
    expect(await client.receive(3)).toEqual([1, 2, 2]);
  });

  it('are answered when the last of what travels together has to be sent again', async () => {
    cluster = await TestCluster.start(2, 4);
    let asked = 0;
    await stand((text) => {
      const resumed = '+OK\r\n'.repeat(text.split('INGOT.').length - 1);
      if (!text.includes('INCR')) return resumed;
      return asked++ === 0 ? '-MOVED 1 a:1\r\n:7\r\n-MOVED 1 a:1\r\n' : `${resumed}:8\r\n:9\r\n`;
    });
    const client = await cluster.client(0);
    const replies = await client.pipeline([3, 1, 3].map((id) => ['INCR', cluster.keyIn(id)]));
    expect(replies).toEqual([8, 7, 9]);
  });

  it('never have bytes of what is sent by lines', async () => {
    cluster = await TestCluster.start(2, 2);
    const client = await cluster.client(0);
    // As a word of a line the key's star lies where the command began in what was received.
    const key = `abc*{${cluster.keyIn(1)}}`;
    await client.call('SET', key, 'value');
    client.write(`PING\r\nGET ${key}\r\n`);
    expect(await client.receive(2)).toEqual(['PONG', 'value']);
  });

  it('keep what was answered when a link breaks in the middle; of the rest nobody knows', async () => {
    cluster = await TestCluster.start(2, 2);
    await stand((text) => (text.includes('GET') ? '$1\r\na\r\n$1\r\nb\r\n' : '+OK\r\n'), 'GET');
    const client = await cluster.client(0);
    const key = cluster.keyIn(1);
    const replies = await client.pipeline(Array.from({ length: 4 }, () => ['GET', key]));
    const unknown = expect.stringMatching(/^-ERR .*unknown/);
    expect(replies).toEqual(['a', 'b', unknown, unknown]);
  });
});
