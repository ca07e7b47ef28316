/** Values of the largest size on three real nodes: through every library and every node, with followers that keep up. */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ioredis, ioredisCluster, nodeRedis, nodeRedisCluster } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { CLEAN, ingotVerify } from '../support/ingot.ts';
import { LocalCluster } from '../support/local-cluster.ts';

const MAX = 10 * 2 ** 20;
const PARTITIONS = 4;

let cluster: LocalCluster;
const port = (i: number): number => cluster.node(i).ports.client;

beforeAll(async () => {
  cluster = await LocalCluster.start({ nodes: 3, capacity: '640mb', partitions: PARTITIONS });
});

afterAll(() => cluster.stop());

test('every library reads through one node what another wrote through another, byte for byte', async () => {
  const addresses = cluster.nodes.map(({ ports }) => ({ host: '127.0.0.1', port: ports.cluster }));
  const callers = [
    ioredis(port(1)),
    await nodeRedis(port(2)),
    ioredis(port(3), 2),
    ioredisCluster(addresses),
    await nodeRedisCluster(addresses),
  ];
  const fullSyncs = await cluster.sum('ingot_full_syncs_total');
  try {
    for (const [i, writer] of callers.entries()) {
      const reader = callers[(i + 1) % callers.length];
      // In turn keys of all partitions: some are led by the node that is asked, some are not.
      for (let k = 0; k < 2; k++) {
        const key = `large${i}-${k}`;
        const value = randomBytes(MAX);
        expect(await writer.call(['SET', key, value], key)).toBe('OK');
        expect((await reader.call(['GET', key], key)) === value.toString('latin1')).toBe(true);
        expect(await reader.call(['STRLEN', key], key)).toBe(MAX);
        const part = value.toString('latin1', 65_000, 66_000);
        expect(await writer.call(['GETRANGE', key, '65000', '65999'], key)).toBe(part);
        const refused = await writer.call(['SET', key, Buffer.alloc(MAX + 1)], key);
        expect(refused).toMatch(`ERR value of ${MAX + 1} bytes exceeds the maximum of ${MAX} `);
        expect(await writer.call(['SETRANGE', key, '5', 'five'], key)).toBe(MAX);
        expect(await reader.call(['GETRANGE', key, '4', '9'], key)).toBe(
          `${value.toString('latin1', 4, 5)}five${value.toString('latin1', 9, 10)}`,
        );
        expect(await reader.call(['DEL', key], key)).toBe(1);
      }
    }
  } finally {
    await Promise.all(callers.map((caller) => caller.close()));
  }
  await cluster.replicated();
  expect(await cluster.sum('ingot_full_syncs_total')).toBe(fullSyncs);
  expect(await ingotVerify(cluster.node(1).ports.control)).toMatchObject(CLEAN);
});

test('a slow reader of a value that is overwritten and deleted gets the old bytes whole', async () => {
  const writer = ioredis(port(1));
  const value = randomBytes(MAX);
  for (const key of ['slow1', 'slow2', 'slow3']) {
    expect(await writer.call(['SET', key, value])).toBe('OK');
    const socket = connect(port(1), '127.0.0.1');
    await once(socket, 'connect');
    socket.pause();
    const before = await cluster.sum('ingot_keyspace_hits_total');
    socket.write(`GET ${key}\r\n`);
    await eventually(
      'the value is being sent',
      async () => (await cluster.sum('ingot_keyspace_hits_total')) > before,
    );
    expect(await writer.call(['SET', key, randomBytes(MAX)])).toBe('OK');
    expect(await writer.call(['DEL', key])).toBe(1);
    const pieces: Buffer[] = [];
    let bytes = 0;
    const header = `$${MAX}\r\n`.length;
    for await (const piece of socket) {
      pieces.push(piece as Buffer);
      bytes += (piece as Buffer).length;
      if (bytes >= header + MAX + 2) break;
    }
    expect(
      Buffer.concat(pieces)
        .subarray(header, header + MAX)
        .equals(value),
    ).toBe(true);
  }
  await writer.close();
});
