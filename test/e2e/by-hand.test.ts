/** What an operator does: two nodes and a witness, the capacity raised, a partition promoted, a dead founder taken out, SIGTERM. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { ClusterView } from '../../packages/node/src/cli/cluster-view.ts';
import { ingot } from '../support/ingot.ts';
import { LocalCluster } from '../support/local-cluster.ts';
import { fill, RespConnection } from '../support/resp-connection.ts';

const PARTITIONS = 8;
const KEYS = 2_000;

let cluster: LocalCluster;

/** n3 votes; n1 and n2 hold everything, half of it each. */
const isSpread = ({ nodes, partitions, acceptors }: ClusterView): boolean =>
  acceptors.next === null &&
  acceptors.current.length === 3 &&
  nodes.slice(0, 2).every(({ leads }) => leads === PARTITIONS / 2) &&
  partitions.every(({ inSync }) => inSync.length === 2);

beforeAll(async () => {
  cluster = await LocalCluster.plan({
    nodes: 3,
    capacity: '64mb',
    partitions: PARTITIONS,
    foundArgs: ['--capacity-max', '128mb', '--eviction', 'noeviction'],
    argsOf: (i) => (i === 3 ? ['--witness'] : []),
  });
  for (const node of cluster.nodes) {
    node.launch();
    await node.answers('/readyz');
  }
  await cluster.until('two nodes share the partitions', isSpread);
  await fill(cluster.node(2).ports.client, KEYS, (i) => [`key-${i}`, `value-${i}`]);
  await cluster.replicated();
});

afterAll(() => cluster.stop());

function ask(node: number, ...args: string[]): ReturnType<typeof ingot> {
  return ingot([...args, '--node', `127.0.0.1:${cluster.node(node).ports.control}`]);
}

test('a witness votes, and holds and leads nothing', async () => {
  const { nodes, partitions } = await cluster.view();
  expect(nodes[2]).toMatchObject({ id: 'n3', witness: true, isAcceptor: true, follows: 0 });
  expect(partitions.filter(({ primary }) => primary === 'n3')).toEqual([]);
});

test('SIGTERM: a node that has stopped is known as stopped, and nobody suspects it', async () => {
  const witness = cluster.node(3);
  expect(await witness.process.stop()).toEqual({ code: 0, signal: null });
  const { nodes } = await cluster.view();
  expect(nodes[2]).toMatchObject({ state: 'stopped', incarnation: 1, fencedThrough: 1 });
  expect(nodes[2].stoppedSince).toMatch(/^20\d\d-/);
  witness.launch();
  await witness.answers('/readyz');
  expect((await cluster.view()).nodes[2]).toMatchObject({ state: 'up', incarnation: 2 });
  const events = cluster.node(1).log.map(({ event }) => event);
  expect(events).toContain('peer.stopped');
  expect(events).not.toContain('node.suspected');
});

test('ingot capacity: a full cluster takes writes again, and a restarted node keeps the limit', async () => {
  expect(await ask(3, 'capacity')).toMatchObject({
    exitCode: 0,
    stdout: 'capacity 64mb, 8mb for each of 8 partitions; it may be 64mb to 128mb',
  });
  const { client } = cluster.node(2).ports;
  const entry = (i: number): [string, Buffer] => [`{full}-${i}`, Buffer.alloc(40_000, i)];
  await expect(fill(client, 200, entry)).rejects.toThrow('-OOM');
  expect((await cluster.view()).capacity.fullest).toMatchObject({ percent: 100 });
  const beyond = await ask(3, 'capacity', '129mb');
  expect(beyond.exitCode).toBe(4);
  expect(beyond.stderr).toContain('more than the 128mb that the 8 partitions of this cluster');
  const raised = await ask(3, 'capacity', '128mb');
  expect(raised).toMatchObject({ exitCode: 0, stdout: 'capacity 128mb, it was 64mb' });
  await fill(client, 200, entry);
  const { capacity } = await cluster.view();
  expect(capacity).toMatchObject({ limitBytes: 2 ** 27, fullest: { capacityBytes: 2 ** 24 } });
  expect(capacity.fullest?.usedBytes).toBeGreaterThan(200 * 40_000);
  const restarted = cluster.node(2);
  expect(await restarted.process.stop()).toEqual({ code: 0, signal: null });
  restarted.launch();
  await restarted.answers('/readyz');
  await cluster.until('n2 has its share again', isSpread);
  const connection = await RespConnection.open(client);
  await connection.ask('INFO memory\r\n', `maxmemory:${(PARTITIONS / 2) * 2 ** 24}\r\n`);
  connection.destroy();
});

test('ingot promote: any node passes it on, and the lead stays there', async () => {
  const { partitions } = await cluster.view();
  const { id } = partitions.find(({ primary }) => primary === 'n1') as { id: number };
  const promoted = await ask(3, 'promote', String(id), 'n2');
  expect(promoted).toMatchObject({ exitCode: 0, stdout: expect.stringContaining('n1 led it') });
  expect((await cluster.view()).partitions[id]).toMatchObject({ primary: 'n2', lossy: false });
  const refused = await ask(2, 'promote', String(id), 'n3');
  expect(refused.exitCode).toBe(4);
  expect(refused.stderr).toContain('n3 holds no copy of partition');
});

test('the founder dies: the other leads all, and the dead one is taken out by hand', async () => {
  await cluster.kill(1);
  const view = await cluster.until('n2 leads everything', ({ partitions }) =>
    partitions.every(({ primary }) => primary === 'n2'),
  );
  expect(view.partitions.some(({ lossy, lost }) => lossy || lost)).toBe(false);
  expect(await ask(2, 'leave', 'n1')).toMatchObject({
    exitCode: 0,
    stdout: 'n1 has left; the cluster is n2, n3',
  });
  expect(await ask(2, 'leave', 'n2')).toMatchObject({ exitCode: 4 });
});

test('SIGTERM ends the last one that holds copies too: there is nobody to wait for', async () => {
  expect(await cluster.node(2).process.stop()).toEqual({ code: 0, signal: null });
});
