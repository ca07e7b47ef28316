import { once } from 'node:events';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { TestCluster } from './cluster.fixture.ts';
import { LATE_MAX } from './connection.ts';
import { encode } from './peer-link.ts';

let cluster: TestCluster;
let stranger: Server | null = null;
afterEach(() => {
  cluster.stop();
  stranger?.close();
  stranger = null;
});

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

  it('keep what was answered when a link breaks in the middle; of the rest nobody knows', async () => {
    cluster = await TestCluster.start(2, 2);
    stranger = createServer((socket) => {
      socket.on('error', () => socket.destroy());
      socket.on('data', (data) => {
        if (!data.includes('GET')) socket.write('+OK\r\n');
        else socket.end('$1\r\na\r\n$1\r\nb\r\n');
      });
    }).listen(0, '127.0.0.1');
    await once(stranger, 'listening');
    const { port } = stranger.address() as AddressInfo;
    const map = structuredClone(cluster.nodes[0].worker.map);
    const [, owner] = map.nodes;
    const nodes = map.nodes.with(1, { ...owner, ports: { ...owner.ports, cluster: port } });
    cluster.tell({ ...map, nodes, version: map.version + 1 }, 0);
    const client = await cluster.client(0);
    const key = cluster.keyIn(1);
    const replies = await client.pipeline(Array.from({ length: 4 }, () => ['GET', key]));
    const unknown = expect.stringMatching(/^-ERR .*unknown/);
    expect(replies).toEqual(['a', 'b', unknown, unknown]);
  });
});
