/** `ingot status` and `ingot verify` against three real nodes, also while redis-benchmark keeps them busy. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Child } from '../support/child.ts';
import { key, value } from '../support/dataset.ts';
import { eventually } from '../support/eventually.ts';
import { CLEAN, ingot, ingotStatus, ingotVerify } from '../support/ingot.ts';
import { LocalCluster } from '../support/local-cluster.ts';
import { freePort } from '../support/ports.ts';
import { fill } from '../support/resp-connection.ts';
import { needs } from '../support/tools.ts';

const BENCHMARK_REQUESTS = 300_000;
/** Behind the header, the chunk table and the first chunk of the index. */
const FIRST_SLAB_CHUNK = 3;

let cluster: LocalCluster;

beforeAll(async () => {
  cluster = await LocalCluster.start({ nodes: 3, env: { INGOT_TEST_DOOR: '1' } });
});

afterAll(() => cluster.stop());

const benchmark = needs('redis-benchmark');
describe.runIf(benchmark !== null)('redis-benchmark', () => {
  test('on a client port and with --cluster it ends without an error, while verify is clean', async () => {
    const plain = startBenchmark(cluster.node(1).ports.client, []);
    const clustered = startBenchmark(cluster.node(2).ports.cluster, ['--cluster']);
    const before = await cluster.sum('ingot_commands_total', { command: 'set' });
    await eventually('the load runs', async () => {
      return (await cluster.sum('ingot_commands_total', { command: 'set' })) > before;
    });
    expect(await ingotVerify(cluster.node(1).ports.control)).toMatchObject(CLEAN);
    expect([plain.end, clustered.end], 'verify ended while the load ran').toContain(null);
    for (const load of [plain, clustered]) {
      expect(await load.ended).toEqual({ code: 0, signal: null });
      expect(load.output).toMatch(/^"SET","\d[^]*^"GET","\d/m);
      expect(load.output).not.toMatch(/error|warn/i);
    }
    await cluster.replicated();
    const after = await ingotVerify(cluster.node(3).ports.control);
    expect(after).toMatchObject(CLEAN);
    expect(after.report.chunksChecked).toBeGreaterThan(64);
  });
});

describe('ingot status', () => {
  test('says who is in, who leads what and how far followers are', async () => {
    const view = await ingotStatus(cluster.node(2).ports.control);
    expect(view.mapVersion).toBeGreaterThan(0);
    const byId = [...view.nodes].sort((a, b) => a.id.localeCompare(b.id));
    expect(byId.map(({ id, state, incarnation }) => [id, state, incarnation])).toEqual([
      ['n1', 'up', 1],
      ['n2', 'up', 1],
      ['n3', 'up', 1],
    ]);
    expect(byId[2].addresses.client).toBe(`127.0.0.1:${cluster.node(3).ports.client}`);
    expect(view.partitions).toHaveLength(64);
    expect(view.partitions.every(({ lost }) => !lost)).toBe(true);
    expect(
      view.partitions.every(({ epoch, followers }) => epoch > 0 && followers.length === 1),
    ).toBe(true);
  });

  test('the table for people names every node', async () => {
    const { exitCode, stdout } = await ingot([
      ...['status', '--node', `127.0.0.1:${cluster.node(1).ports.control}`],
    ]);
    expect(exitCode).toBe(0);
    for (const node of cluster.nodes) expect(stdout).toMatch(new RegExp(`^${node.id}\\s+up`, 'm'));
  });
});

describe('ingot verify', () => {
  test('one flipped byte of a follower: exit 1 names partition, chunk and node, and it is repaired', async () => {
    await fill(cluster.node(1).ports.client, 5_000, (i) => [key('flip', i), value(i)]);
    await cluster.replicated();
    const view = await cluster.view();
    const partition = view.partitions.find(({ keys }) => (keys ?? 0) > 0);
    const follower = cluster.nodes.find(({ id }) => id === partition?.followers[0].node);
    if (partition === undefined || follower === undefined) throw new Error('no keys anywhere');
    const flip = `partition=${partition.id}&chunk=${FIRST_SLAB_CHUNK}&byte=4100`;
    const answer = await fetch(`http://127.0.0.1:${follower.ports.http}/test/flip?${flip}`, {
      method: 'POST',
    });
    expect(await answer.text()).toMatch(/^flipped/);

    const found = await ingotVerify(cluster.node(1).ports.control);
    expect(found.exitCode).toBe(1);
    expect(found.report.differences).toMatchObject([
      { partition: partition.id, chunk: FIRST_SLAB_CHUNK, node: follower.id, repaired: true },
    ]);
    expect(await cluster.sum('ingot_repairs_total')).toBe(1);
    expect(await ingotVerify(cluster.node(1).ports.control)).toMatchObject(CLEAN);
  });

  test('exit 3 where nobody answers', async () => {
    const { exitCode, stderr } = await ingot(['verify', '--node', `127.0.0.1:${await freePort()}`]);
    expect(exitCode).toBe(3);
    expect(stderr).toMatch(/^ingot: .* cannot be reached \(.*\); .+$/);
  });

  test('exit 3 where a copy could not be checked', async () => {
    await cluster.kill(3);
    await eventually('the map says so', async () => {
      return (await cluster.view()).nodes.some(({ id, state }) => id === 'n3' && state === 'down');
    });
    const { exitCode, report } = await ingotVerify(cluster.node(1).ports.control);
    expect(exitCode).toBe(3);
    expect(report.notChecked.length).toBeGreaterThan(0);
    cluster.restart(3);
    await cluster.settled();
  });
});

function startBenchmark(port: number, more: readonly string[]): Child {
  const requests = String(BENCHMARK_REQUESTS);
  return new Child(benchmark ?? '', [
    ...['-p', String(port), '-t', 'set,get', '-n', requests, '-r', requests],
    ...['-d', '64', '-c', '50', '-P', '16', '--csv', ...more],
  ]);
}
