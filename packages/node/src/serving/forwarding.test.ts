import { once } from 'node:events';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { commandIndexByName } from '../commands/table.ts';
import { Args } from '../resp/args.ts';
import { TestCluster } from './cluster.fixture.ts';
import { Forwarding, WAITING_BYTES_MAX } from './forwarding.ts';
import { LATE_MAX } from './outbox.ts';
import { LINK_FULL_TEXT } from './limits.ts';
import { CONNECT_MS_MAX, PENDING_MAX } from './peer-link.ts';

let cluster: TestCluster;
const strangers: Server[] = [];
afterEach(() => {
  cluster.stop();
  for (const server of strangers.splice(0)) server.close();
});

describe('forwarding: on the client port any node answers for any key', () => {
  it('reads and writes through the node that does not own the key', async () => {
    cluster = await TestCluster.start(2, 2);
    const [a, b] = [await cluster.client(0), await cluster.client(1)];
    const key = cluster.keyIn(1);
    expect(await a.call('SET', key, 'v')).toBe('OK');
    expect(await b.call('GET', key)).toBe('v');
    expect(cluster.counter(0, 'forwarded')).toBe(1);
    expect(cluster.counter(1, 'forwarded')).toBe(0);
  });

  it('replies stay in request order, local and forwarded mixed', async () => {
    cluster = await TestCluster.start(3, 4);
    const client = await cluster.client(0);
    const keys = Array.from({ length: 400 }, (_, i) => `key${i}`);
    const sets = await client.pipeline(keys.map((key) => ['SET', key, `value of ${key}`]));
    expect(sets.every((reply) => reply === 'OK')).toBe(true);
    const gets = await client.pipeline(keys.map((key) => ['GET', key]));
    expect(gets).toEqual(keys.map((key) => `value of ${key}`));
  });

  it('binary keys and values pass unchanged', async () => {
    cluster = await TestCluster.start(2, 2);
    const [a, b] = [await cluster.client(0), await cluster.client(1)];
    const key = `{${cluster.keyIn(1)}}\r\n\0$5\r\n`;
    await a.call('SET', key, '\r\n*3\r\n\0');
    expect(await b.call('GET', key)).toBe('\r\n*3\r\n\0');
  });

  it('a RESP3 client gets RESP3 replies from the owner', async () => {
    cluster = await TestCluster.start(2, 2);
    const client = await cluster.client(0);
    await client.call('HELLO', '3');
    let text = '';
    client.socket.on('data', (data: Buffer) => {
      text += data.toString();
    });
    expect(await client.call('GET', cluster.keyIn(1))).toBe(null);
    expect(text).toBe('_\r\n');
  });

  it('the cluster port never forwards', async () => {
    cluster = await TestCluster.start(2, 2);
    const client = await cluster.client(0, 'cluster');
    const reply = await client.call('GET', cluster.keyIn(1));
    expect(reply).toMatch(new RegExp(`^-MOVED \\d+ 127.0.0.1:${cluster.nodes[1]?.ports.cluster}$`));
    expect(cluster.counter(0, 'redirects')).toBe(1);
  });
});

describe('forwarding: owners that cannot answer', () => {
  it('a link that breaks after the command left: the outcome is unknown, and nothing is repeated', async () => {
    cluster = await TestCluster.start(2, 2);
    let received = '';
    const stranger = await strangerAtClusterPort((socket, data) => {
      received += data.toString('latin1');
      if (received.includes('APPEND')) socket.destroy();
      else socket.write('+OK\r\n');
    });
    const client = await cluster.client(0);
    const [reply] = await client.pipeline([['APPEND', cluster.keyIn(1), 'v']]);
    expect(reply).toMatch(/^-ERR .*unknown/);
    expect(received.split('APPEND').length).toBe(2);
    expect(stranger.listening).toBe(true);
  });

  it('other partitions go on while one waits for its owner', async () => {
    cluster = await TestCluster.start(2, 4);
    cluster.partition(1, 1).seal(true);
    const [a, b] = [await cluster.client(0), await cluster.client(0)];
    const waiting = a.call('SET', cluster.keyIn(1), 'late');
    for (let i = 0; i < 20; i++) expect(await b.call('SET', cluster.keyIn(3), 'v')).toBe('OK');
    expect(a.unread).toBe(0);
    cluster.partition(1, 1).seal(false);
    expect(await waiting).toBe('OK');
  });
});

describe('forwarding: a partition changes its owner', () => {
  it('commands refused with MOVED are sent to the new owner, in order', async () => {
    cluster = await TestCluster.start(2, 2);
    const client = await cluster.client(0);
    const key = cluster.keyIn(1);
    await client.call('SET', key, '');
    // n1 has given the partition away and knows it; n0 does not know yet.
    const map = cluster.moved(1, 0);
    cluster.demote(1, 1);
    cluster.tell(map, 1);
    const appends = Array.from({ length: 50 }, (_, i) => ['APPEND', key, `${i},`]);
    const replies = client.pipeline(appends);
    cluster.promote(0, 1);
    cluster.tell(map, 0);
    expect((await replies).every((reply) => typeof reply === 'number')).toBe(true);
    expect(await client.call('GET', key)).toBe(appends.map((words) => words[2]).join(''));
  });

  it('commands sent behind a refused one never overtake it', async () => {
    cluster = await TestCluster.start(2, 2);
    const client = await cluster.client(0);
    const key = cluster.keyIn(1);
    await client.call('SET', key, '');
    cluster.partition(1, 1).seal(true);
    const replies: Promise<unknown>[] = [];
    for (let i = 0; i < 30; i++) {
      replies.push(client.call('APPEND', key, `${i},`));
      await new Promise((resolve) => setImmediate(resolve));
      // Open for a moment: a later command must not slip in before the refused ones.
      cluster.partition(1, 1).seal(i % 3 !== 0);
    }
    cluster.partition(1, 1).seal(false);
    await Promise.all(replies);
    const expected = Array.from({ length: 30 }, (_, i) => `${i},`).join('');
    expect(await client.call('GET', key)).toBe(expected);
  });
  it('a command on its way to the old owner is not overtaken by one for the new', async () => {
    cluster = await TestCluster.start(2, 2);
    const client = await cluster.client(0);
    const key = cluster.keyIn(1);
    const arrived = Promise.withResolvers<Socket>();
    await strangerAtClusterPort((socket, data) => {
      const text = data.toString('latin1');
      if (text.includes('INGOT.LINK')) socket.write('+OK\r\n');
      if (text.includes('first')) arrived.resolve(socket);
    });
    const first = client.call('APPEND', key, 'first,');
    const oldOwner = await arrived.promise;
    const map = cluster.moved(1, 0);
    cluster.promote(0, 1);
    cluster.tell(map, 0);
    const others = client.pipeline([
      ['APPEND', key, 'second,'],
      ['GET', key],
      ['SET', key, 'third'],
      ['MGET', key, key],
    ]);
    // The second has been read by now: what this client asks is answered in the order of arrival.
    await (await cluster.client(0)).call('PING');
    oldOwner.write('-MOVED 1 127.0.0.1:1\r\n');
    expect(await first).toBe('first,'.length);
    expect(await others).toEqual([13, 'first,second,', 'OK', ['third', 'third']]);
  });
});

describe('forwarding: what is counted and what ends', () => {
  it('a call over several partitions counts each part that travels, and where it ran', async () => {
    cluster = await TestCluster.start(2, 4);
    const client = await cluster.client(0);
    const calls = (node: number): number =>
      cluster.nodes[node].counters.calls(commandIndexByName('mget'));
    await client.call('MGET', cluster.keyIn(1), cluster.keyIn(3));
    expect([cluster.counter(0, 'forwarded'), calls(0), calls(1)]).toEqual([2, 0, 2]);
    await client.call('MGET', cluster.keyIn(0), cluster.keyIn(1));
    expect([cluster.counter(0, 'forwarded'), calls(0), calls(1)]).toEqual([3, 1, 3]);
  });

  it('once closed, a command that has not left is answered and opens no new link', async () => {
    cluster = await TestCluster.start(2, 2);
    const { map, counters, auth, limits } = cluster.nodes[0].worker;
    const settings = { failoverWaitMs: 0 };
    const host = { nodeId: 'n1', auth, map, counters, limits, settings, monotonicMs: () => 0 };
    const forwarding = new Forwarding(host, 2);
    const replies: string[] = [];
    const sink = { settle: (reply: Buffer) => void replies.push(reply.toString()) };
    const args = Args.of('GET', cluster.keyIn(1));
    forwarding.forward(
      map.nodes[1],
      { id: 1, gone: false, ownLinks: null, protocol: 2, awaits: 0 },
      1,
      null,
      args,
      0,
      sink,
    );
    forwarding.close();
    expect(replies).toEqual([expect.stringMatching(/^-CLUSTERDOWN /)]);
  });

  it('what lines up for a node that is gone is bounded; others are not held up by it', async () => {
    cluster = await TestCluster.start(2, 2);
    const { map, counters, auth, limits } = cluster.nodes[0].worker;
    let known = map;
    const forwarding = new Forwarding(
      {
        nodeId: 'n1',
        auth,
        counters,
        limits,
        settings: { failoverWaitMs: 60_000 },
        monotonicMs: () => 0,
        get map() {
          return known;
        },
      },
      2,
    );
    const mode = { id: 1, gone: false, ownLinks: null, protocol: 2, awaits: 0 } as const;
    const [here, gone] = map.nodes;
    const value = 'v'.repeat(WAITING_BYTES_MAX / 4);
    const args = Args.of('SET', cluster.keyIn(1), value);
    const sink = { settle: () => undefined };
    const send = (): void => forwarding.forward(gone, mode, 1, null, args, 0, sink);
    send();
    // Nobody owns the partition any more, so what had not left lines up, and what comes after it.
    const placement = map.placement.map((entry) => ({ ...entry, primary: null }));
    known = { ...map, placement, nodes: [here] };
    forwarding.mapChanged();
    const told: string[] = [];
    const waiter = { linkHasRoom: () => told.push('room') };
    for (let i = 0; i < 3; i++) {
      expect(forwarding.hasRoom(gone, mode)).toBe(true);
      send();
    }
    expect(forwarding.hasRoom(gone, mode)).toBe(false);
    expect(forwarding.queue.wait(waiter, 0)).toBe(true);
    expect(forwarding.hasRoom(here, mode)).toBe(true);
    forwarding.mapChanged();
    expect(told).toContain('room');
    forwarding.close();
  });

  it('a command that waits for a full link for longer than --failover-wait is refused, and the next at once', async () => {
    cluster = await TestCluster.start(2, 2, {}, { failoverWaitMs: 100 });
    let received = 0;
    await strangerAtClusterPort((socket, data) => {
      if (data.includes('INGOT.LINK')) socket.write('+OK\r\n');
      received += data.length;
    });
    const key = cluster.keyIn(1);
    const fill = Array.from({ length: LATE_MAX }, () => ['GET', key]);
    const senders = Math.ceil(PENDING_MAX / LATE_MAX);
    for (let i = 0; i < senders; i++) void (await cluster.client()).pipeline(fill);
    const client = await cluster.client();
    while (cluster.counter(0, 'forwarded') < PENDING_MAX) {
      expect(await client.call('PING')).toBe('PONG');
    }
    expect(received).toBeGreaterThan(0);
    const refused = `-${LINK_FULL_TEXT}`;
    expect(await client.call('SET', key, 'v')).toBe(refused);
    const waited = cluster.counter(0, 'linkWaits');
    const many = await client.pipeline([['GET', key], ['MGET', key, cluster.keyIn(0)], ['MULTI']]);
    expect(many).toEqual([refused, refused, 'OK']);
    expect(await client.pipeline([['GET', key], ['EXEC'], ['EXEC']])).toEqual([
      'QUEUED',
      refused,
      '-ERR EXEC without MULTI',
    ]);
    expect(await client.call('WATCH', key)).toBe(refused);
    expect(cluster.counter(0, 'linkWaits')).toBe(waited);
    expect(cluster.counter(0, 'linkWaitsRefused')).toBe(5);
    const line = ['limit.linkWait', expect.objectContaining({ peer: 'n1', count: 1 })];
    expect(cluster.nodes[0].logged).toContainEqual(line);
    expect(await client.call('SET', cluster.keyIn(0), 'v')).toBe('OK');
  });

  it('so is a command over several nodes whose first parts find room, and the next at once', async () => {
    cluster = await TestCluster.start(3, 4, {}, { failoverWaitMs: 100 });
    await strangerAtClusterPort((socket, data) => {
      if (data.includes('INGOT.LINK')) socket.write('+OK\r\n');
    });
    const [here, full, free] = [cluster.keyIn(0), cluster.keyIn(1), cluster.keyIn(2)];
    const fill = Array.from({ length: LATE_MAX }, () => ['GET', full]);
    const senders = Math.ceil(PENDING_MAX / LATE_MAX);
    for (let i = 0; i < senders; i++) void (await cluster.client()).pipeline(fill);
    const client = await cluster.client();
    while (cluster.counter(0, 'forwarded') < PENDING_MAX) {
      expect(await client.call('PING')).toBe('PONG');
    }
    const refused = `-${LINK_FULL_TEXT}`;
    expect(await client.call('MGET', free, full)).toBe(refused);
    const waited = cluster.counter(0, 'linkWaits');
    const many = await client.pipeline([
      ['MGET', here],
      ['DEL', free, full],
      ['WATCH', free, full],
      ['MULTI'],
      ['GET', here],
      ['EXEC'],
      ['MULTI'],
      ['GET', free],
      ['GET', full],
      ['EXEC'],
    ]);
    expect(many.filter((reply) => reply === refused).length).toBe(3);
    expect(many.at(-1)).toBe(refused);
    expect(cluster.counter(0, 'linkWaits')).toBe(waited);
    expect(await client.call('MGET', free, here)).toEqual([null, null]);
  });

  it('a link whose node does not answer is ended, counted and logged', async () => {
    cluster = await TestCluster.start(2, 2);
    const { map, counters, auth, limits } = cluster.nodes[0].worker;
    const settings = { failoverWaitMs: 60_000 };
    const clock = { ms: 0 };
    const monotonicMs = (): number => clock.ms;
    const host = { nodeId: 'n0', auth, counters, limits, settings, map, monotonicMs };
    const forwarding = new Forwarding(host, 2);
    const mode = { id: 1, gone: false, ownLinks: null, protocol: 2, awaits: 0 } as const;
    const args = Args.of('GET', cluster.keyIn(1));
    forwarding.forward(map.nodes[1], mode, 1, null, args, 0, { settle: () => undefined });
    clock.ms = CONNECT_MS_MAX;
    forwarding.tick(clock.ms);
    expect(cluster.counter(0, 'linksEnded')).toBe(0);
    clock.ms++;
    forwarding.tick(clock.ms);
    expect(cluster.counter(0, 'linksEnded')).toBe(1);
    const line = ['limit.linkSilence', expect.objectContaining({ peer: 'n1', count: 1 })];
    expect(cluster.nodes[0].logged).toContainEqual(line);
    forwarding.close();
  });

  it('a FLUSHALL of the whole cluster wakes replication', async () => {
    cluster = await TestCluster.start(2, 2);
    const { wake } = cluster.nodes[0];
    Atomics.store(wake, 0, 1);
    expect(await (await cluster.client(0)).call('FLUSHALL')).toBe('OK');
    expect(Atomics.load(wake, 0)).toBe(0);
  });
});

/** Takes the place of n1's cluster port in n0's map. */
async function strangerAtClusterPort(
  onData: (socket: Socket, data: Buffer) => void,
): Promise<Server> {
  const server = createServer((socket) => {
    socket.on('data', (data: Buffer) => onData(socket, data));
    socket.on('error', () => {});
  }).listen(0, '127.0.0.1');
  strangers.push(server);
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const map = cluster.moved(0, 0);
  const nodes = map.nodes.map((node) =>
    node.id === 'n1' ? { ...node, ports: { ...node.ports, cluster: port } } : node,
  );
  cluster.tell({ ...map, nodes }, 0);
  return server;
}
